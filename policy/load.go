package policy

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml/ast"
)

//go:embed standard.yaml
var standardText []byte

// StandardName is the name of the built-in policy.
const StandardName = "standard"

// Standard returns the built-in policy "standard".
var Standard = sync.OnceValue(func() *Policy {
	p, err := Parse(StandardName, standardText, nil)
	if err != nil { // the tests read the same text
		panic("policy: the built-in policy does not load: " + err.Error())
	}
	return p
})

// maxFile bounds a policy file. A thousand rules fit into a tenth of it.
const maxFile = 1 << 20

// Load reads a policy file, or the *.yaml files of a folder in the order of
// their names; the empty path means the built-in policy. The people are the
// names in each group of the configuration; with nil, when there is no
// configuration, it is not checked whether a quorum can be met. The error is
// Findings.
func Load(path string, people map[string][]string) (*Policy, error) {
	if path == "" {
		return build(StandardName, []source{{file: StandardName, text: standardText}}, people)
	}
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files, err = filepath.Glob(filepath.Join(globEscape(path), "*.yaml"))
		if err != nil || len(files) == 0 {
			return nil, Findings{{File: path, Message: "the folder holds no policy file (*.yaml)"}}
		}
		slices.Sort(files)
	}
	var sources []source
	var findings Findings
	for _, f := range files {
		text, err := readFile(f)
		if err != nil {
			findings = append(findings, Finding{File: f, Message: err.Error()})
			continue
		}
		sources = append(sources, source{file: f, text: text})
	}
	if len(findings) > 0 {
		return nil, findings
	}
	return build(path, sources, people)
}

// readFile reads a policy file of a reasonable size.
func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.New("there is no such file or folder")
	case err != nil:
		return nil, fmt.Errorf("the file cannot be read: %w", errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return nil, errors.New("this is no file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", errors.Unwrap(err))
	}
	return text, nil
}

// globEscape keeps the letters of a folder's name from being read as a pattern.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Parse reads one policy file from memory; see Load.
func Parse(file string, text []byte, people map[string][]string) (*Policy, error) {
	return build(file, []source{{file: file, text: text}}, people)
}

// source is one policy file.
type source struct {
	file string
	text []byte
}

// fileContent is what one policy file says.
type fileContent struct {
	include  bool // the built-in rules too
	defaults map[string]Verdict
	measure  ast.Node // where `unknown: measure` stands, or nil
	approve  []Need   // defaults.approve
	groups   map[string][]string
	rules    []*Rule
	// places of what another file could say differently
	defaultsAt, approveAt, groupsAt map[string]ast.Node
}

