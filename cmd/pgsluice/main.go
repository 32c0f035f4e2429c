// Command pgsluice is a PostgreSQL proxy that stops destructive statements until
// a second person has approved them.
package main

import (
	"fmt"
	"os"
)

func main() {
	root := newRoot()
	err := root.Execute()
	if err != nil {
		if said := explainError(err); said != "" {
			fmt.Fprintln(os.Stderr, "pgsluice: "+said)
		}
	}
	os.Exit(exitCode(err))
}
