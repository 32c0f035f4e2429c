// Package policy reads SQL and policy files and answers what to do with a
// statement, and why.
//
// It has two halves. A Reader turns text into Facts with PostgreSQL's own
// grammar; a Policy turns Facts and a Session into a Decision. Both are pure:
// no clock, no network, no logger, and the same input gives the same answer.
//
// What it promises: text that it cannot judge is never called a read; a
// predicate that is called always true is true for every row whose inputs are
// not null; an action is found at whatever depth the grammar allows it. What it
// does not promise: that a statement is harmless. Functions, triggers, rules and
// cascades do things that no text shows, and names are taken to mean what they
// mean under a usual search_path.
package policy
