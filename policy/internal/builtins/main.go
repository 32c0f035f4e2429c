// Command builtins asks a PostgreSQL server which of its functions and operators
// are built in, and writes the lists that package policy embeds: the functions
// of which no variant is volatile, and the operators.
//
// The oldest supported version is the one to ask, so that a name in the list is
// known to every server. A function that takes a value of a pseudo-type that SQL
// cannot make (internal, trigger) is left out.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

const functionNames = `
SELECT p.proname
FROM pg_catalog.pg_proc p
WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  AND 'internal'::regtype <> ALL (p.proargtypes::oid[])
  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
  AND p.prokind <> 'p'
GROUP BY p.proname
HAVING pg_catalog.bool_and(p.provolatile <> 'v')
ORDER BY p.proname COLLATE "C"`

const operatorNames = `
SELECT DISTINCT o.oprname COLLATE "C"
FROM pg_catalog.pg_operator o
WHERE o.oprnamespace = 'pg_catalog'::regnamespace
ORDER BY 1`

func main() {
	server := flag.String("server", "", "connection string of the server to ask")
	functions := flag.String("functions", "", "file for the names of the functions")
	operators := flag.String("operators", "", "file for the names of the operators")
	flag.Parse()
	if err := run(*server, map[string]string{*functions: functionNames, *operators: operatorNames}); err != nil {
		fmt.Fprintln(os.Stderr, "builtins:", err)
		os.Exit(1)
	}
}

func run(server string, queries map[string]string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	for file, query := range queries {
		rows, err := conn.Query(ctx, query)
		if err != nil {
			return fmt.Errorf("list names: %w", err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("list names: %w", err)
		}
		if err := os.WriteFile(file, []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
			return fmt.Errorf("write names: %w", err)
		}
	}
	return nil
}
