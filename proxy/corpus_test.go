package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

const corpusFolder = "../testdata/corpus"

// TestCorpus plays labelled statements through the proxy under the built-in
// policy and looks at the data afterwards, not at messages: what destroys must
// have destroyed nothing, and what does not must have done what it does without
// the proxy.
//
// What only a measurement can catch is listed in commit_gate.txt, and benign
// statements that are stopped all the same in stopped.txt. Both lists must stay
// true: a case that is better than its entry fails.
//
// PGSLUICE_CORPUS names the cases.jsonl of another corpus to play as well, with
// its schema.sql beside it.
func TestCorpus(t *testing.T) {
	playCorpus(t, filepath.Join(corpusFolder, "cases.jsonl"), true)
}

func TestAnotherCorpus(t *testing.T) {
	if file := os.Getenv("PGSLUICE_CORPUS"); file != "" {
		playCorpus(t, file, false)
	}
}

// lab is a server with a fixture.
type lab struct {
	cluster  *pgcluster.Cluster
	template string
	before   *state
	rows     map[string]map[string]int // of the fixture
}

// widely are the effects outside the case's own database: such cases are played
// one after the other.
var widely = []string{"databases", "dbset", "role", "autoconf", "slots"}

// playCorpus plays a file of cases. verify plays each of them without the proxy
// too, so that a label that says what is not so is found.
func playCorpus(t *testing.T, file string, verify bool) {
	cases := readCases(t, file)
	l := newLab(t, filepath.Join(filepath.Dir(file), "schema.sql"))
	gate, stopped := readList(t, "commit_gate.txt"), readList(t, "stopped.txt")

	outcomes := make([]outcome, len(cases))
	var one, many []int
	for i, c := range cases {
		if slices.Contains(widely, c.Effect) {
			one = append(one, i)
		} else {
			many = append(many, i)
		}
	}
	var proxies [5]*running
	for n := range proxies {
		proxies[n] = serveWith(t, l.cluster, "version: 1\ninclude: standard\nrules: []\n", asServed)
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for n := range 4 {
		workers.Go(func() {
			b := bench{lab: l, name: fmt.Sprintf("corpus_bench_%d", n), proxy: proxies[n]}
			defer b.close(t.Context())
			for i := range next {
				outcomes[i] = b.both(t.Context(), &cases[i], verify, false)
			}
		})
	}
	for _, i := range many {
		next <- i
	}
	close(next)
	workers.Wait()
	b := bench{lab: l, name: "corpus_bench_wide", proxy: proxies[4]}
	defer b.close(context.Background())
	for _, i := range one {
		outcomes[i] = b.both(t.Context(), &cases[i], verify, true)
	}

	var caught, destructive, untouched, benign, grey int
	for i, o := range outcomes {
		c := &cases[i]
		told := func(format string, args ...any) {
			t.Errorf("%s: "+format+"\n\t%s\n\t%s", slices.Concat([]any{c.ID}, args, []any{c.Why, c.SQL})...)
		}
		switch reason, listed := gate[c.ID]; {
		case o.err != nil:
			told("%v", o.err)
		case c.Expect == "destructive":
			destructive++
			if verify && o.direct == "" {
				told("is labelled destructive and destroys nothing")
			}
			switch {
			case o.through == "":
				caught++
				if listed {
					told("is caught now: take it out of commit_gate.txt (%s)", reason)
				}
			case !listed:
				told("destroyed: %s", o.through)
			}
		case c.Grey:
			grey++
		default:
			benign++
			_, listed := stopped[c.ID]
			switch {
			case verify && o.direct != "":
				told("is labelled benign and destroys: %s", o.direct)
			case !o.stopped:
				untouched++
				if listed {
					told("runs now: take it out of stopped.txt")
				}
			case !listed:
				told("was stopped or changed: %s", o.difference)
			}
		}
	}
	t.Logf("%s: %d of %d destructive caught, %d for the commit gate; %d of %d benign untouched; %d grey",
		filepath.Base(filepath.Dir(file)), caught, destructive, destructive-caught, untouched, benign, grey)
}

func readCases(t *testing.T, file string) []labelled {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []labelled
	ids := map[string]bool{}
	for line := range bytes.Lines(text) {
		var c labelled
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("%s: %v: %s", file, err, line)
		}
		if ids[c.ID] || c.Expect != "destructive" && c.Expect != "benign" {
			t.Fatalf("%s: id or label of %s", file, line)
		}
		ids[c.ID] = true
		cases = append(cases, c)
	}
	return cases
}

// readList reads ids, each with the reason why it is in the list.
func readList(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(corpusFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		id, reason, _ := strings.Cut(strings.TrimSpace(s.Text()), " ")
		if id == "" || strings.HasPrefix(id, "#") {
			continue
		}
		if reason = strings.TrimSpace(reason); reason == "" {
			t.Errorf("%s: %s without a reason", name, id)
		}
		list[id] = reason
	}
	return list
}

