package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	pg "github.com/pganalyze/pg_query_go/v6"
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

	// Operators are the names of operators that are not built in and that
	// search_path finds for types that are, or for domains and enums.
	Operators []string `json:"operators,omitempty"`

	// Cut is true where a bound on depth or number was met, so that relations
	// may be missing beyond those that were asked for by name.
	Cut bool `json:"cut"`

	// sameNames and sameRows are true in the answer to a question about this very
	// statement: names mean what they meant, tables hold what they held. See Kept.
	sameNames, sameRows bool
	moved               bool // not even what names meant lately is known; see Moved

	bodies *bodies
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
	NameType     NameKind = "type"
	NameSchema   NameKind = "schema"
	// Those that could hide code only: see Facts.Hiding. An operator has no name, it
	// stands for all of them. Declared is a type of people's own, by its OID.
	NameDeclared  NameKind = "declared"
	NameAttribute NameKind = "attribute"
	NameOperator  NameKind = "operator"
)

// Found is what one name means in the session. Those that a function's name may
// mean are among the functions of the catalogue.
type Found struct {
	Name
	OID    uint32 `json:"oid,omitempty"`    // 0 where there is none of that name
	Hidden bool   `json:"hidden,omitempty"` // the role may not look into the schema
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

	// Empty is true where a table has no storage in use: it held no row of its
	// own, not even one of an open transaction, when asked. What is below it is
	// asked about apart.
	Empty bool `json:"empty,omitempty"`

	// Size is that of a table itself in bytes, and Live how many rows the statistics
	// count in it, of what a statement names.
	Size *int64 `json:"size,omitempty"`
	Live *int64 `json:"live,omitempty"`

	// LastValue is that of a sequence which counts up, where the role may see it and
	// there is one.
	LastValue *int64 `json:"last_value,omitempty"`

	RowSecurity bool `json:"row_security,omitempty"`
	// Calls is true where a default, a check, an index or a type of the table is not
	// built in: to write a row may call code then.
	Calls bool `json:"calls,omitempty"`

	Columns []Column   `json:"columns,omitempty"`
	Checks  []string   `json:"checks,omitempty"` // conditions of CHECK constraints, validated ones only
	Bounds  []Bound    `json:"bounds,omitempty"` // of a partition, and of the partitions that it is in
	Keys    [][]string `json:"keys,omitempty"`   // unique keys, valid and over NOT NULL columns only
	Below   []uint32   `json:"below,omitempty"`  // direct partitions and inheriting tables
	Bases   []uint32   `json:"bases,omitempty"`  // what the query of a view names

	Triggers []Trigger     `json:"triggers,omitempty"`
	Rules    []RewriteRule `json:"rules,omitempty"`

	// Written says whether rows were written since the statistics began, and
	// LastAnalyzed when ANALYZE last saw the table; the server does not know when
	// a table was last written to.
	Written      *int64     `json:"written,omitempty"`
	LastAnalyzed *time.Time `json:"last_analyzed,omitempty"`

	known []*pg.Node // what Checks, Bounds and the types of columns say of each row
}

// A Column is a column of a relation.
type Column struct {
	Name    string `json:"name"`
	NotNull bool   `json:"not_null,omitempty"`
	Kind    string `json:"kind"` // num, bool, text or other

	// Type is its type of pg_catalog, the name of an enum, "record" for a composite
	// type, and empty for others. Of a domain it is the type below; Checks are then
	// what VALUE is checked for, by validated constraints only.
	Type   string   `json:"type,omitempty"`
	Labels []string `json:"labels,omitempty"` // of an enum, in order
	Checks []string `json:"checks,omitempty"`
}

// A Bound is what the columns of a partition key meet in a partition.
type Bound struct {
	Columns []string `json:"columns"` // "" for an expression, or where values are not ordered by default
	Text    string   `json:"text"`    // FOR VALUES ..., or DEFAULT
}

// A ForeignKey refers from one relation to another. The actions are cascade,
// set null, set default, restrict and no action.
type ForeignKey struct {
	Name              string   `json:"name"`
	From              uint32   `json:"from"`
	To                uint32   `json:"to"`
	Columns           []string `json:"columns"`            // of From
	ReferencedColumns []string `json:"referenced_columns"` // of To
	Validated         bool     `json:"validated,omitempty"`
	OnDelete          string   `json:"on_delete"`
	OnUpdate          string   `json:"on_update"`

	// Spread is how the values of Columns are spread over the rows of From, those
	// of the column that tells most rows apart where there are several.
	Spread *Spread `json:"spread,omitempty"`
}

// A Spread is what ANALYZE has found of the values of a column, as pg_stats shows
// it to the role.
type Spread struct {
	// Distinct is how many values there are or, where negative, that number for each
	// row, times -1.
	Distinct float64 `json:"distinct"`
	// MostCommon is the share of the rows that have the most common value, 0 where
	// none is more common than the others; Nulls that of those that have none.
	MostCommon float64 `json:"most_common,omitempty"`
	Nulls      float64 `json:"nulls,omitempty"`
}

// over gives how many of that many rows have the same value, on average and of the
// most common value; -1 where that is not known.
func (s *Spread) over(rows float64) (average, most float64) {
	if s == nil || rows < 0 || s.Distinct == 0 {
		return -1, -1
	}
	values := s.Distinct
	if values < 0 {
		values *= -rows
	}
	average = rows * (1 - s.Nulls) / max(values, 1)
	return average, max(average, rows*s.MostCommon)
}

