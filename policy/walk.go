package policy

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// factsOf walks the tree of one statement.
func factsOf(n *pg.Node, text string) *Facts {
	w := walker{facts: &Facts{Text: text}, mentions: new(mentions)}
	w.statement(n, "")
	f := w.facts
	if len(f.Actions) == 0 {
		w.add(Action{Class: ClassUnknown})
	}
	f.Class = f.Actions[0].Class
	for i := range f.Actions {
		if f.Actions[i].Class == ClassUnknown && f.Problem == "" {
			f.Problem = "a kind of statement that this version does not know"
		}
	}
	return f.hidden()
}

// A walker collects the facts of one statement from its tree. The outermost
// action is added first.
type walker struct {
	facts    *Facts
	mentions *mentions
	inBody   bool         // of a function or a DO block
	from     *pg.RangeVar // the table of the SELECT around, if it reads one whole

	// volatile is set by the first call of a function that is volatile or not
	// known.
	volatile bool
}

func (w *walker) add(a Action) { w.facts.Actions = append(w.facts.Actions, a) }

// within is the carrier of what is found inside what another one carries.
func within(outer, inner string) string {
	if outer == "" {
		return inner
	}
	return outer + ", " + inner
}

// statement adds the actions of a statement and of what it carries.
func (w *walker) statement(n *pg.Node, carrier string) {
	f := w.facts
	a := Action{Class: classOf(n), Carrier: carrier}
	switch s := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		if into := intoOf(s.SelectStmt); into != nil {
			a.Tables = tables(into.Rel)
		}
		w.add(a)
		w.query(s.SelectStmt, carrier)
	case *pg.Node_InsertStmt:
		w.insert(s.InsertStmt, a)
	case *pg.Node_UpdateStmt:
		w.update(s.UpdateStmt, a)
	case *pg.Node_DeleteStmt:
		w.delete(s.DeleteStmt, a)
	case *pg.Node_MergeStmt:
		w.merge(s.MergeStmt, a)
	case *pg.Node_CopyStmt:
		a.Tables = tables(s.CopyStmt.Relation)
		w.add(a)
		f.CopyIn = f.CopyIn || a.Class == "copy_from"
		if s.CopyStmt.Relation != nil && !s.CopyStmt.IsFrom {
			w.hides(NameRelation, tableOf(s.CopyStmt.Relation))
		}
		w.visit(s.CopyStmt.Query, within(carrier, "COPY"))
		w.visit(s.CopyStmt.WhereClause, carrier)

	case *pg.Node_ExplainStmt:
		w.add(a)
		w.explain(s.ExplainStmt, carrier)
	case *pg.Node_PrepareStmt:
		w.add(a)
		f.Prepares = s.PrepareStmt.Name
		types := declaredTypes(s.PrepareStmt.Argtypes)
		f.Prepared = factsOf(s.PrepareStmt.Query, f.Text).declared(types)
		f.Prepared.types = types
	case *pg.Node_ExecuteStmt:
		w.add(a)
		f.Executes, f.arguments = s.ExecuteStmt.Name, argumentsOf(s.ExecuteStmt.Params)
		w.list(s.ExecuteStmt.Params, carrier)
	case *pg.Node_DeallocateStmt:
		w.add(a)
		f.Deallocates, f.DeallocatesAll = s.DeallocateStmt.Name, s.DeallocateStmt.Isall
	case *pg.Node_DeclareCursorStmt:
		w.add(a)
		w.visit(s.DeclareCursorStmt.Query, within(carrier, "DECLARE"))

	case *pg.Node_CreateTableAsStmt:
		a.Tables = tables(s.CreateTableAsStmt.GetInto().GetRel())
		w.add(a)
		inner := within(carrier, "CREATE TABLE AS")
		if q := s.CreateTableAsStmt.Query; q.GetExecuteStmt() != nil {
			w.statement(q, inner)
		} else {
			w.visit(q, inner)
		}
	case *pg.Node_CreateSchemaStmt:
		a.Tables = []Table{{Name: s.CreateSchemaStmt.Schemaname}}
		w.add(a)
		for _, e := range s.CreateSchemaStmt.SchemaElts {
			w.statement(e, within(carrier, "CREATE SCHEMA"))
		}
	case *pg.Node_RuleStmt:
		a.Tables = tables(s.RuleStmt.Relation)
		w.add(a)
		for _, r := range s.RuleStmt.Actions {
			w.statement(r, within(carrier, "CREATE RULE"))
		}
	case *pg.Node_AlterTableStmt:
		w.alterTable(s.AlterTableStmt, a)

	case *pg.Node_TransactionStmt:
		w.add(a)
		f.Transaction, f.beginsReadOnly = transactionEffect(s.TransactionStmt), beginsReadOnly(s.TransactionStmt)
	case *pg.Node_VariableSetStmt:
		w.add(a)
		f.Settings = append(f.Settings, settingsOf(s.VariableSetStmt)...)
	case *pg.Node_DiscardStmt:
		w.add(a)
		if s.DiscardStmt.Target == pg.DiscardMode_DISCARD_ALL {
			f.DeallocatesAll = true
			f.Settings = append(f.Settings, Setting{Name: "all"})
		}

	case *pg.Node_DoStmt:
		w.add(a)
		w.do(s.DoStmt, carrier)
	case *pg.Node_CallStmt:
		a.Functions = []string{dotted(s.CallStmt.Funccall.GetFuncname())}
		a.given = w.givenTo(s.CallStmt.Funccall)
		w.add(a)
		w.list(s.CallStmt.Funccall.GetArgs(), carrier)
	default:
		w.utility(n, a)
	}
}

