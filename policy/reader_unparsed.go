package policy

import "strings"

// A newer server knows syntax that the grammar here does not, and people mistype.
// Neither should lock anybody out: text without a word that could write is let
// pass as a read, and the server says what it thinks of it.
//
// That is safe where the server reads the words as they are read here (see
// Lexing), and where every statement that changes something begins with a verb or
// calls a function: the verbs of PostgreSQL up to 19 are below.

// writingWords begin a statement, or stand in one, that may change something.
const writingWords = `abort alter analyze analyse attach begin call checkpoint
	cluster comment commit copy create deallocate declare delete detach discard do
	drop end execute export fetch grant import insert into listen load lock merge
	move notify prepare reassign refresh reindex release repack reset revoke
	rollback savepoint security set share start truncate unlisten update vacuum
	wait close for`

// wordsBeforeBracket may stand before an opening bracket without calling
// anything. Names of types and of functions that the grammar itself knows are
// among them.
const wordsBeforeBracket = `all and any array as asc between by case cast char
	character coalesce columns cube current_time current_timestamp dec decimal
	desc distinct else end except exclude exists extract filter float from
	greatest group grouping having in inner intersect interval is isnull join
	json_array json_arrayagg json_exists json_object json_objectagg json_query
	json_scalar json_serialize json_table json_value lateral least left like
	limit localtime localtimestamp materialized merge_action national nchar
	natural not notnull nullif numeric of offset on operator or order outer over
	overlay partition position precision range recursive right rollup row rows
	select sets similar some substring tablesample then time timestamp treat trim
	union using values varchar varying when where window with within xmlagg
	xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlparse xmlpi xmlroot
	xmlserialize xmltable path graph_table match ordinality unnest`

func wordSet(list string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

var (
	writing       = wordSet(writingWords)
	beforeBracket = wordSet(wordsBeforeBracket)
)

// couldWrite says whether text that does not parse has a word in it that could
// change something, or calls a function that is not known to be harmless.
func couldWrite(text string) bool {
	s := scanner{text: text}
	var name []token // the qualified name that ends in the token before
	for dot := false; ; {
		t := s.next()
		switch {
		case t.kind == tokenEnd:
			return s.unterminated && couldWriteAnywhere(text)
		case t.kind == tokenWord || t.kind == tokenQuoted:
			if !dot {
				name = name[:0]
				if t.kind == tokenWord && writing[t.word()] {
					return true
				}
			}
			name = append(name, t)
		case t.text == "(" && len(name) > 0 && couldCall(name):
			return true
		case t.kind == tokenOperator && t.text != "::" && t.text != "!=" && t.text != "=>" && !operators[t.text]:
			return true
		case t.text != ".":
			name = name[:0]
		}
		dot = t.text == "."
	}
}

// couldWriteAnywhere is couldWrite for text that ends within a string or a
// comment: the words in there may not be what they seem.
func couldWriteAnywhere(text string) bool {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
	for _, w := range words {
		if writing[w] {
			return true
		}
	}
	return strings.Contains(text, "(")
}

// couldCall says whether a name that stands before a bracket may be a function
// that is not known to be harmless.
func couldCall(name []token) bool {
	if len(name) == 1 && name[0].kind == tokenWord && beforeBracket[name[0].word()] {
		return false
	}
	parts := make([]string, len(name))
	for i, t := range name {
		parts[i] = t.word()
		if t.kind == tokenQuoted {
			parts[i] = strings.ReplaceAll(strings.Trim(t.text, `"`), `""`, `"`)
		}
	}
	kind := kindOf(named(parts))
	return kind != functionSteady && kind != functionHarmless
}
