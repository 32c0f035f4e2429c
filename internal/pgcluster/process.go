package pgcluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who the server runs as. The zero value is who runs this process.
type account struct {
	credential *syscall.Credential
}

// unprivileged picks the account: PostgreSQL refuses to run as root, so root
// (a container, a CI job) hands the server to "postgres" or to "nobody".
func unprivileged() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr != nil || gidErr != nil {
			continue
		}
		return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return account{}, fmt.Errorf("PostgreSQL does not run as root, and there is neither an account postgres nor nobody to run it as")
}

func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	if err := os.Chown(path, int(a.credential.Uid), int(a.credential.Gid)); err != nil {
		return fmt.Errorf("give the cluster's files to its account: %w", err)
	}
	return nil
}

// writeFile writes a file that only the account can read, as PostgreSQL asks
// of a private key.
func (a account) writeFile(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return a.own(path)
}

// tempDir makes the cluster's folder, for the account alone. A path of a socket
// has at most 107 bytes, and some systems' temporary folders are longer.
func (a account) tempDir() (string, error) {
	base := os.TempDir()
	if len(base) > 60 {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "pgsluice-cluster-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the cluster: %w", err)
	}
	return dir, a.own(dir)
}

// process is a child whose end can be waited for by anyone.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	err   error // valid once ended is closed
}

func start(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) signal(s syscall.Signal) {
	// The only error is that the process has ended, which is what is wanted.
	_ = p.cmd.Process.Signal(s)
}

// Command prepares a program to run as the cluster's account, in its folder (the
// account may not be allowed into the current one), and out of reach of the
// terminal's Ctrl-C: who started the cluster stops it.
func (c *Cluster) Command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(CleanEnv(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.who.credential}
	return cmd
}

// watchdog is told the server's process each time it starts (an empty line: it
// has ended), and waits until its standard input ends, which the kernel sees to
// when this process dies of whatever cause. Then it ends the server and removes
// the folder. A parent-death signal would end the server but leave the folder.
// The wait for the server is bounded, because in a container without an init
// process an orphan that has ended stays visible for ever.
const watchdog = `
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
	kill -QUIT "$pid" 2>/dev/null
	i=0
	while kill -0 "$pid" 2>/dev/null && [ $i -lt 30 ]; do sleep 0.1; i=$((i+1)); done
fi
rm -rf "$1"
`

// startWatchdog runs it as the account of this process, not of the server, so
// that it can remove whatever else was put into the cluster's folder.
func (c *Cluster) startWatchdog() (*process, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdog, "pgsluice-watchdog", c.Dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the cluster's watchdog: %w", err)
	}
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	return p, nil
}

// watch tells the watchdog which process to end.
func (c *Cluster) watch(pid string) error {
	if _, err := io.WriteString(c.watchdog.stdin, pid+"\n"); err != nil {
		return fmt.Errorf("tell the cluster's watchdog: %w", err)
	}
	return nil
}
