package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"go.uber.org/zap/zapcore"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy"
)

// config is what serve runs with. defaultConfig fills it; its zero value is not
// complete, and startProxy says so.
type config struct {
	Listen string

	Server struct {
		Address string // host:port, or the path of a Unix-domain socket
		TLS     struct{ Mode, Negotiation, CA, Cert, Key string }
	}

	TLS struct {
		Cert, Key, ClientCA, ClientCert string
		Required                        bool
	}

	Auth authConfig

	Policy   string // empty: the built-in policy
	Ledger   string // sqlite:PATH
	AuditDir string
	Console  struct{ Listen, ReloadGroup string }
	Hold     struct{ MaxWait, Window, PendingFor time.Duration }
	DryRun   struct {
		Rows, Show int
		Timeout    time.Duration
	}
	Limits proxy.Limits

	Replication []string       // logins that may begin replication connections
	Trusted     []netip.Prefix // balancers that speak the PROXY protocol
	Drain       time.Duration  // zero: without end
	Log         struct{ Level, Format string }
	People      []personConfig

	// reread reads the configuration anew for a reload; nil: only the policy's
	// files are read anew.
	reread func() (*config, error)
	// place says where a key was given, for findings made later.
	place func(key string) policy.Finding
}

// personConfig is an entry of people.
type personConfig struct {
	Name, Password string // Password as proxy.ParsePassword reads it; empty: cannot log in
	Groups, Logins []string
	at             policy.Finding // its place
}

// key is one setting. This table is the only list of them: flags, variables,
// defaults and what a file may hold come from it.
type key struct {
	name  string
	value string // the default
	says  string
	path  bool // relative to the file's folder when it stands in the file or is the default
	list  bool // in a file also a list; elsewhere with commas
	set   func(c *config, text string) error
}