// A Trigger is a trigger that is not disabled and not part of a constraint.
type Trigger struct {
	Name   string   `json:"name"`
	Timing string   `json:"timing"` // before, after, instead of
	Events []string `json:"events"` // insert, update, delete, truncate
	Row    bool     `json:"row,omitempty"`
	// Conditional is true with WHEN or with UPDATE OF columns. Definition is the
	// CREATE TRIGGER of one with WHEN.
	Conditional bool     `json:"conditional,omitempty"`
	Columns     []string `json:"columns,omitempty"`
	Definition  string   `json:"definition,omitempty"`
	Function    uint32   `json:"function"`
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
	Settings        bool   `json:"settings,omitempty"` // it runs under settings of its own
	BuiltIn         bool   `json:"built_in,omitempty"` // made by initdb, in pg_catalog
	Strict          bool   `json:"strict,omitempty"`   // null for a null

	Arguments []Column `json:"arguments,omitempty"` // that it takes; names may be empty
}

// DecodeCatalog reads a catalogue from its JSON form, as a server has just
// answered it.
func DecodeCatalog(text []byte) (*Catalog, error) {
	c := &Catalog{sameNames: true, sameRows: true, bodies: new(bodies)}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // people write such files, too
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("decode the catalogue: %w", err)
	}
	for i := range c.Relations {
		c.Relations[i].learn()
	}
	return c, nil
}

// Kept gives the catalogue for use with later statements. Tables may have been
// filled, dropped and made by then, so that it can make a statement look worse
// and never milder.
func (c *Catalog) Kept() *Catalog {
	k := *c
	k.sameNames, k.sameRows = false, false
	return &k
}

// Moved is Kept for statements before which something may have changed what names
// mean. What a kept catalogue is still good for, to prove how many rows a key names,
// is not so here: the name may be that of a table without the key.
func (c *Catalog) Moved() *Catalog {
	k := c.Kept()
	k.moved = true
	return k
}

// found gives what the name means, and false if it was not asked for. A
// catalogue that a person wrote may leave out what was asked: then the name means
// what goes by it here. What stands for a name that is not known means nothing that
// could be told, whether or not something has that name.
func (c *Catalog) found(n Name) (Found, bool) {
	if n.Name == unknownWord || n.Schema == unknownWord {
		return Found{Name: n, Hidden: true}, true
	}
	if c.Found == nil {
		return c.listed(n)
	}
	for i := range c.Found {
		if c.Found[i].Name == n {
			return c.Found[i], true
		}
	}
	return Found{}, false
}

func (c *Catalog) listed(n Name) (Found, bool) {
	t := Table{Schema: n.Schema, Name: n.Name}
	switch n.Kind {
	case NameRelation:
		for i := range c.Relations {
			if r := &c.Relations[i]; r.Name == n.Name && (n.Schema == "" || n.Schema == r.table().Schema || n.Schema == r.Schema) {
				return Found{Name: n, OID: r.OID}, true
			}
		}
	case NameFunction:
		return Found{Name: n}, len(c.functions(t)) > 0
	}
	return Found{}, false
}

// relation gives the relation of that OID, or nil.
func (c *Catalog) relation(oid uint32) *Relation {
	for i := range c.Relations {
		if oid != 0 && c.Relations[i].OID == oid {
			return &c.Relations[i]
		}
	}
	return nil
}

// relationNamed gives the relation that the statement means by a name, or nil.
func (c *Catalog) relationNamed(t Table) *Relation {
	f, _ := c.found(Name{Schema: t.Schema, Name: t.Name, Kind: NameRelation})
	return c.relation(f.OID)
}

// missing says that nothing goes by the name, for certain.
func (c *Catalog) missing(n Name) bool {
	f, asked := c.found(n)
	if !asked || f.Hidden {
		return false
	}
	if n.Kind == NameFunction {
		return len(c.functions(Table{Schema: n.Schema, Name: n.Name})) == 0
	}
	return f.OID == 0
}

// columns gives the columns of a relation as the statement writes it.
func (c *Catalog) columns(t Table) ([]Column, bool) {
	r := c.relationNamed(t)
	if r == nil || len(r.Columns) == 0 {
		return nil, false
	}
	return r.Columns, true
}

// functions lists those that a call by this name may mean. The function of a
// trigger may be among them though search_path does not find it: the doubt
// counts against the call.
func (c *Catalog) functions(name Table) []*Function {
	var all []*Function
	for i := range c.Functions {
		f := &c.Functions[i]
		if f.Name == name.Name && (name.Schema == "" || name.Schema == f.Schema || name.Schema == "pg_temp") {
			all = append(all, f)
		}
	}
	return all
}

// function gives the function of that OID, or nil.
func (c *Catalog) function(oid uint32) *Function {
	for i := range c.Functions {
		if c.Functions[i].OID == oid {
			return &c.Functions[i]
		}
	}
	return nil
}

// empty says that a table and all that is below it held no row when asked.
func (c *Catalog) empty(r *Relation) bool { return c.emptyBelow(r, 0) }

func (c *Catalog) emptyBelow(r *Relation, depth int) bool {
	if r == nil || !r.Empty || !slices.Contains([]string{"r", "p", "m"}, r.Kind) || depth > maxCascadeDepth {
		return false
	}
	for _, oid := range r.Below {
		if !c.emptyBelow(c.relation(oid), depth+1) {
			return false
		}
	}
	return true
}
