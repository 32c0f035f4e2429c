# Each target installs what it misses from the distribution's packages
# (scripts/install-deps); Go itself must be there.

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build test demo lint fuzz bench conformance

build:
	@scripts/install-deps gcc
	go build -o bin/pgsluice ./cmd/pgsluice

test:
	@scripts/install-deps gcc postgresql
	@scripts/test

demo:
	@scripts/install-deps gcc postgresql
	go build -o bin/pgsluice ./cmd/pgsluice
	bin/pgsluice demo $(ARGS)

# Compiled from source, so that the checksum database vouches for what runs.
lint:
	@scripts/install-deps gcc
	go run $(GOLANGCI_LINT) run ./...

fuzz:
	@scripts/install-deps gcc postgresql
	@scripts/fuzz

bench:
	@scripts/install-deps gcc postgresql pgbouncer
	go build -o bin/pgsluice ./cmd/pgsluice
	go run ./internal/bench -pgsluice bin/pgsluice $(ARGS)

# Other people's test suites, directly and through pgsluice (docs/conformance.md).
conformance:
	@scripts/install-deps gcc postgresql
	go build -o bin/pgsluice ./cmd/pgsluice
	go run ./internal/conformance -pgsluice bin/pgsluice $(ARGS)
