package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// Spend adds charges to their budgets, or none of them.
func (l *SQLite) Spend(ctx context.Context, now time.Time, charges []approval.Charge) (ids []int64, refused int, spent int64, err error) {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("write to the ledger: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit there is nothing to roll back
	ids = make([]int64, 0, len(charges))
	for i, c := range charges {
		id, spent, err := spend(ctx, tx, now, c)
		if err != nil {
			return nil, 0, 0, fmt.Errorf("write to the ledger: %w", err)
		}
		if id == 0 {
			return nil, i, spent, nil
		}
		ids = append(ids, id)
	}
	// What counts no more is in nobody's way but takes room.
	if _, err := tx.ExecContext(ctx, "DELETE FROM charge WHERE until <= ?", now.UnixNano()); err != nil {
		return nil, 0, 0, fmt.Errorf("write to the ledger: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return nil, 0, 0, fmt.Errorf("write to the ledger: %w", err)
	}
	return ids, 0, 0, nil
}

// spend adds one charge, and gives 0 if it may not be.
func spend(ctx context.Context, tx *sql.Tx, now time.Time, c approval.Charge) (id, spent int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT COALESCE(sum(amount), 0) FROM charge WHERE budget = ? AND at > ?",
		c.Budget, now.Add(-c.Per).UnixNano()).Scan(&spent)
	if err != nil || c.May != nil && !c.May(spent) {
		return 0, spent, err
	}
	result, err := tx.ExecContext(ctx, "INSERT INTO charge (budget, at, until, amount) VALUES (?, ?, ?, ?)",
		c.Budget, now.UnixNano(), now.Add(c.Per).UnixNano(), c.Amount)
	if err != nil {
		return 0, spent, err
	}
	id, err = result.LastInsertId()
	return id, spent, err
}

// Unspend takes charges back.
func (l *SQLite) Unspend(ctx context.Context, ids []int64) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write to the ledger: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit there is nothing to roll back
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "DELETE FROM charge WHERE id = ?", id); err != nil {
			return fmt.Errorf("write to the ledger: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("write to the ledger: %w", err)
	}
	return nil
}
