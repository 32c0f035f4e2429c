package demo

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pgsluice/pgsluice/internal/pgcluster"
)

// patience bounds each program that the play runs: a demo that waits for ever
// shows nothing.
const patience = 60 * time.Second

// echoed is how many lines of a program's output are shown at most; a restore
// says the same thing hundreds of times.
const echoed = 12

// What pgsluice says to a client is all that the play knows of what happened.
var (
	heldLine   = regexp.MustCompile(`held by rule (\S+) as request (\d+)`)
	deniedLine = regexp.MustCompile(`request (\d+) \(rule (\S+)\) was denied by`)
	blockLine  = regexp.MustCompile(`blocked by rule ([\w-]+)`)
	restLine   = regexp.MustCompile(`rest of this restore is refused`)
)

// client runs PostgreSQL's programs as one login with one application name.
type client struct {
	*stage
	login       string
	application string   // empty: the program's own
	echo        int      // how many lines are shown; 0: echoed
	only        []string // of the lines, those that begin with one of these
	quiet       bool     // nothing is shown
}

// said is what a program was told.
type said struct {
	held    []hold // in order
	denied  int    // answers that name a request denied
	blocked int
	rule    string // of the last block
	rest    int    // statements refused with the rest of a restore
	failed  bool   // the program's exit status was not 0
	lines   []string
}

type hold struct {
	rule string
	id   int64
}

// run runs a program to its end. While a statement of it is held, onHold is
// called with the request; the program waits for what it does.
func (c client) run(ctx context.Context, stdin io.Reader, onHold func(hold) error, program string, args ...string) (said, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.cluster.Bin(program), args...)
	host, port := c.proxyHostPort()
	cmd.Env = append(pgcluster.CleanEnv(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+c.login, "PGPASSWORD="+c.login, "PGSSLMODE=disable")
	if c.application != "" {
		cmd.Env = append(cmd.Env, "PGAPPNAME="+c.application)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the demo; ctx ends the program
	cmd.WaitDelay = time.Second
	cmd.Dir = c.dir
	cmd.Stdin = stdin
	// One pipe for both, so that lines come in the order in which they were written.
	out, in, err := os.Pipe()
	if err != nil {
		return said{}, fmt.Errorf("run %s: %w", program, err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = in, in
	c.show("$ %s %s", program, commandLine(args, stdin))
	err = cmd.Start()
	in.Close()
	if err != nil {
		return said{}, fmt.Errorf("run %s: %w", program, err)
	}
	var s said
	holdErr := s.listen(out, c, onHold)
	if holdErr != nil {
		cancel()
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case holdErr != nil:
		return s, holdErr
	case ctx.Err() != nil:
		return s, fmt.Errorf("%s did not end: %w", program, ctx.Err())
	case errors.As(err, &exit):
		s.failed = true
	case err != nil:
		return s, fmt.Errorf("run %s: %w", program, err)
	}
	return s, nil
}

// listen reads what a program prints until it ends, or until onHold fails.
func (s *said) listen(out io.Reader, c client, onHold func(hold) error) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20) // psql repeats a whole statement in its errors
	shown, most := 0, cmp.Or(c.echo, echoed)
	for lines.Scan() {
		line := lines.Text()
		if len(s.lines) < 1000 {
			s.lines = append(s.lines, line)
		}
		if c.wants(line) {
			if shown++; shown <= most || heldLine.MatchString(line) {
				c.show("%s", line)
			}
		}
		if m := blockLine.FindStringSubmatch(line); m != nil {
			s.blocked++
			s.rule = m[1]
		}
		switch {
		case restLine.MatchString(line):
			s.rest++
		case deniedLine.MatchString(line):
			s.denied++
		}
		if m := heldLine.FindStringSubmatch(line); m != nil {
			id, err := strconv.ParseInt(m[2], 10, 64)
			if err != nil {
				return fmt.Errorf("read the number of a request: %w", err)
			}
			h := hold{m[1], id}
			s.held = append(s.held, h)
			if onHold == nil {
				return fmt.Errorf("request %d: nobody expected it", id)
			}
			if err := onHold(h); err != nil {
				return err
			}
		}
	}
	if shown > most {
		c.show("... and %d lines more", shown-most)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read a program's output: %w", err)
	}
	return nil
}

func (c client) wants(line string) bool {
	return c.only == nil || slices.ContainsFunc(c.only, func(start string) bool { return strings.HasPrefix(line, start) })
}

// show prints a line of the play, cut to fit 80 columns.
func (c client) show(format string, args ...any) {
	if c.quiet {
		return
	}
	line := fmt.Sprintf("  %-5s | %s", c.login, fmt.Sprintf(format, args...))
	for _, part := range wrap(strings.ReplaceAll(line, "\t", "  "), 79, "        |   ") {
		fmt.Fprintln(c.Out, part)
	}
}

// wrap breaks a line at spaces where it can, for at most four lines.
func wrap(line string, width int, indent string) []string {
	var parts []string
	for len(line) > width && len(parts) < 3 {
		at := strings.LastIndexByte(line[:width+1], ' ')
		if at <= len(indent) {
			at = width
		}
		parts = append(parts, line[:at])
		line = indent + strings.TrimLeft(line[at:], " ")
	}
	if len(line) > width {
		line = line[:width-3] + "..."
	}
	return append(parts, line)
}

func commandLine(args []string, stdin io.Reader) string {
	var shown []string
	for _, a := range args {
		if strings.ContainsAny(a, " ;'*|") {
			a = `"` + a + `"`
		}
		shown = append(shown, a)
	}
	line := strings.Join(shown, " ")
	if f, ok := stdin.(*os.File); ok {
		line += " < " + filepath.Base(f.Name())
	}
	return line
}

func (s *stage) proxyHostPort() (host, port string) {
	host, port, _ = net.SplitHostPort(s.proxy.Addr) // of a listener: well-formed
	return host, port
}
