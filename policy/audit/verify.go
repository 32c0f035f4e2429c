package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Report is what Verify found.
type Report struct {
	Segments []Segment `json:"segments"`
	Records  int64     `json:"records"` // that are in order
	First    int64     `json:"first"`   // number of the first; more than 1 when older segments were moved away
	Last     int64     `json:"last"`
	Hash     string    `json:"hash"` // of the last; keep it elsewhere to notice a log that was cut short
	Break    *Break    `json:"break"`
}

// Segment is one file of the log.
type Segment struct {
	File    string    `json:"file"`
	Records int64     `json:"records"`
	First   int64     `json:"first"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
}

// Break is the first place at which a log is not what was written.
type Break struct {
	File string `json:"file"`
	Line int    `json:"line"`
	What string `json:"what"`
}

func (b *Break) Error() string { return fmt.Sprintf("%s:%d: %s", b.File, b.Line, b.What) }

// ErrNoLog is the answer for a folder without a log: an empty log proves
// nothing, so it is not reported as one in order.
var ErrNoLog = errors.New("there is no audit log in this folder")

// Verify reads the whole log and checks each record and the chain they form. A
// process may be writing to it meanwhile. The error is for a log that could not
// be read; a break is in the report.
func Verify(dir string) (Report, error) {
	return Read(dir, func(Record) error { return nil })
}

// Read is Verify, and calls each with every record that is in order, up to the
// first break. An error of each ends it.
func Read(dir string, each func(Record) error) (Report, error) {
	report, err := read(dir, each)
	if err != nil {
		return report, fmt.Errorf("read audit log %s: %w", dir, err)
	}
	return report, nil
}

func read(dir string, each func(Record) error) (Report, error) {
	var report Report
	names, err := segments(dir)
	if err != nil {
		return report, err
	}
	if len(names) == 0 {
		return report, ErrNoLog
	}
	var end *ending
	for i, name := range names {
		start := end.after(name)
		segment := Segment{File: name, First: start.next}
		end, err = walkSegment(filepath.Join(dir, name), start, func(r Record) error {
			if segment.Records == 0 {
				segment.From = r.Time
			}
			segment.Records, segment.To = segment.Records+1, r.Time
			return each(r)
		})
		if err != nil {
			return report, err
		}
		report.Segments = append(report.Segments, segment)
		report.Records += segment.Records
		// A line without its end is one that is being written now, if there is
		// somebody to write it.
		if end.unfinished && i == len(names)-1 && inUse(dir) {
			continue
		}
		if report.Break = end.trouble(); report.Break != nil {
			break
		}
	}
	report.First, report.Last, report.Hash = report.Segments[0].First, end.chain.next-1, end.chain.prev
	return report, nil
}

// ending is how the reading of a segment ended.
type ending struct {
	file       string
	chain      chain
	lines      int   // that are in order
	offset     int64 // behind the last of them
	unfinished bool  // what follows is one line without its end
	what       string
}

// after is the place in the chain at which the segment of that name begins. The
// first segment there is may have been the first one or a later one, if older
// ones were moved away.
func (e *ending) after(name string) chain {
	if e != nil {
		return e.chain
	}
	c := newChain()
	if first := firstOf(name); first != c.next {
		return chain{next: first}
	}
	return c
}

// trouble is the break at which the reading ended, or nil.
func (e *ending) trouble() *Break {
	if e.what == "" {
		return nil
	}
	return &Break{File: e.file, Line: e.lines + 1, What: e.what}
}

// walkSegment reads a segment that starts at c until its end or its first break.
func walkSegment(name string, c chain, each func(Record) error) (*ending, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	end, err := walk(f, c, each)
	if err != nil {
		return nil, err
	}
	end.file = filepath.Base(name)
	return end, nil
}

func walk(f io.Reader, c chain, each func(Record) error) (*ending, error) {
	end := &ending{chain: c}
	lines := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return end, nil
		case errors.Is(err, io.EOF):
			end.unfinished, end.what = true, "the last record is unfinished: a crash left it, and the next start cuts it off and says so in the log"
			return end, nil
		case err != nil:
			return nil, err
		}
		r, what := end.chain.check(line[:len(line)-1])
		if what != "" {
			end.what = what
			return end, nil
		}
		end.lines++
		end.offset += int64(len(line))
		if each != nil {
			if err := each(r); err != nil {
				return nil, err
			}
		}
	}
}

func readFrom(name string, offset int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// A segment is named after its first record.
const segmentStart, segmentEnd = "audit-", ".jsonl"

func segmentName(first int64) string {
	return fmt.Sprintf("%s%012d%s", segmentStart, first, segmentEnd)
}

// firstOf is the number in a segment's name, 0 for a file that is none.
func firstOf(name string) int64 {
	digits, isSegment := strings.CutPrefix(name, segmentStart)
	digits, ends := strings.CutSuffix(digits, segmentEnd)
	first, err := strconv.ParseInt(digits, 10, 64)
	if !isSegment || !ends || err != nil || first < 1 || segmentName(first) != name {
		return 0
	}
	return first
}

// segments lists the segments of a folder in order.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if firstOf(e.Name()) > 0 {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
