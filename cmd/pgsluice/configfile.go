package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/pgsluice/pgsluice/policy"
)

// configFile is what a file says, and where it says it.
type configFile struct {
	name     string
	values   map[string]string // by key, "server.tls.mode"
	places   map[string]policy.Finding
	people   []personConfig
	findings policy.Findings
}

// readConfigFile reads the file strictly: a key that nobody knows, a key given
// twice, a value of the wrong shape is a finding. It goes by the syntax tree
// because each finding has to have its place.
func readConfigFile(name string) (*configFile, policy.Findings) {
	f := &configFile{name: name, values: map[string]string{}, places: map[string]policy.Finding{}}
	text, err := os.ReadFile(name)
	if err != nil {
		return f, policy.Findings{{File: name, Message: "cannot be read: " + errors.Unwrap(err).Error()}}
	}
	tree, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey()) // mapping finds all of them
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) && syntax.Token != nil {
			at := syntax.Token.Position
			return f, policy.Findings{{File: name, Line: at.Line, Column: at.Column, Message: "this is no YAML: " + syntax.Message}}
		}
		return f, policy.Findings{{File: name, Message: "this is no YAML"}}
	}
	for i, document := range tree.Docs {
		switch {
		case document.Body == nil:
		case i > 0:
			f.wrong(document.Body, "a configuration is one YAML document")
		default:
			f.section(document.Body, "")
		}
	}
	return f, f.findings
}

func (f *configFile) at(n ast.Node) policy.Finding {
	t := n.GetToken()
	return policy.Finding{File: f.name, Line: t.Position.Line, Column: t.Position.Column}
}

func (f *configFile) wrong(n ast.Node, format string, a ...any) {
	at := f.at(n)
	at.Message = fmt.Sprintf(format, a...)
	f.findings = append(f.findings, at)
}

// section reads the mapping at prefix ("server.tls").
func (f *configFile) section(n ast.Node, prefix string) {
	f.mapping(n, func(k, v ast.Node, name string) {
		full := strings.TrimPrefix(prefix+"."+name, ".")
		switch {
		case full == "people":
			f.readPeople(v)
		case slices.ContainsFunc(keys, func(k key) bool { return k.name == full && k.list }):
			f.values[full], f.places[full] = strings.Join(f.words(v, full), ","), f.at(v)
		case slices.ContainsFunc(keys, func(k key) bool { return k.name == full }):
			if text, ok := f.scalar(v, full); ok {
				f.values[full], f.places[full] = text, f.at(v)
			}
		case slices.ContainsFunc(keys, func(k key) bool { return strings.HasPrefix(k.name, full+".") }):
			if _, none := v.(*ast.NullNode); !none { // a section with all its lines commented out
				f.section(v, full)
			}
		default:
			f.wrong(k, "unknown key %q; known here: %s", name, strings.Join(f.known(prefix), ", "))
		}
	})
}

// known are the keys that may stand in a section.
func (f *configFile) known(prefix string) []string {
	var names []string
	if prefix == "" {
		names = append(names, "people")
	} else {
		prefix += "."
	}
	for _, k := range keys {
		if rest, ok := strings.CutPrefix(k.name, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// mapping calls each for every key of a mapping.
func (f *configFile) mapping(n ast.Node, each func(k, v ast.Node, name string)) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		f.wrong(n, "expected keys with values")
		return
	}
	first := map[string]int{}
	for _, pair := range pairs {
		name, ok := pair.Key.(*ast.StringNode)
		if !ok {
			f.wrong(pair.Key, "a key has to be a plain word")
			continue
		}
		if line, twice := first[name.Value]; twice {
			f.wrong(name, "%q is given twice; first in line %d", name.Value, line)
			continue
		}
		first[name.Value] = name.GetToken().Position.Line
		each(name, pair.Value, name.Value)
	}
}

// scalar is the text of a value. YAML's types do not matter: each key reads its
// own text. Without a value ("policy:") it is empty.
func (f *configFile) scalar(n ast.Node, what string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.NullNode:
		return "", true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	f.wrong(n, "%s has to be a single value", what)
	return "", false
}

// words is a list of texts, or one text.
func (f *configFile) words(n ast.Node, what string) []string {
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	var all []string
	for _, item := range items {
		text, ok := f.scalar(item, what)
		if ok && text == "" {
			f.wrong(item, "%s has an empty entry", what)
		} else if ok {
			all = append(all, text)
		}
	}
	return all
}

func (f *configFile) readPeople(n ast.Node) {
	if _, none := n.(*ast.NullNode); none {
		return
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		f.wrong(n, "people has to be a list of entries such as {name: bob, groups: [dba], logins: [bob]}")
		return
	}
	for _, item := range list.Values {
		p := personConfig{at: f.at(item)}
		f.mapping(item, func(k, v ast.Node, name string) {
			switch name {
			case "name":
				p.Name, _ = f.scalar(v, name)
				p.at = f.at(v)
			case "groups":
				p.Groups = f.words(v, name)
			case "logins":
				p.Logins = f.words(v, name)
			case "password":
				p.Password = f.secret(v)
			default:
				f.wrong(k, "unknown key %q; known here: groups, logins, name, password", name)
			}
		})
		f.people = append(f.people, p)
	}
}

// secret is a text, or where to find it: {file: PATH} or {env: NAME}.
func (f *configFile) secret(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		text, _ := f.scalar(n, "password")
		return text
	}
	found, given := "", 0
	f.mapping(n, func(k, v ast.Node, name string) {
		given++
		text, ok := f.scalar(v, name)
		switch {
		case !ok:
		case name == "file":
			content, err := os.ReadFile(besideFile(f.name, text))
			if err != nil {
				f.wrong(v, "the password's file cannot be read: %v", errors.Unwrap(err))
			} else if found = strings.TrimRight(string(content), "\r\n"); found == "" {
				f.wrong(v, "the password's file is empty")
			}
		case name == "env":
			if found = os.Getenv(text); found == "" {
				f.wrong(v, "the variable %s is not set", text)
			}
		default:
			f.wrong(k, "unknown key %q; a password is a text, {file: PATH} or {env: NAME}", name)
		}
	})
	if given != 1 {
		f.wrong(n, "a password is a text, {file: PATH} or {env: NAME}")
	}
	return found
}

// tree is the form that viper takes.
func (f *configFile) tree() map[string]any {
	root := map[string]any{}
	for name, text := range f.values {
		at := root
		parts := strings.Split(name, ".")
		for _, part := range parts[:len(parts)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[part] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = text
	}
	return root
}
