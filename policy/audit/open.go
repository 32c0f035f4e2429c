package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pgsluice/pgsluice/policy/approval"
)

// Open opens the log in the folder, and makes it when it is not there. The
// newest segment is verified first: what a crash left of an unfinished record is
// cut off, kept beside the log and put on record; anything else that is wrong
// with it is an error. A second process gets an error.
func Open(dir string) (*Log, error) {
	l, err := open(dir, segmentSize, beginSegment)
	if err != nil {
		return nil, fmt.Errorf("open audit log %s: %w", dir, err)
	}
	return l, nil
}

func open(dir string, size int64, begin func(name string) (file, error)) (*Log, error) {
	if dir == "" {
		return nil, errors.New("no folder named")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, lock: lock, open: begin, max: size, batch: newBatch()}
	if err := l.goOn(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	opened := approval.Event{Kind: KindOpened, Detail: fmt.Sprintf("%d records before this one", l.chain.next-1)}
	if err := l.Record(context.Background(), opened); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// goOn finds the end of the chain and makes ready to append there.
func (l *Log) goOn() error {
	names, err := segments(l.dir)
	if err != nil {
		return err
	}
	l.chain = newChain()
	if len(names) == 0 {
		return nil
	}
	// The one before the newest gives the hash that the newest goes on from.
	var end *ending
	for _, name := range names[max(0, len(names)-2):] {
		if end, err = walkSegment(filepath.Join(l.dir, name), end.after(name), nil); err != nil {
			return err
		}
		if name != names[len(names)-1] && end.trouble() != nil {
			return fmt.Errorf("%w; keep the folder for whoever looks into this and start with an empty one", end.trouble())
		}
	}
	name := filepath.Join(l.dir, names[len(names)-1])
	if end.chain.prev == "" {
		return fmt.Errorf("%s is empty and the segment before it is missing; put that one back", end.file)
	}
	l.chain = end.chain
	l.size = end.offset
	if end.trouble() != nil {
		if err := l.cut(name, end); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	l.segment = f
	return nil
}

// cut removes what a crash left behind the last good record: a line without its
// end, or blocks of zeros that a file system puts where a write did not arrive.
// No answer rested on such a record, because its fsync had not returned. Other
// damage is no crash's and is left as it is.
func (l *Log) cut(name string, end *ending) error {
	rest, err := readFrom(name, end.offset)
	if err != nil {
		return err
	}
	if !end.unfinished && bytes.IndexByte(rest, 0) < 0 {
		return fmt.Errorf("%w; keep the folder for whoever looks into this and start with an empty one", end.trouble())
	}
	kept := fmt.Sprintf("cut-%012d-%s.bin", l.chain.next, digest(rest)[:12])
	if err := keep(filepath.Join(l.dir, kept), rest); err != nil {
		return fmt.Errorf("keep an unfinished record: %w", err)
	}
	line, err := l.chain.line(approval.Event{Kind: KindCut, Time: time.Now(), Detail: fmt.Sprintf(
		"%d bytes of unfinished records at the end of %s, left by a crash, were cut off and are kept in %s; no answer rested on them", len(rest), filepath.Base(name), kept)})
	if err != nil {
		return err
	}
	// The record goes over what is cut off. If this is interrupted too, what is
	// left is again an unfinished end, and the next start says so.
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(line, end.offset)
	l.size = end.offset + int64(len(line))
	if err == nil {
		err = f.Truncate(l.size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cut off an unfinished record: %w", err)
	}
	return nil
}

func keep(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), syncDir(filepath.Dir(name)))
}

// beginSegment makes a segment whose name survives a crash too.
func beginSegment(name string) (file, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

const lockName = "lock"

// lockDir takes a lock that ends with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(errors.New("another pgsluice process is writing to it; give each its own folder"), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock it: %w", err), f.Close())
	}
	return f, nil
}

// inUse reports whether a process is writing to the log.
func inUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
