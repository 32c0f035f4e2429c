package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// regressSuite plays PostgreSQL's own regression SQL with psql. There are no
// expected files to hold it against: what counts is that psql prints the same,
// line by line, with the proxy and without. A file "passes" directly always, and
// through the proxy when it prints the same.
func regressSuite(folder string) suite {
	printed := map[string]string{} // directly, by file
	return suite{"regress", filepath.Base(folder), func(ctx context.Context, t target) (map[string]outcome, error) {
		files, err := filepath.Glob(filepath.Join(folder, "*.sql"))
		if err != nil || len(files) == 0 {
			return nil, errors.Join(errors.New("there is no *.sql"), err)
		}
		if err := t.database(ctx, "regression", "ALTER DATABASE regression SET TimeZone = 'PST8PDT'; ALTER DATABASE regression SET DateStyle = 'Postgres, MDY'",
			"ALTER DATABASE regression SET statement_timeout = '60s'; ALTER DATABASE regression SET lock_timeout = '10s'"); err != nil {
			return nil, err
		}
		results := map[string]outcome{}
		for _, file := range setupFirst(files) {
			said, err := t.played(ctx, file)
			if err != nil {
				return nil, err
			}
			name, o := filepath.Base(file), outcome{result: passed}
			if before, known := printed[name]; !known {
				printed[name] = said
			} else if before != said {
				o = outcome{failed, firstDifference(before, said)}
			}
			results[name] = o
		}
		return results, nil
	}}
}

// perScript bounds a file of the regression suite.
const perScript = 5 * time.Minute

// played is what psql prints for a file, with what differs from run to run taken
// out.
func (t *target) played(ctx context.Context, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read a script: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, perScript)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.cluster.Bin("psql"), "-X", "-a", "-q", "-d", t.dsn("regression", "postgres"), "-f", "-")
	cmd.Dir = t.cluster.Dir
	cmd.Env = append(pgcluster.CleanEnv(), "PGAPPNAME=regress", "PG_ABS_SRCDIR="+filepath.Dir(filepath.Dir(file)))
	cmd.Stdin = strings.NewReader(string(text))
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(file), ctx.Err())
	}
	s := string(out)
	if err != nil { // psql's own exit code, for an end of the session
		s += err.Error()
	}
	for _, v := range volatile {
		s = v.what.ReplaceAllString(s, v.with)
	}
	return strings.NewReplacer("port "+t.port, "port PORT", t.cluster.Dir, "DIR").Replace(s), nil
}

// volatile is what is another in each run of the same SQL.
var volatile = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?([+-]\d\d)?`), "TIME"},
	{regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d(\.\d+)? \d{4}( P[SD]T)?`), "TIME"},
	{regexp.MustCompile(`\d+\.\d{3} ms`), "MS"},
	{regexp.MustCompile(`(PID|pid|process|Process) \d+`), "PID"},
	{regexp.MustCompile(`cost=[\d.]+`), "COST"},
	{regexp.MustCompile(`\b(1[6-9]|[2-9]\d)\d{3}\b`), "OID"}, // the server's own are lower
	{regexp.MustCompile(` +\n`), "\n"},
	{regexp.MustCompile(`(\n)-+(\+-+)*\n`), "${1}--\n"},
}

// firstDifference shows where two texts part.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			from := max(i-3, 0)
			return fmt.Sprintf("line %d\n%s\n- %s\n+ %s", i+1, strings.Join(x[from:i], "\n"),
				strings.Join(x[i:min(i+5, len(x))], "\n- "), strings.Join(y[i:min(i+5, len(y))], "\n+ "))
		}
	}
	return fmt.Sprintf("%d lines directly, %d through the proxy", len(x), len(y))
}

// setupFirst orders the files as the suite's schedule begins: what the others
// build on comes first.
func setupFirst(files []string) []string {
	first := []string{"test_setup.sql", "create_function_c.sql", "create_misc.sql", "create_operator.sql", "create_procedure.sql",
		"create_table.sql", "create_type.sql", "create_schema.sql", "create_index.sql", "create_view.sql"}
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
