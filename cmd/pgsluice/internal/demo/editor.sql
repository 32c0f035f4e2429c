BEGIN;
UPDATE orders SET is_deleted = true;
COMMIT;
