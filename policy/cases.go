package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// CaseResult is what became of one expectation of a policy case, or of a case
// that cannot be read.
type CaseResult struct {
	File      string
	Line      int
	Statement string // shortened; empty where there is none
	Want, Got string // "allow", "hold no-where"
	Why       string // the reason of the decision, or what is wrong with the case
	Passed    bool
}

// CaseFiles lists the policy cases at the paths: a file as it is, of a folder
// all *.txtar and *_test.sql in it and below it.
func CaseFiles(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("find policy cases: %s: there is no such file or folder", path)
		}
		if !info.IsDir() {
			all = append(all, path)
			continue
		}
		found := 0
		err = filepath.WalkDir(path, func(file string, _ fs.DirEntry, err error) error {
			if err == nil && (strings.HasSuffix(file, ".txtar") || strings.HasSuffix(file, "_test.sql")) {
				all = append(all, file)
				found++
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("find policy cases: %w", err)
		}
		if found == 0 {
			return nil, fmt.Errorf("find policy cases: %s holds no *.txtar and no *_test.sql", path)
		}
	}
	return all, nil
}

// caseTime is when cases happen, unless they say otherwise: noon on a Wednesday,
// in UTC.
var caseTime = time.Date(2026, time.January, 7, 12, 0, 0, 0, time.UTC)

// RunCases runs the policy cases of one file. With a nil policy the file's own
// policy.yaml counts, or else the policy files beside it, or else the built-in
// policy.
//
// A file whose name ends in .txtar holds sections that begin with a line such as
// `-- alice.sql --`; each is a session of that user. Any other file is one
// session. Each statement ends in a comment with its verdict:
//
//	DELETE FROM accounts;               -- hold no-where
//	DELETE FROM accounts WHERE id = 7;  -- allow
//
// Before its first statement a section can describe the session:
//
//	-- session: application=psql database=shop transaction=open
//
// A section catalog.json is what the server's catalogue says (see Catalog); it is
// taken to be asked before each statement of the file. Without one the statements
// are judged by their text.
func RunCases(file string, reader *Reader, policy *Policy) ([]CaseResult, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("read policy cases: %s: %w", file, err)
	}
	sections := []section{{name: strings.TrimSuffix(filepath.Base(file), "_test.sql") + ".sql", text: string(text), line: 1}}
	if strings.HasSuffix(file, ".txtar") {
		sections = split(string(text))
	}
	policy, err = policyOf(file, sections, policy)
	if err != nil {
		return nil, err
	}
	catalog, err := catalogOf(file, sections)
	if err != nil {
		return nil, err
	}
	var all []CaseResult
	for _, s := range sections {
		switch {
		case s.name == "policy.yaml", s.name == "catalog.json":
		case strings.HasSuffix(s.name, ".sql"):
			all = append(all, s.run(file, reader, policy, catalog)...)
		default:
			all = append(all, CaseResult{File: file, Line: s.line - 1,
				Why: fmt.Sprintf("section %q is neither policy.yaml nor catalog.json nor user.sql", s.name)})
		}
	}
	if len(all) == 0 {
		all = append(all, CaseResult{File: file, Line: 1, Why: "the file holds no statement"})
	}
	return all, nil
}

// policyOf finds the policy that the cases of a file are about.
func policyOf(file string, sections []section, given *Policy) (*Policy, error) {
	for _, s := range sections {
		if s.name == "policy.yaml" {
			// As many lines before it as in the file, so that findings show the place.
			return Parse(file, []byte(strings.Repeat("\n", s.line-1)+s.text), nil)
		}
	}
	if given != nil {
		return given, nil
	}
	dir := filepath.Dir(file)
	if beside, err := filepath.Glob(filepath.Join(globEscape(dir), "*.yaml")); err == nil && len(beside) > 0 {
		return Load(dir, nil)
	}
	return Standard(), nil
}

// catalogOf finds the catalogue that the cases of a file state, or nil.
func catalogOf(file string, sections []section) (*Catalog, error) {
	for _, s := range sections {
		if s.name == "catalog.json" {
			c, err := DecodeCatalog([]byte(s.text))
			if err != nil {
				return nil, fmt.Errorf("read policy cases: %s: %w", file, err)
			}
			return c, nil
		}
	}
	return nil, nil
}

// section is a part of a txtar file.
type section struct {
	name string
	text string
	line int // of the first line of the text
}

var marker = regexp.MustCompile(`^-- (\S+) --\s*$`)

// split cuts a txtar archive at its markers. What stands before the first one is
// a comment.
func split(text string) []section {
	var all []section
	for i, line := range strings.SplitAfter(text, "\n") {
		if m := marker.FindStringSubmatch(line); m != nil {
			all = append(all, section{name: m[1], line: i + 2})
		} else if len(all) > 0 {
			all[len(all)-1].text += line
		}
	}
	return all
}

