package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The commands of people who decide. They are clients of the database pgsluice
// like any other, so that there is one door to the requests.

func newRequests() *cobra.Command {
	var all bool
	c := consoleCommandOf(&cobra.Command{
		Use:   "requests",
		Short: "List the requests that are open",
		Args:  cobra.NoArgs,
	}, func([]string) (string, []string, error) {
		if all {
			return "SHOW REQUESTS ALL", nil, nil
		}
		return "SHOW REQUESTS", nil, nil
	}, (*answer).printRequests)
	c.Flags().BoolVar(&all, "all", false, "those that are settled too")
	return c
}

func newShow() *cobra.Command {
	return consoleCommandOf(&cobra.Command{
		Use:   "show ID",
		Short: "Show all of one request",
		Args:  cobra.ExactArgs(1),
	}, func(args []string) (string, []string, error) {
		return "SHOW REQUEST $1", args, checkID(args[0])
	}, (*answer).printRequest)
}

func newApprove() *cobra.Command {
	return decisionCommand("approve", "Approve a request; never one's own", "APPROVE $1, $2")
}

func newDeny() *cobra.Command {
	return decisionCommand("deny", "Deny a request, which ends it", "DENY $1, $2")
}

func decisionCommand(name, short, statement string) *cobra.Command {
	var reason string
	c := consoleCommandOf(&cobra.Command{
		Use:   name + " ID --reason TEXT",
		Short: short,
		Args:  cobra.ExactArgs(1),
	}, func(args []string) (string, []string, error) {
		if strings.TrimSpace(reason) == "" {
			return "", nil, &usageError{errors.New(name + " needs a --reason, for those who read the audit log")}
		}
		return statement, []string{args[0], reason}, checkID(args[0])
	}, (*answer).printDecided)
	c.Flags().StringVar(&reason, "reason", "", "why, for those who read the audit log")
	return c
}

func newCancel() *cobra.Command {
	return consoleCommandOf(&cobra.Command{
		Use:   "cancel ID",
		Short: "Take back one's own request",
		Args:  cobra.ExactArgs(1),
	}, func(args []string) (string, []string, error) {
		return "CANCEL $1", args, checkID(args[0])
	}, (*answer).printDecided)
}

func checkID(text string) error {
	if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return &usageError{fmt.Errorf("a request's ID is a number, not %q", text)}
	}
	return nil
}

// consoleCommandOf makes c run one statement in the console and print its answer.
func consoleCommandOf(c *cobra.Command, statement func(args []string) (string, []string, error), show func(*answer, *tui)) *cobra.Command {
	var to consoleAddress
	var format string
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkFormat(format); err != nil {
			return err
		}
		sql, values, err := statement(args)
		if err != nil {
			return err
		}
		a, err := to.ask(c.Context(), sql, values)
		if err != nil {
			return err
		}
		if format == "json" {
			return writeJSON(c.OutOrStdout(), a.objects())
		}
		t := newTUI(c.OutOrStdout())
		show(a, t)
		return t.err
	}
	c.Long = c.Short + `.

Connects to the database pgsluice of the proxy as a person. The password is that
of PGPASSWORD or ~/.pgpass, or is asked for on a terminal.`
	to.register(c)
	addFormatFlag(c, &format)
	return c
}

// consoleAddress is where the proxy is and who asks.
type consoleAddress struct{ address, config, as string }

func (to *consoleAddress) register(c *cobra.Command) {
	c.Flags().StringVar(&to.address, "address", "", "host:port of the proxy (default: PGHOST and PGPORT, or listen of --config, or 127.0.0.1:6432)")
	c.Flags().StringVarP(&to.config, "config", "c", "", "configuration of the proxy, for its address (also PGSLUICE_CONFIG)")
	c.Flags().StringVar(&to.as, "as", "", "name of the person (default: PGUSER, or the name in the operating system)")
}

// find decides where to connect to.
func (to *consoleAddress) find() (host, port string, err error) {
	address := to.address
	file := cmp.Or(to.config, os.Getenv("PGSLUICE_CONFIG"))
	switch {
	case address != "":
	case to.config == "" && (os.Getenv("PGHOST") != "" || os.Getenv("PGPORT") != ""):
		return cmp.Or(os.Getenv("PGHOST"), "127.0.0.1"), cmp.Or(os.Getenv("PGPORT"), "6432"), nil
	case file != "":
		// Only the address is wanted here: the file's other mistakes are not ours.
		f, findings := readConfigFile(file)
		if len(f.values) == 0 && len(findings) > 0 {
			return "", "", findings
		}
		address = f.values["listen"]
	}
	host, port, err = net.SplitHostPort(cmp.Or(address, "127.0.0.1:6432"))
	if err != nil {
		return "", "", &usageError{fmt.Errorf("the address has to be host:port, not %q", address)}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // where one listens on all addresses
	}
	return host, port, nil
}

// ask runs one statement in the console.
func (to *consoleAddress) ask(ctx context.Context, sql string, values []string) (*answer, error) {
	host, port, err := to.find()
	if err != nil {
		return nil, err
	}
	as := cmp.Or(to.as, os.Getenv("PGUSER"))
	if as == "" {
		me, err := user.Current()
		if err != nil {
			return nil, &usageError{errors.New("who asks? Say --as NAME")}
		}
		as = me.Username
	}
	conf, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s dbname=pgsluice application_name=pgsluice connect_timeout=10",
		quoteValue(host), quoteValue(port), quoteValue(as)))
	if err != nil {
		return nil, fmt.Errorf("read the connection's settings: %w", err)
	}
	if conf.Password == "" && term.IsTerminal(int(os.Stdin.Fd())) {
		if conf.Password, err = askPassword(os.Stdin, fmt.Sprintf("Password of %s for pgsluice: ", as)); err != nil {
			return nil, err
		}
	}
	conf.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { fmt.Fprintln(os.Stderr, n.Message) }

	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()

	parameters := make([][]byte, len(values))
	for i, v := range values {
		parameters[i] = []byte(v)
	}
	result := conn.ExecParams(ctx, sql, parameters, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	a := &answer{}
	for _, f := range result.FieldDescriptions {
		const int8OID = 20
		a.columns = append(a.columns, f.Name)
		a.numbers = append(a.numbers, f.DataTypeOID == int8OID)
	}
	for _, raw := range result.Rows {
		row := make([]*string, len(raw))
		for i, v := range raw {
			if v != nil {
				text := string(v)
				row[i] = &text
			}
		}
		a.rows = append(a.rows, row)
	}
	return a, nil
}

// quoteValue writes a value of a connection string (libpq, "Connection Strings").
func quoteValue(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

func jsonNumber(text string) json.Number { return json.Number(text) }
