package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/pgsluice/pgsluice/cmd/pgsluice/internal/demo"
	"github.com/pgsluice/pgsluice/proxy"
)

func newDemo() *cobra.Command {
	var rows int
	var play bool
	var listen string
	c := &cobra.Command{
		Use:   "demo [--play]",
		Short: "Try it on a PostgreSQL that is thrown away afterwards",
		Long: `Start a throw-away PostgreSQL with an inventory of about a million rows and a
proxy in front of it, and say what to type in which terminal. Ctrl-C removes
everything. PostgreSQL's programs have to be installed; as root it is run as the
account postgres or nobody.

With --play four incidents are played with real psql processes, and a table says
what was attempted, what happened, and which rows there were before and after.
The exit code is 0 only if no row was lost that nobody approved.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if rows < 1000 {
				return &usageError{fmt.Errorf("--rows is at least 1000, not %d", rows)}
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			out := c.OutOrStdout()
			conf := demo.Config{
				Rows: rows, Out: out, Terminal: isTerminal(out),
				StartProxy: func(ctx context.Context, s demo.Setup) (*demo.Proxy, error) { return startDemoProxy(ctx, listen, s) },
			}
			if !play {
				return demo.Run(ctx, conf)
			}
			err := demo.Play(ctx, conf)
			if ctx.Err() != nil {
				return errors.New("the demo was interrupted")
			}
			return err
		},
	}
	c.Flags().BoolVar(&play, "play", false, "play the four incidents instead")
	c.Flags().IntVar(&rows, "rows", 1_000_000, "about how many rows to load")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:6432", "address of the proxy; another port if this one is taken")
	return c
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// startDemoProxy starts what serve starts, with a configuration of its own: the
// environment's variables do not count.
func startDemoProxy(ctx context.Context, listen string, s demo.Setup) (*demo.Proxy, error) {
	conf := defaultConfig()
	conf.Listen = freeAddress(listen)
	conf.Server.Address = s.Server
	conf.Server.TLS.Mode = "disable"
	conf.Policy = s.Policy
	conf.Ledger = "sqlite:" + filepath.Join(s.Dir, "ledger.db")
	conf.AuditDir = filepath.Join(s.Dir, "audit")
	for _, p := range s.People {
		verifier, err := proxy.NewSCRAMVerifier(p.Name)
		if err != nil {
			return nil, err
		}
		conf.People = append(conf.People, personConfig{Name: p.Name, Password: verifier, Groups: p.Groups, Logins: []string{p.Name}})
	}
	// What goes well is on the screen already; what does not must not be lost.
	log := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.Lock(os.Stderr), zap.ErrorLevel))
	r, err := startProxy(ctx, conf, log)
	if err != nil {
		return nil, err
	}
	return &demo.Proxy{
		Addr: r.Addr().String(),
		Stop: func() error {
			// A client that someone has left open must not keep the demo from ending.
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			return r.Stop(ctx)
		},
	}, nil
}

// freeAddress is the address, or one with a free port if it is taken.
func freeAddress(listen string) string {
	l, err := net.Listen("tcp", listen)
	if err == nil {
		l.Close()
		return listen
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return listen // net.Listen will say what is wrong with it
	}
	return net.JoinHostPort(host, "0")
}
