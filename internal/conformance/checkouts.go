package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// Suites that no package manager delivers, because the packages leave the tests
// out: they are run from a checkout that whoever runs them has.

// perFile bounds one file of node-postgres: they end in seconds.
const perFile = 2 * time.Minute

// nodeSuite is packages/pg of node-postgres: each file of its integration tests
// is a program that fails by its exit code.
func nodeSuite(dir string) suite {
	version := "?"
	if b, err := os.ReadFile(filepath.Join(dir, "package.json")); err == nil {
		var p struct{ Version string }
		if json.Unmarshal(b, &p) == nil {
			version = p.Version
		}
	}
	return suite{"node-postgres", version, func(ctx context.Context, t target) (map[string]outcome, error) {
		if err := t.database(ctx, "node", "CREATE ROLE node SUPERUSER LOGIN PASSWORD 'secret'"); err != nil {
			return nil, err
		}
		files, err := under(filepath.Join(dir, "test", "integration"), "-tests.js", "-test.js")
		if err != nil {
			return nil, err
		}
		results := map[string]outcome{}
		env := append(pgcluster.CleanEnv(), "PGHOST=127.0.0.1", "PGPORT="+t.port, "PGUSER=node", "PGPASSWORD=secret", "PGDATABASE=node",
			"SCRAM_TEST_PGUSER=", "PGTESTNOSSL=1")
		for _, file := range files {
			out, err := program(ctx, dir, env, "node", file)
			o := outcome{result: passed, said: out}
			if err != nil {
				o.result = failed
			}
			name, _ := filepath.Rel(dir, file)
			results[name] = o
		}
		return results, nil
	}}
}

// under lists the files of a folder, at any depth, by how they end.
func under(dir string, endings ...string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(path, e) }) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find the tests: %w", err)
	}
	return files, nil
}

func program(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, perFile)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	return said.String(), err
}

// psycopgSuite is that of psycopg, run by pytest.
func psycopgSuite(dir string) suite {
	return suite{"psycopg", "the checkout's", func(ctx context.Context, t target) (map[string]outcome, error) {
		if err := t.database(ctx, "psycopg", "CREATE ROLE psycopg SUPERUSER LOGIN PASSWORD 'secret'"); err != nil {
			return nil, err
		}
		report := filepath.Join(t.cluster.Dir, "psycopg.xml")
		python := "/usr/bin/python3" // the distribution's, which its packages are for
		cmd := exec.CommandContext(ctx, python, "-m", "pytest", "-o", "cache_dir="+filepath.Join(t.cluster.Dir, "pytest"), "-q", "-m", "not proxy and not slow and not timing",
			"--junitxml", report, "tests")
		cmd.Dir = dir
		cmd.Env = append(pgcluster.CleanEnv(), "PSYCOPG_TEST_DSN=host=127.0.0.1 port="+t.port+" user=psycopg password=secret dbname=psycopg", "PYTHONDONTWRITEBYTECODE=1")
		out, runErr := cmd.CombinedOutput()
		b, err := os.ReadFile(report)
		if err != nil {
			return nil, fmt.Errorf("pytest: %w: %s", runErr, out)
		}
		return junit(b)
	}}
}

// junit reads a report of pytest.
func junit(b []byte) (map[string]outcome, error) {
	var report struct {
		Cases []struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Failure *string   `xml:"failure"`
			Error   *string   `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(b, &report); err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	results := map[string]outcome{}
	for _, c := range report.Cases {
		o := outcome{result: passed}
		switch {
		case c.Failure != nil:
			o = outcome{failed, *c.Failure}
		case c.Error != nil:
			o = outcome{failed, *c.Error}
		case c.Skipped != nil:
			o.result = skipped
		}
		results[c.Class+"::"+c.Name] = o
	}
	return results, nil
}
