// Package audit writes what was asked and answered before the answer takes
// effect.
//
// It promises that a record is on the disk when Record returns, that the
// records of a log form a chain in which none can be changed, taken out or put
// in without Verify saying where, and that after the first failed write nothing
// more is accepted. It does not promise that the last records cannot be cut off
// by somebody who may write to the folder: for that, the hash of the newest
// record, which Verify reports, has to be kept elsewhere.
package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// The kinds of the records that the log writes about itself.
const (
	KindOpened = "audit_opened"
	KindClosed = "audit_closed" // without it, a process died
	KindCut    = "audit_cut"    // what a crash left of an unfinished record was removed
)

// segmentSize is the size at which a new file is begun.
const segmentSize = 64 << 20

// ErrClosed is what a closed log answers.
var ErrClosed = errors.New("the audit log is closed")

// Log is the audit log in one folder, for one process at a time. It is safe for
// concurrent use.
//
// Records that arrive while a write is under way are collected and written
// together, so that many share one fsync. There is no goroutine for that: one
// of those who wait writes for all of them, and hands over to one of those that
// came meanwhile.
type Log struct {
	dir  string
	lock *os.File
	open func(name string) (file, error) // begins a segment
	max  int64

	mu      sync.Mutex
	chain   chain
	batch   *batch // what the next write will take
	writing bool   // somebody writes, or has been told to
	err     error  // of the first write that failed; sticky
	closed  bool

	// Of whoever writes:
	segment file // nil until the first write to it
	size    int64
}

var _ approval.Recorder = (*Log)(nil)

// file is what the log needs of a segment, so that a test can let it fail.
type file interface {
	Write([]byte) (int, error)
	Sync() error
	Close() error
}

// batch is what one fsync makes durable.
type batch struct {
	first int64 // number of its first record
	lines []byte
	lead  chan struct{} // receives one value: whoever takes it writes the batch
	done  chan struct{} // closed when it is written
	err   error         // after done
}

func newBatch() *batch {
	return &batch{lead: make(chan struct{}, 1), done: make(chan struct{})}
}

// Record appends the event. When it returns nil the record is durable; when it
// returns an error, what the event announces must not happen. After a failed
// write each further Record fails, until the log is opened again.
//
// Only a context that has ended before counts: a record under way cannot be
// called back.
func (l *Log) Record(ctx context.Context, e approval.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write to the audit log: %w", err)
	}
	l.mu.Lock()
	b, err := l.add(e)
	if err != nil {
		l.mu.Unlock()
		return err
	}
	return l.commit(b)
}

// commit returns when the batch is written, by this goroutine or another. The
// caller holds l.mu, and does not any more afterwards.
func (l *Log) commit(b *batch) error {
	if l.writing {
		l.mu.Unlock()
		select {
		case <-b.done:
			return b.err
		case <-b.lead:
			l.mu.Lock()
		}
	}
	l.writing = true
	l.flush()
	l.mu.Unlock()
	return b.err
}

// add puts the event's line into the batch. The caller holds l.mu.
func (l *Log) add(e approval.Event) (*batch, error) {
	if l.closed {
		return nil, ErrClosed
	}
	if l.err != nil {
		return nil, l.err
	}
	if e.Kind == "" {
		return nil, errors.New("write to the audit log: the event has no kind")
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	first := l.chain.next
	line, err := l.chain.line(e)
	if err != nil {
		return nil, fmt.Errorf("write to the audit log: %w", err)
	}
	if len(l.batch.lines) == 0 {
		l.batch.first = first
	}
	l.batch.lines = append(l.batch.lines, line...)
	return l.batch, nil
}

// flush writes the batch and then lets the next one be written. The caller holds
// l.mu, which is let go while the disk works.
func (l *Log) flush() {
	b := l.batch
	l.batch = newBatch()
	failed := l.err
	if failed == nil {
		l.mu.Unlock()
		err := l.write(b)
		l.mu.Lock()
		if err != nil {
			failed = fmt.Errorf("the audit log has lost a record and accepts no more until pgsluice is started again: %w", err)
			l.err = failed
		}
	}
	b.err = failed
	close(b.done)
	if len(l.batch.lines) > 0 {
		l.batch.lead <- struct{}{}
	} else {
		l.writing = false
	}
}

// write makes a batch durable, in a new segment if the present one is full.
func (l *Log) write(b *batch) error {
	if l.segment != nil && l.size >= l.max {
		if err := l.segment.Close(); err != nil {
			return fmt.Errorf("close a full segment: %w", err)
		}
		l.segment = nil
	}
	if l.segment == nil {
		f, err := l.open(filepath.Join(l.dir, segmentName(b.first)))
		if err != nil {
			return fmt.Errorf("begin a segment: %w", err)
		}
		l.segment, l.size = f, 0
	}
	n, err := l.segment.Write(b.lines)
	l.size += int64(n)
	if err != nil {
		return fmt.Errorf("write to the segment: %w", err)
	}
	// A failed fsync is never tried again: the kernel may have dropped the data
	// and would report success, see https://wiki.postgresql.org/wiki/Fsync_Errors.
	if err := l.segment.Sync(); err != nil {
		return fmt.Errorf("sync the segment: %w", err)
	}
	return nil
}

// Close puts on record that the log was closed and lets go of the folder. It
// waits for records under way.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	b, err := l.add(approval.Event{Kind: KindClosed})
	l.closed = true // so this record is the last
	if err == nil {
		err = l.commit(b)
	} else {
		l.mu.Unlock()
	}
	if l.segment != nil {
		err = errors.Join(err, l.segment.Close())
	}
	return errors.Join(err, l.lock.Close())
}
