package proxy

import (
	"slices"
	"strings"
)

// A replication connection runs commands of its own beside SQL, streams the
// server's changes in CopyBoth, and refuses the extended protocol, so the server
// cannot be asked anything on it (manual, "Streaming Replication Protocol").
// Only logins that the configuration names may begin one. Their commands go
// through; the SQL among them is judged as on any other connection, but nothing
// can be held there.

// mayReplicate reports whether a session may begin: a replication connection
// takes a login that is allowed to.
func (p *Proxy) mayReplicate(s *startup) bool {
	return !s.wantsReplication() || slices.Contains(p.c.Replication, s.parameters["user"])
}

// replicationCommands are the first words of replication commands. No statement
// of SQL begins with one of them, and to be one they have to be in capitals; a
// server that does not know one takes the whole text for SQL, and fails to parse
// it.
var replicationCommands = []string{
	"IDENTIFY_SYSTEM", "BASE_BACKUP", "START_REPLICATION", "TIMELINE_HISTORY", "UPLOAD_MANIFEST",
	"CREATE_REPLICATION_SLOT", "ALTER_REPLICATION_SLOT", "DROP_REPLICATION_SLOT", "READ_REPLICATION_SLOT",
}

// isReplicationCommand reports whether a walsender takes the text for a command
// of its own.
func isReplicationCommand(text string) bool {
	text = strings.TrimLeft(text, " \t\n\r\f\v")
	end := strings.IndexFunc(text, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') })
	if end < 0 {
		end = len(text)
	}
	return slices.Contains(replicationCommands, text[:end])
}
