// Package ledger keeps requests, decisions and grants on SQLite.
//
// It promises that what it has accepted is on the disk, and that of two who
// change one request at the same time one is told that it lost. It decides
// nothing: which change is allowed is the business of package approval.
package ledger

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"github.com/pgsluice/pgsluice/policy/approval"
)

//go:embed schema1.sql
var schema1 string

//go:embed schema2.sql
var schema2 string

//go:embed schema3.sql
var schema3 string

// schemas lists the versions in order; number n brings version n to n+1.
var schemas = []string{schema1, schema2, schema3}

// application marks the file as a ledger in its header ("pgsl"), so that no
// other program's database is ever taken for one.
const application = 0x7067736c

// SQLite is a ledger in one file, for one process at a time.
type SQLite struct {
	db   *sql.DB
	lock *os.File
}

var _ approval.Ledger = (*SQLite)(nil)

// OpenSQLite opens the ledger in the file, and makes it and its folder when they
// are not there. A second process that opens the same file gets an error: two
// proxies that share requests need a ledger that is made for it.
func OpenSQLite(path string) (*SQLite, error) {
	l, err := openSQLite(path)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	return l, nil
}

func openSQLite(path string) (*SQLite, error) {
	if path == "" {
		return nil, errors.New("no file named")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	db, err := openFile(path)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &SQLite{db: db, lock: lock}, nil
}

func openFile(path string) (*sql.DB, error) {
	// SQLite would make the file readable for others; the files it puts beside
	// this one (-wal, -shm) get the same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	// FULL is what makes a commit durable in WAL mode: https://sqlite.org/pragma.html#pragma_synchronous
	options := url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_foreign_keys": {"on"},
		"_busy_timeout": {"5000"}, "_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, err
	}
	// SQLite has one writer anyway, and a request is a rare thing.
	db.SetMaxOpenConns(1)
	if err := migrate(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Close ends the ledger's use of its file.
func (l *SQLite) Close() error {
	// The lock goes last: nobody may open the file while it is still in use.
	if err := errors.Join(l.db.Close(), l.lock.Close()); err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}
	return nil
}

// migrate brings the file to the newest version in one transaction.
func migrate(db *sql.DB) error {
	ctx := context.Background()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit there is nothing to roll back

	var version, mark, tables int
	err = tx.QueryRowContext(ctx, "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)").
		Scan(&version, &mark, &tables)
	switch {
	case err != nil:
		return fmt.Errorf("read its version: %w", err)
	case tables > 0 && mark != application:
		return errors.New("the file is a database of another program")
	case version > len(schemas):
		return fmt.Errorf("the file has version %d and this pgsluice knows versions up to %d: use a newer pgsluice", version, len(schemas))
	case version == len(schemas):
		return nil
	}
	for v := version; v < len(schemas); v++ {
		if _, err := tx.ExecContext(ctx, schemas[v]); err != nil {
			return fmt.Errorf("bring it to version %d: %w", v+1, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", application, len(schemas))); err != nil {
		return fmt.Errorf("write its version: %w", err)
	}
	return tx.Commit()
}
