package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// written makes a log of five records in one segment and returns its text.
func written(t *testing.T) (dir string, text []byte) {
	t.Helper()
	dir = t.TempDir()
	l := mustOpen(t, dir)
	mustRecord(t, l, anEvent(1), anEvent(2), anEvent(3))
	mustClose(t, l)
	text, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	return dir, text
}

func replace(t *testing.T, dir string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, dir string) Report {
	t.Helper()
	report, err := Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestNoByteCanBeChangedUnnoticed(t *testing.T) {
	dir, text := written(t)
	if report := verify(t, dir); report.Break != nil || report.Records != 5 || report.First != 1 || report.Last != 5 {
		t.Fatalf("the log as written: %+v", report)
	}
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 0x20 // a letter's case, a digit's or a quote's nature
		replace(t, dir, changed)
		line := 1 + bytes.Count(text[:i], []byte("\n"))
		if b := verify(t, dir).Break; b == nil || b.Line != line || b.File != segmentName(1) {
			t.Fatalf("byte %d (%q, line %d) was changed and the break is %v", i, text[i], line, b)
		}
	}
}

func TestNoLineCanBeTakenOutPutInOrMoved(t *testing.T) {
	dir, text := written(t)
	lines := bytes.SplitAfter(text, []byte("\n"))[:5]
	_, other := written(t) // the same events in another log: its hashes are right in themselves
	foreign := bytes.SplitAfter(other, []byte("\n"))[2]

	for name, c := range map[string]struct {
		lines [][]byte
		line  int
		what  string
	}{
		"first taken out": {lines[1:], 1, "record 1 is expected"},
		"one taken out":   {slices.Concat(lines[:2], lines[3:]), 3, "record 3 is expected"},
		"one twice":       {slices.Concat(lines[:3], lines[2:]), 4, "record 4 is expected"},
		"two swapped":     {[][]byte{lines[0], lines[2], lines[1], lines[3], lines[4]}, 2, "record 2 is expected"},
		"one of another":  {[][]byte{lines[0], lines[1], foreign, lines[3], lines[4]}, 3, "does not continue"},
		"an empty line":   {slices.Concat(lines[:2], [][]byte{[]byte("\n")}, lines[2:]), 3, "not a record"},
	} {
		t.Run(name, func(t *testing.T) {
			replace(t, dir, bytes.Join(c.lines, nil))
			b := verify(t, dir).Break
			if b == nil || b.Line != c.line || !strings.Contains(b.What, c.what) {
				t.Errorf("the break is %v, want line %d: %s", b, c.line, c.what)
			}
			// And nobody goes on writing after it.
			if l, err := Open(dir); err == nil {
				mustClose(t, l)
				t.Error("the log was opened all the same")
			}
		})
	}
}

func TestMissingSegmentIsNoticedAndAnArchivedOneIsNot(t *testing.T) {
	dir := t.TempDir()
	l, err := open(dir, 1, beginSegment) // a segment for each record
	if err != nil {
		t.Fatal(err)
	}
	mustRecord(t, l, anEvent(1), anEvent(2), anEvent(3))
	mustClose(t, l)
	whole := verify(t, dir)
	if len(whole.Segments) != 5 || whole.Hash == "" {
		t.Fatalf("want 5 segments: %+v", whole)
	}

	archive := func(n int64) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, segmentName(n))); err != nil {
			t.Fatal(err)
		}
	}
	archive(1)
	if report := verify(t, dir); report.Break != nil || report.First != 2 || report.Last != 5 || report.Hash != whole.Hash {
		t.Errorf("the oldest segment was moved away: %+v", report)
	}
	archive(3)
	if b := verify(t, dir).Break; b == nil || b.File != segmentName(4) || b.Line != 1 {
		t.Errorf("a segment in the middle is missing and the break is %v", b)
	}
	archive(4)
	if l, err := Open(dir); err == nil {
		mustClose(t, l)
		t.Error("a log without the segment before its newest was opened")
	}
}

