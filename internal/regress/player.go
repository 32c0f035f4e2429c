package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
)

// player sends the statements of files as psql would. What is classed as a read
// runs in a transaction of its own and is measured; everything else just runs,
// so that what follows finds its tables.
type player struct {
	cluster  *pgcluster.Cluster
	reader   *policy.Reader
	report   *report
	conn     *pgconn.PgConn
	prepared map[string][]*policy.Facts
}

// perStatement bounds a statement beyond the server's own statement_timeout,
// which a file can set.
const perStatement = time.Minute

func (p *player) connect(ctx context.Context) (err error) {
	p.prepared = map[string][]*policy.Facts{}
	p.conn, err = pgconn.Connect(ctx, p.cluster.DSN("postgres", p.cluster.Superuser))
	return err
}

func (p *player) close(ctx context.Context) {
	if p.conn != nil {
		p.conn.Close(ctx)
	}
}

// variable is one of psql's, which only psql could fill in.
var variable = regexp.MustCompile(`(^|[^:\w\]]):['"{]?[A-Za-z_]`)

// play runs a file in a session of its own.
func (p *player) play(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	p.close(ctx)
	if err := p.connect(ctx); err != nil {
		return err
	}
	name, rest, above := filepath.Base(file), string(text), 0
	for script := policy.NewScript(rest); ; {
		part, more := script.Next()
		if !more {
			return nil
		}
		switch {
		case part.Meta && (strings.HasPrefix(part.Text, `\c `) || part.Text == `\c` || strings.HasPrefix(part.Text, `\connect`)):
			p.close(ctx)
			if err := p.connect(ctx); err != nil {
				return err
			}
			continue
		case part.Meta:
			continue
		case variable.MatchString(part.Text):
			p.report.skipped++
			continue
		}
		facts := p.reader.Read(part.Text, p.lexing())
		var data string
		if len(facts) == 1 && facts[0].CopyIn {
			// The rows stand in the file, up to a line with a backslash and a dot.
			var lines int
			data, rest, lines = rows(rest, part.LastLine)
			script, above = policy.NewScript(rest), above+lines
			part.Line -= lines
		}
		p.statement(ctx, finding{file: name, line: above + part.Line, text: part.Text}, facts, data)
		if p.conn.IsClosed() {
			if err := p.connect(ctx); err != nil {
				return err
			}
		}
	}
}

// rows cuts the rows of a COPY out of a script: what stands between the line of
// the statement and the line `\.`. lines is how many lines are gone from the
// script with it.
func rows(script string, line int) (data, rest string, lines int) {
	all := strings.SplitAfter(script, "\n")
	for i := min(line, len(all)); i < len(all); i++ {
		if strings.TrimRight(all[i], "\r\n") == `\.` {
			return strings.Join(all[line:i], ""), strings.Join(all[i+1:], ""), i + 1
		}
	}
	return "", strings.Join(all[min(line, len(all)):], ""), min(line, len(all))
}

func (p *player) lexing() policy.Lexing {
	return policy.Lexing{Encoding: p.conn.ParameterStatus("client_encoding"), Known: true,
		StandardConformingStrings: p.conn.ParameterStatus("standard_conforming_strings") == "on"}
}