var keys = []key{
	{name: "listen", value: "127.0.0.1:6432", says: "address to accept clients on",
		set: func(c *config, t string) error { c.Listen = t; return checkAddress(t) }},
	{name: "server.address", value: "127.0.0.1:5432", says: "the PostgreSQL server: host:port, or the path of its Unix-domain socket",
		set: func(c *config, t string) error {
			if c.Server.Address = t; strings.HasPrefix(t, "/") {
				return nil
			}
			return checkAddress(t)
		}},
	{name: "server.tls.mode", value: "prefer", says: "disable, prefer, require, verify-ca or verify-full, as libpq's sslmode",
		set: func(c *config, t string) error { c.Server.TLS.Mode = t; return oneOfWords(t, tlsModes) }},
	{name: "server.tls.negotiation", value: "postgres", says: "postgres, or direct: TLS from the first byte (PostgreSQL 17 on), as libpq's sslnegotiation",
		set: func(c *config, t string) error {
			c.Server.TLS.Negotiation = t
			return oneOfWords(t, []string{"postgres", "direct"})
		}},
	{name: "server.tls.ca", says: "certificates that may have signed the server's (PEM), or \"system\"",
		set: func(c *config, t string) error { c.Server.TLS.CA = t; return nil }, path: true},
	{name: "server.tls.cert", says: "client certificate to show the server (PEM)", path: true,
		set: func(c *config, t string) error { c.Server.TLS.Cert = t; return nil }},
	{name: "server.tls.key", says: "its key (PEM)", path: true,
		set: func(c *config, t string) error { c.Server.TLS.Key = t; return nil }},
	{name: "tls.cert", says: "certificate to show clients (PEM)", path: true,
		set: func(c *config, t string) error { c.TLS.Cert = t; return nil }},
	{name: "tls.key", says: "its key (PEM)", path: true,
		set: func(c *config, t string) error { c.TLS.Key = t; return nil }},
	{name: "tls.client_ca", says: "certificates that must have signed the clients' (PEM); implies tls.required", path: true,
		set: func(c *config, t string) error { c.TLS.ClientCA = t; return nil }},
	{name: "tls.client_cert", value: "verify-ca", says: "verify-ca, or verify-full: the common name of a client's certificate has to be its user",
		set: func(c *config, t string) error {
			c.TLS.ClientCert = t
			return oneOfWords(t, []string{"verify-ca", "verify-full"})
		}},
	{name: "tls.required", value: "false", says: "refuse clients without TLS",
		set: func(c *config, t string) error { return setBool(&c.TLS.Required, t) }},
	{name: "auth.method", value: authPassThrough, says: "who checks the clients' passwords: the server (pass-through), or pgsluice with the server's verifiers (scram)",
		set: func(c *config, t string) error {
			c.Auth.Method = t
			return oneOfWords(t, []string{authPassThrough, authSCRAM})
		}},
	{name: "auth.verifiers", says: "file with a line \"user\" \"SCRAM-SHA-256$...\" for each login", path: true,
		set: func(c *config, t string) error { c.Auth.Verifiers = t; return nil }},
	{name: "auth.query", value: proxy.DefaultVerifierSQL, says: "asks the server for the verifier of the login $1",
		set: func(c *config, t string) error { c.Auth.Query = t; return notEmpty(t) }},
	{name: "auth.query_login.user", says: "the login that asks",
		set: func(c *config, t string) error { c.Auth.QueryLogin.User = t; return nil }},
	{name: "auth.query_login.database", value: "postgres", says: "the database it asks in",
		set: func(c *config, t string) error { c.Auth.QueryLogin.Database = t; return notEmpty(t) }},
	{name: "auth.query_login.password_file", says: "file with its password", path: true,
		set: func(c *config, t string) error { c.Auth.QueryLogin.PasswordFile = t; return nil }},
	{name: "auth.query_login.password_env", says: "variable with its password",
		set: func(c *config, t string) error { c.Auth.QueryLogin.PasswordEnv = t; return nil }},
	{name: "policy", says: "policy file, or folder of *.yaml; empty: the built-in policy \"standard\"", path: true,
		set: func(c *config, t string) error { c.Policy = t; return nil }},
	{name: "ledger", value: "sqlite:./state/ledger.db", says: "where requests are kept: sqlite:PATH", path: true,
		set: func(c *config, t string) error {
			c.Ledger = t
			if path, ok := strings.CutPrefix(t, "sqlite:"); !ok || path == "" {
				return errors.New("has to be sqlite:PATH")
			}
			return nil
		}},
	{name: "audit.dir", value: "./state/audit", says: "folder of the audit log", path: true,
		set: func(c *config, t string) error { c.AuditDir = t; return notEmpty(t) }},
	{name: "console.listen", says: "address of the web console, which this version does not have yet; empty: none",
		set: func(c *config, t string) error {
			if c.Console.Listen = t; t == "" {
				return nil
			}
			return checkAddress(t)
		}},
	{name: "console.reload_group", value: "dba", says: "the group that may RELOAD in the database pgsluice; empty: nobody",
		set: func(c *config, t string) error { c.Console.ReloadGroup = t; return nil }},
	{name: "hold.max_wait", value: "10m", says: "how long a held statement waits on the wire before it becomes a ticket; 0s: not at all",
		set: func(c *config, t string) error { return setDuration(&c.Hold.MaxWait, t, 0) }},
	{name: "hold.window", value: "15m", says: "how long an approval may be used",
		set: func(c *config, t string) error { return setDuration(&c.Hold.Window, t, time.Second) }},
	{name: "hold.pending_for", value: "24h", says: "how long a ticket waits for people",
		set: func(c *config, t string) error { return setDuration(&c.Hold.PendingFor, t, time.Second) }},
	{name: "dry_run.rows", value: "100000", says: "what the planner expects to change at most so many rows is run to see what it does, and rolled back if that is too much; 0: nothing is",
		set: func(c *config, t string) error { return setNumber(&c.DryRun.Rows, t, 0) }},
	{name: "dry_run.timeout", value: "5s", says: "how long each statement of a dry run may take",
		set: func(c *config, t string) error { return setDuration(&c.DryRun.Timeout, t, time.Millisecond) }},
	{name: "dry_run.show", value: "5", says: "how many of the rows that it would change are shown to who approves, and kept in the ledger and the audit log",
		set: func(c *config, t string) error { return setNumber(&c.DryRun.Show, t, 0) }},
	{name: "limits.sessions", value: "2000", says: "sessions at once, the console's not counted",
		set: func(c *config, t string) error { return setNumber(&c.Limits.Sessions, t, 1) }},
	{name: "limits.before_login", value: "100", says: "connections of one address that have not logged in; a /64 of IPv6 is one address",
		set: func(c *config, t string) error { return setNumber(&c.Limits.BeforeLogin, t, 1) }},
	{name: "replication.allow", says: "logins that may begin replication connections; others are refused", list: true,
		set: func(c *config, t string) error {
			c.Replication = strings.FieldsFunc(t, func(r rune) bool { return r == ',' || r == ' ' })
			return nil
		}},
	{name: "proxy_protocol.trusted", says: "networks of balancers that have to say with the PROXY protocol who the client is, such as 10.0.0.0/8; of nobody else is that believed", list: true,
		set: func(c *config, t string) error { return setNetworks(&c.Trusted, t) }},
	{name: "drain", value: "5m", says: "how long a stop waits for sessions that are busy or in a transaction; 0s: without end",
		set: func(c *config, t string) error { return setDuration(&c.Drain, t, 0) }},
	{name: "log.level", value: "info", says: "debug, info, warn or error",
		set: func(c *config, t string) error {
			c.Log.Level = t
			return oneOfWords(t, []string{"debug", "info", "warn", "error"})
		}},
	{name: "log.format", value: "auto", says: "json, text, or auto: text on a terminal",
		set: func(c *config, t string) error {
			c.Log.Format = t
			return oneOfWords(t, []string{"json", "text", "auto"})
		}},
}