// utility adds a statement that carries no other. Functions in a definition
// that is only stored (a view, a default, a trigger) do not run now and do not
// count; those in an index, a check or a partition bound do.
func (w *walker) utility(n *pg.Node, a Action) {
	a.Tables, a.Cascade = objectsOf(n)
	if c := n.GetCreateStmt(); c.GetPartbound() != nil && len(c.InhRelations) == 1 {
		a.Parent = tableOf(c.InhRelations[0].GetRangeVar())
	}
	w.add(a)
	switch s := n.GetNode().(type) {
	case *pg.Node_CreateStmt:
		if s.CreateStmt.Partbound != nil {
			w.children(s.CreateStmt.Partbound.ProtoReflect(), a.Carrier)
		}
	case *pg.Node_ViewStmt, *pg.Node_CreateTrigStmt, *pg.Node_CreatePolicyStmt, *pg.Node_AlterPolicyStmt,
		*pg.Node_CreateDomainStmt, *pg.Node_CreateForeignTableStmt:
	case *pg.Node_CreateFunctionStmt:
		w.temporaryFunction(s.CreateFunctionStmt, a.Carrier)
	case nil:
	default:
		if m := statementMessage(n); m != nil {
			w.children(m, a.Carrier)
		}
	}
}

func (w *walker) insert(s *pg.InsertStmt, a Action) {
	a.Tables = tables(s.Relation)
	a.given = given{insert: s, takes: w.takesFrom(s.SelectStmt)}
	w.add(a)
	if c := s.OnConflictClause; c.GetAction() == pg.OnConflictAction_ONCONFLICT_UPDATE {
		w.add(Action{
			Class: classUpdate, Carrier: within(a.Carrier, "ON CONFLICT"), Tables: a.Tables, sets: targetNames(c.TargetList),
			Where: WherePresent, Proof: "only the rows that conflict with an inserted one",
		})
		w.list(c.TargetList, a.Carrier)
		w.visit(c.WhereClause, a.Carrier)
	}
	w.with(s.WithClause, a.Carrier)
	w.visit(s.SelectStmt, a.Carrier)
	w.list(s.ReturningList, a.Carrier)
}

