-- Version 1. A file that has been released is never edited: a change is a new
-- file, run after it. Text that comes from clients is kept as bytes, because it
-- need not be valid in any encoding. Times are nanoseconds since 1970 in UTC.

CREATE TABLE request (
    id             INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: people type it
    state          TEXT    NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'used', 'done', 'failed', 'outcome_unknown')),
    revision       INTEGER NOT NULL,
    mode           TEXT    NOT NULL CHECK (mode IN ('hold', 'ticket')),
    scope          TEXT    NOT NULL CHECK (scope IN ('statement', 'session')),
    binding        BLOB    NOT NULL CHECK (length(binding) = 32),
    rule           TEXT    NOT NULL,
    title          TEXT    NOT NULL,
    policy_hash    TEXT    NOT NULL,
    quorum         TEXT    NOT NULL CHECK (json_valid(quorum)),  -- [{"group": "dba", "count": 1}]
    persons        TEXT    NOT NULL CHECK (json_valid(persons)), -- ["alice"]
    server         TEXT    NOT NULL,
    database       BLOB    NOT NULL,
    login          BLOB    NOT NULL,
    role           BLOB    NOT NULL,
    application    BLOB    NOT NULL,
    address        TEXT    NOT NULL,
    session        TEXT    NOT NULL,
    statement      BLOB    NOT NULL,
    parameters     TEXT    NOT NULL CHECK (json_valid(parameters)), -- each value in base64
    parameter_hash BLOB    NOT NULL,
    settings       BLOB    NOT NULL,
    in_transaction INTEGER NOT NULL CHECK (in_transaction IN (0, 1)),
    impact         TEXT    NOT NULL,
    created        INTEGER NOT NULL,
    expires        INTEGER NOT NULL,
    outcome        TEXT    NOT NULL,
    cancelled_by   TEXT    NOT NULL
) STRICT;

CREATE INDEX request_of_state ON request (state);
CREATE INDEX request_of_binding ON request (binding, state);

CREATE TABLE decision (
    request INTEGER NOT NULL REFERENCES request (id),
    person  TEXT    NOT NULL CHECK (person <> ''),
    approve INTEGER NOT NULL CHECK (approve IN (0, 1)),
    reason  TEXT    NOT NULL CHECK (reason <> ''),
    channel TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (request, person) -- one person decides once
) STRICT;
