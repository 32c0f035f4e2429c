package approval

import (
	"context"
	"fmt"
	"time"
)

// Charge is what one transaction takes from one budget.
type Charge struct {
	Budget string        // names it
	Amount int64         // less than zero gives back
	Per    time.Duration // how long it counts

	// May says whether the charge may be added to what the budget has been charged
	// with in the last Per. Nil adds it whatever that is.
	May func(spent int64) bool
}

// Refused is a charge that its budget has no room for.
type Refused struct {
	Charge int   // which of those asked for
	Spent  int64 // of its budget by now
}

// Spend takes charges from their budgets before what they are for takes effect:
// either all of them, or none. What is spent stays so over a restart, and counts
// also if the proxy dies before it knows whether the effect came. An error means
// that nothing may take effect.
func (s *Service) Spend(ctx context.Context, charges []Charge) (*Spending, *Refused, error) {
	if len(charges) == 0 {
		return &Spending{}, nil, nil
	}
	ids, refused, spent, err := s.ledger.Spend(ctx, s.now(), charges)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("charge a budget: %w", err)
	case ids == nil:
		return nil, &Refused{Charge: refused, Spent: spent}, nil
	}
	return &Spending{service: s, ids: ids}, nil, nil
}

// Spending is what has been charged and can be taken back, where the effect did
// not come.
type Spending struct {
	service *Service
	ids     []int64
}

// Back takes the charges back.
func (s *Spending) Back(ctx context.Context) error {
	if len(s.ids) == 0 {
		return nil
	}
	if err := s.service.ledger.Unspend(ctx, s.ids); err != nil {
		return fmt.Errorf("take back what a budget was charged: %w", err)
	}
	return nil
}

// PersonOf is who the login is, where that is one person; budgets that are kept by
// person count what all of their logins do.
func (s *Service) PersonOf(login string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if persons := s.people.OfLogin(login); len(persons) == 1 {
		return persons[0]
	}
	return ""
}
