package policy

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wanted is what a file in testdata/policy/bad says of its own mistakes: behind
// a line, `# want COLUMN "part of the message"`.
var wanted = regexp.MustCompile(`# want (\d+) ("(?:[^"\\]|\\.)*")`)

func TestEveryMistakeOfAPolicyFileIsFoundAtItsPlace(t *testing.T) {
	files, _ := filepath.Glob("../testdata/policy/bad/*.yaml")
	if len(files) < 10 {
		t.Fatalf("only %d files in testdata/policy/bad", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("bad/"+filepath.Base(file), text, nil)
			var found Findings
			if !errors.As(err, &found) {
				t.Fatalf("the file was accepted, or refused by something else: %v", err)
			}
			for i, line := range strings.Split(string(text), "\n") {
				for _, w := range wanted.FindAllStringSubmatch(line, -1) {
					column, _ := strconv.Atoi(w[1])
					message, err := strconv.Unquote(w[2])
					if err != nil {
						t.Fatal(err)
					}
					at := slices.IndexFunc(found, func(f Finding) bool {
						return f.Line == i+1 && f.Column == column && containsParts(f.Message, message)
					})
					if at < 0 {
						t.Errorf("no finding %d:%d %q", i+1, column, message)
						continue
					}
					found = slices.Delete(found, at, at+1)
				}
			}
			for _, f := range found {
				t.Errorf("not wanted: %v", f)
			}
		})
	}
}

// containsParts says whether the message holds what stands between the
// semicolons of want.
func containsParts(message, want string) bool {
	for _, part := range strings.Split(want, "; ") {
		if !strings.Contains(message, part) {
			return false
		}
	}
	return true
}

