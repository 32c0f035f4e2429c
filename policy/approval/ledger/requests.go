package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgsluice/pgsluice/policy/approval"
)

const columns = `state, revision, mode, scope, binding, rule, title, policy_hash, quorum, persons,
	server, database, login, role, application, address, session,
	statement, parameters, parameter_hash, settings, in_transaction, impact, measured, locks,
	created, expires, outcome, cancelled_by`

// Create stores a new request.
func (l *SQLite) Create(ctx context.Context, r approval.Request) (int64, error) {
	values, err := valuesOf(r)
	if err != nil {
		return 0, fmt.Errorf("write a request to the ledger: %w", err)
	}
	marks := strings.Repeat(", ?", len(values))[2:]
	result, err := l.db.ExecContext(ctx, "INSERT INTO request ("+columns+") VALUES ("+marks+")", values...)
	if err != nil {
		return 0, fmt.Errorf("write a request to the ledger: %w", err)
	}
	return result.LastInsertId()
}

// Get returns one request with its decisions.
func (l *SQLite) Get(ctx context.Context, id int64) (approval.Request, error) {
	found, err := l.query(ctx, "WHERE id = ?", id)
	if err != nil {
		return approval.Request{}, fmt.Errorf("read request %d from the ledger: %w", id, err)
	}
	if len(found) == 0 {
		return approval.Request{}, approval.ErrUnknownRequest
	}
	return found[0], nil
}

// List returns the requests that meet the filter, the newest first.
func (l *SQLite) List(ctx context.Context, f approval.Filter) ([]approval.Request, error) {
	where, values := "WHERE true", []any(nil)
	if len(f.States) > 0 {
		where += " AND state IN (" + strings.Repeat(", ?", len(f.States))[2:] + ")"
		for _, s := range f.States {
			values = append(values, string(s))
		}
	}
	if f.Binding != nil {
		where += " AND binding = ?"
		values = append(values, f.Binding)
	}
	where += " ORDER BY id DESC"
	if f.Limit > 0 {
		where += " LIMIT ?"
		values = append(values, f.Limit)
	}
	found, err := l.query(ctx, where, values...)
	if err != nil {
		return nil, fmt.Errorf("list requests of the ledger: %w", err)
	}
	return found, nil
}

// Move changes a request if it is still as it was.
func (l *SQLite) Move(ctx context.Context, was, is approval.Request) error {
	if err := l.move(ctx, was, is); err != nil {
		return fmt.Errorf("write request %d to the ledger: %w", was.ID, err)
	}
	return nil
}

