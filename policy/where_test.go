package policy

import (
	"fmt"
	"strings"
	"testing"
)

// testWhere reads conditions of `DELETE FROM t WHERE ...`.
func testWhere(t *testing.T, want Where, conditions string) {
	t.Helper()
	for _, c := range strings.Split(strings.TrimSpace(conditions), "\n") {
		c = strings.TrimSpace(c)
		f := one(t, "DELETE FROM t WHERE "+c)
		if f.Class != classDelete {
			t.Errorf("%s: %s", c, f.Problem)
		} else if a := f.Actions[0]; a.Where != want {
			t.Errorf("%s: %s (%s), want %s", c, whereNames[a.Where], a.Proof, whereNames[want])
		}
	}
}

func TestConditionsThatAreTrueForEveryRow(t *testing.T) {
	testWhere(t, WhereAlwaysTrue, `
		true
		'1'
		'yes'
		' ON '
		't'::bool
		NOT false
		NOT 'off'
		NULL IS NULL
		1 = 1
		2 > 1.5
		1 IN (3, 2, 1)
		id = 5 OR 1 = 1
		id = 5 OR true
		a AND b OR true
		deleted IS NULL OR deleted IS NOT NULL
		id IS NOT DISTINCT FROM id
		flag IS TRUE OR flag IS NOT TRUE
		(kind = 'x') IS NOT TRUE OR kind = 'x'
		(f(x)) IS TRUE OR (g(x)) IS NOT NULL OR true
		coalesce(flag, true) OR NOT flag
		CASE WHEN id = 1 THEN true ELSE true END
		current_user = current_user
		ctid IS NOT NULL
		tags @> 'x' OR (tags @> 'x') IS NOT TRUE
		EXISTS (SELECT 1) OR true
	`)
}

func TestConditionsThatAreTrueForEveryRowButForNulls(t *testing.T) {
	testWhere(t, WhereTrueUnlessNull, `
		email LIKE '%@test%' OR email NOT LIKE '%@test%'
		email ILIKE 'x' OR NOT email ILIKE 'x'
		email ~ 'x' OR email !~ 'x'
		email SIMILAR TO 'a' OR email NOT SIMILAR TO 'a'
		id = 1 OR id <> 1
		id = 1 OR id != 1
		id IN (1, 2) OR id NOT IN (2, 1)
		id = ANY (ARRAY[1, 2]) OR id <> ALL (ARRAY[1, 2])
		id BETWEEN 1 AND 5 OR id NOT BETWEEN 1 AND 5
		id < 5 OR id >= 5
		id < 5 OR id > 2
		5 > id OR 5 <= id
		id < 1 OR id BETWEEN 1 AND 9 OR id > 9
		id <> 1 OR id <> 2
		id NOT IN (1, 2) OR id NOT IN (3)
		name < 'm' OR name >= 'm'
		id < other OR id = other OR other < id
		id < -1 OR id >= -1
		deleted IS DISTINCT FROM NULL
		NULL IS DISTINCT FROM deleted
		id = id
		t.id = id
		id IS NOT NULL
		(amount > 5) IS NOT NULL
		NOT (id = 1 AND id <> 1)
		NOT (a AND NOT a)
		flag OR NOT flag
		flag = true OR flag = false
		kind LIKE '%'
		kind LIKE '%%'
		NOT kind NOT LIKE '%'
		kind ~ ''
		kind ~ '.*'
		kind ~* '^.*$'
		kind SIMILAR TO '%'
		coalesce(kind, 'x') = kind
		coalesce(NULL, id) = id
		CASE id WHEN 1 THEN id = 1 ELSE id <> 1 END
		(id, kind) = (id, kind)
		(id, kind) = (1, 'a') OR (id, kind) <> (1, 'a')
		(id, kind) IS NOT NULL
		id + 0 = id
		1 * id = id
		kind || '' = kind
		id * 2 = id * 2
		lower(kind) = lower(kind)
		length(kind) > 3 OR length(kind) <= 3
		kind OPERATOR(pg_catalog.~~) '%'
		true AND 1 = 1 AND id = id
		id = $1 OR id <> $1
	`)
}

