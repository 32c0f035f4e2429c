package policy

import "testing"

// fixture is what a catalogue would say.
var fixture = &Catalog{Relations: []Relation{
	{OID: 1, Schema: "public", Name: "t", Kind: "r", Columns: []Column{
		{Name: "id", NotNull: true}, {Name: "account_id", NotNull: true}, {Name: "kind", NotNull: true}, {Name: "deleted_at"}, {Name: "note"}}},
	{OID: 2, Schema: "public", Name: "u", Kind: "r", Columns: []Column{{Name: "user_id", NotNull: true}, {Name: "account_id"}}},
	{OID: 3, Schema: "public", Name: "t2", Kind: "r", Columns: []Column{{Name: "id", NotNull: true}, {Name: "x"}}},
}}

func resolvedWhere(t *testing.T, sql string) Where {
	t.Helper()
	f := one(t, sql)
	if f.Class == ClassUnparsed {
		t.Fatalf("%s: %s", sql, f.Problem)
	}
	return f.Actions[len(f.Actions)-1].resolved(fixture).Where
}

func TestTheCatalogueSettlesWhatNullsLeaveOpen(t *testing.T) {
	for condition, want := range map[string]Where{
		"id IS NOT NULL":                         WhereAlwaysTrue,
		"t.id IS NOT NULL":                       WhereAlwaysTrue,
		"kind IS DISTINCT FROM NULL":             WhereAlwaysTrue,
		"(id > 5) IS NOT NULL":                   WhereAlwaysTrue,
		"NOT (id IS NULL)":                       WhereAlwaysTrue,
		"(id, kind) IS NOT NULL":                 WhereAlwaysTrue,
		"id = id":                                WhereAlwaysTrue,
		"kind LIKE '%'":                          WhereAlwaysTrue,
		"kind = 'a' OR kind <> 'a'":              WhereAlwaysTrue,
		"account_id = t.account_id":              WhereAlwaysTrue,
		"deleted_at IS NULL OR id IS NOT NULL":   WhereAlwaysTrue,
		"ctid IS NOT NULL":                       WhereAlwaysTrue,
		"deleted_at IS NOT NULL":                 WherePresent,
		"NOT (deleted_at IS NULL)":               WherePresent,
		"NOT deleted_at IS NULL":                 WherePresent,
		"deleted_at IS DISTINCT FROM NULL":       WherePresent,
		"(deleted_at < now()) IS NOT NULL":       WherePresent,
		"(id, note) IS NOT NULL":                 WherePresent,
		"deleted_at IS NOT NULL AND note = note": WherePresent,
		// Nobody writes these to find nulls.
		"note LIKE '%'":                  WhereTrueUnlessNull,
		"note = note":                    WhereTrueUnlessNull,
		"note = 'a' OR note <> 'a'":      WhereTrueUnlessNull,
		"note IS NULL AND note LIKE '%'": WherePresent,
		"nowhere IS NOT NULL":            WhereTrueUnlessNull, // a column that the catalogue does not know
		"id = $1 OR id <> $1":            WhereTrueUnlessNull,
		"id = 5":                         WherePresent,
	} {
		if got := resolvedWhere(t, "DELETE FROM t WHERE "+condition); got != want {
			t.Errorf("%s: %s, want %s", condition, whereNames[got], whereNames[want])
		}
	}
}

func TestTheCatalogueSettlesWhoseAColumnIs(t *testing.T) {
	for sql, want := range map[string]Where{
		"DELETE FROM t WHERE id IN (SELECT id FROM u)":                                                             WhereIndependent,
		"DELETE FROM t WHERE t.id IN (SELECT id FROM u)":                                                           WhereIndependent,
		"DELETE FROM t WHERE id = ANY (SELECT id FROM u)":                                                          WhereIndependent,
		"DELETE FROM t WHERE id NOT IN (SELECT id FROM u)":                                                         WhereIndependent,
		"DELETE FROM t WHERE id IN (SELECT id FROM u WHERE user_id = 5)":                                           WhereIndependent,
		"DELETE FROM t WHERE id IN (SELECT id FROM u WHERE u.user_id = t.id)":                                      WherePresent,
		"DELETE FROM t WHERE id IN (SELECT id FROM u WHERE note = 'a')":                                            WherePresent,
		"DELETE FROM t WHERE id IN (SELECT id FROM t2)":                                                            WherePresent,
		"DELETE FROM t WHERE id IN (SELECT id FROM u, t2)":                                                         WherePresent,
		"DELETE FROM t WHERE id IN (SELECT id FROM nowhere)":                                                       WherePresent,
		"DELETE FROM t WHERE id IN (SELECT id FROM s.u)":                                                           WherePresent,
		"DELETE FROM t WHERE id IN (SELECT id FROM u AS u (id))":                                                   WherePresent,
		"DELETE FROM t WHERE id IN (SELECT id FROM (SELECT 1 AS id) s)":                                            WherePresent,
		"WITH u AS (SELECT 1 AS id) DELETE FROM t WHERE id IN (SELECT id FROM u)":                                  WherePresent,
		"DELETE FROM t WHERE id IN (SELECT account_id FROM u)":                                                     WherePresent,
		"DELETE FROM t WHERE id < ANY (SELECT id FROM u)":                                                          WherePresent,
		"DELETE FROM t WHERE id IN (SELECT id FROM u) AND kind = 'a'":                                              WherePresent,
		"DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE user_id = 5)":                                           WhereIndependent,
		"DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE account_id = account_id)":                               WhereIndependent,
		"DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE t.account_id = account_id)":                             WherePresent,
		"DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE note = 'a')":                                            WherePresent,
		"DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE EXISTS (SELECT 1 FROM t2 WHERE x = 5 AND user_id = x))": WhereIndependent,
		"DELETE FROM t USING u WHERE user_id = 5":                                                                  WhereUnlinked,
		"DELETE FROM t USING u WHERE user_id = id":                                                                 WherePresent,
		"UPDATE t SET kind = 'a' FROM u WHERE user_id > 5":                                                         WhereUnlinked,
		"UPDATE t AS u SET kind = 'a' WHERE u.id IS NOT NULL":                                                      WhereAlwaysTrue,
		"MERGE INTO t USING u ON user_id = 5 WHEN MATCHED THEN DELETE":                                             WhereUnlinked,
		"MERGE INTO t USING u ON user_id = t.id WHEN NOT MATCHED BY SOURCE AND t.id = t.id THEN DELETE":            WhereAlwaysTrue,
		"SELECT * FROM t WHERE id IS NOT NULL FOR UPDATE":                                                          WhereAlwaysTrue,
	} {
		if got := resolvedWhere(t, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, whereNames[got], whereNames[want])
		}
	}
}

// Values and columns may come in either order.
func TestValuesAndColumnsAddUp(t *testing.T) {
	r := NewReader()
	f := one(t, "DELETE FROM t WHERE account_id = coalesce($1, account_id)")
	a := r.WithParameters(f, text("null")).Actions[0].resolved(fixture)
	refined := *f
	refined.Actions = []Action{f.Actions[0].resolved(fixture)}
	b := r.WithParameters(&refined, text("null")).Actions[0]
	if a.Where != WhereAlwaysTrue || b.Where != WhereAlwaysTrue {
		t.Errorf("values first: %s; columns first: %s", whereNames[a.Where], whereNames[b.Where])
	}
	if f.Actions[0].Where != WherePresent {
		t.Errorf("the facts themselves have changed: %s", whereNames[f.Actions[0].Where])
	}
}