// expectation is the comment behind a statement. What follows in parentheses is
// for people.
var expectation = regexp.MustCompile(`^(allow|warn|hold|ticket|block)(?:\s+([a-z0-9-]+))?(?:\s+\(.*\))?$`)

// run plays the section as one session.
func (s section) run(file string, reader *Reader, policy *Policy, catalog *Catalog) []CaseResult {
	replay := &Replay{
		Policy: policy, Reader: reader, Catalog: catalog,
		Lexing: Lexing{Encoding: "UTF8", StandardConformingStrings: true, Known: true},
		Session: Session{
			User: strings.TrimSuffix(s.name, ".sql"), Database: "postgres",
			Address: netip.MustParseAddr("127.0.0.1"), Now: caseTime,
		},
	}
	var all []CaseResult
	fail := func(line int, statement, format string, args ...any) {
		all = append(all, CaseResult{File: file, Line: line, Statement: statement, Why: fmt.Sprintf(format, args...)})
	}
	for i, line := range strings.Split(s.text, "\n") {
		line = strings.TrimSpace(line)
		settings, is := strings.CutPrefix(line, "-- session:")
		if line != "" && !strings.HasPrefix(line, "--") {
			break
		}
		if is {
			if err := replay.describe(settings); err != nil {
				fail(s.line+i, line, "%v", err)
			}
		}
	}
	script := NewScript(s.text)
	for part, more := script.Next(); more; part, more = script.Next() {
		at := s.line + part.LastLine - 1
		if part.Meta {
			fail(at, part.Text, "a policy case holds statements only, no meta-commands of psql")
			continue
		}
		outcomes := replay.Next(part.Text)
		want := expectation.FindStringSubmatch(part.Comment)
		switch {
		case want == nil:
			fail(at, oneLine(part.Text), "the statement does not end in its verdict: -- allow, or -- hold RULE, block, ticket or warn")
			continue
		case want[1] != "allow" && want[2] == "":
			fail(at, oneLine(part.Text), "the verdict %s needs the id of a rule behind it", want[1])
			continue
		case len(outcomes) == 0:
			fail(at, oneLine(part.Text), "there is no statement in this text")
			continue
		}
		result := CaseResult{File: file, Line: at, Statement: oneLine(part.Text), Want: want[1]}
		d := strictest(outcomes)
		result.Got, result.Why = d.Verdict.String(), d.Reason
		if d.Verdict != Allow || want[2] != "" {
			result.Got += " " + d.ID()
		}
		if want[2] != "" {
			result.Want += " " + want[2]
		}
		result.Passed = result.Want == result.Got
		all = append(all, result)
		if outcomes[len(outcomes)-1].Facts.CopyIn && strings.Contains(script.rest(), "\n\\.") {
			script.SkipCopyData()
		}
	}
	return all
}

func strictest(outcomes []Outcome) Decision {
	return slices.MinFunc(outcomes, func(a, b Outcome) int { return int(a.Decision.Verdict) - int(b.Decision.Verdict) }).Decision
}

// oneLine is the statement for a report.
func oneLine(text string) string {
	return shorten(strings.Join(strings.Fields(text), " "))
}

// describe sets what a session header says.
func (r *Replay) describe(header string) error {
	fields, err := headerFields(header)
	if err != nil {
		return err
	}
	for _, f := range fields {
		key, value := f[0], f[1]
		s := &r.Session
		switch key {
		case "user":
			s.User = value
		case "role":
			s.Role = value
		case "database":
			s.Database = value
		case "application":
			s.Application = value
		case "address":
			if s.Address, err = netip.ParseAddr(value); err != nil {
				return fmt.Errorf("session: address %q is none", value)
			}
		case "transaction":
			if value != "open" && value != "none" {
				return fmt.Errorf("session: transaction must be open or none, not %q", value)
			}
			s.InTransaction = value == "open"
		case "restore":
			s.Restore = value == "true"
		case "time":
			if s.Now, err = time.Parse(time.RFC3339, value); err != nil {
				return fmt.Errorf("session: time %q is not like 2026-01-10T23:00:00Z", value)
			}
		case "encoding":
			r.Lexing.Encoding = value
		case "standard_conforming_strings":
			r.Lexing.StandardConformingStrings = value == "on"
		default:
			return fmt.Errorf("session: unknown key %q%s", key, didYouMeanOr(key, []string{"user", "role", "database",
				"application", "address", "transaction", "restore", "time", "encoding", "standard_conforming_strings"}))
		}
	}
	return nil
}

var headerField = regexp.MustCompile(`^\s*([a-z_]+)=(?:"([^"]*)"|(\S+))`)

// headerFields reads key=value and key="value with blanks".
func headerFields(header string) ([][2]string, error) {
	var all [][2]string
	for strings.TrimSpace(header) != "" {
		m := headerField.FindStringSubmatch(header)
		if m == nil {
			return nil, errors.New(`session: write key=value, or key="value with blanks"`)
		}
		all = append(all, [2]string{m[1], m[2] + m[3]})
		header = header[len(m[0]):]
	}
	return all, nil
}
