package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy/impact"
)

// catalogFlags say where what the catalogue says of a statement comes from.
type catalogFlags struct{ file, server, save string }

func (f *catalogFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "catalog", "", "`file` with what a server's catalogue says")
	c.Flags().StringVar(&f.server, "server", "", "`connection` string of a server to ask")
	c.Flags().StringVar(&f.save, "save-catalog", "", "`file` to write the server's answer to")
}

// askWithin bounds the wait for a server.
const askWithin = 15 * time.Second

// load gives the catalogue for a text, or nil if none is to be asked.
func (f *catalogFlags) load(ctx context.Context, replay *policy.Replay, text string) (*policy.Catalog, error) {
	switch {
	case f.file != "" && f.server != "":
		return nil, &usageError{errors.New("--catalog and --server exclude each other")}
	case f.save != "" && f.server == "":
		return nil, &usageError{errors.New("--save-catalog needs --server")}
	case f.file != "":
		answer, err := os.ReadFile(f.file)
		if err != nil {
			return nil, &usageError{fmt.Errorf("read the catalogue: %w", err)}
		}
		return impact.DecodeCatalog(answer)
	case f.server == "":
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	conn, err := pgconn.Connect(ctx, f.server)
	if err != nil {
		// Not wrapped: what is said of a failed connection elsewhere is about pgsluice.
		return nil, errors.New("connect to the server: " + err.Error())
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "BEGIN READ ONLY").ReadAll(); err != nil {
		return nil, fmt.Errorf("begin to ask the server: %w", err)
	}
	var answer []byte
	c, err := replay.Reader.Ask([][]*policy.Facts{replay.Reader.Read(text, replay.Lexing)}, func(names []policy.Name) (*policy.Catalog, error) {
		if answer, err = askCatalog(ctx, conn, names); err != nil {
			return nil, err
		}
		return impact.DecodeCatalog(answer)
	})
	if err != nil || f.save == "" || c == nil {
		return c, err
	}
	if err := os.WriteFile(f.save, append(answer, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("write the catalogue: %w", err)
	}
	return c, nil
}

func askCatalog(ctx context.Context, conn *pgconn.PgConn, names []policy.Name) ([]byte, error) {
	result := conn.ExecParams(ctx, impact.CatalogSQL, impact.CatalogParameters(names), nil, nil, nil).Read()
	if result.Err != nil {
		return nil, fmt.Errorf("ask the server's catalogue: %w", result.Err)
	}
	if len(result.Rows) != 1 {
		return nil, errors.New("ask the server's catalogue: no answer")
	}
	return result.Rows[0][0], nil
}

// reachText writes what each action reaches, as a tree.
func reachText(t *tui, f *policy.Facts) {
	begun := false
	for i := range f.Actions {
		a := &f.Actions[i]
		if len(a.Cascades) == 0 {
			continue
		}
		if !begun {
			t.heading("What it reaches")
			begun = true
		}
		tree := reachTree{t: t, cascades: a.Cascades, shown: make(map[string]bool)}
		for _, root := range a.Tables {
			t.printf("  %s on %s\n", strings.ReplaceAll(string(a.Class), "_", " "), root)
			tree.below(root, 1, "  ")
		}
		if a.CascadesCut {
			t.item("", "and more, which was not followed")
		}
	}
}

type reachTree struct {
	t        *tui
	cascades []policy.Cascade
	shown    map[string]bool // tables whose branches stand in the tree
}

func (r *reachTree) below(from policy.Table, depth int, indent string) {
	if r.shown[from.String()] {
		return
	}
	r.shown[from.String()] = true
	var all []policy.Cascade
	for _, x := range r.cascades {
		if x.From == from && x.Depth == depth {
			all = append(all, x)
		}
	}
	for i, x := range all {
		branch, next := "├─ ", "│  "
		if i == len(all)-1 {
			branch, next = "└─ ", "   "
		}
		line := x.Effect + ": " + x.Table.String()
		if x.Via != "" {
			line += ", by " + x.Via
		}
		if x.Rows >= 0 {
			line += fmt.Sprintf(" (about %.0f rows)", x.Rows)
		}
		r.t.printf("%s%s%s\n", indent, branch, line)
		r.below(x.Table, depth+1, indent+next)
	}
}