// defaultConfig is the configuration of nobody who said anything.
func defaultConfig() *config {
	c := &config{}
	for _, k := range keys {
		if err := k.set(c, k.value); err != nil {
			panic("pgsluice: the default of " + k.name + ": " + err.Error()) // a test makes one
		}
	}
	return c
}

// flagName and variable are the other two spellings of a key.
func (k key) flagName() string { return strings.NewReplacer(".", "-", "_", "-").Replace(k.name) }
func (k key) variable() string {
	return "PGSLUICE_" + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// addConfigFlags gives a command --config and a flag for each key.
func addConfigFlags(flags *pflag.FlagSet) {
	flags.StringP("config", "c", "", "configuration file (also PGSLUICE_CONFIG)")
	for _, k := range keys {
		flags.String(k.flagName(), k.value, k.says)
	}
	flags.SortFlags = false
}

// loadConfig reads the configuration: a flag goes before a variable, a variable
// before the file, and the file before the default. The error is policy.Findings,
// all of them, each with its place: file:line:column, or the flag's or variable's
// name.
func loadConfig(flags *pflag.FlagSet) (*config, error) {
	v := viper.New()
	for _, k := range keys {
		v.SetDefault(k.name, k.value)
		if err := v.BindPFlag(k.name, flags.Lookup(k.flagName())); err != nil {
			return nil, err
		}
		if err := v.BindEnv(k.name, k.variable()); err != nil {
			return nil, err
		}
	}
	v.AllowEmptyEnv(true)

	file, _ := flags.GetString("config")
	if file == "" {
		file = os.Getenv("PGSLUICE_CONFIG")
	}
	read := &configFile{}
	var findings policy.Findings
	if file != "" {
		read, findings = readConfigFile(file)
		if err := v.MergeConfigMap(read.tree()); err != nil {
			return nil, err
		}
	}
	findings = append(findings, strayVariables()...)

	c := &config{People: read.people}
	c.reread = func() (*config, error) { return loadConfig(flags) }
	c.place = func(name string) policy.Finding {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
		if i < 0 {
			return policy.Finding{File: file}
		}
		k := keys[i]
		if flags.Changed(k.flagName()) {
			return policy.Finding{File: "--" + k.flagName()}
		}
		if _, ok := os.LookupEnv(k.variable()); ok {
			return policy.Finding{File: k.variable()}
		}
		if at, ok := read.places[name]; ok {
			return at
		}
		return policy.Finding{File: cmp.Or(file, "default of "+k.name)}
	}
	for _, k := range keys {
		text := v.GetString(k.name)
		at := c.place(k.name)
		if k.path && (at.Line > 0 || at.File == file && file != "") {
			text = besideFile(file, text)
		}
		if err := k.set(c, text); err != nil {
			at.Message = fmt.Sprintf("%s %s", k.name, err)
			findings = append(findings, at)
		}
	}
	findings = append(findings, c.checkTogether()...)
	if len(findings) > 0 {
		slices.SortStableFunc(findings, func(a, b policy.Finding) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, findings
	}
	return c, nil
}

// besideFile makes a relative path relative to the folder of the file.
func besideFile(file, path string) string {
	scheme, rest, ok := strings.Cut(path, ":")
	if !ok || scheme != "sqlite" {
		scheme, rest = "", path
	}
	if rest == "" || rest == "system" || filepath.IsAbs(rest) {
		return path
	}
	rest = filepath.Join(filepath.Dir(file), rest)
	if scheme != "" {
		return scheme + ":" + rest
	}
	return rest
}

// strayVariables are those of a section that has no such key. Others that begin
// with PGSLUICE_ are not looked at: Kubernetes sets PGSLUICE_SERVICE_HOST and the
// like for a service of this name.
func strayVariables() policy.Findings {
	var findings policy.Findings
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		for _, section := range []string{"SERVER", "TLS", "AUTH", "AUDIT", "CONSOLE", "HOLD", "LIMITS", "PROXY_PROTOCOL", "LOG"} {
			if strings.HasPrefix(name, "PGSLUICE_"+section+"_") && !slices.ContainsFunc(keys, func(k key) bool { return k.variable() == name }) {
				findings = append(findings, policy.Finding{File: name, Message: "there is no such key"})
			}
		}
	}
	return findings
}

// checkTogether is what one key alone does not show.
func (c *config) checkTogether() policy.Findings {
	var findings policy.Findings
	wrong := func(at policy.Finding, format string, a ...any) {
		at.Message = fmt.Sprintf(format, a...)
		findings = append(findings, at)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		wrong(c.place("tls.cert"), "tls.cert and tls.key go together")
	}
	if c.TLS.Cert == "" && (c.TLS.Required || c.TLS.ClientCA != "") {
		wrong(c.place("tls.required"), "TLS cannot be required of clients without tls.cert and tls.key")
	}
	if c.TLS.ClientCert == "verify-full" && c.TLS.ClientCA == "" {
		wrong(c.place("tls.client_cert"), "tls.client_cert verify-full needs tls.client_ca")
	}
	if (c.Server.TLS.Cert == "") != (c.Server.TLS.Key == "") {
		wrong(c.place("server.tls.cert"), "server.tls.cert and server.tls.key go together")
	}
	if _, err := serverTLS(c); err != nil {
		wrong(c.place("server.tls.mode"), "%v", err)
	}
	if _, err := clientTLS(c); err != nil {
		wrong(c.place("tls.cert"), "%v", err)
	}
	c.checkAuth(wrong)
	seen := map[string]bool{}
	for _, p := range c.People {
		switch {
		case p.Name == "":
			wrong(p.at, "a person needs a name")
			continue
		case seen[p.Name]:
			wrong(p.at, "there are two people called %q", p.Name)
		}
		seen[p.Name] = true
		if p.Password != "" {
			if _, err := proxy.ParsePassword(p.Password); err != nil {
				wrong(p.at, "the password of %q is %v", p.Name, err)
			}
		}
	}
	return findings
}

func checkAddress(t string) error {
	host, port, err := net.SplitHostPort(t)
	if err != nil || port == "" || strings.ContainsAny(host, " /") {
		return fmt.Errorf("has to be host:port, not %q", t)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("has to be host:port, not %q", t)
	}
	return nil
}

func oneOfWords(t string, words []string) error {
	if slices.Contains(words, t) {
		return nil
	}
	return fmt.Errorf("has to be one of %s, not %q", strings.Join(words, ", "), t)
}

func notEmpty(t string) error {
	if t == "" {
		return errors.New("must not be empty")
	}
	return nil
}

func setBool(b *bool, t string) error {
	switch t {
	case "true":
		*b = true
	case "false":
		*b = false
	default:
		return fmt.Errorf("has to be true or false, not %q", t)
	}
	return nil
}

func setDuration(d *time.Duration, t string, least time.Duration) error {
	parsed, err := time.ParseDuration(t)
	if err != nil {
		return fmt.Errorf("has to be a duration such as 10m or 1h30m, not %q", t)
	}
	if parsed < least {
		return fmt.Errorf("has to be at least %s, not %q", least, t)
	}
	*d = parsed
	return nil
}

func setNumber(n *int, t string, least int) error {
	if _, err := fmt.Sscanf(t, "%d", n); err != nil || *n < least || fmt.Sprint(*n) != t {
		return fmt.Errorf("has to be a number from %d on, not %q", least, t)
	}
	return nil
}

// setNetworks reads networks and single addresses with commas between them.
func setNetworks(networks *[]netip.Prefix, t string) error {
	*networks = nil
	for _, word := range strings.FieldsFunc(t, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := netip.ParsePrefix(word)
		if ip, single := netip.ParseAddr(word); single == nil {
			n, err = ip.Prefix(ip.BitLen())
		}
		switch {
		case err != nil || n.Addr().Is4In6():
			return fmt.Errorf("has to be networks such as 10.0.0.0/8, not %q", word)
		case n.Masked() != n:
			return fmt.Errorf("has to be networks, and %q is an address in %s", word, n.Masked())
		}
		*networks = append(*networks, n)
	}
	return nil
}

func (c *config) logLevel() zapcore.Level {
	level, err := zapcore.ParseLevel(c.Log.Level)
	if err != nil {
		return zapcore.InfoLevel
	}
	return level
}
