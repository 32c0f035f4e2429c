package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// harmlessMeta are the meta-commands of psql that neither send a statement of
// their own that could write nor read another script. What \d and its kind send
// only reads.
var harmlessMeta = []string{
	"a", "bind", "C", "cd", "close", "conninfo", "copyright", "crosstabview", "d", "e", "echo", "edit", "ef",
	"elif", "else", "encoding", "endif", "errverbose", "ev", "f", "g", "gdesc", "getenv", "gset", "gx", "h", "H",
	"help", "if", "l", "o", "out", "p", "parse", "password", "pset", "q", "qecho", "quit", "r", "reset", "restrict",
	"s", "set", "setenv", "sf", "sv", "t", "T", "timing", "unrestrict", "unset", "w", "warn", "watch", "write", "x", "z", "?",
}

var metaName = regexp.MustCompile(`^\\([A-Za-z?!_]+)[+S]*`)

// copyTarget finds what \copy copies from or to: the last FROM or TO of the line.
var copyTarget = regexp.MustCompile(`(?is)^(.*\S)\s+(from|to)\s+(?:program\s+)?(?:'(?:[^']|'')*'|\S+)(.*)$`)

// metaCommand says which statement a meta-command sends, if that can be told,
// and what a reader must know about it. \copy sends COPY ... FROM STDIN or TO
// STDOUT, and its query can be a DELETE ... RETURNING.
func metaCommand(text string) (statement, notice string) {
	m := metaName.FindStringSubmatch(text)
	if m == nil {
		return "", "this meta-command is not known and not judged"
	}
	name := m[1]
	switch {
	case name == "copy":
		if c := copyTarget.FindStringSubmatch(strings.TrimPrefix(text, `\copy`)); c != nil {
			end := "STDOUT"
			if strings.EqualFold(c[2], "from") {
				end = "STDIN"
			}
			return fmt.Sprintf("COPY%s %s %s%s", c[1], c[2], end, strings.TrimRight(c[3], "; ")), ""
		}
		return "", `\copy that cannot be read is not judged`
	case name == "i" || name == "ir" || name == "include" || strings.HasPrefix(name, "include_"):
		return "", `\` + name + " reads another script, which is not judged here; lint it as well"
	case name == "gexec":
		return "", `\gexec runs what the query returns, which is not judged`
	case name == "c" || name == "connect":
		return "", `\` + name + " goes to another database or as another user; the rest is judged as if it did not"
	case name == "!":
		return "", `\! runs a command of the shell, which is not judged`
	case strings.HasPrefix(name, "lo_"):
		return "", `\` + name + " changes large objects, which is not judged"
	case slices.Contains(harmlessMeta, name) || strings.HasPrefix(name, "d"):
		return "", "" // \d and its kind only read
	}
	return "", `\` + name + " is not known and not judged"
}
