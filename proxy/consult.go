package proxy

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// What the text of a statement cannot say, the server's catalogue can: what a
// name means in this session, what stands behind a view, which columns can be
// null, what a foreign key takes along. It is asked for statements that the
// policy would stop, where it may show that nothing is lost, and for those that
// change or remove rows, where it may show that more is.
//
// What it said is kept by the session for catalogKept, and only to make later
// statements look worse: names may have come to mean something else by then, and
// tables may have been filled. Anything but plain reads and writes of rows
// forgets it.
const (
	catalogKept = 10 * time.Second
	maxCatalogs = 64
)

// keptCatalog is an answer of the catalogue, for statements with the same names;
// nil if there is nothing to say of them.
type keptCatalog struct {
	catalog *policy.Catalog
	since   time.Time
}

// restoredOverSQL counts what a restore would go over: the tables that people
// made and that have storage in use. Its answer is empty where there are none.
const restoredOverSQL = `SELECT CASE pg_catalog.count(*) WHEN 0::pg_catalog.int8 THEN '' ELSE
	pg_catalog.format('%s tables that hold about %s rows', pg_catalog.count(*),
	COALESCE(pg_catalog.sum(GREATEST(c.reltuples, 0::pg_catalog.float4))::pg_catalog.int8, 0::pg_catalog.int8)) END ` + restoredOverFrom

const restoredOverFrom = ` FROM pg_catalog.pg_class c WHERE c.relkind OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
	AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
	AND pg_catalog.pg_relation_size(c.oid::pg_catalog.regclass) OPERATOR(pg_catalog.>) 0::pg_catalog.int8`

// The server does not keep when a table was last written to. Its files tell when
// something of it last went to disk, which is at a checkpoint at the latest, but
// few may look at files. Everybody may know when ANALYZE last had reason to come
// by. Both are asked for apart from the question above, since they may fail.
var restoredOverWhen = []string{
	`SELECT 'last written to disk ' OPERATOR(pg_catalog.||) pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
	pg_catalog.max((pg_catalog.pg_stat_file(pg_catalog.pg_relation_filepath(c.oid::pg_catalog.regclass), true)).modification))::pg_catalog.text
	OPERATOR(pg_catalog.||) ' ago'` + restoredOverFrom,
	`SELECT 'last analyzed ' OPERATOR(pg_catalog.||) pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
	pg_catalog.max(GREATEST(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid))))::pg_catalog.text
	OPERATOR(pg_catalog.||) ' ago'` + restoredOverFrom,
}

// restoresOver settles whether a session that looks like a restore comes over
// anything: into a database without rows a dump may be read by anybody who may
// write there. It is asked once, before the first of the dump has run; a server
// that does not answer has rows.
func (s *session) restoresOver() (bool, error) {
	t := &s.toServer
	if t.restoreAsked {
		return t.session.Restore, nil
	}
	rows, err := s.inquire(restoredOverSQL, nil)
	switch {
	case errors.Is(err, errFailed), errors.Is(err, errNotNow):
		return true, nil // to be asked again with the next statement
	case err != nil:
		return true, err
	case len(rows) != 1:
		return true, fmt.Errorf("ask what a restore goes over: %d rows", len(rows))
	}
	t.restoreAsked, t.restoredOver = true, string(rows[0])
	if t.session.Restore = t.restoredOver != ""; !t.session.Restore {
		return false, nil
	}
	when, err := s.lastWritten()
	if when != "" {
		t.restoredOver += ", " + when
	}
	return true, err
}

// lastWritten says in words when the tables were last written to, as far as the
// role may know.
func (s *session) lastWritten() (string, error) {
	for _, sql := range restoredOverWhen {
		rows, err := s.inquire(sql, nil)
		switch {
		case errors.Is(err, errFailed), errors.Is(err, errNotNow):
		case err != nil:
			return "", err
		case len(rows) == 1 && len(rows[0]) > 0: // it is null where ANALYZE never ran
			return string(rows[0]), nil
		}
	}
	return "", nil
}

// widens reports whether the catalogue could show that an allowed statement does
// more than its text shows, and the policy would stop it for that.
func (s *session) widens(alternatives [][]*policy.Facts) bool {
	t := &s.toServer
	if t.batchSent || t.now == broken {
		return false
	}
	pol := s.p.c.Policy()
	for _, facts := range alternatives {
		for _, f := range facts {
			if f.ReadOnly() || !pol.MayStop(f) {
				continue
			}
			for i := range f.Actions {
				switch f.Actions[i].Class {
				case "insert", "copy_from", "update", "delete", "merge", "function_call", "call":
					return true
				}
			}
		}
	}
	return false
}

// consultKept refines by what the catalogue has said lately. It reports false
// where it has not been asked about these names. again is as in judgeNoting.
func (s *session) consultKept(alternatives [][]*policy.Facts, again *statement) ([][]*policy.Facts, bool) {
	if again != nil {
		return again.kept.refined, true
	}
	if len(alternatives) == 1 && len(alternatives[0]) == 1 {
		if f := alternatives[0][0]; f.Lender() != nil {
			return s.consultLent(f)
		}
	}
	k, ok := s.keptFor(key(namesIn(alternatives)))
	if !ok {
		return alternatives, false
	}
	return s.refinedBy(alternatives, k), true
}

