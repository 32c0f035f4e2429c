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
	"crypto/tls"
	"net"
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
	// ServerTLS is how the proxy speaks TLS to the server.
	ServerTLS ServerTLS

	// ClientTLS is offered to clients; nil answers SSLRequest with N.
	ClientTLS *tls.Config
	// RequireClientTLS refuses sessions without TLS.
	RequireClientTLS bool

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

	// MaxSessions bounds the connections open at once; zero means 2,000.
	MaxSessions int

	Log *zap.Logger
}

// ServerTLS is how the proxy speaks TLS to the server. The zero value never
// does ("disable").
type ServerTLS struct {
	// Config is nil for "disable".
	Config *tls.Config
	// Required refuses to go on in plain text when the server answers N
	// ("require", "verify-ca", "verify-full"); false is "prefer".
	Required bool
}
