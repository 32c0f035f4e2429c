package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pgsluice/pgsluice/policy/approval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func anEvent(n int) approval.Event {
	return approval.Event{
		Kind: approval.KindApproved, Time: noon, Request: int64(n), Rule: "no-where", Verdict: "hold", PolicyHash: "sha256:1",
		Login: "app", Person: "bob", Database: "shop", Application: "psql", Address: "10.0.0.7:4711", Session: "s1",
		Statement: fmt.Sprintf("DELETE FROM orders WHERE id < %d", n), Parameters: []string{"1", "NULL"}, Detail: "psql: <agreed>",
	}
}

func mustOpen(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // for a test that ends early; others check it
	return l
}

func mustRecord(t testing.TB, l *Log, events ...approval.Event) {
	t.Helper()
	for _, e := range events {
		if err := l.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// contents returns the records of a log, which must be in order.
func contents(t testing.TB, dir string) []Record {
	t.Helper()
	var all []Record
	report, err := Read(dir, func(r Record) error { all = append(all, r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if report.Break != nil {
		t.Fatal(report.Break)
	}
	return all
}

func kinds(all []Record) []string {
	var names []string
	for _, r := range all {
		names = append(names, r.Kind)
	}
	return names
}

func TestRecordKeepsEverythingOfAnEvent(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	event := anEvent(42)
	mustRecord(t, l, event)
	mustClose(t, l)

	all := contents(t, dir)
	if got, want := kinds(all), []string{KindOpened, approval.KindApproved, KindClosed}; !slices.Equal(got, want) {
		t.Fatalf("kinds are %v, want %v", got, want)
	}
	r := all[1]
	got := approval.Event{
		Kind: r.Kind, Time: r.Time, Request: r.Request, Rule: r.Rule, Verdict: r.Verdict, PolicyHash: r.PolicyHash,
		Login: r.Login, Person: r.Person, Database: r.Database, Application: r.Application, Address: r.Address, Session: r.Session,
		Statement: r.Statement, Parameters: r.Parameters, Detail: r.Detail,
	}
	if fmt.Sprint(got) != fmt.Sprint(event) {
		t.Errorf("recorded %+v\nas       %+v", event, got)
	}
	if r.V != 1 || r.Seq != 2 || r.PrevHash != all[0].Hash || r.Hash != all[2].PrevHash {
		t.Errorf("record 2 is not a link of the chain: %+v", r)
	}
	text, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("id < 42")) || !bytes.Contains(text, []byte("<agreed>")) {
		t.Errorf("the text cannot be searched as it was written:\n%s", text)
	}
}

func TestStatementThatIsNotUTF8IsKeptByteForByte(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	event := anEvent(1)
	event.Statement = "DELETE FROM t WHERE n = '\xff\x00\xc3'"
	mustRecord(t, l, event)
	mustClose(t, l)
	if r := contents(t, dir)[1]; string(r.StatementBytes) != event.Statement {
		t.Errorf("kept %q of %q", r.StatementBytes, event.Statement)
	}
}

func TestLogGoesOnWhereItEnded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "audit")
	for i := range 3 {
		l := mustOpen(t, dir)
		mustRecord(t, l, anEvent(i))
		mustClose(t, l)
	}
	if n := len(contents(t, dir)); n != 9 {
		t.Errorf("%d records, want 3 of each of 3 processes", n)
	}
}

func TestOnlyTheOwnerMayReadIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	mustClose(t, mustOpen(t, dir))
	for name, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, segmentName(1)): 0o600, filepath.Join(dir, lockName): 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestSecondProcessIsTurnedAway(t *testing.T) {
	dir := t.TempDir()
	first := mustOpen(t, dir)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "another pgsluice process") {
		t.Errorf("a second one opened the log: %v", err)
	}
	mustClose(t, first)
	mustClose(t, mustOpen(t, dir))
}

func TestFullSegmentIsFollowedByAnother(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 { // the second goes on after a segment that is not the first
		l, err := open(dir, 2000, beginSegment)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			mustRecord(t, l, anEvent(round*20+i))
		}
		mustClose(t, l)
	}
	all := contents(t, dir)
	if len(all) != 44 {
		t.Errorf("%d records, want 44", len(all))
	}
	names, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 9 {
		t.Errorf("%d records fill only %v", len(all), names)
	}
}

