package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pgsluice/pgsluice/policy"
	"github.com/pgsluice/pgsluice/proxy"
)

const (
	authPassThrough = "pass-through"
	authSCRAM       = "scram"
)

// authConfig is auth: who checks the clients' passwords, and by what.
type authConfig struct {
	Method, Verifiers, Query string
	QueryLogin               struct{ User, Database, PasswordFile, PasswordEnv string }
}

// auth is that for the proxy. checkTogether has looked at it before.
func (c *config) auth() proxy.Auth {
	if c.Auth.Method != authSCRAM {
		return proxy.Auth{}
	}
	if c.Auth.Verifiers != "" {
		return proxy.Auth{File: c.Auth.Verifiers}
	}
	q := &proxy.VerifierQuery{User: c.Auth.QueryLogin.User, Database: c.Auth.QueryLogin.Database, SQL: c.Auth.Query}
	if c.Auth.QueryLogin.PasswordFile != "" || c.Auth.QueryLogin.PasswordEnv != "" {
		q.Password = c.queryPassword
	}
	return proxy.Auth{Query: q}
}

// queryPassword is read each time, so that a new one counts without a restart.
func (c *config) queryPassword() (string, error) {
	if name := c.Auth.QueryLogin.PasswordEnv; name != "" {
		if password := os.Getenv(name); password != "" {
			return password, nil
		}
		return "", fmt.Errorf("the variable %s is not set", name)
	}
	text, err := proxy.ReadSecretFile(c.Auth.QueryLogin.PasswordFile, 4096)
	if err != nil {
		return "", fmt.Errorf("the file of the query's password: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", errors.New("the file of the query's password is empty")
	}
	return password, nil
}

// checkAuth is what the keys of auth have to be together.
func (c *config) checkAuth(wrong func(at policy.Finding, format string, a ...any)) {
	a, login := c.Auth, c.Auth.QueryLogin
	if a.Method != authSCRAM {
		for key, text := range map[string]string{"auth.verifiers": a.Verifiers, "auth.query_login.user": login.User} {
			if text != "" {
				wrong(c.place(key), "%s means nothing unless auth.method is scram", key)
			}
		}
		return
	}
	switch {
	case a.Verifiers == "" && login.User == "":
		wrong(c.place("auth.method"), "auth.method scram needs auth.verifiers, a file, or auth.query_login, who may ask the server")
	case a.Verifiers != "" && login.User != "":
		wrong(c.place("auth.query_login.user"), "auth.verifiers and auth.query_login are two ways to do one thing: leave one out")
	case a.Verifiers != "":
		for _, f := range proxy.CheckVerifiers(a.Verifiers) {
			at := c.place("auth.verifiers")
			if f.Line > 0 {
				at = policy.Finding{File: a.Verifiers, Line: f.Line, Column: 1}
			}
			wrong(at, "%v", f.Err)
		}
	case login.PasswordFile != "" && login.PasswordEnv != "":
		wrong(c.place("auth.query_login.password_env"), "auth.query_login has two passwords: leave one out")
	case login.PasswordFile != "" || login.PasswordEnv != "":
		if _, err := c.queryPassword(); err != nil {
			key := "auth.query_login.password_file"
			if login.PasswordEnv != "" {
				key = "auth.query_login.password_env"
			}
			wrong(c.place(key), "%v", err)
		}
	}
}