// mustParse loads a policy that is right.
func mustParse(t *testing.T, text string, people map[string][]string) *Policy {
	t.Helper()
	p, err := Parse("policy.yaml", []byte(text), people)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refused is what Parse says of a policy that is wrong.
func refused(t *testing.T, text string, people map[string][]string) string {
	t.Helper()
	p, err := Parse("policy.yaml", []byte(text), people)
	if err == nil || p != nil {
		t.Fatalf("accepted:\n%s", text)
	}
	return err.Error()
}

const holdDelete = `version: 1
rules:
  - id: a
    match: {statement: [delete]}
    action: hold
`

func TestAQuorumThatCanNeverBeMetIsRefused(t *testing.T) {
	quorum := func(approve string) string { return holdDelete + "    approve: " + approve + "\n" }
	people := map[string][]string{"dba": {"bob", "carol"}, "owners": {"carol"}, "dbas": {"bob", "carol", "dave"}}
	for _, c := range []struct{ approve, why string }{
		{"[{group: nobody}]", `nobody is in group "nobody"`},
		{"[{group: owner}]", `did you mean "owners"?`},
		{"[{group: dba, count: 3}]", "3 of dba is 3 different people, and there are 2"},
		{"[{group: dba, count: 2}, {group: owners}]", "2 of dba and 1 of owners is 3 different people, and there are 2"},
	} {
		if got := refused(t, quorum(c.approve), people); !strings.Contains(got, c.why) || !strings.HasPrefix(got, "policy.yaml:3:5: ") {
			t.Errorf("%s: got %q, want %q at 3:5", c.approve, got, c.why)
		}
		mustParse(t, quorum(c.approve), nil) // without a configuration nobody can tell
	}
	for _, approve := range []string{
		"[{group: dba, count: 2}]", "[{group: dba}, {group: owners}]", "[{group: dbas, count: 2}, {group: owners}]",
	} {
		mustParse(t, quorum(approve), people)
	}
}

func TestADefaultQuorumThatCanNeverBeMetIsRefused(t *testing.T) {
	alone := map[string][]string{"leads": {"carol"}}
	if got := refused(t, holdDelete, alone); !strings.Contains(got, `nobody is in group "dba"`) {
		t.Errorf("a rule without approve needs the group dba: %s", got)
	}
	// unparsed and unknown hold too, so a policy of nothing but blocks needs people as well.
	if got := refused(t, strings.Replace(holdDelete, "action: hold", "action: block", 1), alone); !strings.Contains(got, "dba") {
		t.Errorf("the defaults hold as well: %s", got)
	}
	mustParse(t, holdDelete+"defaults: {approve: [{group: leads}]}\n", alone)
	if _, err := Load("", map[string][]string{}); err == nil {
		t.Error("the built-in policy without any people was accepted")
	}
	if _, err := Load("", map[string][]string{"dba": {"bob"}}); err != nil {
		t.Errorf("the built-in policy with one dba: %v", err)
	}
}

func TestAMemberWhomNobodyElseCanApproveIsACaution(t *testing.T) {
	p := mustParse(t, holdDelete, map[string][]string{"dba": {"bob"}})
	if c := p.Cautions(); len(c) != 1 || !strings.Contains(c[0].Message, "nobody can approve what bob asks for") {
		t.Errorf("cautions %v", c)
	}
	if c := mustParse(t, holdDelete, map[string][]string{"dba": {"bob", "carol"}}).Cautions(); len(c) != 0 {
		t.Errorf("bob and carol approve each other: %v", c)
	}
}

func TestAPolicyGroupAddsToTheConfigurationsGroups(t *testing.T) {
	p := mustParse(t, holdDelete+"    approve: [{group: dba, count: 2}]\ngroups: {dba: [dave], leads: [carol]}\n",
		map[string][]string{"dba": {"bob", "dave"}})
	if got := p.Groups(); !slices.Equal(got["dba"], []string{"dave", "bob"}) || !slices.Equal(got["leads"], []string{"carol"}) {
		t.Errorf("groups %v", got)
	}
}

func TestAFolderIsReadInTheOrderOfNames(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rule := func(id string) string {
		return "rules:\n  - id: " + id + "\n    match: {statement: [delete]}\n    action: hold\n"
	}
	write("20-b.yaml", "version: 1\n"+rule("b"))
	write("10-a.yaml", "version: 1\ninclude: standard\n"+rule("a"))
	write("notes.txt", "no policy")
	p, err := Load(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := p.Rules()
	if rules[0].ID != "a" || rules[1].ID != "b" || rules[2].File != StandardName || len(rules) != 2+len(Standard().Rules()) {
		t.Errorf("the built-in rules must stand behind those of all files: %s, %s, %s", rules[0].ID, rules[1].ID, rules[2].ID)
	}
	if p.Name() != dir {
		t.Errorf("name %q", p.Name())
	}

	write("30-c.yaml", "version: 1\n"+rule("a"))
	write("40-d.yaml", "version: 1\ndefaults: {unknown: block}\n")
	write("50-e.yaml", "version: 1\ndefaults: {unknown: hold}\n"+rule("no-where"))
	_, err = Load(dir, nil)
	var found Findings
	if !errors.As(err, &found) || len(found) != 3 {
		t.Fatalf("found %v", err)
	}
	for i, want := range []string{
		"30-c.yaml:3:5: rule id \"a\" is taken by " + filepath.Join(dir, "10-a.yaml") + ":4",
		"50-e.yaml:2:21: defaults.unknown is hold here and block in " + filepath.Join(dir, "40-d.yaml"),
		"standard:", // its no-where is taken by the file's
	} {
		if !strings.Contains(found[i].Error(), want) {
			t.Errorf("finding %d is %v, want %s", i, found[i], want)
		}
	}
}

func TestWhatIsNoPolicyFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                               "the folder holds no policy file",
		filepath.Join(dir, "absent.yaml"): "there is no such file or folder",
		os.DevNull:                        "this is no file",
	} {
		_, err := Load(path, nil)
		var found Findings
		if !errors.As(err, &found) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte(holdDelete+"# "+strings.Repeat("x", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large, nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a file larger than any policy: %v", err)
	}
}

func TestTheHashFollowsTheMeaningAndNotTheLayout(t *testing.T) {
	base := mustParse(t, holdDelete, nil).Hash()
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(base) {
		t.Errorf("hash %q", base)
	}
	same := "# a comment\nrules:\n- {action: hold, id: a, match: {statement: delete}, final: false, undo: off}\nversion: 1\n"
	if got := mustParse(t, same, nil).Hash(); got != base {
		t.Error("comments, the order of keys and what is said anyway changed the hash")
	}
	for _, other := range []string{
		strings.Replace(holdDelete, "delete", "update", 1),
		strings.Replace(holdDelete, "hold", "ticket", 1),
		strings.Replace(holdDelete, "id: a", "id: b", 1),
		holdDelete + "    approve: [{group: leads}]\n",
		holdDelete + "    scope: session\n",
		holdDelete + "    hint: x\n",
		holdDelete + "defaults: {unknown: block}\n",
		holdDelete + "defaults: {approve: [{group: leads}]}\n",
		holdDelete + "groups: {dba: [eve]}\n",
		strings.Replace(holdDelete, "[delete]", "[delete], table: [a]", 1),
		strings.Replace(holdDelete, "[delete]", "[delete], table: ['a, b']", 1),
		strings.Replace(holdDelete, "[delete]", "[delete], table: [a, b]", 1),
	} {
		if mustParse(t, other, nil).Hash() == base {
			t.Errorf("the same hash for another policy:\n%s", other)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("../testdata/policy/bad/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(standardText)
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("f", text, map[string][]string{"dba": {"bob"}})
		var found Findings
		switch {
		case err == nil && p == nil, err != nil && p != nil:
			t.Fatal("neither a policy nor an error, or both")
		case err != nil && (!errors.As(err, &found) || len(found) == 0):
			t.Fatalf("no findings: %v", err)
		case err == nil:
			p.Decide(&Session{}, &Facts{})
		}
	})
}
