package approval

import "time"

// Window is how long a grant may be used after the last approval.
func (s *Service) Window() time.Duration { return s.window }

// Eligible names, in order, the people whose approval a request could still
// take: never one of those who may have made it.
func (s *Service) Eligible(r Request) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people.Eligible(r.Quorum, s.requesters(r))
}
