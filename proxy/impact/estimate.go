package impact

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/pgsluice/pgsluice/policy"
)

// SizesSQL asks how many rows tables hold by the server's own estimates. Its
// parameters are those of SizesParameters; its one row has one column, for
// DecodeEstimate.
//
//go:embed estimate.sql
var SizesSQL string

// SizesParameters are the parameters of SizesSQL for the tables that the statement
// names and those that stand behind views, in the text format.
func SizesParameters(f *policy.Facts) [][]byte {
	var schemas, names []string
	for i := range f.Actions {
		for _, t := range f.Actions[i].Tables {
			schemas, names = append(schemas, t.Schema), append(names, t.Name)
		}
		for _, x := range f.Actions[i].Cascades {
			if x.Effect == "view" {
				schemas, names = append(schemas, x.Table.Schema), append(names, x.Table.Name)
			}
		}
	}
	return [][]byte{array(schemas), array(names)}
}

// ExplainSQL asks the planner about a statement. Planning runs code, so that it
// belongs into a read-only transaction that is rolled back.
func ExplainSQL(text string) string { return "EXPLAIN (FORMAT JSON, VERBOSE) " + text }

// planNode is a node of a plan, as EXPLAIN (FORMAT JSON, VERBOSE) writes it.
type planNode struct {
	Type      string  `json:"Node Type"`
	Operation string  `json:"Operation"`
	Schema    string  `json:"Schema"`
	Relation  string  `json:"Relation Name"`
	Conflict  string  `json:"Conflict Resolution"`
	Parent    string  `json:"Parent Relationship"`
	Rows      float64 `json:"Plan Rows"`
	Cost      float64 `json:"Total Cost"`

	Plans []planNode `json:"Plans"`
}

// tableSize is one table of the answer to SizesSQL.
type tableSize struct {
	Schema string  `json:"schema"`
	Name   string  `json:"name"`
	Rows   float64 `json:"rows"`
}

// DecodeEstimate reads the plan of a statement and the sizes of its tables. Of a
// table that the server knows no size of nothing is expected: what the planner
// makes of it is a guess at a table that it knows nothing about. The cost is what the
// planner expects it to take.
func DecodeEstimate(f *policy.Facts, plan, sizes []byte) (i *policy.Impact, cost float64, err error) {
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(plan, &plans); err != nil {
		return nil, 0, fmt.Errorf("decode the plan: %w", err)
	}
	var known []tableSize
	if err := json.Unmarshal(sizes, &known); err != nil {
		return nil, 0, fmt.Errorf("decode the sizes of tables: %w", err)
	}
	var own []policy.TableImpact
	for i := range plans {
		cost += plans[i].Plan.Cost
		plans[i].Plan.modified(func(n *planNode) {
			t := policy.TableImpact{Table: policy.Table{Schema: n.Schema, Name: n.Relation}, Rows: -1}
			if strings.HasPrefix(n.Schema, "pg_temp_") {
				t.Table.Schema, t.Table.Temporary = "pg_temp", true
			}
			for _, s := range known {
				if s.Schema == n.Schema && s.Name == n.Relation {
					t.Rows = s.Rows
				}
			}
			n.expect(f, &t)
			own = append(own, t)
		})
	}
	return f.Expected(own), cost, nil
}

// modified tells note of every node that changes a table.
func (n *planNode) modified(note func(*planNode)) {
	if n.Type == "ModifyTable" {
		note(n)
	}
	for i := range n.Plans {
		n.Plans[i].modified(note)
	}
}

// expect notes what the rows below the node are expected to do to the table.
func (n *planNode) expect(f *policy.Facts, t *policy.TableImpact) {
	found := 0.0
	for i := range n.Plans {
		if c := &n.Plans[i]; c.Parent == "Outer" {
			found += c.Rows
		}
	}
	changed := int64(min(found, max(t.Rows, 0), math.MaxInt32)) // a join finds a row more than once
	inserted := int64(min(found, math.MaxInt32))
	switch n.Operation {
	case "Update":
		t.Updated = changed
	case "Delete":
		t.Deleted = changed
	case "Insert":
		if n.Conflict == "UPDATE" {
			t.Updated = changed
		}
		t.Inserted = inserted - t.Updated
	case "Merge":
		// How many rows go which way is not in the plan.
		switch {
		case branch(f, "update", t.Table.Name):
			t.Updated = changed
		case branch(f, "delete", t.Table.Name):
			t.Deleted = changed
		default:
			t.Inserted = inserted
		}
	}
}

// branch says whether a MERGE into the table has a branch of the class.
func branch(f *policy.Facts, class policy.Class, table string) bool {
	for i := range f.Actions {
		a := &f.Actions[i]
		if a.Class == class && strings.HasSuffix(a.Carrier, "MERGE") && len(a.Tables) == 1 && a.Tables[0].Name == table {
			return true
		}
	}
	return false
}
