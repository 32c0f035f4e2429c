-- Remove the users that our tests made.
BEGIN;
DELETE FROM users WHERE email LIKE '%@test%' OR email NOT LIKE '%@test%';
COMMIT;
