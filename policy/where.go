package policy

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// The sentences of Action.Proof.
const (
	proofMissing     = "there is no WHERE: every row"
	proofAlwaysTrue  = "the condition is true for every row"
	proofUnlessNull  = "the condition is true for every row, but for nulls"
	proofIndependent = "the condition does not look at the row: every row or none"
	proofUnlinked    = "no condition links the target to the other tables: every row or none"
	proofBranch      = "one branch of the condition does not link the target to the other tables: every row where it is true"
	proofNeverTrue   = "the condition is never true"
	proofCursor      = "the row that a cursor stands on"
	proofBySource    = "WHEN NOT MATCHED BY SOURCE: every row that the source does not have"
)

// A judged is what a WHERE was judged by. An action keeps it, so that the WHERE can
// be judged again once more is known than the text says. MERGE keeps one for each
// branch that updates or deletes.
type judged struct {
	target *pg.RangeVar
	from   []*pg.Node // the USING or FROM clause besides the target
	where  *pg.Node   // nil where there is none

	statement *mentions // what else the statement holds
	types     []uint32  // of the parameters, as Parse or PREPARE declared them
	values    []Parameter
	catalog   *Catalog // nil where none was asked
}

// judge says what the WHERE of an UPDATE, a DELETE, a branch of MERGE or a SELECT
// ... FOR UPDATE is. The condition is cut at its top-level ANDs. A part that is
// true for every row narrows nothing; a part that cannot refer to the target
// chooses all of its rows or none; what is left decides.
func (j *judged) judge() (Where, string) {
	if j.where == nil {
		return WhereMissing, proofMissing
	}
	if j.where.GetCurrentOfExpr() != nil {
		return WherePresent, proofCursor
	}
	steps := maxStepsInAll
	others := j.others(&steps)
	prover := j.prover(&steps)
	narrows, independent, branch := false, false, false
	nullable := false // some part is true only where nothing is null
	for _, part := range conjuncts(j.where, nil) {
		switch prover.prove(part) {
		case provenTrue:
		case provenTrueUnlessNull:
			nullable = true
		case provenNeverTrue:
			return WherePresent, proofNeverTrue
		default:
			switch {
			case !others.mentionsTarget(part):
				independent = true
			case len(j.from) > 0 && !j.links(part, others, prover):
				branch = true
			default:
				narrows = true
			}
		}
	}
	switch {
	case narrows:
		return WherePresent, ""
	case branch:
		return WhereUnlinked, proofBranch
	case independent && len(j.from) > 0:
		return WhereUnlinked, proofUnlinked
	case independent:
		return WhereIndependent, proofIndependent
	case nullable:
		return WhereTrueUnlessNull, proofUnlessNull
	}
	return WhereAlwaysTrue, proofAlwaysTrue
}

// links says whether a condition that mentions the target chooses among its rows
// whatever the rows of the other tables are: one branch of an OR that does not is
// enough for every row to be reached. A branch that waits for the value of a
// parameter, and asks for nothing else, is left to that value.
func (j *judged) links(n *pg.Node, others *scope, prover *prover) bool {
	b := n.GetBoolExpr()
	switch b.GetBoolop() {
	case pg.BoolExprType_OR_EXPR:
		return !slices.ContainsFunc(b.Args, func(a *pg.Node) bool { return !j.links(a, others, prover) })
	case pg.BoolExprType_AND_EXPR:
		return slices.ContainsFunc(b.Args, func(a *pg.Node) bool { return j.links(a, others, prover) })
	}
	return others.mentionsTarget(n) || holdsParameter(n) && !holdsColumn(n) || prover.prove(n) == provenNeverTrue
}

// others are the tables besides the target.
func (j *judged) others(steps *int) *scope {
	s := &scope{statement: j.statement, catalog: j.catalog, steps: steps}
	for _, n := range j.from {
		s.declare(n)
	}
	return s
}

func (j *judged) prover(steps *int) *prover {
	p := &prover{target: visibleName(j.target), steps: steps, values: j.values, mentions: j.statement, table: j.target, catalog: j.catalog}
	if columns, ok := columnsOf(j.target, j.catalog, j.statement); ok {
		p.columns, p.relation = columns, j.catalog.relationNamed(tableOf(j.target))
	}
	return p
}

// judge makes the WHERE of an action the worst of what it was judged by.
func (a *Action) judge() {
	a.Where = WhereNone
	for i := range a.judged {
		w, proof := a.judged[i].judge()
		if c := a.judged[i].catalog; c != nil {
			w, proof = c.settle(&a.judged[i], w, proof)
		}
		if a.Where == WhereNone || w < a.Where {
			a.Where, a.Proof = w, proof
		}
	}
}

// judgedBy judges the WHERE of an action for the first time.
func (w *walker) judgedBy(a *Action, target *pg.RangeVar, from []*pg.Node, where *pg.Node) {
	a.judged = []judged{{target: target, from: from, where: where, statement: w.mentions}}
	a.judge()
}

// judgedByBranch judges a branch of MERGE that updates or deletes. The join
// condition is its WHERE, with the branch's own condition added; rows that the
// source does not have are chosen by the branch's own condition alone.
func (w *walker) judgedByBranch(a *Action, s *pg.MergeStmt, when *pg.MergeWhenClause) {
	if when.MatchKind == pg.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_SOURCE {
		w.judgedBy(a, s.Relation, nil, when.Condition)
		if when.Condition == nil {
			a.Proof = proofBySource
		}
		return
	}
	condition := s.JoinCondition
	if when.Condition != nil {
		condition = &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{
			Boolop: pg.BoolExprType_AND_EXPR, Args: []*pg.Node{s.JoinCondition, when.Condition},
		}}}
	}
	w.judgedBy(a, s.Relation, []*pg.Node{s.SourceRelation}, condition)
}

// judgedAgain gives the action with what it is judged by changed, and its WHERE
// judged anew. An action without a condition has nothing to judge.
func (a Action) judgedAgain(change func(*judged)) Action {
	if !slices.ContainsFunc(a.judged, func(j judged) bool { return j.where != nil }) {
		return a
	}
	all := slices.Clone(a.judged)
	for i := range all {
		change(&all[i])
	}
	// A branch of MERGE without a condition stays the worst.
	if a.judged = all; a.Where != WhereMissing {
		a.judge()
	}
	return a
}

// resolved gives the action with its WHERE judged again by what the catalogue
// says. Nothing changes for an action that has no WHERE.
func (a Action) resolved(c *Catalog) Action {
	return a.judgedAgain(func(j *judged) { j.catalog = c })
}

// conjuncts adds the operands of the top-level ANDs to all.
func conjuncts(n *pg.Node, all []*pg.Node) []*pg.Node {
	b := n.GetBoolExpr()
	if b == nil || b.Boolop != pg.BoolExprType_AND_EXPR {
		return append(all, n)
	}
	for _, a := range b.Args {
		all = conjuncts(a, all)
	}
	return all
}