// build makes a policy of the files. The rules stand in the order of the files;
// those of an included "standard" behind all of them, once, however many files
// include it, so that a final rule in any file comes before them.
func build(name string, sources []source, people map[string][]string) (*Policy, error) {
	p := &Policy{name: name, groups: make(map[string][]string)}
	var findings Findings
	verdicts := make(map[string]Verdict)
	verdictsFrom := make(map[string]string)
	var measure *Finding // where `unknown: measure` stands
	approve, approveFrom := []Need(nil), ""
	approveFile, approveLine, approveColumn := sources[0].file, 1, 1
	ids := make(map[string]*Rule)
	include := false

	read := func(s source, rulesOnly bool) {
		d := &document{file: s.file}
		c := d.policy(s.text)
		if !rulesOnly {
			include = include || c.include
			for _, key := range sortedKeys(c.defaults) {
				v := c.defaults[key]
				other, said := verdicts[key]
				switch measures, measured := c.measure != nil && key == "unknown", measure != nil && key == "unknown"; {
				case said && (other != v || measures != measured):
					d.at(c.defaultsAt[key], "defaults.%s is %s here and %s in %s", key, defaultWord(v, measures), defaultWord(other, measured), verdictsFrom[key])
				case measures:
					pos := start(c.measure).Position
					measure = &Finding{File: s.file, Line: pos.Line, Column: pos.Column}
				}
				verdicts[key], verdictsFrom[key] = v, s.file
			}
			if c.approve != nil {
				at := c.approveAt["approve"]
				if approve != nil && !slices.Equal(approve, c.approve) {
					d.at(at, "defaults.approve is something else in %s", approveFrom)
				}
				approve, approveFrom = c.approve, s.file
				pos := start(at).Position
				approveFile, approveLine, approveColumn = s.file, pos.Line, pos.Column
			}
			for _, g := range sortedKeys(c.groups) {
				if _, said := p.groups[g]; said {
					d.at(c.groupsAt[g], "group %q is in another file already", g)
				}
				p.groups[g] = c.groups[g]
			}
		}
		for _, r := range c.rules {
			if first, twice := ids[r.ID]; twice {
				d.findings = append(d.findings, Finding{File: r.File, Line: r.Line, Column: r.column,
					Message: fmt.Sprintf("rule id %q is taken by %s:%d", r.ID, first.File, first.Line)})
				continue
			}
			ids[r.ID] = r
			p.rules = append(p.rules, r)
		}
		findings = append(findings, d.findings.sorted()...)
	}
	for _, s := range sources {
		read(s, false)
	}
	if include {
		read(source{file: StandardName, text: standardText}, true)
	}
	for g, names := range people {
		for _, n := range names {
			if !slices.Contains(p.groups[g], n) {
				p.groups[g] = append(p.groups[g], n)
			}
		}
	}
	if approve == nil {
		approve = []Need{{Group: "dba", Count: 1}}
	}
	p.defaults = newDefaults(verdicts, approve, approveFile, approveLine)
	if p.defaults.measure = measure != nil; p.defaults.measure && !slices.ContainsFunc(p.rules, (*Rule).measures) {
		measure.Message = "defaults.unknown: measure needs a rule with rows, share or a budget of rows, by which what was measured is judged"
		findings = append(findings, *measure)
	}
	inherited := false
	for _, r := range p.rules {
		if r.waits() && r.Approve == nil {
			r.Approve = approve
			inherited = true
		}
	}
	if people != nil && len(findings) == 0 {
		quorums := p.ownQuorums()
		if inherited || p.defaults.wait() {
			quorums = append(quorums, quorum{what: "a rule without approve", needs: approve,
				file: approveFile, line: approveLine, column: approveColumn})
		}
		findings, p.cautions = checkQuorums(quorums, p.groups)
	}
	if len(findings) > 0 {
		return nil, findings
	}
	p.seal()
	return p, nil
}

// defaultWord is what a default says in its file.
func defaultWord(v Verdict, measures bool) string {
	if measures {
		return "measure"
	}
	return v.String()
}

// newDefaults makes rules of the defaults, so that whoever handles a decision
// need not tell them from rules.
func newDefaults(verdicts map[string]Verdict, approve []Need, file string, line int) defaults {
	rule := func(id string, otherwise Verdict, title, hint string) *Rule {
		v, said := verdicts[id]
		if !said {
			v = otherwise
		}
		r := &Rule{ID: id, Title: title, Hint: hint, Action: v, Scope: ScopeStatement, File: file, Line: line, order: 1 << 30}
		if v == Hold || v == Ticket {
			r.Approve = approve
		}
		return r
	}
	return defaults{
		approve: approve,
		allowed: rule("allowed", Allow, "A statement that no rule allows",
			"Nothing runs here that the policy does not name."),
		unparsed: rule("unparsed", Hold, "A statement that cannot be read as the server would read it",
			"Send one statement at a time, in UTF-8, with standard_conforming_strings on."),
		unknown: rule("unknown", Hold, "A statement whose effect is not known",
			"Prepare the statement again on this connection, or send it as plain SQL."),
	}
}

// wait says whether a default waits for people.
func (d defaults) wait() bool {
	return d.allowed.Approve != nil || d.unparsed.Approve != nil || d.unknown.Approve != nil
}
