package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	yamltoken "github.com/goccy/go-yaml/token"
)

// document reads the nodes of one policy file and notes what is wrong with
// them, each with its place. A method that finds something wrong returns the
// zero value, and reading goes on, so that all mistakes are told at once.
type document struct {
	file     string
	findings Findings
}

// at notes a finding at the place of the node.
func (d *document) at(n ast.Node, format string, args ...any) {
	d.atToken(start(n), format, args...)
}

// start is where a node begins. The parser's own token of a mapping is the colon
// of its first key.
func start(n ast.Node) *yamltoken.Token {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return m.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return m.Key.GetToken()
	}
	return n.GetToken()
}

func (d *document) atToken(t *yamltoken.Token, format string, args ...any) {
	f := Finding{File: d.file, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
	}
	d.findings = append(d.findings, f)
}

// parse returns the body of the one document in the text, or nil.
func (d *document) parse(text []byte) (body ast.Node) {
	// The parser works on files that people write by hand; a file that makes
	// it panic is a finding and not the end of a proxy that is reloading.
	defer func() {
		if r := recover(); r != nil {
			d.findings = append(d.findings, Finding{File: d.file, Line: 1, Column: 1, Message: "this is no YAML that can be read"})
			body = nil
		}
	}()
	f, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey()) // duplicates are found by mapping, all of them
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			d.atToken(syntax.Token, "this is no YAML: %s", syntax.Message)
		} else {
			d.atToken(nil, "this is no YAML: %v", err)
		}
		return nil
	}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			d.at(doc.Body, "a policy file is one YAML document, and here begins another")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		d.atToken(nil, "the file is empty; a policy file begins with \"version: 1\"")
	}
	return body
}

// entry is one key of a mapping with its value.
type entry struct {
	key  string
	node ast.Node // of the key
	val  ast.Node
}

// mapping reads a mapping that may have these keys and no others, each once.
func (d *document) mapping(n ast.Node, what string, keys []string) []entry {
	return d.pairs(n, what, func(e entry) bool {
		if slices.Contains(keys, e.key) {
			return true
		}
		d.at(e.node, "unknown key %q in %s%s", e.key, what, didYouMeanOr(e.key, keys))
		return false
	})
}

// pairs reads a mapping of any keys, each once, of which keep may refuse some.
func (d *document) pairs(n ast.Node, what string, keep func(entry) bool) []entry {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		d.at(n, "%s must be a mapping of keys to values, not %s", what, nodeKind(n))
		return nil
	}
	var all []entry
	seen := make(map[string]ast.Node)
	for _, v := range values {
		key, ok := d.key(v.Key)
		if !ok {
			continue
		}
		e := entry{key: key, node: v.Key, val: v.Value}
		if first, twice := seen[key]; twice {
			d.at(v.Key, "key %q stands twice in %s; the first is in line %d", key, what, first.GetToken().Position.Line)
			continue
		}
		seen[key] = v.Key
		if keep(e) {
			all = append(all, e)
		}
	}
	return all
}

// didYouMeanOr names the nearest key, or else all of them.
func didYouMeanOr(written string, keys []string) string {
	if s := didYouMean(written, keys); s != "" {
		return s
	}
	return "; it can have " + oneOf(keys)
}

func (d *document) key(n ast.MapKeyNode) (string, bool) {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value, true
	}
	d.at(n, "a key must be a plain word, not %s", nodeKind(n))
	return "", false
}

// items reads a list.
func (d *document) items(n ast.Node, what string) ([]ast.Node, bool) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.at(n, "%s must be a list, not %s", what, nodeKind(n))
		return nil, false
	}
	return s.Values, true
}

// text reads a string that is not empty.
func (d *document) text(n ast.Node, what string) (string, bool) {
	var s string
	switch v := n.(type) {
	case *ast.StringNode:
		s = v.Value
	case *ast.LiteralNode:
		s = v.Value.Value
	default:
		d.at(n, "%s must be text, not %s%s", what, nodeKind(n), quoteHint(n))
		return "", false
	}
	s = strings.TrimSpace(s)
	if s == "" {
		d.at(n, "%s is empty", what)
		return "", false
	}
	return s, true
}

// quoteHint helps where YAML took text for something else.
func quoteHint(n ast.Node) string {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return "; put it in quotes"
	}
	return ""
}

// texts reads a list of texts, or a single one. Each is given to check, which
// says what is wrong with it, or "". An empty list is a finding.
func (d *document) texts(n ast.Node, what string, check func(string) string) ([]string, bool) {
	nodes := []ast.Node{n}
	if s, ok := n.(*ast.SequenceNode); ok {
		nodes = s.Values
		if len(nodes) == 0 {
			d.at(n, "%s is an empty list, which nothing can meet", what)
			return nil, false
		}
	}
	var all []string
	ok := true
	for _, n := range nodes {
		s, is := d.text(n, what)
		if !is {
			ok = false
			continue
		}
		if wrong := check(s); wrong != "" {
			d.at(n, "%s: %s", what, wrong)
			ok = false
			continue
		}
		if slices.Contains(all, s) {
			d.at(n, "%s names %q twice", what, s)
			ok = false
			continue
		}
		all = append(all, s)
	}
	return all, ok
}

// word reads one of the words.
func (d *document) word(n ast.Node, what string, words []string) (string, bool) {
	s, ok := d.text(n, what)
	if !ok {
		return "", false
	}
	if !slices.Contains(words, s) {
		d.at(n, "%s must be %s, not %q%s", what, oneOf(words), s, didYouMean(s, words))
		return "", false
	}
	return s, true
}

func (d *document) boolean(n ast.Node, what string) (value, ok bool) {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		d.at(n, "%s must be true or false, not %s", what, nodeKind(n))
		return false, false
	}
	return b.Value, true
}

// number reads a whole number from 1.
func (d *document) number(n ast.Node, what string) (int, bool) {
	if _, is := n.(*ast.IntegerNode); is {
		if i, err := strconv.Atoi(n.GetToken().Value); err == nil && i >= 1 && i <= 1000 {
			return i, true
		}
	}
	d.at(n, "%s must be a whole number from 1 to 1000, not %s", what, nodeKind(n))
	return 0, false
}

// nodeKind names what a node is, for people.
func nodeKind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "the text " + strconv.Quote(shorten(n.GetToken().Value))
	case *ast.IntegerNode, *ast.FloatNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return n.GetToken().Value
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or an alias; write it out"
	case *ast.TagNode:
		return "a tagged value; leave the tag out"
	}
	return "something else"
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return s
}
