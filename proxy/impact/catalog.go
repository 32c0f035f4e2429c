// Package impact asks the server what a statement would do. It holds the
// questions and reads the answers; who sends them is package proxy.
package impact

import (
	_ "embed"
	"strings"

	"github.com/pgsluice/pgsluice/policy"
)

// CatalogSQL asks the catalogue about the names of a statement, in PostgreSQL 15
// to 18 and as any role. Its parameters are those of CatalogParameters; its one
// row has one column, for DecodeCatalog. It takes no lock that outlasts it, but on
// the relations of a rule or of a BEGIN ATOMIC body that is written out.
//
// Most of its time is planning. It is not kept prepared all the same: the server
// plans it anew for the first five times even then, its plan takes 2.7 MB of the
// server's memory for each session, and who may run SQL in a session can put
// another statement under the name.
//
//go:embed catalog.sql
var CatalogSQL string

// InsertsSQL asks, with the same parameters, whether CatalogSQL could say anything
// of INSERTs into these tables: "0" if not.
//
//go:embed inserts.sql
var InsertsSQL string

// HiddenSQL asks, with the same parameters, whether any of the names could hide code:
// "false" if not, "true", or "behind" where HiddenBehindSQL has the answer. Most of the
// time of both is planning, and few need the second one.
var (
	//go:embed hidden.sql
	HiddenSQL string
	//go:embed hidden_behind.sql
	HiddenBehindSQL string
)

// CatalogParameters are the parameters of CatalogSQL for the names, in the text
// format.
func CatalogParameters(names []policy.Name) [][]byte {
	schemas, own, kinds := make([]string, len(names)), make([]string, len(names)), make([]string, len(names))
	for i, n := range names {
		schemas[i], own[i], kinds[i] = n.Schema, n.Name, string(n.Kind)
	}
	return [][]byte{array(schemas), array(own), array(kinds)}
}

// array writes an array of text as array_in reads it.
func array(items []string) []byte {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + escape.Replace(s) + `"`)
	}
	b.WriteByte('}')
	return []byte(b.String())
}

// DecodeCatalog reads the answer to CatalogSQL.
func DecodeCatalog(answer []byte) (*policy.Catalog, error) { return policy.DecodeCatalog(answer) }