func (s *session) keptFor(names string) (keptCatalog, bool) {
	k, ok := s.toServer.catalogs[names]
	return k, ok && time.Since(k.since) <= catalogKept
}

func (s *session) refinedBy(alternatives [][]*policy.Facts, k keptCatalog) [][]*policy.Facts {
	if k.catalog == nil {
		return plainInserts(alternatives)
	}
	return s.refined(alternatives, k.catalog)
}

// consult refines what would run by what the server's catalogue says now. The
// caller has settled the session. A server that does not answer leaves the
// statements as their text shows them; errCancelled is the client's own wish.
//
// Of INSERTs that are allowed by their text it is asked first whether there is more
// to them: mostly there is not, and on two busy cores of an AMD EPYC the whole
// question took 26 times as long (2026-11-21, go test -bench Catalog ./proxy/impact:
// 142 ms, 5.5 ms).
func (s *session) consult(alternatives [][]*policy.Facts, allowed bool) ([][]*policy.Facts, error) {
	t := &s.toServer
	names := namesIn(alternatives)
	if len(names) == 0 || t.batchSent {
		return alternatives, nil
	}
	if free, err := s.takesSnapshots(alternatives); err != nil || !free {
		return alternatives, err
	}
	var c *policy.Catalog
	plain, err := s.insertsPlainly(alternatives, names, allowed)
	if err == nil && !plain {
		c, err = s.p.c.Reader.Ask(alternatives, s.askCatalog)
	}
	switch {
	case errors.Is(err, errNotNow):
		return alternatives, nil
	case errors.Is(err, errFailed):
		s.p.c.Log.Warn("the catalogue did not answer", zap.String("session", s.id), zap.Error(err))
	case err != nil:
		return nil, err
	}
	if t.catalogs == nil || len(t.catalogs) >= maxCatalogs {
		t.catalogs = map[string]keptCatalog{}
	}
	switch {
	case plain && t.batchMoves:
		return alternatives, nil
	case plain:
		t.catalogs[key(names)] = keptCatalog{nil, time.Now()}
		return plainInserts(alternatives), nil
	case c == nil:
		return alternatives, nil
	case t.batchMoves: // what the batch does before this may make it untrue
		return s.refined(alternatives, c.Moved()), nil
	}
	t.catalogs[key(names)] = keptCatalog{c.Kept(), time.Now()}
	if t.executed() {
		c = c.Kept()
	}
	return s.refined(alternatives, c), nil
}

// insertsPlainly reports whether nothing but INSERTs is meant, into tables that do
// no more than take them.
func (s *session) insertsPlainly(alternatives [][]*policy.Facts, names []policy.Name, allowed bool) (bool, error) {
	for _, facts := range alternatives {
		for _, f := range facts {
			if !allowed || !insertsOnly(f) {
				return false, nil
			}
		}
	}
	rows, err := s.inquire(impact.InsertsSQL, impact.CatalogParameters(names))
	return err == nil && len(rows) == 1 && string(rows[0]) == "0", err
}

// plainInserts says so in the facts.
func plainInserts(alternatives [][]*policy.Facts) [][]*policy.Facts {
	plain := make([][]*policy.Facts, len(alternatives))
	for i, facts := range alternatives {
		for _, f := range facts {
			plain[i] = append(plain[i], f.InsertsPlainly())
		}
	}
	return plain
}

func insertsOnly(f *policy.Facts) bool {
	for i := range f.Actions {
		if c := f.Actions[i].Class; !c.In("read") && c != "insert" && c != "copy_from" {
			return false
		}
	}
	return true
}

func (s *session) askCatalog(names []policy.Name) (*policy.Catalog, error) {
	names = slices.DeleteFunc(slices.Clone(names), func(n policy.Name) bool { return !s.canSend(n.Schema + n.Name) })
	rows, err := s.inquire(impact.CatalogSQL, impact.CatalogParameters(names))
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("ask the catalogue: %d rows: %w", len(rows), io.ErrUnexpectedEOF)
	}
	c, err := impact.DecodeCatalog(rows[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFailed, err)
	}
	return c, nil
}

