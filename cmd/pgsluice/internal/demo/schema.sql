-- The inventory database of the demo. Fourteen tables carry account_id and hang
-- on accounts by cascading foreign keys, as in the incident of the clean-up
-- script: who deletes an account deletes what is in all of them.
CREATE TABLE accounts     (id int, name text, plan text, created_at timestamptz);
CREATE TABLE users        (id int, account_id int, email text, active boolean);
CREATE TABLE suppliers    (id int, account_id int, name text);
CREATE TABLE inventory    (id int, account_id int, sku text, quantity int, price numeric(10,2));
CREATE TABLE price_rules  (id int, account_id int, inventory_id int, percent int);
CREATE TABLE orders       (id int, account_id int, user_id int, ordered_at timestamptz, is_deleted boolean DEFAULT false);
CREATE TABLE order_lines  (id int, account_id int, order_id int, inventory_id int, quantity int);
CREATE TABLE transactions (id int, account_id int, inventory_id int, change int, booked_at timestamptz);
CREATE TABLE invoices     (id int, account_id int, order_id int, amount numeric(12,2));
CREATE TABLE payments     (id int, account_id int, order_id int, amount numeric(12,2), paid_at timestamptz);
CREATE TABLE shipments    (id int, account_id int, order_id int, tracking text);
CREATE TABLE returns      (id int, account_id int, order_id int, reason text);
CREATE TABLE addresses    (id int, account_id int, street text, city text);
CREATE TABLE notes        (id int, account_id int, body text);
CREATE TABLE api_keys     (id int, account_id int, digest text);

-- What the nightly import left behind; nobody needs it any more.
CREATE TABLE inventory_import (id int, line text);
