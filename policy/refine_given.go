package policy

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// given is what an action gives to the functions, triggers and rules that it sets
// off, whose bodies may do something for some values only.
type given struct {
	calls  []*pg.FuncCall // of functions whose effect the text does not show
	insert *pg.InsertStmt
	update *pg.UpdateStmt

	takes  bool        // a $n of a Bind stands in it
	values []Parameter // of those
}

func (w *walker) givenTo(c *pg.FuncCall) given {
	return given{calls: []*pg.FuncCall{c}, takes: w.takesFrom(c.GetArgs()...)}
}

// takesFrom says whether a $n of a Bind stands in one of the nodes.
func (w *walker) takesFrom(nodes ...*pg.Node) bool {
	return !w.inBody && slices.ContainsFunc(nodes, holdsParameter)
}

// forgetRows takes back what INSERTs insert, where rows of them were left out.
func forgetRows(facts []*Facts) {
	for _, f := range facts {
		for i := range f.Actions {
			f.Actions[i].given.insert = nil
		}
		if f.Prepared != nil {
			forgetRows([]*Facts{f.Prepared})
		}
	}
}

// Bounds on what is looked at of the values of a statement.
const maxGivenRows = 100

// evaluate computes an expression of the statement itself: a constant, or a $n
// whose value is known.
func (g *given) evaluate(n *pg.Node) value {
	e := evaluation{body: &body{}, row: make(map[string]value)}
	for i := range g.values {
		if v := &g.values[i]; v.Null {
			e.row["$"+strconv.Itoa(i+1)] = value{kind: knownNull}
		} else if text, ok := v.read(); ok {
			e.row["$"+strconv.Itoa(i+1)] = textValue(text)
		}
	}
	return e.value(n)
}

// arguments gives the values of the parameters of a function in all the calls of
// it that stand in the action.
func (g *given) arguments(name string, f *Function) (known knownValues) {
	for _, c := range g.calls {
		if dotted(c.Funcname) != name {
			continue
		}
		row := make(map[string]value)
		for i, n := range c.Args {
			arg := n.GetNamedArgExpr()
			if arg != nil {
				n = arg.Arg
				i = slices.IndexFunc(f.Arguments, func(a Column) bool { return a.Name == arg.Name })
			}
			if i < 0 || i >= len(f.Arguments) || c.FuncVariadic || len(c.Args) > len(f.Arguments) {
				continue
			}
			a := f.Arguments[i]
			v := g.evaluate(n).as(a.Kind)
			row["$"+strconv.Itoa(i+1)] = v
			if a.Name != "" {
				row[a.Name], row[f.Name+"."+a.Name] = v, v
			}
		}
		known.rows = append(known.rows, row)
	}
	return known
}

// columnsGiven are the values of the columns of NEW and OLD that the text of an
// action on a relation shows.
func (a *Action) columnsGiven(rel *Relation) (known knownValues) {
	kinds := make(map[string]string, len(rel.Columns))
	var columns []string
	for _, c := range rel.Columns {
		kinds[c.Name] = c.Kind
		if len(c.Labels) > 0 { // an enum: equal if the labels are
			kinds[c.Name] = "text"
		}
		columns = append(columns, c.Name)
	}
	switch g := &a.given; {
	case g.insert != nil:
		return g.inserted(columns, kinds)
	case g.update != nil:
		row := make(map[string]value)
		for column, v := range a.equated(kinds) {
			row["old."+column], row["new."+column] = v, v
		}
		for _, n := range g.update.TargetList {
			t := n.GetResTarget()
			delete(row, "new."+t.GetName())
			if len(t.GetIndirection()) == 0 {
				row["new."+t.GetName()] = g.evaluate(t.GetVal()).as(kinds[t.GetName()])
			}
		}
		known.rows = append(known.rows, row)
	case a.Class == classDelete:
		row := make(map[string]value)
		for column, v := range a.equated(kinds) {
			row["old."+column] = v
		}
		known.rows = append(known.rows, row)
	}
	return known
}