func newLab(t *testing.T, schema string) *lab {
	t.Helper()
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Options{
		Superuser: "alice", // who is a person, so that what is held opens a request
		Settings:  map[string]string{"max_prepared_transactions": "4", "autovacuum": "off"},
		HBA:       []string{"host all alice 127.0.0.1/32 password", "local all all trust", "host all all 127.0.0.1/32 trust"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, args := range [][]string{
		{"-c", "CREATE ROLE app_user LOGIN", "-c", "CREATE ROLE report_user LOGIN", "-c", "CREATE ROLE legacy_owner",
			"-c", "CREATE DATABASE victim_db", "-c", "CREATE DATABASE corpus_fixture"},
		{"-d", "corpus_fixture", "-f", schema},
	} {
		if out, err := cluster.Psql(t.Context(), args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	l := &lab{cluster: cluster, template: "corpus_fixture", rows: map[string]map[string]int{}}
	c, err := pgx.Connect(t.Context(), l.socket(l.template))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if l.before, err = readState(t.Context(), c, nil, true); err != nil {
		t.Fatal(err)
	}
	for name, table := range l.before.tables {
		if strings.HasPrefix(name, "sequence ") {
			continue
		}
		if l.rows[name], err = rowsOf(t.Context(), c, name, table.columns); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// socket is the way to the server beside the proxy.
func (l *lab) socket(database string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", l.cluster.Dir, l.cluster.Port, l.cluster.Superuser, database)
}

// bench is one copy of the fixture at a time. A copy that a case left as it was,
// or whose rows could be put back, serves the next case, too.
type bench struct {
	*lab
	name  string
	conn  *pgx.Conn // nil: there is no copy
	proxy *running
}

func (b *bench) close(ctx context.Context) {
	if b.conn != nil {
		b.conn.Close(ctx)
		b.conn = nil
	}
}

// fresh makes sure of an unchanged copy.
func (b *bench) fresh(ctx context.Context) error {
	if b.conn != nil {
		return nil
	}
	c, err := pgx.Connect(ctx, b.socket("postgres"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + b.name + " WITH (FORCE)",
		// The strategy of PostgreSQL 15 on that copies files: the fixture is small.
		"CREATE DATABASE " + b.name + " TEMPLATE " + b.template + " STRATEGY file_copy",
	} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return fmt.Errorf("copy the fixture: %w", err)
		}
	}
	b.conn, err = pgx.Connect(ctx, b.socket(b.name))
	return err
}

// outcome is what became of a case without and with the proxy.
type outcome struct {
	direct, through string // the damage
	stopped         bool   // it did not do through the proxy what it does without
	difference      string
	err             error
}

func (b *bench) both(ctx context.Context, c *labelled, verify, wide bool) (o outcome) {
	var without, with result
	switch rehearsed := false; {
	case !verify && c.Expect == "destructive":
	default:
		if without, rehearsed, o.err = b.rehearse(ctx, c); rehearsed || o.err != nil {
			break
		}
		if without, o.err = b.once(ctx, c, b.socket(b.name), wide); o.err != nil {
			o.err = fmt.Errorf("without the proxy: %w", o.err)
		}
	}
	if o.err != nil {
		return o
	}
	b.proxy.later(time.Hour) // what other cases have spent of a budget is none of this one's
	if with, o.err = b.once(ctx, c, b.cluster.DSNAt(b.proxy.addr, b.name, b.cluster.Superuser), wide); o.err != nil {
		o.err = fmt.Errorf("through the proxy: %w", o.err)
		return o
	}
	o.direct, o.through = without.damage, with.damage
	if o.stopped = !slices.Equal(without.said, with.said) || without.summary != with.summary; o.stopped {
		o.difference = fmt.Sprintf("%s %s instead of %s %s", with.said, with.summary, without.said, without.summary)
	}
	return o
}

// result is what a case did.
type result struct {
	damage, summary string
	said            []string
}

// lasting is what a transaction that is rolled back does not take back, or does
// not allow. What it finds too much is played on a copy, which only takes longer.
var lasting = regexp.MustCompile(`(?i)\b(begin|ctid|commit|rollback|vacuum|cluster|concurrently|database|system|discard|prepare|set_config|call|do|copy|listen|role|setval|nextval|dblink\w*|pg_\w+)\b|(^|;)\s*(re)?set\b`)

// rehearse does what a case does in a transaction that is then rolled back, which
// needs no copy afterwards. It says false for a case that cannot be played so.
func (b *bench) rehearse(ctx context.Context, c *labelled) (r result, done bool, err error) {
	if c.Protocol != "simple" || c.Split || c.Copy != "" || c.Encoding != "" || c.Options != "" || c.Role != "" || c.Setup != "" ||
		c.Effect != "" || lasting.MatchString(c.SQL) {
		return r, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*playFor)
	defer cancel()
	if err := b.fresh(ctx); err != nil {
		return r, false, err
	}
	tx, err := b.conn.Begin(ctx)
	if err != nil {
		return r, false, err
	}
	defer tx.Rollback(ctx)
	failed := false
	for results := b.conn.PgConn().Exec(ctx, c.SQL); ; {
		if results.NextResult() {
			if tag, err := results.ResultReader().Close(); err == nil {
				r.said = append(r.said, tag.String())
			}
			continue
		}
		var refused *pgconn.PgError
		if err := results.Close(); errors.As(err, &refused) {
			r.said, failed = append(r.said, refused.Code), true
		} else if err != nil {
			return r, false, err
		}
		break
	}
	if failed {
		r.summary = (&change{}).summary()
		return r, true, tx.Rollback(ctx)
	}
	d, err := b.compare(ctx, b.conn, false)
	if err != nil {
		return r, false, err
	}
	r.summary, r.damage = d.summary(), d.destructive(b.before)
	return r, true, tx.Rollback(ctx)
}

// once plays a case on an unchanged copy.
func (b *bench) once(ctx context.Context, c *labelled, dsn string, wide bool) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*playFor)
	defer cancel()
	if strings.Contains(c.SQL, "ctid") {
		b.close(ctx) // repaired rows are in other places
	}
	if err := b.fresh(ctx); err != nil {
		return r, err
	}
	if c.Setup != "" {
		if _, err := b.conn.Exec(ctx, c.Setup); err != nil {
			return r, fmt.Errorf("setup: %w", err)
		}
	}
	nodes, err := fileNodes(ctx, b.conn)
	if err != nil {
		return r, err
	}
	kase := *c
	kase.SQL = strings.ReplaceAll(kase.SQL, "MARKER_DIR", b.cluster.Dir)
	p := play{dsn: dsn}
	defer p.leave()
	// An error here is one of the connection: FATAL, or the end of the stream. It
	// is part of what was said, and the data tell what it means.
	if err := p.run(ctx, &kase, func(text string) (string, error) { return b.encoded(ctx, kase.Encoding, text) }); err != nil {
		p.said = append(p.said, "ended")
	}
	seen, err := watch(ctx, b.conn, &kase)
	if err != nil {
		return r, err
	}
	p.leave()
	if b.conn.Ping(ctx) != nil { // the case ended this session, too
		if b.conn, err = pgx.Connect(ctx, b.socket(b.name)); err != nil {
			return r, err
		}
	}
	if err := b.alone(ctx); err != nil {
		return r, err
	}
	d, err := b.compare(ctx, b.conn, wide)
	if err != nil {
		return r, err
	}
	r.said, r.summary, r.damage = p.said, d.summary(), d.destructive(b.before)
	more, err := b.effect(ctx, b.conn, &kase, d, nodes)
	if err != nil {
		return r, err
	}
	r.damage = strings.Trim(r.damage+"; "+seen+"; "+more, "; ")
	return r, b.tidy(ctx, c, d)
}

// encoded is text in the case's encoding, as the server writes it.
func (b *bench) encoded(ctx context.Context, encoding, text string) (string, error) {
	if encoding == "" {
		return text, nil
	}
	var bytes []byte
	err := b.conn.QueryRow(ctx, "SELECT convert_to($1, $2)", text, encoding).Scan(&bytes)
	return string(bytes), err
}

// alone waits until the case's sessions have ended, and with them what they had
// not committed.
func (b *bench) alone(ctx context.Context) error {
	for {
		n := 0
		err := b.conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'").Scan(&n)
		if err != nil || n == 0 {
			return err
		}
	}
}

// tidy takes back what reaches past the copy, and gives up a copy that changed.
func (b *bench) tidy(ctx context.Context, c *labelled, d *change) error {
	for _, o := range d.added {
		if gid, ok := strings.CutPrefix(o, "prepared|"); ok {
			if _, err := b.conn.Exec(ctx, "ROLLBACK PREPARED '"+gid+"'"); err != nil {
				return err
			}
		}
	}
	if c.Cleanup != "" && len(d.gone)+len(d.added) > 0 {
		if _, err := b.conn.Exec(ctx, c.Cleanup); err != nil {
			return fmt.Errorf("cleanup: %w", err)
		}
	}
	switch {
	case len(d.gone)+len(d.added) > 0 || c.Setup != "" || strings.HasPrefix(c.Effect, "rewrite"):
		b.close(ctx)
	case !d.empty():
		return b.repair(ctx, b.conn, d)
	}
	return nil
}
