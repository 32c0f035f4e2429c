package approval

import (
	"errors"
	"fmt"
)

// ErrNobody is why no request was opened: no second person could ever approve
// it. The error that wraps it says what to do about that.
var ErrNobody = errors.New("nobody could approve this")

// ErrClosed is what a closed service answers.
var ErrClosed = errors.New("the approval service is closed")

// ErrNotApproved is why a grant was not given: the request is not approved, or
// not any more.
type ErrNotApproved struct {
	ID    int64
	State State
}

func (e *ErrNotApproved) Error() string {
	return fmt.Sprintf("request %d is %s", e.ID, e.State)
}

// Refusal is why a person's decision was not taken, in a sentence for that
// person. It holds nothing of a statement.
type Refusal struct {
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, values ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, values...)}
}
