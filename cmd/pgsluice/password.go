package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pgsluice/pgsluice/proxy"
)

func newPassword() *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Make of a password what the configuration keeps of it",
		Long: `Read a password, twice from a terminal or once from standard input, and print the
SCRAM-SHA-256 verifier for people[].password. The password cannot be read off it,
but whoever has it can pretend to be the server: keep the file to yourself.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			password, err := newPasswordFrom(c.InOrStdin())
			if err != nil {
				return err
			}
			verifier, err := proxy.NewSCRAMVerifier(password)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), verifier)
			return nil
		},
	}
}

func newPasswordFrom(in io.Reader) (string, error) {
	terminal, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(in, 1024)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", errors.New("the password is empty")
		}
		return line, nil
	}
	first, err := askPassword(terminal, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := askPassword(terminal, "Again: ")
	if err != nil {
		return "", err
	}
	switch {
	case first == "":
		return "", errors.New("the password is empty")
	case first != second:
		return "", errors.New("the passwords differ")
	}
	return first, nil
}

// askPassword reads a line from a terminal without showing it.
func askPassword(terminal *os.File, prompt string) (string, error) {
	fmt.Fprint(os.Stderr, prompt)
	line, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(line), nil
}