// None of these may ever be called true for every row: a row that is not all
// nulls can be outside.
func TestConditionsThatLeaveRowsOut(t *testing.T) {
	testWhere(t, WherePresent, `
		id = 5
		id = 5 AND true
		id = id AND id = 5
		id <> -1
		id >= -100
		id < 5 OR id > 5
		id < 5 OR id >= 6
		id < 5.0 AND id >= 5
		id = 1 OR id = 2
		id IN (1, 2) OR id NOT IN (1, 2, 3)
		id NOT IN (1, 2)
		name < 'a' OR name >= 'b'
		name <> 'a' OR name <> 'A' AND id = 1
		kind = '1' OR kind = '1.0'
		id > -1 OR id < -5
		email LIKE '%@test%'
		email LIKE '%a%' OR email NOT LIKE '%b%'
		email LIKE 'a' OR email NOT ILIKE 'a'
		email LIKE '%' ESCAPE '%'
		email LIKE '_%'
		email LIKE ''
		kind ~ '.'
		kind ~ 'a*b'
		kind NOT LIKE '%'
		deleted IS NULL
		(id, kind) IS NULL
		id = NULL
		id NOT IN (1, NULL)
		id IS DISTINCT FROM 5
		id IS NOT DISTINCT FROM NULL
		NOT (id = id)
		id = other
		t.id = u.id
		flag
		NOT flag
		flag = false
		flag IS TRUE
		(kind = 'x') IS NOT TRUE
		CASE WHEN id = 1 THEN true ELSE false END
		CASE WHEN id = 1 THEN true END
		coalesce(kind, 'x') = 'x'
		coalesce($1, id) = id
		$1 IS NULL OR id = $1
		id = coalesce($1::int, id)
		$1 OR id = $2
		nullif(id, 5) = id
		coalesce(NULL::char(4), kind) = kind
		coalesce(other, kind) = kind OR coalesce(other, kind) <> other
		random() < id OR random() >= id
		f(id) OR NOT f(id)
		id === 5 OR id <> 5 AND id === 5
		id OPERATOR(mine.=) id
		ctid = '(0,1)'
		id % 1 = 0
		x - 0 = x
		jsonb_column -> 'a' = jsonb_column -> 'a'
		(jsonb_column ->> 'a') IS NOT NULL
		substring(kind from 'a') = substring(kind from 'a')
		data::int = data::int
		t IS NOT NULL
		id = (SELECT max(id) FROM t)
		id IN (SELECT id FROM u)
		id = ANY (SELECT id FROM u)
		EXISTS (SELECT 1 FROM u WHERE u.id = t.id)
		EXISTS (SELECT 1 FROM u WHERE account_id = 5)
		EXISTS (SELECT 1 FROM u WHERE EXISTS (SELECT 1 FROM v WHERE v.id = t.id))
		EXISTS (WITH w AS (SELECT 1 FROM u WHERE u.id = t.id) SELECT 1 FROM w)
		EXISTS (SELECT 1 FROM u JOIN v ON u.id = id)
		EXISTS (SELECT 1 FROM u ORDER BY t.id)
		EXISTS (SELECT 1 FROM (SELECT t.id) s)
		EXISTS (SELECT 1 FROM u UNION SELECT t.id)
		EXISTS (SELECT 1 FROM unnest(t.tags) s)
		false
		1 = 0
		'off'
		NULL
		NULL::bool
		1 = 1 AND false
		now() > '2020-01-01' AND id = 3
	`)
}

func TestConditionsThatNeverLookAtTheRow(t *testing.T) {
	testWhere(t, WhereIndependent, `
		$1
		$1::boolean
		now() > '2020-01-01'
		random() < 2
		current_user = 'bob'
		EXISTS (SELECT 1)
		(SELECT true)
		EXISTS (SELECT 1 FROM u)
		NOT EXISTS (SELECT * FROM u)
		EXISTS (SELECT u.* FROM u)
		(SELECT count(*) FROM u) > 0
		EXISTS (SELECT 1 FROM u WHERE u.id = 5)
		EXISTS (SELECT 1 FROM u t WHERE t.id = 5)
		EXISTS (SELECT 1 FROM s.u WHERE s.u.id = 5 AND EXISTS (SELECT 1 FROM v WHERE v.id = u.id))
		EXISTS (SELECT 1 FROM u JOIN v w ON u.id = w.id)
		EXISTS (WITH w AS (SELECT u.id FROM u) SELECT w.id FROM w)
		f()
		id = id AND now() > '2020-01-01'
	`)
}

