package policy

import "testing"

func TestASequenceMayGoForward(t *testing.T) {
	last := int64(5000)
	catalog := func() *Catalog {
		c := &Catalog{sameNames: true, sameRows: true, Relations: []Relation{
			{OID: 1, Schema: "public", Name: "t", Kind: "r"},
			{OID: 2, Schema: "public", Name: "t_id_seq", Kind: "S", LastValue: &last},
			{OID: 3, Schema: "public", Name: "unseen", Kind: "S"}, // never called, counting down, or not for this role
			{OID: 4, Schema: "public", Name: "u", Kind: "r", Temporary: true},
			{OID: 5, Schema: "public", Name: "u_id_seq", Kind: "S", LastValue: &last},
			{OID: 6, Schema: "public", Name: "hidden", Kind: "r", RowSecurity: true},
			{OID: 7, Schema: "public", Name: "hidden_id_seq", Kind: "S", LastValue: &last},
			{OID: 8, Schema: "public", Name: "v", Kind: "v"},
			{OID: 9, Schema: "public", Name: "v_id_seq", Kind: "S", LastValue: &last},
		}}
		return c
	}
	standard, r := Standard(), NewReader()
	for sql, want := range map[string]Verdict{
		"SELECT setval('t_id_seq', 5001)":                                                                           Allow,
		"SELECT setval('t_id_seq'::regclass, 5000, true)":                                                           Allow,
		"SELECT pg_catalog.setval('public.t_id_seq', 6000)":                                                         Allow,
		"SELECT setval('t_id_seq', (SELECT max(id) FROM t))":                                                        Allow,
		"SELECT setval('t_id_seq', COALESCE((SELECT MAX(id) + 1 FROM t), 1), false)":                                Allow,
		"SELECT setval('public.t_id_seq', max(id)) FROM public.t":                                                   Allow,
		`SELECT setval(pg_get_serial_sequence('"t"','id'), coalesce(max("id"), 1), max("id") IS NOT null) FROM "t"`: Allow,

		"SELECT setval('t_id_seq', 4999)":                                               Hold,
		"SELECT setval('t_id_seq', 5000, false)":                                        Hold,
		"SELECT setval('t_id_seq', 5001, false)":                                        Hold,
		"SELECT setval('t_id_seq', 6001)":                                               Hold, // a step to the end is no better than one back
		"SELECT setval('t_id_seq', 9223372036854775807)":                                Hold,
		"SELECT setval('t_id_seq', -1)":                                                 Hold,
		"SELECT setval('unseen', 5001)":                                                 Hold,
		"SELECT setval('t_id_seq', 5001), setval('t_id_seq', 1)":                        Hold,
		"SELECT setval('t_id_seq', $1)":                                                 Hold,
		"SELECT setval('t_id_seq', 5000 + 1)":                                           Hold,
		"SELECT setval(name, 5001) FROM t":                                              Hold,
		"SELECT setval('t_id_seq', (SELECT max(id) FROM t WHERE id < 9))":               Hold,
		"SELECT setval('t_id_seq', max(id)) FROM t WHERE false":                         Hold,
		"SELECT setval('t_id_seq', max(id)) FROM t LIMIT 1":                             Hold,
		"SELECT setval('t_id_seq', max(id) FILTER (WHERE id < 9)) FROM t":               Hold,
		"SELECT setval('t_id_seq', max(id) OVER (ORDER BY id)) FROM t":                  Hold,
		"SELECT setval('t_id_seq', min(id)) FROM t":                                     Hold,
		"SELECT setval('t_id_seq', (SELECT max(id) FROM t), false)":                     Hold,
		"SELECT setval('t_id_seq', (SELECT max(other) FROM t))":                         Hold,
		"SELECT setval('t_id_seq', (SELECT max(id) FROM old))":                          Hold,
		"SELECT setval('t_id_seq', (SELECT max(id) FROM old.t))":                        Hold,
		"SELECT setval('t_id_seq', (SELECT max(id) FROM ONLY t))":                       Hold,
		"SELECT setval('t_id_seq', (SELECT max(id) FROM t TABLESAMPLE system (1)))":     Hold,
		"WITH t AS (SELECT 1 AS id) SELECT setval('t_id_seq', (SELECT max(id) FROM t))": Hold,
		"SELECT setval('u_id_seq', (SELECT max(id) FROM u))":                            Hold,
		"SELECT setval('hidden_id_seq', (SELECT max(id) FROM hidden))":                  Hold,
		"SELECT setval('v_id_seq', (SELECT max(id) FROM v))":                            Hold,
		"SELECT setval(pg_get_serial_sequence('u', 'id'), max(id)) FROM t":              Hold,
	} {
		f := r.Refine(one(t, sql), catalog())
		if d := standard.Decide(&Session{User: "alice"}, f); d.Verdict != want {
			t.Errorf("%s: %s %s", sql, d.Verdict, d.Reason)
		}
		if d := standard.Decide(&Session{User: "alice"}, r.Refine(one(t, sql), catalog().Kept())); d.Verdict != Hold {
			t.Errorf("%s: %s by a catalogue that was kept", sql, d.Verdict)
		}
	}
}
