package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// The versions of what is fetched from the Go module proxy, whose checksums the
// checksum database vouches for. pgx is what the project itself is built with.
const (
	pgxVersion   = "v5.12.0"
	libpqVersion = "v1.12.3"
)

// pgxSuite is the suite of github.com/jackc/pgx. What it reads from its
// environment is named in its scripts/lib/test_targets.rb. Client certificates
// are left out: they cannot pass a proxy that ends TLS.
func pgxSuite() suite {
	return suite{"pgx", pgxVersion, func(ctx context.Context, t target) (map[string]outcome, error) {
		err := t.database(ctx, "pgx_test",
			"CREATE EXTENSION hstore", "CREATE EXTENSION ltree", "CREATE DOMAIN uint64 AS numeric(20,0)",
			"SET password_encryption = md5; CREATE ROLE pgx_md5 SUPERUSER LOGIN PASSWORD 'secret'",
			"CREATE ROLE pgx_pw SUPERUSER LOGIN PASSWORD 'secret'; CREATE ROLE pgx_scram SUPERUSER LOGIN PASSWORD 'secret'; CREATE ROLE pgx_ssl SUPERUSER LOGIN PASSWORD 'secret'",
			`CREATE ROLE " tricky, ' } "" \ test user " SUPERUSER LOGIN PASSWORD 'secret'`)
		if err != nil {
			return nil, err
		}
		at := func(host, user, more string) string {
			return fmt.Sprintf("host=%s port=%s user=%s password=secret dbname=pgx_test %s", host, t.port, user, more)
		}
		verified := "sslmode=verify-full sslrootcert=" + t.cluster.CAFile
		return goTest(ctx, "github.com/jackc/pgx/v5", pgxVersion,
			"PGX_TEST_DATABASE="+at("127.0.0.1", "pgx_md5", ""),
			"PGX_TEST_TCP_CONN_STRING="+at("127.0.0.1", "pgx_md5", ""),
			"PGX_TEST_MD5_PASSWORD_CONN_STRING="+at("127.0.0.1", "pgx_md5", ""),
			"PGX_TEST_PLAIN_PASSWORD_CONN_STRING="+at("127.0.0.1", "pgx_pw", ""),
			"PGX_TEST_SCRAM_PASSWORD_CONN_STRING="+at("127.0.0.1", "pgx_scram", "channel_binding=disable"),
			"PGX_TEST_SCRAM_PLUS_CONN_STRING="+at("localhost", "pgx_ssl", verified+" channel_binding=require"),
			"PGX_TEST_TLS_CONN_STRING="+at("localhost", "pgx_ssl", verified+" channel_binding=disable"),
		)
	}}
}

// libpqSuite is the suite of github.com/lib/pq.
func libpqSuite() suite {
	return suite{"lib/pq", libpqVersion, func(ctx context.Context, t target) (map[string]outcome, error) {
		err := t.database(ctx, "pqgo",
			"CREATE ROLE pqgo SUPERUSER LOGIN; CREATE ROLE pqgossl LOGIN; CREATE ROLE pqgosslcert LOGIN",
			"CREATE ROLE pqgopassword LOGIN PASSWORD 'wordpass'; CREATE ROLE pqgoscram LOGIN PASSWORD 'wordpass'",
			"SET password_encryption = md5; CREATE ROLE pqgomd5 LOGIN PASSWORD 'wordpass'")
		if err != nil {
			return nil, err
		}
		return goTest(ctx, "github.com/lib/pq", libpqVersion, "PGHOST=127.0.0.1", "PGPORT="+t.port,
			"PGDATABASE=pqgo", "PGUSER=pqgo", "PGSSLMODE=disable", "PGCONNECT_TIMEOUT=20")
	}}
}

// goTest runs the tests of a module in a copy of it: the module cache is read
// only, and tests write.
func goTest(ctx context.Context, module, version string, env ...string) (map[string]outcome, error) {
	dir, err := downloaded(ctx, module, version)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "pgsluice-conformance-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the suite: %w", err)
	}
	defer os.RemoveAll(work)
	copied := filepath.Join(work, "module")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		return nil, fmt.Errorf("copy the suite: %w", err)
	}
	// One package at a time: they share a database.
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-p=1", "-timeout=20m", "./...")
	cmd.Dir, cmd.Env = copied, append(pgcluster.CleanEnv(), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	results, readErr := goResults(out)
	if readErr != nil || len(results) == 0 {
		return nil, fmt.Errorf("go test: %w: %s", errors.Join(err, readErr), said.String())
	}
	return results, nil
}

// downloaded is the folder of a module in the module cache.
func downloaded(ctx context.Context, module, version string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir = os.TempDir() // not this module
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w: %s", module, err, out)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", fmt.Errorf("go mod download %s: %w", module, err)
	}
	return m.Dir, nil
}

// goResults reads the events of go test -json. Tests that have subtests count
// by their subtests only.
func goResults(events []byte) (map[string]outcome, error) {
	results := map[string]outcome{}
	said := map[string]*strings.Builder{}
	for decoder := json.NewDecoder(bytes.NewReader(events)); ; {
		var e struct{ Action, Package, Test, Output string }
		switch err := decoder.Decode(&e); {
		case errors.Is(err, io.EOF):
			dropParents(results)
			return results, nil
		case err != nil:
			return nil, fmt.Errorf("read the results: %w", err)
		}
		name := temporary.ReplaceAllString(e.Package+"."+e.Test, "TMP")
		switch e.Action {
		case "output":
			if said[name] == nil {
				said[name] = &strings.Builder{}
			}
			said[name].WriteString(e.Output)
		case string(passed), string(failed), string(skipped):
			if e.Test == "" && (e.Action != string(failed) || slices.ContainsFunc(keys(results), func(n string) bool { return strings.HasPrefix(n, e.Package+".") })) {
				continue // of a package: its tests speak for it, unless it had none
			}
			o := outcome{result: result(e.Action)}
			if said[name] != nil {
				o.said = said[name].String()
			}
			results[name] = o
		}
	}
}

// temporary is a folder that a test has in its name.
var temporary = regexp.MustCompile(`/tmp/\w+/\d+`)

// dropParents leaves only the tests that have no subtests.
func dropParents(results map[string]outcome) {
	for _, name := range keys(results) {
		test := strings.LastIndex(name, ".Test")
		for i := range name {
			if name[i] == '/' && i > test && test >= 0 {
				delete(results, name[:i])
			}
		}
	}
}

func keys(m map[string]outcome) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}