func (l *SQLite) move(ctx context.Context, was, is approval.Request) error {
	if len(is.Decisions) < len(was.Decisions) {
		return errors.New("a decision cannot be taken away")
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit there is nothing to roll back

	result, err := tx.ExecContext(ctx, `UPDATE request SET state = ?, mode = ?, expires = ?, outcome = ?, cancelled_by = ?, revision = revision + 1
		WHERE id = ? AND state = ? AND revision = ?`,
		string(is.State), string(is.Mode), is.Expires.UnixNano(), is.Outcome, is.CancelledBy,
		was.ID, string(was.State), was.Revision)
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if changed != 1 {
		return approval.ErrLost
	}
	for _, d := range is.Decisions[len(was.Decisions):] {
		_, err := tx.ExecContext(ctx, "INSERT INTO decision (request, person, approve, reason, channel, at) VALUES (?, ?, ?, ?, ?, ?)",
			was.ID, d.Person, d.Approve, d.Reason, d.Channel, d.At.UnixNano())
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Tell writes down which locks a request holds.
func (l *SQLite) Tell(ctx context.Context, id int64, locks []byte) error {
	result, err := l.db.ExecContext(ctx, "UPDATE request SET locks = ? WHERE id = ?", bytes(locks), id)
	if err != nil {
		return fmt.Errorf("write to request %d of the ledger: %w", id, err)
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("write to request %d of the ledger: %w", id, err)
	}
	if changed != 1 {
		return approval.ErrUnknownRequest
	}
	return nil
}

func (l *SQLite) query(ctx context.Context, where string, values ...any) ([]approval.Request, error) {
	// One read transaction, so that no request is seen without its decisions.
	tx, err := l.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written

	rows, err := tx.QueryContext(ctx, "SELECT id, "+columns+" FROM request "+where, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []approval.Request
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range found {
		if found[i].Decisions, err = decisions(ctx, tx, found[i].ID); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func decisions(ctx context.Context, tx *sql.Tx, id int64) ([]approval.Decision, error) {
	rows, err := tx.QueryContext(ctx, "SELECT person, approve, reason, channel, at FROM decision WHERE request = ? ORDER BY rowid", id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []approval.Decision
	for rows.Next() {
		var d approval.Decision
		var at int64
		if err := rows.Scan(&d.Person, &d.Approve, &d.Reason, &d.Channel, &at); err != nil {
			return nil, err
		}
		d.At = time.Unix(0, at).UTC()
		all = append(all, d)
	}
	return all, rows.Err()
}

// valuesOf gives the values in the order of columns.
func valuesOf(r approval.Request) ([]any, error) {
	quorum, err := json.Marshal(r.Quorum)
	if err != nil {
		return nil, err
	}
	persons, err := json.Marshal(r.Persons)
	if err != nil {
		return nil, err
	}
	// As bytes, which JSON writes in base64: a value need not be valid UTF-8.
	var raw [][]byte
	for _, p := range r.Parameters {
		raw = append(raw, []byte(p))
	}
	parameters, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	return []any{
		string(r.State), r.Revision, string(r.Mode), string(r.Scope), bytes(r.Binding), r.Rule, r.Title, r.PolicyHash, string(quorum), string(persons),
		r.Server, []byte(r.Database), []byte(r.Login), []byte(r.Role), []byte(r.Application), r.Address, r.Session,
		[]byte(r.Statement), string(parameters), bytes(r.ParameterHash), []byte(r.Settings), r.InTransaction, r.Impact, bytes(r.Measured), bytes(r.Locks),
		r.Created.UnixNano(), r.Expires.UnixNano(), r.Outcome, r.CancelledBy,
	}, nil
}

// bytes keeps the driver from writing NULL for nil.
func bytes(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func scan(rows *sql.Rows) (approval.Request, error) {
	var r approval.Request
	var quorum, persons, parameters []byte
	var created, expires int64
	err := rows.Scan(&r.ID, &r.State, &r.Revision, &r.Mode, &r.Scope, &r.Binding, &r.Rule, &r.Title, &r.PolicyHash, &quorum, &persons,
		&r.Server, &r.Database, &r.Login, &r.Role, &r.Application, &r.Address, &r.Session,
		&r.Statement, &parameters, &r.ParameterHash, &r.Settings, &r.InTransaction, &r.Impact, &r.Measured, &r.Locks,
		&created, &expires, &r.Outcome, &r.CancelledBy)
	if err != nil {
		return r, err
	}
	r.Created, r.Expires = time.Unix(0, created).UTC(), time.Unix(0, expires).UTC()
	if len(r.ParameterHash) == 0 {
		r.ParameterHash = nil
	}
	if len(r.Measured) == 0 {
		r.Measured = nil
	}
	if len(r.Locks) == 0 {
		r.Locks = nil
	}
	var raw [][]byte
	for _, part := range []struct {
		from []byte
		to   any
	}{{quorum, &r.Quorum}, {persons, &r.Persons}, {parameters, &raw}} {
		if err := json.Unmarshal(part.from, part.to); err != nil {
			return r, fmt.Errorf("request %d is damaged: %w", r.ID, err)
		}
	}
	for _, p := range raw {
		r.Parameters = append(r.Parameters, string(p))
	}
	return r, nil
}