func TestFolderWithoutALogIsNotReportedAsInOrder(t *testing.T) {
	if _, err := Verify(t.TempDir()); !errors.Is(err, ErrNoLog) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Verify(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// A crash can stop a write after any byte. The records before are whole, because
// each had been synced; what is left of the last one goes, and the log says so.
func TestWhatACrashLeavesIsCutOffAndOnRecord(t *testing.T) {
	_, text := written(t)
	last := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
	check := func(t *testing.T, left []byte) {
		t.Helper()
		dir := t.TempDir()
		replace(t, dir, slices.Concat(text[:last], left))
		if b := verify(t, dir).Break; b == nil || b.Line != 5 {
			t.Fatalf("before the next start, the break is %v", b)
		}
		mustClose(t, mustOpen(t, dir))
		all := contents(t, dir)
		if got := kinds(all)[4:]; !slices.Equal(got, []string{KindCut, KindOpened, KindClosed}) {
			t.Fatalf("after %d bytes of a torn record the log goes on with %v", len(left), got)
		}
		kept, err := filepath.Glob(filepath.Join(dir, "cut-*.bin"))
		if err != nil || len(kept) != 1 {
			t.Fatalf("kept %v, %v", kept, err)
		}
		if b, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(b, left) {
			t.Errorf("kept %q of %q: %v", b, left, err)
		}
		if !strings.Contains(all[4].Detail, filepath.Base(kept[0])) {
			t.Errorf("the record does not say where the bytes are: %s", all[4].Detail)
		}
	}
	for n := 1; n < len(text)-last; n += 7 {
		check(t, text[last:last+n])
	}
	check(t, text[last:len(text)-1])                                                      // all but the newline
	check(t, make([]byte, 4096))                                                          // a block that was allocated and not written
	check(t, slices.Concat(make([]byte, 512), text[last:]))                               // of two blocks, only the second arrived
	check(t, slices.Concat(text[last:last+20], make([]byte, 2*len(text)), []byte("}\n"))) // longer than the record that replaces it
}

func TestDamageThatIsNoCrashIsLeftAlone(t *testing.T) {
	dir, text := written(t)
	damaged := bytes.Replace(text, []byte(`"person":"bob"`), []byte(`"person":"eve"`), 1)
	replace(t, dir, damaged)
	if l, err := Open(dir); err == nil {
		mustClose(t, l)
		t.Fatal("a log with a changed record was opened")
	} else if !strings.Contains(err.Error(), segmentName(1)+":2: ") {
		t.Errorf("the error does not say where: %v", err)
	}
	if now, err := os.ReadFile(filepath.Join(dir, segmentName(1))); err != nil || !bytes.Equal(now, damaged) {
		t.Errorf("the log was touched (%v)", err)
	}
}

func TestLogThatIsBeingWrittenIsInOrder(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	mustRecord(t, l, anEvent(1))
	// Half a record, as a reader may see it.
	if _, err := l.segment.Write([]byte(`{"v":1,"seq":3`)); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, dir); report.Break != nil || report.Records != 2 {
		t.Errorf("while it is written: %+v", report)
	}
	mustClose(t, l)
}

func TestSegmentBegunAndNotWrittenIsNoBreak(t *testing.T) {
	dir, _ := written(t)
	if err := os.WriteFile(filepath.Join(dir, segmentName(6)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mustClose(t, mustOpen(t, dir))
	if n := len(contents(t, dir)); n != 7 {
		t.Errorf("%d records, want 7", n)
	}
}

func FuzzSegmentNeverPanicsAndIsNeverTakenForMoreThanItIs(f *testing.F) {
	c := newChain()
	line, err := c.line(anEvent(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(line[:len(line)-1])
	f.Add([]byte(`{"v":1,"hash":"` + strings.Repeat("0", 64) + "\"}\n"))
	f.Add(bytes.Repeat([]byte("\n"), 100))
	f.Fuzz(func(t *testing.T, text []byte) {
		end, err := walk(bytes.NewReader(text), newChain(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if int(end.chain.next) != end.lines+1 || end.offset > int64(len(text)) || (end.what == "") != (end.offset == int64(len(text))) {
			t.Errorf("%d lines to offset %d of %d, then %q", end.lines, end.offset, len(text), end.what)
		}
	})
}
