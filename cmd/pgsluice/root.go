package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newRoot is the command line: one subcommand per file.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pgsluice",
		Short: "A PostgreSQL proxy that stops destructive statements until a second person has approved them",
		// What goes wrong is said once, by main.
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(
		newServe(), newDemo(), newCheck(), newVersion(), newPassword(),
		newRequests(), newShow(), newApprove(), newDeny(), newCancel(),
		explainCommand(), lintCommand(), testCommand(), auditCommand(),
	)
	for _, c := range root.Commands() {
		markUsage(c)
	}
	return root
}

// markUsage makes wrong arguments a usageError.
func markUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markUsage(sub)
	}
}

// errFindings ends a command that has printed what it found: exit code 1, and
// nothing more to say.
var errFindings = errors.New("there are findings")

// usageError is wrong use of the command line: exit code 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exitCode is 0 for fine, 1 for findings or a refusal, 2 for wrong use.
func exitCode(err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage) || isUnknownCommand(err):
		return 2
	}
	return 1
}