func TestJoinsWithoutALinkToTheTarget(t *testing.T) {
	for sql, want := range map[string]Where{
		"DELETE FROM t USING u":                                                         WhereMissing,
		"DELETE FROM t USING u WHERE true":                                              WhereAlwaysTrue,
		"DELETE FROM t USING u WHERE u.id = 5":                                          WhereUnlinked,
		"DELETE FROM t USING u, v WHERE u.id = v.id AND t.id = t.id":                    WhereUnlinked,
		"DELETE FROM t USING u JOIN v ON u.id = v.id WHERE v.a":                         WhereUnlinked,
		"DELETE FROM t USING (SELECT 1 AS id) s WHERE s.id = 1":                         WhereUnlinked,
		"DELETE FROM t USING u WHERE EXISTS (SELECT 1 FROM v)":                          WhereUnlinked,
		"DELETE FROM t USING t t2 WHERE t2.id = 5":                                      WhereUnlinked,
		"DELETE FROM t USING unnest(ARRAY[1]) AS x WHERE x.x = 1":                       WhereUnlinked,
		"DELETE FROM t USING u WHERE t.id = u.id":                                       WherePresent,
		"DELETE FROM t AS a USING t AS b WHERE a.id = b.id":                             WherePresent,
		"DELETE FROM t USING u WHERE t.id = 5":                                          WherePresent,
		"DELETE FROM t USING u WHERE id = 5":                                            WherePresent,
		"DELETE FROM t USING u WHERE t.id = u.id OR u.id = 5":                           WhereUnlinked,
		"DELETE FROM t USING u WHERE t.id = u.id AND u.x > 1 OR u.id = 5 AND u.y":       WhereUnlinked,
		"DELETE FROM t USING u WHERE t.id = u.id OR now() > '2020-01-01'":               WhereUnlinked,
		"DELETE FROM t USING u WHERE t.id = u.id OR u.id = $1":                          WhereUnlinked,
		"DELETE FROM t USING u WHERE t.a = 1 AND (t.id = u.id OR u.id = 5)":             WherePresent,
		"DELETE FROM t USING u WHERE t.id = u.id OR t.old = u.id AND u.id = 5":          WherePresent,
		"DELETE FROM t USING u WHERE t.id = u.id OR false":                              WherePresent,
		"DELETE FROM t USING u WHERE t.id = u.id OR $1":                                 WherePresent,
		"DELETE FROM t USING u WHERE t.id = u.id OR x = 5":                              WherePresent,
		"MERGE INTO t USING u ON t.id = u.id OR u.id = 5 WHEN MATCHED THEN DELETE":      WhereUnlinked,
		"DELETE FROM t USING u WHERE u.id IN (SELECT id FROM v)":                        WherePresent,
		"UPDATE t SET a = u.a FROM u":                                                   WhereMissing,
		"UPDATE t SET a = u.a FROM u WHERE u.id > 3":                                    WhereUnlinked,
		"UPDATE t SET a = u.a FROM u WHERE u.id = t.id":                                 WherePresent,
		"UPDATE t SET a = (SELECT a FROM u WHERE u.id = t.id)":                          WhereMissing,
		"UPDATE t SET a = 1 WHERE id = 1":                                               WherePresent,
		"UPDATE s.t SET a = 1 FROM u WHERE s.t.id = u.id":                               WherePresent,
		"UPDATE t SET (a, b) = (SELECT 1, 2) WHERE now() > '2020-01-01'":                WhereIndependent,
		"DELETE FROM t USING XMLTABLE('/a' PASSING x COLUMNS b int) AS x WHERE x.b = 1": WhereUnlinked,
	} {
		if a := one(t, sql).Actions[0]; a.Where != want {
			t.Errorf("%s: %s, want %s", sql, whereNames[a.Where], whereNames[want])
		}
	}
}

func TestEveryVerdictOnAWhereHasItsReason(t *testing.T) {
	for condition, want := range map[string]string{
		"":                            proofMissing,
		"WHERE true":                  proofAlwaysTrue,
		"WHERE id IS NOT NULL":        proofUnlessNull,
		"WHERE id IS NULL OR id = id": proofAlwaysTrue,
		"WHERE now() > '2020-01-01'":  proofIndependent,
		"WHERE 1 = 2":                 proofNeverTrue,
		"WHERE CURRENT OF c":          proofCursor,
		"WHERE id = 5":                "",
	} {
		if a := one(t, "DELETE FROM t "+condition).Actions[0]; a.Proof != want {
			t.Errorf("%s: %q, want %q", condition, a.Proof, want)
		}
	}
}

// A proof that would take long is given up, and then nothing is proven.
func TestProofsAreBounded(t *testing.T) {
	numbers := make([]string, 20_000)
	for i := range numbers {
		numbers[i] = fmt.Sprint(i)
	}
	list := strings.Join(numbers, ", ")
	pairs := make([]string, 40)
	for i := range pairs {
		pairs[i] = fmt.Sprintf("a%d LIKE 'x' OR b%d = c%d", i, i, i)
	}
	for _, condition := range []string{
		"id IN (" + list + ") OR id NOT IN (" + list + ")",
		"name IN ('" + strings.ReplaceAll(list, ", ", "', '") + "')",
		strings.Join(pairs, " OR ") + " OR NOT (" + strings.Join(pairs, " OR ") + ")",
		"id = 1e999999999 OR id <> 1e999999999 AND id < 1e999999999",
	} {
		if a := one(t, "DELETE FROM t WHERE "+condition).Actions[0]; a.Where != WherePresent {
			t.Errorf("%.60s...: %s", condition, whereNames[a.Where])
		}
	}
}
