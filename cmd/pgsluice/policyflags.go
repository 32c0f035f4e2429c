package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgsluice/pgsluice/policy"
)

// maxScript bounds what explain, lint and test read at once.
const maxScript = 64 << 20

// policyFlags are the flags of the commands that judge SQL without a server:
// which policy, and which session the SQL is taken to come from.
type policyFlags struct {
	policy  string
	format  string
	formats []string

	user, role, database, application, address string
	inTransaction                              bool
}

// register adds --policy and --format; the first format is the default.
func (f *policyFlags) register(c *cobra.Command, formats ...string) {
	f.formats = formats
	c.Flags().StringVar(&f.policy, "policy", "", "policy `file` or folder of *.yaml (default: the built-in policy \"standard\")")
	c.Flags().StringVar(&f.format, "format", formats[0], "output `format`: "+strings.Join(formats, ", "))
}

// session adds the flags that describe the session.
func (f *policyFlags) session(c *cobra.Command) {
	c.Flags().StringVar(&f.user, "user", "", "database `role` that sends the statement")
	c.Flags().StringVar(&f.role, "role", "", "effective `role`, after SET ROLE")
	c.Flags().StringVar(&f.database, "database", "", "`database` that it is sent to")
	c.Flags().StringVar(&f.application, "application", "", "application_`name` of the client")
	c.Flags().StringVar(&f.address, "address", "", "`IP` address of the client")
	c.Flags().BoolVar(&f.inTransaction, "in-transaction", false, "a transaction block is open already")
}

// load reads the policy. People are not known here, so quorums are not checked.
func (f *policyFlags) load() (*policy.Policy, error) {
	if !slices.Contains(f.formats, f.format) {
		return nil, &usageError{fmt.Errorf("--format must be one of %s, not %q", strings.Join(f.formats, ", "), f.format)}
	}
	if f.address != "" {
		if _, err := netip.ParseAddr(f.address); err != nil {
			return nil, &usageError{fmt.Errorf("--address %q is no IP address", f.address)}
		}
	}
	return policy.Load(f.policy, nil)
}

// replay is a session as the flags describe it.
func (f *policyFlags) replay(p *policy.Policy, now time.Time) *policy.Replay {
	address, _ := netip.ParseAddr(f.address) // load has looked at it
	return &policy.Replay{
		Policy: p,
		Reader: policy.NewReader(),
		Lexing: policy.Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true},
		Session: policy.Session{
			User: f.user, Role: f.role, Database: f.database, Application: f.application,
			Address: address, InTransaction: f.inTransaction, Now: now,
		},
	}
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// needArgs refuses to run without arguments.
func needArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return &usageError{errors.New(cmd.Name() + " needs " + what)}
		}
		return nil
	}
}
