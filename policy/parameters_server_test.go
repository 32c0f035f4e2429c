package policy

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// A boundPredicate is a condition with parameters and the values for them.
type boundPredicate struct {
	sql    string
	values []Parameter
}

// parameter draws a parameter, new or used before, and gives its name.
func (p *boundPredicate) parameter(t *rapid.T, values ...string) string {
	if n := len(p.values); n > 0 && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
		return fmt.Sprintf("$%d", rapid.IntRange(1, n).Draw(t, "number"))
	}
	v := Parameter{Text: true, Value: []byte(rapid.SampledFrom(append(values, "NULL")).Draw(t, "value"))}
	if string(v.Value) == "NULL" {
		v = Parameter{Null: true}
	}
	v.Type = rapid.SampledFrom([]uint32{0, 0, 0, 0, typeText, typeBpchar, typeVarchar, typeInt4, typeInt8, typeInt2, typeBool, 1700, 701}).Draw(t, "type")
	p.values = append(p.values, v)
	return fmt.Sprintf("$%d", len(p.values))
}

// draw draws a condition over the table of odd rows.
func (p *boundPredicate) draw(t *rapid.T, depth int) string {
	pick := func(from ...string) string { return rapid.SampledFrom(from).Draw(t, "pick") }
	if depth > 0 {
		left := p.draw(t, depth-1)
		switch rapid.IntRange(0, 6).Draw(t, "joint") {
		case 0, 1, 2:
			return "(" + left + " OR " + p.draw(t, depth-1) + ")"
		case 3:
			return "(" + left + " AND " + p.draw(t, depth-1) + ")"
		case 4:
			return "NOT (" + left + ")"
		case 5:
			return "(" + left + ") IS " + pick("", "NOT ") + pick("TRUE", "FALSE", "NULL")
		}
		return left
	}
	comparison := func() string { return " " + pick("=", "<>", "<", "<=", ">", ">=") + " " }
	number := func() string {
		return p.parameter(t, "0", "5", "-1", "5.5", " 5") + pick("", "", "", "::int", "::numeric", "::text::int")
	}
	text := func() string {
		return p.parameter(t, "", "a", "A ", "a ", "%", "%%", "_", ".*") + pick("", "", "", "::text", "::char(4)", "::varchar")
	}
	numeric, textual := pick("i", "j", "n", "f", "i", "o"), pick("s", "k", "c", "s || ''", "lower(s)")
	array := func() string {
		return p.parameter(t, "{}", "{5}", "{0,5}", "{NULL}", "{5,NULL}", `{"5"," 0"}`, "{{5,0}}") + pick("", "::int[]", "::numeric[]")
	}
	texts := func() string {
		return p.parameter(t, "{}", "{%}", `{a,"A "}`, "{a }", `{"a ",NULL}`) + pick("", "::text[]", "::bpchar[]")
	}
	switch rapid.IntRange(0, 13).Draw(t, "atom") {
	case 0:
		return p.parameter(t, "true", "f", " on ", "0", "maybe") + pick("", "", "::bool")
	case 1:
		return "(" + numeric + comparison() + number() + " OR " + numeric + comparison() + number() + ")"
	case 2:
		return "(" + textual + comparison() + text() + " OR " + textual + comparison() + pick(text(), "'a'", "'a '", "''") + ")"
	case 3:
		return "(" + number() + " IS NULL OR " + numeric + " = " + number() + ")"
	case 4:
		return "coalesce(" + number() + ", " + numeric + ") = " + numeric
	case 5:
		return "coalesce(" + text() + ", " + textual + ") = " + textual
	case 6:
		return textual + pick(" LIKE ", " NOT LIKE ", " ILIKE ", " ~ ", " !~ ", " SIMILAR TO ") + text()
	case 7:
		return textual + " LIKE '%' || " + text() + " || '%'"
	case 8, 9:
		return numeric + pick(" = ANY ", " <> ALL ", " >= ANY ") + "(" + array() + ")"
	case 10:
		return textual + pick(" = ANY ", " <> ALL ", " LIKE ANY ", " LIKE ALL ") + "(" + texts() + ")"
	case 11:
		return number() + comparison() + number()
	case 12:
		return text() + comparison() + text()
	}
	return numeric + pick(" IN ", " NOT IN ") + "(" + number() + ", " + number() + ")"
}

// TestNoProofWithValuesIsContradictedByAServer binds values to prepared conditions
// and holds every proof against the rows of a real table.
func TestNoProofWithValuesIsContradictedByAServer(t *testing.T) {
	ctx := context.Background()
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn, err := pgconn.Connect(ctx, cluster.DSN("postgres", cluster.Superuser))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, oddRows).ReadAll(); err != nil {
		t.Fatal(err)
	}
	drawn, refused, proven, never := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 30 {
			var p boundPredicate
			p.sql = p.draw(t, rapid.IntRange(0, 2).Draw(t, "depth"))
			drawn++
			f := NewReader().Read("DELETE FROM t WHERE "+p.sql, usual)[0]
			a := NewReader().WithParameters(f, p.values).Actions[0]
			// The condition as it was prepared comes first, so that types are settled as
			// in the DELETE.
			wrong := ""
			switch {
			case a.Where == WhereAlwaysTrue:
				wrong = "(" + p.sql + ") IS NOT TRUE"
			case a.Where == WhereTrueUnlessNull:
				wrong = "(" + p.sql + ") IS NOT TRUE AND " + oddRowHasNoNull
			case a.Proof == proofNeverTrue:
				wrong = p.sql
			default:
				continue
			}
			values, types := make([][]byte, len(p.values)), make([]uint32, len(p.values))
			for i, v := range p.values {
				types[i] = v.Type
				if !v.Null {
					values[i] = v.Value
				}
			}
			result := conn.ExecParams(ctx, "SELECT count(*) FROM t WHERE "+wrong, values, types, nil, nil).Read()
			if result.Err != nil {
				refused++
				continue
			}
			if a.Proof == proofNeverTrue {
				never++
			} else {
				proven++
			}
			if n := string(result.Rows[0][0]); n != "0" {
				t.Fatalf("%s with %s\n%s (%s), but %s rows say otherwise", p.sql, shown(p.values), whereNames[a.Where], a.Proof, n)
			}
		}
	})
	t.Logf("%d conditions, %d always true, %d never true, %d refused by the server", drawn, proven, never, refused)
	if proven < drawn/50 || never < drawn/50 {
		t.Errorf("of %d conditions %d were proven true and %d never true: the draw has lost its point", drawn, proven, never)
	}
}

func shown(values []Parameter) string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = fmt.Sprintf("$%d = %q of type %d", i+1, v.Value, v.Type)
		if v.Null {
			all[i] = fmt.Sprintf("$%d = NULL of type %d", i+1, v.Type)
		}
	}
	return strings.Join(all, ", ")
}