func TestAllRecordsOfManyGoroutinesAreThereOnce(t *testing.T) {
	const goroutines, each = 64, 20
	dir := t.TempDir()
	l := mustOpen(t, dir)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				if err := l.Record(t.Context(), anEvent(g*each+i+1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, l)
	seen := map[int64]int{}
	for _, r := range contents(t, dir) {
		seen[r.Request]++
	}
	for n := range goroutines * each {
		if seen[int64(n+1)] != 1 {
			t.Fatalf("the record of request %d is there %d times", n+1, seen[int64(n+1)])
		}
	}
}

// disk is a segment whose parts fail, or wait, when told to.
type disk struct {
	file
	writeFails, syncFails error
	syncs                 atomic.Int64
	gate                  chan struct{} // nil: open
}

func (d *disk) Write(b []byte) (int, error) {
	if d.writeFails != nil {
		n, _ := d.file.Write(b[:len(b)/2]) // as a full disk does
		return n, d.writeFails
	}
	return d.file.Write(b)
}

func (d *disk) Sync() error {
	if d.gate != nil {
		<-d.gate
	}
	d.syncs.Add(1)
	if d.syncFails != nil {
		return d.syncFails
	}
	return d.file.Sync()
}

// openOn opens a new log on a disk that can be told to fail.
func openOn(t *testing.T, dir string) (*Log, *disk) {
	t.Helper()
	d := &disk{}
	l, err := open(dir, segmentSize, func(name string) (file, error) {
		f, err := beginSegment(name)
		d.file = f
		return d, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, d
}

func TestRecordReturnsOnlyOnceItIsOnTheDiskAndManyShareOneSync(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, d := openOn(t, dir)
		d.syncs.Store(0)
		d.gate = make(chan struct{})

		var returned atomic.Int64
		record := func(n int) {
			if err := l.Record(t.Context(), anEvent(n)); err != nil {
				t.Error(err)
			}
			returned.Add(1)
		}
		go record(1)
		synctest.Wait() // it waits for the disk
		for n := range 50 {
			go record(n + 2)
		}
		synctest.Wait() // these wait for the next write
		if n := returned.Load(); n != 0 {
			t.Errorf("%d records returned before they were durable", n)
		}
		d.gate <- struct{}{}
		synctest.Wait()
		if n := returned.Load(); n != 1 {
			t.Errorf("after the first sync %d records returned, want 1", n)
		}
		d.gate <- struct{}{}
		synctest.Wait()
		if n := returned.Load(); n != 51 || d.syncs.Load() != 2 {
			t.Errorf("after %d syncs %d records returned, want 51 after 2", d.syncs.Load(), n)
		}
		close(d.gate)
		mustClose(t, l)
	})
}

func TestAfterAFailedWriteNothingMoreIsAccepted(t *testing.T) {
	broken := errors.New("no space left on device")
	for name, breaks := range map[string]func(*disk){
		"write": func(d *disk) { d.writeFails = broken },
		"sync":  func(d *disk) { d.syncFails = broken },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, d := openOn(t, dir)
			mustRecord(t, l, anEvent(1))
			breaks(d)
			if err := l.Record(t.Context(), anEvent(2)); !errors.Is(err, broken) {
				t.Fatalf("the failed %s was answered with %v", name, err)
			}
			d.writeFails, d.syncFails = nil, nil // the disk is well again, the log is not
			err := l.Record(t.Context(), anEvent(3))
			if !errors.Is(err, broken) || !strings.Contains(err.Error(), "lost a record") {
				t.Errorf("the record after it was answered with %v", err)
			}
			if strings.Contains(fmt.Sprint(err), "DELETE") {
				t.Errorf("the error quotes the statement: %v", err)
			}
			if err := l.Close(); !errors.Is(err, broken) {
				t.Errorf("closing it was answered with %v", err)
			}
			// The next process goes on with a log in order.
			mustClose(t, mustOpen(t, dir))
			for _, r := range contents(t, dir) {
				if r.Request == 3 {
					t.Error("a record was written after the one that was lost")
				}
			}
		})
	}
}

func TestThoseWhoWaitForAFailedWriteAllFail(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, d := openOn(t, dir)
		d.gate, d.syncFails = make(chan struct{}), errors.New("input/output error")
		var failed atomic.Int64
		for n := range 10 {
			go func() {
				if l.Record(t.Context(), anEvent(n)) != nil {
					failed.Add(1)
				}
			}()
		}
		synctest.Wait()
		close(d.gate)
		synctest.Wait()
		if failed.Load() != 10 {
			t.Errorf("%d of 10 records failed", failed.Load())
		}
		if d.syncs.Load() != 2 { // one when it was opened
			t.Errorf("a failed sync was tried again: %d", d.syncs.Load())
		}
		if err := l.Close(); err == nil {
			t.Error("a log that lost a record was closed without a word")
		}
	})
}

func TestRecordWithoutAKindOrAfterTheEndIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	if err := l.Record(t.Context(), approval.Event{}); err == nil {
		t.Error("an event without a kind was recorded")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Record(ended, anEvent(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended was answered with %v", err)
	}
	mustClose(t, l)
	if err := l.Record(t.Context(), anEvent(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed log answered %v", err)
	}
	mustClose(t, l) // again: nothing happens
	if n := len(contents(t, dir)); n != 2 {
		t.Errorf("%d records, want only that it was opened and closed", n)
	}
}

// On 2 shared cores of an AMD EPYC, ext4 on a virtual disk whose fsync takes some
// 0.15 ms: 6,000 records/s by one goroutine, 93,000 records/s by 64, who share
// their fsyncs. Verify reads 83 MB/s.
func BenchmarkRecord(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			l := mustOpen(b, b.TempDir())
			var next atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if err := l.Record(b.Context(), anEvent(1)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	var log bytes.Buffer
	c := newChain()
	for i := range 10_000 {
		line, err := c.line(anEvent(i))
		if err != nil {
			b.Fatal(err)
		}
		log.Write(line)
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), log.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		if report, err := Verify(dir); err != nil || report.Records != 10_000 {
			b.Fatal(report, err)
		}
	}
}