// canSend reports whether a question with this text in it means the same to the
// server. Text is held in UTF-8 here, and the server reads a question in the
// client's encoding: another name would be looked up, and not found.
func (s *session) canSend(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings.encoding == "UTF8" || !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// readOnly refines statements of a Query inside a transaction block that the
// server says is read-only: it refuses their writes.
func (s *session) readOnly(alternatives [][]*policy.Facts) ([][]*policy.Facts, error) {
	set, err := s.show([]string{"transaction_read_only"})
	switch {
	case errors.Is(err, errNotNow), errors.Is(err, errFailed):
		return alternatives, nil
	case err != nil:
		return nil, err
	case set[0] != "on":
		return alternatives, nil
	}
	refined := make([][]*policy.Facts, len(alternatives))
	for i, facts := range alternatives {
		refined[i] = policy.InReadOnlyTransaction(facts)
	}
	return refined, nil
}

// learnRole asks for the effective role, where a rule is about it. What the open
// batch has in front may change it.
func (s *session) learnRole() error {
	t := &s.toServer
	if !s.p.c.Policy().AsksRole() || t.executed() {
		return nil
	}
	shown, err := s.show([]string{"role", "session_authorization"})
	switch {
	case errors.Is(err, errNotNow), errors.Is(err, errFailed):
		return nil
	case err != nil:
		return err
	}
	if t.session.Role = shown[0]; t.session.Role == "none" {
		t.session.Role = shown[1]
	}
	return nil
}

// takesSnapshots reports whether a question that takes a snapshot changes nothing
// for the client. In REPEATABLE READ and SERIALIZABLE the first snapshot is for the
// whole transaction: SET TRANSACTION must come before it, and LOCK TABLE does so
// that what it keeps others from is seen (manual, LOCK). There it may be asked when
// the statement itself is about to take one, as the first that the server is given.
// A snapshot of a transaction that is DEFERRABLE may be waited for.
func (s *session) takesSnapshots(alternatives [][]*policy.Facts) (bool, error) {
	if s.toServer.now == outside {
		return true, nil
	}
	for _, facts := range alternatives {
		if slices.ContainsFunc(facts, setsTransaction) {
			return false, nil
		}
	}
	shown, err := s.show([]string{"transaction_isolation", "transaction_deferrable"})
	switch {
	case errors.Is(err, errNotNow), errors.Is(err, errFailed):
		return false, nil
	case err != nil:
		return false, err
	}
	if shown[0] == "read committed" || shown[0] == "read uncommitted" {
		// SET TRANSACTION, in front of the statement in its batch, comes before any query.
		return !s.toServer.setsTx || !s.toServer.executed(), nil
	}
	waits := slices.ContainsFunc(alternatives, func(facts []*policy.Facts) bool { return len(facts) == 0 || !takesSnapshot(facts[0]) })
	return !waits && !s.toServer.executed() && shown[1] == "off", nil
}

// setsTransaction reports whether a statement sets what has to be set before the first
// query of a transaction.
func setsTransaction(f *policy.Facts) bool {
	return f.Class == "set_transaction" ||
		slices.ContainsFunc(f.Settings, func(set policy.Setting) bool { return strings.HasPrefix(set.Name, "transaction_") })
}

// takesSnapshot reports whether a statement takes a snapshot before anything else.
func takesSnapshot(f *policy.Facts) bool {
	switch f.Class {
	case "insert", "update", "delete", "merge", "select", "values", "explain", "truncate", "call", "copy_to", "declare_cursor", "execute":
		return true
	}
	return false
}

func (s *session) refined(alternatives [][]*policy.Facts, c *policy.Catalog) [][]*policy.Facts {
	refined := make([][]*policy.Facts, len(alternatives))
	for i, facts := range alternatives {
		refined[i] = s.p.c.Reader.RefineAll(facts, c)
	}
	return refined
}

// forgetCatalogs drops what the catalogue said, where statements may make it
// untrue: at once, and when the transaction that holds them ends.
func (t *stage) forgetCatalogs(facts []*policy.Facts) {
	for _, f := range facts {
		switch f.Transaction {
		case policy.TransactionNone:
			if !plainRows(f) {
				t.moveNames()
			}
		case policy.TransactionBegin, policy.TransactionSavepoint:
		default:
			if t.namesMoved {
				t.moveNames()
			}
			t.namesMoved = f.Transaction == policy.TransactionRollbackTo && t.namesMoved
		}
	}
}

// moveNames forgets what names meant, and what the planner has said of them.
func (t *stage) moveNames() {
	clear(t.catalogs)
	clear(t.few)
	maps.DeleteFunc(t.looks, func(_ string, l look) bool { return !l.hides })
	t.namesMoved, t.batchMoves = true, true
}

// plainRows reports whether a statement does no more than read and write rows.
func plainRows(f *policy.Facts) bool {
	if f.Hides() {
		return false
	}
	for i := range f.Actions {
		switch c := f.Actions[i].Class; {
		case f.Actions[i].SetOff(): // seldom, and what is kept excuses nothing
		case c.In("read"), c == "insert", c == "update", c == "delete", c == "merge":
		default:
			return false
		}
	}
	return true
}

// namesIn are the names that the catalogue could say more about.
func namesIn(alternatives [][]*policy.Facts) []policy.Name {
	var names []policy.Name
	for _, facts := range alternatives {
		for _, f := range facts {
			names = append(names, f.Names()...)
		}
	}
	return names
}

func key(names []policy.Name) string {
	var b []byte
	for _, n := range names {
		b = append(strconv.AppendQuote(b, n.Schema), '.')
		b = append(strconv.AppendQuote(b, n.Name), ' ')
		b = append(append(b, n.Kind...), ';')
	}
	return string(b)
}
