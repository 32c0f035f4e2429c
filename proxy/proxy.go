// Package proxy speaks PostgreSQL to both sides and does what the policy
// answered.
//
// It promises that a statement which the policy holds or blocks does not reach
// the server without a grant, that the transaction status a client sees is
// always the server's own, and that with a policy which allows everything the
// client cannot tell that the proxy is there. It does not pool: each client
// connection has a server connection of its own.
package proxy

import (
	"context"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/policy/approval"
)

// Config is what a Proxy needs. Fields without a stated zero meaning are
// required; New says which one is missing.
type Config struct {
	// Server is the address of the PostgreSQL server, for people and bindings.
	Server string
	// Dial opens a connection to the server.
	Dial func(ctx context.Context) (net.Conn, error)
	// TLS is what the proxy begins with; SetTLS changes it.
	TLS
	// Auth says who checks the clients' passwords: the server, if it is left out.
	Auth Auth

	Policy    func() *policy.Policy // the policy in force; called for each message
	Reader    *policy.Reader
	Approvals *approval.Service
	Console   *Console // answers the database named "pgsluice"; nil: there is none

	// MaxWait is how long a held statement waits on the wire before it becomes
	// a ticket; zero makes every hold a ticket at once.
	MaxWait time.Duration
	// DryRun says what is tried out before people are asked.
	DryRun DryRun
	// Where people decide, for messages: "psql -d pgsluice -p 6432", a URL.
	Where string

	// Replication are the logins that may begin replication connections.
	Replication []string

	Limits Limits
	// TrustedProxies are the networks of balancers that say with the PROXY protocol
	// who the client is. Of nobody else is that believed; of these it is demanded.
	TrustedProxies []netip.Prefix

	Log *zap.Logger
}