// inserted are the rows of an INSERT with VALUES, or the one that all rows of its
// query have in common. A column that is not named has its default.
func (g *given) inserted(columns []string, kinds map[string]string) (known knownValues) {
	if names := targetNames(g.insert.Cols); len(names) > 0 {
		columns = names
	}
	q := g.insert.SelectStmt.GetSelectStmt()
	var rows [][]*pg.Node
	for _, n := range q.GetValuesLists() {
		rows = append(rows, n.GetList().GetItems())
	}
	if len(rows) == 0 && q.GetLarg() == nil {
		var one []*pg.Node
		for _, n := range q.GetTargetList() {
			one = append(one, n.GetResTarget().GetVal())
		}
		rows = append(rows, one)
	}
	if len(rows) > maxGivenRows {
		return known
	}
	for _, items := range rows {
		row := make(map[string]value)
		for i, n := range items {
			if n.GetColumnRef() != nil { // of the query; it may stand for many
				if len(words(n.GetColumnRef().Fields)) != len(n.GetColumnRef().Fields) {
					break
				}
				continue
			}
			if i < len(columns) {
				row["new."+columns[i]] = g.evaluate(n).as(kinds[columns[i]])
			}
		}
		known.rows = append(known.rows, row)
	}
	return known
}

// equated gives the columns of the target that the WHERE equates with a value.
func (a *Action) equated(kinds map[string]string) map[string]value {
	all := make(map[string]value)
	if len(a.judged) != 1 || a.judged[0].where == nil {
		return all
	}
	for _, part := range conjuncts(a.judged[0].where, nil) {
		e := part.GetAExpr()
		if e.GetKind() != pg.A_Expr_Kind_AEXPR_OP || operatorName(e.Name) != "=" {
			continue
		}
		for _, sides := range [][2]*pg.Node{{e.Lexpr, e.Rexpr}, {e.Rexpr, e.Lexpr}} {
			if column := a.judged[0].column(sides[0]); column != nil && a.judged[0].tellsApart(column, sides[1]) {
				if v := a.given.evaluate(sides[1]).as(kinds[column.Name]); v.kind > knownNull {
					all[column.Name] = v
				}
			}
		}
	}
	return all
}

// told adds what a trigger is told of why it runs.
func (k knownValues) told(t *Trigger, rel *Relation, event string) knownValues {
	level := "STATEMENT"
	if t.Row {
		level = "ROW"
	}
	rows := make([]map[string]value, 0, len(k.rows)+1)
	for _, r := range k.each() {
		row := map[string]value{
			"tg_op": textValue(strings.ToUpper(event)), "tg_when": textValue(strings.ToUpper(t.Timing)), "tg_level": textValue(level),
			"tg_name": textValue(t.Name), "tg_table_name": textValue(rel.Name), "tg_relname": textValue(rel.Name),
			"tg_table_schema": textValue(rel.Schema),
		}
		maps.Copy(row, r)
		rows = append(rows, row)
	}
	k.rows = rows
	return k
}

// withoutNew takes back what is known of columns of NEW that a trigger before the
// event may change, of which told is what it is told.
func (k knownValues) withoutNew(b *body, told knownValues) knownValues {
	told = told.in(b)
	all := b.assigned[""] > 0 || b.assigned["new"] > 0 || slices.ContainsFunc(b.steps, func(s step) bool {
		return s.result != nil && told.reaches(s.guards) && !s.result.GetAConst().GetIsnull() && dotted(s.result.GetColumnRef().GetFields()) != "new"
	})
	rows := make([]map[string]value, len(k.rows))
	for i, r := range k.rows {
		rows[i] = maps.Clone(r)
		maps.DeleteFunc(rows[i], func(name string, _ value) bool {
			return strings.HasPrefix(name, "new.") && (all || b.assigned[name] > 0)
		})
	}
	k.rows = rows
	return k
}
