package approval

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Binding is the SHA-256 of what a grant lets through: the same statement, byte
// for byte, with the same values and under the same conditions, sent by the
// same login to the same database under the same policy. The session is no part
// of it: a ticket for a whole session is taken by the session that begins the
// same way. Persons are those that
// the login may be: when that changes, an old approval must not count, because
// who gave it may be the requester by now.
func Binding(a Ask, persons ...string) []byte {
	sum := sha256.Sum256(canonical(a, persons))
	return sum[:]
}

// canonical writes each part with its length before it, so that no two
// different asks have the same bytes however a part may be chosen.
func canonical(a Ask, persons []string) []byte {
	inTransaction := "no"
	if a.InTransaction {
		inTransaction = "yes"
	}
	parts := []string{
		"pgsluice binding 1",
		a.PolicyHash, a.Rule,
		a.Server, a.Database, a.Login, a.Role,
		a.Statement, string(a.ParameterHash), a.Settings, inTransaction,
		string(a.Scope),
	}
	// The persons come last: all else is a fixed number of parts.
	parts = append(parts, slices.Sorted(slices.Values(persons))...)

	var b []byte
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}
