package proxy

import (
	"strings"
	"testing"
)

// queueOf sends messages given by their types; 'c' is CopyDone.
func queueOf(types string) *owedQueue {
	q := &owedQueue{}
	for _, t := range []byte(types) {
		q.sentOne(owed{sent: t, for_: forward})
	}
	return q
}

func (q *owedQueue) String() string {
	var b strings.Builder
	for _, o := range q.entries[q.head:] {
		b.WriteByte(o.sent)
	}
	if q.skipping {
		b.WriteByte('~')
	}
	if q.copyIn {
		b.WriteByte('!')
	}
	return b.String()
}

// TestAnswersOwed checks the queue against what PostgreSQL 15 and 18 were seen to
// answer: what was sent, what the server says, and what is owed then (~ skips to
// Sync, ! reads COPY data).
func TestAnswersOwed(t *testing.T) {
	for _, c := range []struct{ claim, sent, says, owes string }{
		{"each message of a pipeline is answered in turn", "PBDES", "12TC", "S"},
		{"ReadyForQuery ends the segment", "PBDES", "12nCZ", ""},
		{"rows belong to the Execute", "PBES", "12DDD", "ES"},
		{"a suspended portal ends its Execute", "BEES", "2Ds", "ES"},
		{"an empty statement ends its Execute", "PBES", "12I", "S"},
		{"Describe of a statement ends with its rows or NoData", "PDS", "1tn", "S"},
		{"a simple Query is owed until ReadyForQuery", "Q", "TDDCTDC", "Q"},
		{"an error in the extended protocol discards up to Sync", "PBEPBES", "E", "S"},
		{"an error discards a Query before Sync: it has no ReadyForQuery of its own", "PQSQ", "E", "SQ"},
		{"an error with no Sync under way skips what comes", "PBE", "1E", "~"},
		{"an error in a simple Query discards nothing", "QPS", "E", "QPS"},
		{"a later segment survives the error of an earlier one", "PBESPBES", "EZ", "PBES"},
		{"a FunctionCall is owed its ReadyForQuery", "F", "V", "F"},
		{"Sync alone is answered", "SS", "Z", "S"},
		{"COPY in: Sync before the data counts for nothing", "PBES", "12G", "E!"},
		{"COPY in: Sync after the data is answered", "PBEScS", "12GC", "S"},
		{"COPY in: data that fails leaves the Sync after it", "PBEScS", "12GEZ", ""},
		{"COPY refused before it starts: both Syncs are answered", "PBEScS", "1EZ", "S"},
		{"COPY in by Query", "Qc", "GCZ", ""},
		{"two COPYs in one Query", "Qcc", "GCGCZ", ""},
		{"CopyDone outside COPY is ignored", "cQ", "CZ", ""},
		{"stray COPY messages behind an answer leave nothing", "Qdc", "EZ", ""},
		{"stray COPY messages owe nothing", "dc", "", ""},
		{"Sync behind data that fails is answered", "PBEdS", "12GEZ", ""},
		{"Sync among good data counts for nothing", "PBEdSdcS", "12GCZ", ""},
	} {
		t.Run(c.claim, func(t *testing.T) {
			q := queueOf(c.sent)
			for _, typ := range []byte(c.says) {
				if _, _, err := q.answered(typ); err != nil {
					t.Fatalf("%q: %v", typ, err)
				}
				switch typ {
				case 'E':
					q.failed()
				case 'G':
					q.copyInStarted()
				}
			}
			if q.String() != c.owes {
				t.Errorf("owes %q, want %q", q, c.owes)
			}
		})
	}
}

// TestAnswersThatDoNotFit: a server that answers what nobody asked ends the
// session; there is no guessing.
func TestAnswersThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ sent, says string }{
		{"", "Z"}, {"", "C"}, {"PS", "Z"}, {"PBES", "2"}, {"Q", "1"}, {"S", "C"}, {"BES", "T"}, {"Q", "s"}, {"F", "C"},
	} {
		q := queueOf(c.sent)
		if _, _, err := q.answered(c.says[0]); err == nil {
			t.Errorf("after %q the server's %q was taken", c.sent, c.says)
		}
	}
}

// TestWhileSkipping: after an error without Sync the server discards everything
// but Sync, so nothing else is owed.
func TestWhileSkipping(t *testing.T) {
	q := queueOf("P")
	q.failed()
	for _, typ := range []byte("PBQF") {
		if q.sentOne(owed{sent: typ, for_: forward}) {
			t.Errorf("%c is owed an answer while the server skips", typ)
		}
	}
	if !q.sentOne(owed{sent: 'S', for_: forward}) || q.skipping {
		t.Error("Sync does not end the skipping")
	}
}

// TestNoAnswerOfNobody: the zero value is for no one.
func TestNoAnswerOfNobody(t *testing.T) {
	q := &owedQueue{}
	q.sentOne(owed{sent: 'Q'})
	if _, _, err := q.answered('Z'); err == nil {
		t.Error("an answer for nobody was taken")
	}
}
