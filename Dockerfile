# The grammar is C, so both stages stand on the same libc.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=1 go build -trimpath -ldflags='-s -w' -o /pgsluice ./cmd/pgsluice

# distroless/base has glibc, the certificate authorities and the time zones
# (rules with a `zone` need them), and no shell.
FROM gcr.io/distroless/base-debian12:nonroot
COPY --from=build /pgsluice /usr/local/bin/pgsluice
USER nonroot:nonroot
WORKDIR /home/nonroot
EXPOSE 6432
ENTRYPOINT ["/usr/local/bin/pgsluice"]