func (w *walker) update(s *pg.UpdateStmt, a Action) {
	a.Tables, a.sets = tables(s.Relation), targetNames(s.TargetList)
	w.judgedBy(&a, s.Relation, s.FromClause, s.WhereClause)
	a.given = given{update: s, takes: w.takesFrom(append(s.TargetList[:len(s.TargetList):len(s.TargetList)], s.WhereClause)...)}
	w.add(a)
	if set := pgSettings(s); set != nil {
		w.facts.Settings = append(w.facts.Settings, *set)
		w.add(Action{Class: classSet, Carrier: within(a.Carrier, "UPDATE pg_settings")})
	}
	w.with(s.WithClause, a.Carrier)
	w.list(s.TargetList, a.Carrier)
	w.list(s.FromClause, a.Carrier)
	w.visit(s.WhereClause, a.Carrier)
	w.list(s.ReturningList, a.Carrier)
}

func (w *walker) delete(s *pg.DeleteStmt, a Action) {
	a.Tables = tables(s.Relation)
	w.judgedBy(&a, s.Relation, s.UsingClause, s.WhereClause)
	w.add(a)
	w.with(s.WithClause, a.Carrier)
	w.list(s.UsingClause, a.Carrier)
	w.visit(s.WhereClause, a.Carrier)
	w.list(s.ReturningList, a.Carrier)
}

// merge adds MERGE itself, with the worst of its branches, and each branch that
// deletes, updates or inserts.
func (w *walker) merge(s *pg.MergeStmt, a Action) {
	a.Tables = tables(s.Relation)
	branches := make([]Action, 0, len(s.MergeWhenClauses))
	for _, n := range s.MergeWhenClauses {
		when := n.GetMergeWhenClause()
		b := Action{Carrier: within(a.Carrier, "MERGE"), Tables: a.Tables}
		switch when.GetCommandType() {
		case pg.CmdType_CMD_DELETE:
			b.Class = classDelete
		case pg.CmdType_CMD_UPDATE:
			b.Class, b.sets = classUpdate, targetNames(when.TargetList)
		case pg.CmdType_CMD_INSERT:
			b.Class = classInsert
		default:
			continue // DO NOTHING
		}
		if b.Class != classInsert {
			w.judgedByBranch(&b, s, when)
			a.judged = append(a.judged, b.judged...)
			if a.Where == WhereNone || b.Where < a.Where {
				a.Where, a.Proof = b.Where, b.Proof
			}
		}
		branches = append(branches, b)
	}
	w.add(a)
	for _, b := range branches {
		w.add(b)
	}
	w.with(s.WithClause, a.Carrier)
	w.visit(s.SourceRelation, a.Carrier)
	w.visit(s.JoinCondition, a.Carrier)
	w.list(s.MergeWhenClauses, a.Carrier)
	w.list(s.ReturningList, a.Carrier)
}

// explain adds what EXPLAIN ANALYZE runs. Without ANALYZE nothing runs but the
// planner, and that may call a function whose owner said that it is immutable:
// functions that are not known count either way.
func (w *walker) explain(s *pg.ExplainStmt, carrier string) {
	if switchedOn(s.Options, "analyze") {
		w.statement(s.Query, within(carrier, "EXPLAIN ANALYZE"))
		return
	}
	planned := factsOf(s.Query, "")
	w.facts.hide(planned.hiding...)
	for _, a := range planned.Actions {
		if a.Class == classFunctionCall {
			a.Carrier = within(within(carrier, "EXPLAIN"), a.Carrier)
			a.Carrier = strings.TrimSuffix(a.Carrier, ", ")
			w.add(a)
		}
	}
}

// alterTable adds one action for each command, and a second one for a command
// whose form matters: USING may replace every value, some defaults write every
// row anew.
func (w *walker) alterTable(s *pg.AlterTableStmt, a Action) {
	a.Tables = tables(s.Relation)
	for _, n := range s.Cmds {
		c := n.GetAlterTableCmd()
		a.Class = commandClass(s.Objtype, c)
		a.Cascade = c.GetBehavior() == pg.DropBehavior_DROP_CASCADE
		w.add(a)
		if form := commandForm(s.Objtype, c); form != "" {
			a.Class = form
			w.add(a)
		}
		// A default that is set is stored for later rows; all else is run now.
		if c.GetSubtype() != pg.AlterTableType_AT_ColumnDefault {
			w.visit(c.GetDef(), a.Carrier)
		}
	}
}
