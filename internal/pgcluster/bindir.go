package pgcluster

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrNoPostgreSQL says that the server's programs were found nowhere.
var ErrNoPostgreSQL = errors.New("no PostgreSQL server programs (initdb, postgres) found: run `apt-get install postgresql`, or set PGSLUICE_PG_BINDIR to their folder")

// BinDir finds the folder with initdb and postgres: PGSLUICE_PG_BINDIR where it
// is set, else the newest version of Debian's and Ubuntu's packages, which keep
// them out of PATH, else what pg_config and PATH say.
func BinDir() (string, error) {
	if dir := os.Getenv("PGSLUICE_PG_BINDIR"); dir != "" {
		if !hasServer(dir) {
			return "", errors.New("PGSLUICE_PG_BINDIR holds no initdb and postgres; " + ErrNoPostgreSQL.Error())
		}
		return dir, nil
	}
	if dir := newest(packaged(), hasServer); dir != "" {
		return dir, nil
	}
	// pg_config may be that of a client-only package, so it is not enough.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		if dir := strings.TrimSpace(string(out)); hasServer(dir) {
			return dir, nil
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil && hasServer(filepath.Dir(path)) {
		return filepath.Dir(path), nil
	}
	return "", ErrNoPostgreSQL
}

// packaged are the folders of Debian's and Ubuntu's packages.
func packaged() []string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is valid
	return dirs
}

// newest picks the folder of the highest version: "9.6" < "15" < "18".
func newest(dirs []string, usable func(string) bool) string {
	best, bestVersion := "", -1.0
	for _, dir := range dirs {
		version, err := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64)
		if err == nil && version > bestVersion && usable(dir) {
			best, bestVersion = dir, version
		}
	}
	return best
}

func hasServer(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if !isFile(filepath.Join(dir, program)) {
			return false
		}
	}
	return true
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
