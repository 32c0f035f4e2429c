package policy

import (
	"net/netip"
	"strings"
)

// addressCondition is `address: [10.0.0.0/8, "!10.0.3.7"]`, over the client's
// address.
type addressCondition struct {
	text    []string
	include []netip.Prefix
	exclude []netip.Prefix
}

// newPrefix reads a network or a single address.
func newPrefix(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), true
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}

// newAddressCondition needs addresses that newPrefix can read.
func newAddressCondition(text []string) *addressCondition {
	c := &addressCondition{text: text}
	for _, t := range text {
		rest, excluded := strings.CutPrefix(t, "!")
		p, _ := newPrefix(rest)
		if excluded {
			c.exclude = append(c.exclude, p)
		} else {
			c.include = append(c.include, p)
		}
	}
	return c
}

func (c *addressCondition) met(s *Session, _ *Facts, _ *Action) truth {
	if !s.Address.IsValid() { // a Unix socket, or nobody said
		return cannotTell
	}
	a := s.Address.Unmap().WithZone("")
	for _, p := range c.exclude {
		if p.Contains(a) {
			return no
		}
	}
	for _, p := range c.include {
		if p.Contains(a) {
			return yes
		}
	}
	return truthOf(len(c.include) == 0)
}

func (c *addressCondition) found(s *Session, _ *Facts, _ *Action) string {
	if !s.Address.IsValid() {
		return "the client's address is not known"
	}
	return "the client's address is " + s.Address.String()
}

func (c *addressCondition) String() string { return "address: " + list(c.text) }
