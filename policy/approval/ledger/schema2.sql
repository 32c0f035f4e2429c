-- Version 2: what was measured of a statement before it was rolled back, and what
-- has been spent of budgets.

ALTER TABLE request ADD COLUMN measured BLOB NOT NULL DEFAULT x'';

CREATE TABLE charge (
    id     INTEGER PRIMARY KEY,
    budget TEXT    NOT NULL, -- the rule, and what its sums are kept apart by
    at     INTEGER NOT NULL,
    until  INTEGER NOT NULL, -- it counts as long as its budget looks back
    amount INTEGER NOT NULL  -- less than zero where people have lifted the budget
) STRICT;

CREATE INDEX charge_of_budget ON charge (budget, at);
CREATE INDEX charge_until ON charge (until);
