package policy

import (
	"fmt"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// Expected is the estimate of a statement of which this is expected for the tables
// that it changes itself: with it comes what foreign keys take along, by the
// statistics that the catalogue gave. Where there are none it is left out; an
// estimate is for stopping what is plainly large, and nothing relies on a small one.
func (f *Facts) Expected(own []TableImpact) *Impact {
	i := &Impact{Estimated: true}
	for _, t := range own {
		i.add(t)
	}
	for k := range f.Actions {
		a := &f.Actions[k]
		for _, t := range own {
			if !slices.ContainsFunc(a.Tables, func(x Table) bool { return x.Schema == t.Table.Schema && x.Name == t.Table.Name }) {
				continue
			}
			switch {
			case a.Class == classDelete && t.Deleted > 0:
				i.follow(a, float64(t.Deleted))
			case a.Class == classUpdate && t.Updated > 0:
				i.follow(a, float64(t.Updated))
			}
		}
	}
	return i
}

// EstimateByKeys is the estimate of a statement that names all rows it changes by a
// unique key, for which no planner need be asked. It is nil for any other.
func (f *Facts) EstimateByKeys() *Impact {
	var own []TableImpact
	for k := range f.Actions {
		a := &f.Actions[k]
		switch changesOf[a.Class] {
		case changesNothing:
			continue
		case changesUnknown:
			return nil
		}
		if a.byKey == 0 || len(a.Tables) != 1 || a.Class != classUpdate && a.Class != classDelete {
			return nil
		}
		t := TableImpact{Table: a.Tables[0], Rows: -1}
		if a.Class == classUpdate {
			t.Updated = int64(a.byKey)
		} else {
			t.Deleted = int64(a.byKey)
		}
		own = append(own, t)
	}
	if len(own) == 0 {
		return nil
	}
	return f.Expected(own)
}

// follow adds what so many rows of the action's table take along. The nearest
// tables stand first among its cascades.
func (i *Impact) follow(a *Action, rows float64) {
	type place struct{ schema, name string }
	at := make(map[place]float64)
	for _, t := range a.Tables {
		at[place{t.Schema, t.Name}] = rows
	}
	for k := range a.Cascades {
		x := &a.Cascades[k]
		from, to := at[place{x.From.Schema, x.From.Name}], place{x.Table.Schema, x.Table.Name}
		if x.direct() { // the same rows, by another name
			at[to] = max(at[to], from)
			continue
		}
		if x.PerRow < 0 || x.Rows < 0 {
			continue
		}
		n := min(from*x.PerRow, x.Rows)
		at[to] += n
		t := TableImpact{Table: x.Table, Rows: x.Rows, ByCascade: true}
		switch x.Effect {
		case "delete":
			t.Deleted = int64(n)
		case "update", "set null", "set default":
			t.Updated = int64(n)
		}
		if t.Deleted+t.Updated > 0 {
			i.add(t)
		}
	}
}

// CountSQL is a query that counts the rows which the one UPDATE or DELETE of the
// statement chooses, with the same parameters, and the table. It is empty where the
// statement does more than that, or where counting would call code that nobody has
// looked at: a planner that does not understand a WHERE guesses at half of the table.
func (f *Facts) CountSQL() (sql string, of Table) {
	var change *Action
	for i := range f.Actions {
		switch a := &f.Actions[i]; {
		case a.Class.In("read"):
		case change != nil || a.Class != classUpdate && a.Class != classDelete || a.Carrier != "" || len(a.judged) != 1 || len(a.Tables) != 1:
			return "", Table{}
		default:
			change = a
		}
	}
	if change == nil {
		return "", Table{}
	}
	j := &change.judged[0]
	if f.lent != nil { // it has one action
		own := f.own().Actions[0].judged
		if len(own) != 1 {
			return "", Table{}
		}
		j = &own[0]
	}
	if j.where.GetCurrentOfExpr() != nil || len(j.statement.queries) > 0 {
		return "", Table{}
	}
	row := func(column string) *pg.Node {
		return pg.MakeColumnRefNode([]*pg.Node{pg.MakeStrNode(visibleName(j.target)), pg.MakeStrNode(column)}, -1)
	}
	tree, err := pg.Parse("SELECT") // for the version of the grammar, which it knows
	if err != nil {
		return "", Table{}
	}
	// A join finds a row more than once.
	rows := pg.MakeFuncCallNode([]*pg.Node{pg.MakeStrNode("pg_catalog"), pg.MakeStrNode("count")},
		[]*pg.Node{{Node: &pg.Node_RowExpr{RowExpr: &pg.RowExpr{Args: []*pg.Node{row("tableoid"), row("ctid")}, RowFormat: pg.CoercionForm_COERCE_EXPLICIT_CALL}}}}, -1)
	rows.GetFuncCall().AggDistinct = len(j.from) > 0
	from := append([]*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: j.target}}}, j.from...)
	query := &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: &pg.SelectStmt{
		TargetList: []*pg.Node{pg.MakeResTargetNodeWithVal(rows, -1)}, FromClause: from, WhereClause: j.where,
		LimitOption: pg.LimitOption_LIMIT_OPTION_DEFAULT, Op: pg.SetOperation_SETOP_NONE,
	}}}
	tree.Stmts = []*pg.RawStmt{{Stmt: query}}
	if sql, err = pg.Deparse(tree); err != nil {
		return "", Table{}
	}
	return fmt.Sprintf("SELECT (%s)::pg_catalog.text", sql), change.Tables[0]
}

// Counted is the estimate with so many rows of the statement's own table, which
// CountSQL has counted.
func (f *Facts) Counted(i *Impact, of Table, rows int64) *Impact {
	t := TableImpact{Table: of, Rows: -1}
	for k := range i.Tables {
		if x := i.Tables[k].Table; x.Schema == of.Schema && x.Name == of.Name {
			t.Rows = i.Tables[k].Rows
		}
	}
	for k := range f.Actions {
		switch f.Actions[k].Class {
		case classUpdate:
			t.Updated = rows
		case classDelete:
			t.Deleted = rows
		}
	}
	return f.Expected([]TableImpact{t})
}
