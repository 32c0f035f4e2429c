package main

import (
	"github.com/spf13/cobra"

	"github.com/pgsluice/pgsluice/policy"
)

// testCommand is `pgsluice test PATH...`: do the policy's cases still hold.
func testCommand() *cobra.Command {
	var from policyFlags
	c := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run policy cases: statements with the verdict that they must get",
		Long: `Test runs the policy cases in files and folders (*.txtar and *_test.sql). Each
statement of a case ends in a comment with its verdict, and fails without one:

  DELETE FROM accounts;               -- hold no-where
  DELETE FROM accounts WHERE id = 7;  -- allow

The policy is the section policy.yaml of the file, or else --policy, or else the
*.yaml files beside the case, or else the built-in policy.`,
		Example: "  pgsluice test ./policy",
		Args:    needArgs("at least one file or folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var given *policy.Policy
			p, err := from.load()
			if err != nil {
				return err
			}
			if from.policy != "" {
				given = p
			}
			files, err := policy.CaseFiles(args)
			if err != nil {
				return &usageError{err}
			}
			reader := policy.NewReader()
			var all []policy.CaseResult
			for _, f := range files {
				results, err := policy.RunCases(f, reader, given)
				if err != nil {
					return err
				}
				all = append(all, results...)
			}
			failed := 0
			for _, r := range all {
				if !r.Passed {
					failed++
				}
			}
			if from.format == "json" {
				err = writeJSON(cmd.OutOrStdout(), testJSON(all, failed))
			} else {
				err = testText(newTUI(cmd.OutOrStdout()), all, failed)
			}
			if err != nil {
				return err
			}
			if failed > 0 {
				return errFindings
			}
			return nil
		},
	}
	from.register(c, "text", "json")
	return c
}

func testText(t *tui, all []policy.CaseResult, failed int) error {
	for _, r := range all {
		if r.Passed {
			continue
		}
		t.printf("%s:%d: %s\n", r.File, r.Line, r.Statement)
		if r.Want != "" {
			t.printf("  want  %s\n  got   %s\n", r.Want, r.Got)
		}
		t.item("why  ", r.Why)
	}
	t.printf("%d passed, %d failed\n", len(all)-failed, failed)
	return t.err
}

func testJSON(all []policy.CaseResult, failed int) map[string]any {
	failures := []map[string]any{}
	for _, r := range all {
		if !r.Passed {
			failures = append(failures, map[string]any{
				"file": r.File, "line": r.Line, "statement": r.Statement, "want": r.Want, "got": r.Got, "why": r.Why,
			})
		}
	}
	return map[string]any{"passed": len(all) - failed, "failed": failed, "failures": failures}
}
