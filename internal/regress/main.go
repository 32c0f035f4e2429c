// Command regress holds what policy says of statements against what PostgreSQL
// does with them: it runs a folder of SQL files, such as PostgreSQL's regression
// suite, on a throw-away server and looks for statements classed as reads that
// wrote, and for text that could not be judged.
//
//	go run ./internal/regress FOLDER...
//
// The folders stay out of the project; src/test/regress/sql of PostgreSQL's
// source is one, with its data in ../data and its C functions left out. It exits
// with 1 if a statement classed as a read wrote.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
	"github.com/pgsluice/pgsluice/policy"
)

func main() {
	verbose := flag.Bool("v", false, "list the statements that are unparsed, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	wrote, err := run(ctx, os.Stdout, flag.Args(), *verbose)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "regress:", err)
		os.Exit(2)
	}
	if wrote > 0 {
		os.Exit(1)
	}
}

// run plays each folder on a server of its own and writes a report. It returns
// how many statements classed as reads wrote.
func run(ctx context.Context, out io.Writer, folders []string, verbose bool) (wrote int, err error) {
	if len(folders) == 0 {
		return 0, errors.New("name the folders with the SQL files")
	}
	for _, folder := range folders {
		r, err := playFolder(ctx, folder)
		if err != nil {
			return wrote, fmt.Errorf("%s: %w", folder, err)
		}
		r.write(out, folder, verbose)
		wrote += len(r.wrote)
	}
	return wrote, nil
}

// report is what was found in a folder.
type report struct {
	files, statements, failed, reads, refused, skipped int
	unparsed                                           []finding
	wrote                                              []finding // classed as reads
}

type finding struct {
	file         string
	line         int
	text, effect string
}

func (r *report) write(out io.Writer, folder string, verbose bool) {
	share := 0.0
	if r.statements > 0 {
		share = 100 * float64(len(r.unparsed)) / float64(r.statements)
	}
	fmt.Fprintf(out, "%s: %d files, %d statements, %d of them with an error; %d left out for a variable of psql\n",
		folder, r.files, r.statements, r.failed, r.skipped)
	fmt.Fprintf(out, "  unparsed: %d (%.2f %%)\n", len(r.unparsed), share)
	if verbose {
		for _, f := range r.unparsed {
			fmt.Fprintf(out, "    %s:%d: %s: %.150s\n", f.file, f.line, f.effect, oneLine(f.text))
		}
	}
	fmt.Fprintf(out, "  classed as reads: %d, %d of them with an error; wrote: %d\n", r.reads, r.refused, len(r.wrote))
	for _, f := range r.wrote {
		fmt.Fprintf(out, "    %s:%d: %s: %.300s\n", f.file, f.line, f.effect, oneLine(f.text))
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// order is that of the files: first what the others build on, as in the
// suite's own schedule.
func order(files []string) []string {
	first := []string{"test_setup.sql", "create_function_c.sql", "create_misc.sql", "create_operator.sql", "create_procedure.sql",
		"create_table.sql", "create_type.sql", "create_schema.sql", "create_index.sql", "create_view.sql", "create_aggregate.sql", "create_function_sql.sql"}
	rank := func(file string) int {
		if i := slices.Index(first, filepath.Base(file)); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortStableFunc(files, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return files
}

func playFolder(ctx context.Context, folder string) (r *report, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.sql"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("there is no *.sql")
	}
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{
		// With these a read that writes is seen, and a file that hangs is not.
		Settings: map[string]string{"autovacuum": "off", "max_prepared_transactions": "2", "statement_timeout": "20s", "lock_timeout": "2s"},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	r = &report{files: len(files)}
	p := player{cluster: cluster, reader: policy.NewReader(), report: r}
	if err := p.connect(ctx); err != nil {
		return nil, err
	}
	defer p.close(ctx)
	for _, file := range order(files) {
		if err := p.play(ctx, file); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	return r, nil
}