// statement runs one and notes what it did.
func (p *player) statement(ctx context.Context, at finding, facts []*policy.Facts, data string) {
	ctx, cancel := context.WithTimeout(ctx, perStatement)
	defer cancel()
	r := p.report
	r.statements++
	read, unparsed := len(facts) > 0, false
	for i, f := range facts {
		if f.Executes != "" {
			prepared, known := p.prepared[f.Executes]
			if !known {
				prepared = []*policy.Facts{policy.UnknownStatement(f.Executes)}
			}
			facts[i] = f.With(prepared)
		}
		read = read && facts[i].ReadOnly()
		unparsed = unparsed || f.Class == policy.ClassUnparsed
	}
	var err error
	switch {
	case data != "":
		_, err = p.conn.CopyFrom(ctx, strings.NewReader(data), at.text)
	case read:
		r.reads++
		at.effect, err = p.measured(ctx, at.text)
		if at.effect != "" {
			r.wrote = append(r.wrote, at)
		}
	default:
		err = p.exec(ctx, at.text)
	}
	if unparsed {
		at.effect = "the server runs it"
		if state := sqlState(err); state != "" {
			at.effect = "the server says " + state
		}
		r.unparsed = append(r.unparsed, at)
	}
	if err != nil {
		r.failed++
		if read {
			r.refused++
		}
		return
	}
	for _, f := range facts {
		if f.Prepares != "" && f.Prepared != nil {
			p.prepared[f.Prepares] = []*policy.Facts{f.Prepared}
		}
	}
}

func sqlState(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

func (p *player) exec(ctx context.Context, sql string) error {
	_, err := p.conn.Exec(ctx, sql).ReadAll()
	return err
}

// Whether a transaction has written is told by its number, which it gets with its
// first write; what, by the session's counters, catalogues among them. A number
// without a row is that of nextval or of a row lock. The counters are flushed
// first, because those of earlier transactions stay in them for a second.
const (
	flushSQL    = "SELECT pg_catalog.pg_stat_force_next_flush()"
	numberSQL   = "SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL"
	countersSQL = `SELECT pg_catalog.string_agg(pg_catalog.format('%s +%s ~%s -%s', relid::pg_catalog.regclass, n_tup_ins, n_tup_upd, n_tup_del), ', ' ORDER BY relid)
FROM pg_catalog.pg_stat_xact_all_tables WHERE n_tup_ins OPERATOR(pg_catalog.+) n_tup_upd OPERATOR(pg_catalog.+) n_tup_del OPERATOR(pg_catalog.>) 0`
	locksSQL = `SELECT pg_catalog.string_agg(DISTINCT l.relation::pg_catalog.regclass::text, ', ')
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'`
)

// measured runs a statement that is classed as a read and says what it wrote,
// or "" if nothing.
func (p *player) measured(ctx context.Context, sql string) (effect string, err error) {
	if p.conn.TxStatus() != 'I' { // the file's own transaction: its cursors must live on
		if p.conn.TxStatus() == 'E' {
			return "", p.exec(ctx, sql)
		}
		before, err := p.ask(ctx, countersSQL)
		if err != nil {
			return "", err
		}
		if err := p.exec(ctx, sql); err != nil {
			return "", err
		}
		if p.conn.TxStatus() != 'T' {
			return "", nil
		}
		after, err := p.ask(ctx, countersSQL)
		if err == nil && after != before {
			effect = fmt.Sprintf("from %q to %q", before, after)
		}
		return effect, err
	}
	if err := p.exec(ctx, flushSQL); err != nil {
		return "", err
	}
	if err := p.exec(ctx, "BEGIN"); err != nil {
		return "", err
	}
	// Committed, not rolled back: WITH HOLD cursors live on.
	defer func() { err = errors.Join(err, p.exec(ctx, "COMMIT")) }()
	if err := p.exec(ctx, sql); err != nil {
		return "", err
	}
	if numbered, err := p.ask(ctx, numberSQL); err != nil || numbered != "t" {
		return "", err
	}
	if effect, err = p.ask(ctx, countersSQL); err != nil || effect != "" {
		return effect, err
	}
	locked, err := p.ask(ctx, locksSQL)
	if locked != "" {
		effect = "locked " + locked
	}
	return effect, err
}

// ask runs a query of one value.
func (p *player) ask(ctx context.Context, sql string) (string, error) {
	results, err := p.conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return "", fmt.Errorf("measure: %w", err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return "", errors.New("measure: not one row")
	}
	return string(bytes.Clone(results[0].Rows[0][0])), nil
}
