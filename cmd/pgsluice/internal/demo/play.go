package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	//go:embed migration.sql
	migrationSQL []byte
	//go:embed cleanup.sql
	cleanupSQL []byte
	//go:embed editor.sql
	editorSQL []byte
)

// ErrLost says that the play did not end as it must.
var ErrLost = errors.New("the demo did not end as it must; see the table")

// play is one performance.
type play struct {
	*stage
	db    *pgconn.PgConn // to the server itself, to count rows
	table results
}

// Play plays the four incidents and prints what came of them. Its error is
// ErrLost if a row was lost that nobody approved, or if anything was not
// stopped in the way it should be.
func Play(ctx context.Context, c Config) error {
	return onStage(ctx, c, func(s *stage) error {
		dir, err := os.MkdirTemp("", "pgsluice-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the play's files: %w", err)
		}
		defer os.RemoveAll(dir)
		db, err := connect(ctx, s.cluster.DSN(database, s.cluster.Superuser))
		if err != nil {
			return err
		}
		defer db.Close(context.WithoutCancel(ctx))
		s.dir = dir // scripts and dumps
		p := &play{stage: s, db: db}
		for _, incident := range []func(context.Context) error{p.migration, p.cleanup, p.restore, p.editor} {
			if err := incident(ctx); err != nil {
				return err
			}
		}
		p.table.print(s.Out)
		if len(p.table.wrong) > 0 {
			return ErrLost
		}
		return nil
	})
}

func (p *play) alice() client { return client{stage: p.stage, login: "alice"} }
func (p *play) bob() client   { return client{stage: p.stage, login: "bob"} }
func (p *play) carol() client { return client{stage: p.stage, login: "carol"} }

// psql runs psql on the inventory without the user's psqlrc.
func (p *play) psql(ctx context.Context, c client, onHold func(hold) error, args ...string) (said, error) {
	return c.run(ctx, nil, onHold, "psql", append([]string{"-X", "-d", database}, args...)...)
}

// decide has a person look at a request and then decide on it, in psql on the
// database pgsluice.
func (p *play) decide(ctx context.Context, c client, id int64, word, reason string) error {
	c.only = []string{"login=", "rule=", "title=", "statement=", "ERROR", fmt.Sprintf("%d=", id)}
	s, err := c.run(ctx, nil, nil, "psql", "-X", "-At", "-F=", "-d", "pgsluice",
		"-c", fmt.Sprintf("SHOW REQUEST %d", id), "-c", fmt.Sprintf("%s %d '%s'", word, id, reason))
	if err != nil {
		return err
	}
	if s.failed {
		return fmt.Errorf("%s could not %s request %d: %s", c.login, word, id, strings.Join(s.lines, "; "))
	}
	return nil
}

// script writes a file that psql reads.
func (p *play) script(name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
		return fmt.Errorf("write the play's files: %w", err)
	}
	return nil
}

// watched runs an incident and enters what it did to the rows. Only the tables
// of approved may differ afterwards.
func (p *play) watched(ctx context.Context, title string, approved []string, run func() error) error {
	fmt.Fprintf(p.Out, "\n%s\n\n", title)
	before, err := contents(ctx, p.db)
	if err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	after, err := contents(ctx, p.db)
	if err != nil {
		return err
	}
	for _, name := range changed(before, after) {
		if !slices.Contains(approved, name) {
			p.table.fault("%s: %s: %s rows before and %s after, and nobody approved that they change",
				title, name, before[name].rows, after[name].rows)
		}
	}
	return nil
}

