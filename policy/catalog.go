package policy

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Catalog is what the server's catalogue says of the relations and functions
// that one statement names, and of those that it reaches through them: the
// tables behind a view, partitions, and the tables whose foreign keys cascade.
// It is asked in the session of the statement, so that names mean what they mean
// there.
type Catalog struct {
	// ServerVersion is server_version_num: 150018.
	ServerVersion int `json:"server_version"`

	// Found says what each name means that was asked for, in the order asked.
	Found []Found `json:"found"`

	Relations   []Relation   `json:"relations"`
	ForeignKeys []ForeignKey `json:"foreign_keys"`
	Functions   []Function   `json:"functions"`

	// Cut is true where a bound on depth or number was met, so that relations
	// may be missing beyond those that were asked for by name.
	Cut bool `json:"cut"`

	// fresh is true in the answer of the server to a question about this very
	// statement; see Kept.
	fresh bool
}

// A Name is a relation or a function as a statement writes it, folded and
// unquoted; Schema is empty where the text gives none.
type Name struct {
	Schema string   `json:"schema,omitempty"`
	Name   string   `json:"name"`
	Kind   NameKind `json:"kind"`
}

// NameKind is what a name stands for.
type NameKind string

// The kinds of names that a catalogue is asked for.
const (
	NameRelation NameKind = "relation"
	NameFunction NameKind = "function"
)

// Found is what one name means in the session: the relation that search_path
// finds, or none; for a function the number of those that a call may mean.
type Found struct {
	Name
	OID uint32 `json:"oid,omitempty"` // of a relation; 0 where there is none
}

// A Relation is a table, a view or anything else that pg_class holds.
type Relation struct {
	OID       uint32 `json:"oid"`
	Schema    string `json:"schema"`
	Name      string `json:"name"`
	Kind      string `json:"kind"` // pg_class.relkind: r p v m f S i t c I
	Temporary bool   `json:"temporary,omitempty"`

	// Rows is the estimate of ANALYZE or VACUUM, -1 where neither has run; Pages
	// is the size that goes with it. Of a partitioned table it is the sum over
	// its partitions.
	Rows  float64 `json:"rows"`
	Pages int     `json:"pages"`

	// Empty is true where the relation and all below it have no storage in use:
	// they held no row, not even one of an open transaction, when asked.
	Empty bool `json:"empty,omitempty"`

	Columns []Column   `json:"columns,omitempty"`
	Keys    [][]string `json:"keys,omitempty"`     // unique keys, valid and over NOT NULL columns only
	Below   []uint32   `json:"below,omitempty"`    // direct partitions and inheriting tables
	Bases   []uint32   `json:"bases,omitempty"`    // what the query of a view names
	ViewSQL string     `json:"view_sql,omitempty"` // the query of a view

	Triggers []Trigger     `json:"triggers,omitempty"`
	Rules    []RewriteRule `json:"rules,omitempty"`

	// Written says whether rows were written since the statistics began, and
	// LastAnalyzed when ANALYZE last saw the table; the server does not know when
	// a table was last written to.
	Written      *int64     `json:"written,omitempty"`
	LastAnalyzed *time.Time `json:"last_analyzed,omitempty"`
}

// A Column is a column of a relation.
type Column struct {
	Name    string `json:"name"`
	NotNull bool   `json:"not_null,omitempty"`
	Kind    string `json:"kind"` // num, bool, text or other
}

// A ForeignKey refers from one relation to another. The actions are cascade,
// set null, set default, restrict and no action.
type ForeignKey struct {
	Name              string   `json:"name"`
	From              uint32   `json:"from"`
	To                uint32   `json:"to"`
	ReferencedColumns []string `json:"referenced_columns"`
	OnDelete          string   `json:"on_delete"`
	OnUpdate          string   `json:"on_update"`
}

// A Trigger is a trigger that is not disabled and not part of a constraint.
type Trigger struct {
	Name     string   `json:"name"`
	Timing   string   `json:"timing"` // before, after, instead of
	Events   []string `json:"events"` // insert, update, delete, truncate
	Row      bool     `json:"row,omitempty"`
	Columns  []string `json:"columns,omitempty"` // of UPDATE OF
	Function uint32   `json:"function"`
}

// A RewriteRule is a rule other than that of a view.
type RewriteRule struct {
	Name       string `json:"name"`
	Event      string `json:"event"` // insert, update, delete
	Instead    bool   `json:"instead,omitempty"`
	Definition string `json:"definition"` // the CREATE RULE
}

// A Function is a function, a procedure or an aggregate.
type Function struct {
	OID             uint32 `json:"oid"`
	Schema          string `json:"schema"`
	Name            string `json:"name"`
	Kind            string `json:"kind"`       // pg_proc.prokind: f p a w
	Volatility      string `json:"volatility"` // pg_proc.provolatile: i s v
	Language        string `json:"language"`
	Body            string `json:"body,omitempty"` // prosrc, or the body of BEGIN ATOMIC
	SecurityDefiner bool   `json:"security_definer,omitempty"`
	BuiltIn         bool   `json:"built_in,omitempty"` // made by initdb, in pg_catalog
}

// DecodeCatalog reads a catalogue from its JSON form, as a server has just
// answered it.
func DecodeCatalog(text []byte) (*Catalog, error) {
	c := &Catalog{fresh: true}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("decode the catalogue: %w", err)
	}
	return c, nil
}

// Kept gives the catalogue for use with later statements. Tables may have been
// filled, dropped and made by then, so that it can make a statement look worse
// and never milder.
func (c *Catalog) Kept() *Catalog {
	k := *c
	k.fresh = false
	return &k
}
