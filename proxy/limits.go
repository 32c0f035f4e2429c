package proxy

import (
	"net"
	"net/netip"

	"go.uber.org/zap"
)

// Limits bounds how many are served at once.
type Limits struct {
	// Sessions bounds those that have said who they are, and whom to log in. Zero
	// means 2,000. The console is not among them: who can end what fills the
	// proxy must get in.
	Sessions int
	// BeforeLogin bounds, for each address, connections that have not logged in.
	// Zero means 100. A /64 of IPv6 counts as one address: it is what one
	// machine is given. CancelRequests are among these, and never among Sessions.
	BeforeLogin int
}

const (
	defaultSessions    = 2000
	defaultBeforeLogin = 100
	// maxConsoles bounds the sessions of the console.
	maxConsoles = 100
)

func (l Limits) orDefaults() Limits {
	if l.Sessions == 0 {
		l.Sessions = defaultSessions
	}
	if l.BeforeLogin == 0 {
		l.BeforeLogin = defaultBeforeLogin
	}
	return l
}

// comers are the connections of one address that have not logged in.
type comers struct {
	n    int
	told bool // the log has been told that there are too many
}

// comes counts a connection among those of its address that have not logged in.
// loggedIn takes it off; it may be called more than once.
func (p *Proxy) comes(from net.Addr) (loggedIn func(), refused *refusal) {
	address := sharedAddress(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.starting[address]
	if c == nil {
		c = &comers{}
		p.starting[address] = c
	}
	if c.n >= p.c.Limits.BeforeLogin {
		if !c.told {
			c.told = true
			p.c.Log.Warn("too many connections of one address that have not logged in; more are refused",
				zap.Stringer("address", address), zap.Int("limits.before_login", p.c.Limits.BeforeLogin))
		}
		return nil, tooManyComers(c.n)
	}
	c.n++
	counted := true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !counted {
			return
		}
		counted = false
		if c.n--; c.n == 0 {
			delete(p.starting, address)
		}
	}, nil
}

// sharedAddress is what counts as one address.
func sharedAddress(from net.Addr) netip.Prefix {
	ip := ipOf(from)
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	shared, _ := ip.Prefix(bits) // of a Unix-domain socket the zero Prefix: all of them are one machine's
	return shared
}

// admit counts a session, unless there are too many or the proxy is being
// stopped. Whoever was admitted leaves.
func (p *Proxy) admit(console bool) *refusal {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.isDraining():
		return shuttingDown()
	case console && p.consoles >= maxConsoles:
		return tooManySessions(maxConsoles)
	case console:
		p.consoles++
	case p.open >= p.c.Limits.Sessions:
		return tooManySessions(p.open)
	default:
		p.open++
	}
	return nil
}

func (p *Proxy) leaves(console bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if console {
		p.consoles--
	} else {
		p.open--
	}
	if p.open+p.consoles == 0 && p.isDraining() {
		select {
		case <-p.empty:
		default:
			close(p.empty)
		}
	}
}