// migration: a reviewed migration script with a DELETE that lost its WHERE. One
// of its statements is meant, and approved.
func (p *play) migration(ctx context.Context) error {
	return p.watched(ctx, "1. The migration script that review let through", []string{"inventory_import"}, func() error {
		if err := p.script("migration.sql", migrationSQL); err != nil {
			return err
		}
		start, err := rowCount(ctx, p.db)
		if err != nil {
			return err
		}
		middle := 0
		var ids []hold
		s, err := p.psql(ctx, p.alice(), func(h hold) error {
			ids = append(ids, h)
			if len(ids) == 1 {
				if err := p.notHerself(ctx, h.id); err != nil {
					return err
				}
				return p.decide(ctx, p.bob(), h.id, "APPROVE", "the import is done")
			}
			if middle, err = rowCount(ctx, p.db); err != nil {
				return err
			}
			return p.decide(ctx, p.bob(), h.id, "DENY", "the WHERE is missing")
		}, "-f", "migration.sql")
		if err != nil {
			return err
		}
		end, err := rowCount(ctx, p.db)
		if err != nil {
			return err
		}
		for len(ids) < 2 {
			ids = append(ids, hold{})
		}
		imported := start - middle
		p.table.add(result{"migration", "DELETE of the import", approvedBy(len(s.held) == 2 && imported > 0), ids[0].rule, ids[0].id, start, middle, 0})
		p.table.add(result{"migration", "DELETE FROM payments", deniedBy(len(s.held) == 2 && s.denied == 1 && middle == end), ids[1].rule, ids[1].id, middle, end, 0})
		if left, err := contents(ctx, p.db); err != nil || left["inventory_import"].rows != "0" {
			p.table.fault("the approved DELETE left %s rows (%v)", left["inventory_import"].rows, err)
		}
		return nil
	})
}

// notHerself has alice try to approve her own request.
func (p *play) notHerself(ctx context.Context, id int64) error {
	s, err := p.alice().run(ctx, nil, nil, "psql", "-X", "-d", "pgsluice", "-c", fmt.Sprintf("APPROVE %d 'it is fine'", id))
	if err != nil {
		return err
	}
	if !s.failed {
		p.table.fault("alice approved her own request %d", id)
	}
	return nil
}

// cleanup: a condition that is true for every row, and then the shell loop of
// small deletes, each in a session of its own.
func (p *play) cleanup(ctx context.Context) error {
	return p.watched(ctx, "2. The clean-up script", byAccount(), func() error {
		if err := p.script("cleanup.sql", cleanupSQL); err != nil {
			return err
		}
		err := p.attempt(ctx, "cleanup", "DELETE, WHERE all true", func() (string, hold, error) {
			return p.deniedOnce(p.psql(ctx, p.alice(), p.denier(ctx, p.carol(), "that is true for every user"), "-f", "cleanup.sql"))
		})
		if err != nil {
			return err
		}
		return p.loop(ctx)
	})
}

// budget is how many rows a person may delete in ten minutes by the rule flood of
// the policy standard.
const budget = 5000

// loop deletes table by table and account by account, each statement with a psql of
// its own, until one of them is stopped. What goes before that is within the budget.
func (p *play) loop(ctx context.Context) error {
	before, err := rowCount(ctx, p.db)
	if err != nil {
		return err
	}
	each := client{stage: p.stage, login: "alice"}
	accounts := tables[0].rows(p.Rows)
	each.show("$ for table in ...; do for account in $(seq 1 %d); do psql -c \"DELETE ...\" || exit; done; done", accounts)
	each.quiet = true
	line := result{incident: "cleanup", attempted: "psql -c DELETE, a loop", happened: "not stopped", before: before, within: budget}
	sent := 0
	for _, name := range slices.Backward(byAccount()) {
		for account := 1; account <= accounts && line.happened == "not stopped"; account++ {
			sent++
			s, err := p.psql(ctx, each, p.denier(ctx, p.carol(), "who runs a loop over all accounts?"), "-c",
				fmt.Sprintf("DELETE FROM %s WHERE account_id = %d", name, account))
			if err != nil {
				return err
			}
			if len(s.held) > 0 {
				line.happened, line.rule, line.request = deniedBy(s.denied == 1 && s.failed), s.held[0].rule, s.held[0].id
			}
		}
	}
	if line.after, err = rowCount(ctx, p.db); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "        | statement %d of the loop was stopped: %d rows had gone by then, and no more\n", sent, line.before-line.after)
	p.table.add(line)
	return nil
}

