// Package impact asks the server what a statement would do. It holds the
// questions and reads the answers; who sends them is package proxy.
package impact

import (
	"strings"

	"github.com/pgsluice/pgsluice/policy"
)

// CatalogSQL asks the catalogue about the names of a statement. Its parameters
// are those of CatalogParameters; its one row has one column, for DecodeCatalog.
const CatalogSQL = `SELECT pg_catalog.json_build_object('server_version', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
	'found', pg_catalog.array_to_json($1::pg_catalog.text[]), 'functions', pg_catalog.array_to_json($2::pg_catalog.text[]))::pg_catalog.text`

// CatalogParameters are the parameters of CatalogSQL for the names, in the text
// format.
func CatalogParameters(names []policy.Name) [][]byte {
	var relations, functions []string
	for _, n := range names {
		if n.Kind == policy.NameFunction {
			functions = append(functions, written(n))
		} else {
			relations = append(relations, written(n))
		}
	}
	return [][]byte{array(relations), array(functions)}
}

// written is the name with every part in quotes.
func written(n policy.Name) string {
	name := quoted(n.Name)
	if n.Schema != "" {
		name = quoted(n.Schema) + "." + name
	}
	return name
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

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