// restore: a dump from before the newest rows goes back onto production, once
// through psql and once through pg_restore.
func (p *play) restore(ctx context.Context) error {
	const plain, custom = "dump.sql", "dump.custom"
	alice := p.alice()
	alice.echo = 4
	fmt.Fprintf(p.Out, "\n   (the dump that is restored below is taken, through pgsluice: reads pass)\n\n")
	for _, args := range [][]string{{"--clean", "--if-exists", "-f", plain}, {"-Fc", "-Z1", "-f", custom}} {
		s, err := alice.run(ctx, nil, nil, "pg_dump", append(args, database)...)
		if err != nil {
			return err
		}
		if s.failed {
			return fmt.Errorf("pg_dump: %s", strings.Join(s.lines, "; "))
		}
	}
	if err := addNewer(ctx, p.db, p.Rows); err != nil {
		return err
	}
	return p.watched(ctx, "3. The old dump restored onto production", nil, func() error {
		err := p.attempt(ctx, "restore", "psql < dump.sql", func() (string, hold, error) {
			dump, err := os.Open(filepath.Join(p.dir, plain))
			if err != nil {
				return "", hold{}, fmt.Errorf("open the dump: %w", err)
			}
			defer dump.Close()
			return p.deniedOnce(alice.run(ctx, dump, p.denier(ctx, p.bob(), "wrong database, old dump"), "psql", "-X", "-q", "-d", database))
		})
		if err != nil {
			return err
		}
		return p.attempt(ctx, "restore", "pg_restore --clean", func() (string, hold, error) {
			// --verbose, because without it pg_restore hides the server's notices.
			return p.deniedOnce(alice.run(ctx, nil, p.denier(ctx, p.bob(), "wrong database, old dump"),
				"pg_restore", "--verbose", "--clean", "--if-exists", "-d", database, custom))
		})
	})
}

// editor: the second line of an UPDATE is not selected, in a GUI with autocommit.
func (p *play) editor(ctx context.Context) error {
	dbeaver := client{stage: p.stage, login: "alice", application: "DBeaver 24.2.4 - SQLEditor <Script-1.sql>"}
	return p.watched(ctx, "4. The UPDATE without its second line, from an SQL editor", nil, func() error {
		err := p.attempt(ctx, "editor", "UPDATE, autocommit", func() (string, hold, error) {
			s, err := p.psql(ctx, dbeaver, nil, "-c", "UPDATE orders SET is_deleted = true")
			if s.blocked == 1 && s.failed {
				return "blocked", hold{rule: s.rule}, err
			}
			return "not stopped", hold{}, err
		})
		if err != nil {
			return err
		}
		if err := p.script("editor.sql", editorSQL); err != nil {
			return err
		}
		return p.attempt(ctx, "editor", "UPDATE after BEGIN", func() (string, hold, error) {
			return p.deniedOnce(p.psql(ctx, dbeaver, p.denier(ctx, p.carol(), "that is every order"), "-f", "editor.sql"))
		})
	})
}

// attempt runs one try and enters it, with the rows before and after.
func (p *play) attempt(ctx context.Context, incident, attempted string, try func() (happened string, h hold, err error)) error {
	before, err := rowCount(ctx, p.db)
	if err != nil {
		return err
	}
	happened, h, err := try()
	if err != nil {
		return err
	}
	after, err := rowCount(ctx, p.db)
	if err != nil {
		return err
	}
	p.table.add(result{incident, attempted, happened, h.rule, h.id, before, after, 0})
	return nil
}

func (p *play) denier(ctx context.Context, c client, reason string) func(hold) error {
	return func(h hold) error { return p.decide(ctx, c, h.id, "DENY", reason) }
}

// deniedOnce reads what a program was told: it must have been held once, and
// what it held denied.
func (p *play) deniedOnce(s said, err error) (string, hold, error) {
	if err != nil {
		return "", hold{}, err
	}
	if len(s.held) == 0 {
		return "not stopped", hold{}, nil
	}
	if s.rest > 0 {
		fmt.Fprintf(p.Out, "        | %d more statements of the restore were refused\n", s.rest)
	}
	return deniedBy(len(s.held) == 1 && s.denied >= 1), s.held[0], nil
}

func approvedBy(ok bool) string {
	if ok {
		return "approved"
	}
	return "not approved"
}

func deniedBy(ok bool) string {
	if ok {
		return "denied"
	}
	return "not denied"
}
