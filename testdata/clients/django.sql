-- What Django 3.2 sends: migrate of its own applications and of one more, inspectdb, the ORM.
-- Recorded on 2026-11-21 with log_statement = all on PostgreSQL 15. What is rightly held is in the test.
--
-- Each message ends in a line that is a semicolon.
SET TIME ZONE 'UTC'
;
SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore'
;
SELECT typarray FROM pg_type WHERE typname = 'citext'
;
SELECT c.relname,
            CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END
            FROM pg_catalog.pg_class c
            LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')
                AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
                AND pg_catalog.pg_table_is_visible(c.oid)
;
BEGIN
;
CREATE TABLE "django_migrations" ("id" bigserial NOT NULL PRIMARY KEY, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" timestamp with time zone NOT NULL)
;
COMMIT
;
CREATE TABLE "django_content_type" ("id" serial NOT NULL PRIMARY KEY, "name" varchar(100) NOT NULL, "app_label" varchar(100) NOT NULL, "model" varchar(100) NOT NULL)
;
ALTER TABLE "django_content_type" ADD CONSTRAINT "django_content_type_app_label_model_76bd3d3b_uniq" UNIQUE ("app_label", "model")
;
INSERT INTO "django_migrations" ("app", "name", "applied") VALUES ('contenttypes', '0001_initial', '2026-11-21T15:04:01.247095+00:00'::timestamptz) RETURNING "django_migrations"."id"
;
CREATE TABLE "auth_permission" ("id" serial NOT NULL PRIMARY KEY, "name" varchar(50) NOT NULL, "content_type_id" integer NOT NULL, "codename" varchar(100) NOT NULL)
;
CREATE TABLE "auth_group" ("id" serial NOT NULL PRIMARY KEY, "name" varchar(80) NOT NULL UNIQUE)
;
CREATE TABLE "auth_group_permissions" ("id" bigserial NOT NULL PRIMARY KEY, "group_id" integer NOT NULL, "permission_id" integer NOT NULL)
;
CREATE TABLE "auth_user" ("id" serial NOT NULL PRIMARY KEY, "password" varchar(128) NOT NULL, "last_login" timestamp with time zone NOT NULL, "is_superuser" boolean NOT NULL, "username" varchar(30) NOT NULL UNIQUE, "first_name" varchar(30) NOT NULL, "last_name" varchar(30) NOT NULL, "email" varchar(75) NOT NULL, "is_staff" boolean NOT NULL, "is_active" boolean NOT NULL, "date_joined" timestamp with time zone NOT NULL)
;
CREATE TABLE "auth_user_groups" ("id" bigserial NOT NULL PRIMARY KEY, "user_id" integer NOT NULL, "group_id" integer NOT NULL)
;
CREATE TABLE "auth_user_user_permissions" ("id" bigserial NOT NULL PRIMARY KEY, "user_id" integer NOT NULL, "permission_id" integer NOT NULL)
;
ALTER TABLE "auth_permission" ADD CONSTRAINT "auth_permission_content_type_id_codename_01ab375a_uniq" UNIQUE ("content_type_id", "codename")
;
ALTER TABLE "auth_permission" ADD CONSTRAINT "auth_permission_content_type_id_2f476e4b_fk_django_co" FOREIGN KEY ("content_type_id") REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED
;
CREATE INDEX "auth_permission_content_type_id_2f476e4b" ON "auth_permission" ("content_type_id")
;
CREATE INDEX "auth_group_name_a6ea08ec_like" ON "auth_group" ("name" varchar_pattern_ops)
;
ALTER TABLE "auth_group_permissions" ADD CONSTRAINT "auth_group_permissions_group_id_permission_id_0cd325b0_uniq" UNIQUE ("group_id", "permission_id")
;
ALTER TABLE "auth_group_permissions" ADD CONSTRAINT "auth_group_permissions_group_id_b120cbf9_fk_auth_group_id" FOREIGN KEY ("group_id") REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED
;
ALTER TABLE "auth_group_permissions" ADD CONSTRAINT "auth_group_permissio_permission_id_84c5c92e_fk_auth_perm" FOREIGN KEY ("permission_id") REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED
;
CREATE INDEX "auth_group_permissions_group_id_b120cbf9" ON "auth_group_permissions" ("group_id")
;
CREATE INDEX "auth_group_permissions_permission_id_84c5c92e" ON "auth_group_permissions" ("permission_id")
;
CREATE INDEX "auth_user_username_6821ab7c_like" ON "auth_user" ("username" varchar_pattern_ops)
;
ALTER TABLE "auth_user_groups" ADD CONSTRAINT "auth_user_groups_user_id_group_id_94350c0c_uniq" UNIQUE ("user_id", "group_id")
;
ALTER TABLE "auth_user_groups" ADD CONSTRAINT "auth_user_groups_user_id_6a12ed8b_fk_auth_user_id" FOREIGN KEY ("user_id") REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED
;
ALTER TABLE "auth_user_groups" ADD CONSTRAINT "auth_user_groups_group_id_97559544_fk_auth_group_id" FOREIGN KEY ("group_id") REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED
;
CREATE INDEX "auth_user_groups_user_id_6a12ed8b" ON "auth_user_groups" ("user_id")
;
CREATE INDEX "auth_user_groups_group_id_97559544" ON "auth_user_groups" ("group_id")
;
ALTER TABLE "auth_user_user_permissions" ADD CONSTRAINT "auth_user_user_permissions_user_id_permission_id_14a6b632_uniq" UNIQUE ("user_id", "permission_id")
;
ALTER TABLE "auth_user_user_permissions" ADD CONSTRAINT "auth_user_user_permissions_user_id_a95ead1b_fk_auth_user_id" FOREIGN KEY ("user_id") REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED
;
ALTER TABLE "auth_user_user_permissions" ADD CONSTRAINT "auth_user_user_permi_permission_id_1fbb5f2c_fk_auth_perm" FOREIGN KEY ("permission_id") REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED
;
CREATE INDEX "auth_user_user_permissions_user_id_a95ead1b" ON "auth_user_user_permissions" ("user_id")
;
CREATE INDEX "auth_user_user_permissions_permission_id_1fbb5f2c" ON "auth_user_user_permissions" ("permission_id")
;
CREATE TABLE "django_admin_log" ("id" serial NOT NULL PRIMARY KEY, "action_time" timestamp with time zone NOT NULL, "object_id" text NULL, "object_repr" varchar(200) NOT NULL, "action_flag" smallint NOT NULL CHECK ("action_flag" >= 0), "change_message" text NOT NULL, "content_type_id" integer NULL, "user_id" integer NOT NULL)
;
ALTER TABLE "django_admin_log" ADD CONSTRAINT "django_admin_log_content_type_id_c4bce8eb_fk_django_co" FOREIGN KEY ("content_type_id") REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED
;
ALTER TABLE "django_admin_log" ADD CONSTRAINT "django_admin_log_user_id_c564eba6_fk_auth_user_id" FOREIGN KEY ("user_id") REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED
;
CREATE INDEX "django_admin_log_content_type_id_c4bce8eb" ON "django_admin_log" ("content_type_id")
;
CREATE INDEX "django_admin_log_user_id_c564eba6" ON "django_admin_log" ("user_id")
;
CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" timestamp with time zone NOT NULL)
;
CREATE INDEX "django_session_session_key_c0390e0f_like" ON "django_session" ("session_key" varchar_pattern_ops)
;
CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date")
;
CREATE TABLE "shopapp_a" ("id" bigserial NOT NULL PRIMARY KEY, "n" varchar(20) NOT NULL, "j" jsonb NULL)
;
CREATE TABLE "shopapp_c" ("id" bigserial NOT NULL PRIMARY KEY, "a_id" bigint NOT NULL)
;
CREATE TABLE "shopapp_c_t" ("id" bigserial NOT NULL PRIMARY KEY, "c_id" bigint NOT NULL, "a_id" bigint NOT NULL)
;
CREATE INDEX "shopapp_a_n_064ef9e3" ON "shopapp_a" ("n")
;
CREATE INDEX "shopapp_a_n_064ef9e3_like" ON "shopapp_a" ("n" varchar_pattern_ops)
;
ALTER TABLE "shopapp_c" ADD CONSTRAINT "shopapp_c_a_id_a6a18563_fk_shopapp_a_id" FOREIGN KEY ("a_id") REFERENCES "shopapp_a" ("id") DEFERRABLE INITIALLY DEFERRED
;
CREATE INDEX "shopapp_c_a_id_a6a18563" ON "shopapp_c" ("a_id")
;
ALTER TABLE "shopapp_c_t" ADD CONSTRAINT "shopapp_c_t_c_id_a_id_0ed6464c_uniq" UNIQUE ("c_id", "a_id")
;
ALTER TABLE "shopapp_c_t" ADD CONSTRAINT "shopapp_c_t_c_id_8a2c8781_fk_shopapp_c_id" FOREIGN KEY ("c_id") REFERENCES "shopapp_c" ("id") DEFERRABLE INITIALLY DEFERRED
;
ALTER TABLE "shopapp_c_t" ADD CONSTRAINT "shopapp_c_t_a_id_ded840b4_fk_shopapp_a_id" FOREIGN KEY ("a_id") REFERENCES "shopapp_a" ("id") DEFERRABLE INITIALLY DEFERRED
;
CREATE INDEX "shopapp_c_t_c_id_8a2c8781" ON "shopapp_c_t" ("c_id")
;
CREATE INDEX "shopapp_c_t_a_id_ded840b4" ON "shopapp_c_t" ("a_id")
;
SELECT "django_migrations"."id", "django_migrations"."app", "django_migrations"."name", "django_migrations"."applied" FROM "django_migrations"
;
SELECT "django_content_type"."id", "django_content_type"."app_label", "django_content_type"."model" FROM "django_content_type" WHERE "django_content_type"."app_label" = 'auth'
;
INSERT INTO "django_content_type" ("app_label", "model") VALUES ('auth', 'permission'), ('auth', 'group'), ('auth', 'user') RETURNING "django_content_type"."id"
;
SELECT "django_content_type"."id", "django_content_type"."app_label", "django_content_type"."model" FROM "django_content_type" WHERE ("django_content_type"."app_label" = 'auth' AND "django_content_type"."model" = 'permission') LIMIT 21
;
SELECT "auth_permission"."content_type_id", "auth_permission"."codename" FROM "auth_permission" INNER JOIN "django_content_type" ON ("auth_permission"."content_type_id" = "django_content_type"."id") WHERE "auth_permission"."content_type_id" IN (1, 2, 3) ORDER BY "django_content_type"."app_label" ASC, "django_content_type"."model" ASC, "auth_permission"."codename" ASC
;
INSERT INTO "auth_permission" ("name", "content_type_id", "codename") VALUES ('Can add permission', 1, 'add_permission'), ('Can change permission', 1, 'change_permission'), ('Can delete permission', 1, 'delete_permission'), ('Can view permission', 1, 'view_permission'), ('Can add group', 2, 'add_group'), ('Can change group', 2, 'change_group'), ('Can delete group', 2, 'delete_group'), ('Can view group', 2, 'view_group'), ('Can add user', 3, 'add_user'), ('Can change user', 3, 'change_user'), ('Can delete user', 3, 'delete_user'), ('Can view user', 3, 'view_user') RETURNING "auth_permission"."id"
;
INSERT INTO "django_content_type" ("app_label", "model") VALUES ('contenttypes', 'contenttype') RETURNING "django_content_type"."id"
;
INSERT INTO "auth_permission" ("name", "content_type_id", "codename") VALUES ('Can add content type', 4, 'add_contenttype'), ('Can change content type', 4, 'change_contenttype'), ('Can delete content type', 4, 'delete_contenttype'), ('Can view content type', 4, 'view_contenttype') RETURNING "auth_permission"."id"
;
INSERT INTO "django_content_type" ("app_label", "model") VALUES ('shopapp', 'a'), ('shopapp', 'c') RETURNING "django_content_type"."id"
;
INSERT INTO "auth_permission" ("name", "content_type_id", "codename") VALUES ('Can add a', 7, 'add_a'), ('Can change a', 7, 'change_a'), ('Can delete a', 7, 'delete_a'), ('Can view a', 7, 'view_a'), ('Can add c', 8, 'add_c'), ('Can change c', 8, 'change_c'), ('Can delete c', 8, 'delete_c'), ('Can view c', 8, 'view_c') RETURNING "auth_permission"."id"
;
SELECT a1.attname, c2.relname, a2.attname
            FROM pg_constraint con
            LEFT JOIN pg_class c1 ON con.conrelid = c1.oid
            LEFT JOIN pg_class c2 ON con.confrelid = c2.oid
            LEFT JOIN pg_attribute a1 ON c1.oid = a1.attrelid AND a1.attnum = con.conkey[1]
            LEFT JOIN pg_attribute a2 ON c2.oid = a2.attrelid AND a2.attnum = con.confkey[1]
            WHERE
                c1.relname = 'auth_group' AND
                con.contype = 'f' AND
                c1.relnamespace = c2.relnamespace AND
                pg_catalog.pg_table_is_visible(c1.oid)
;
SELECT
                c.conname,
                array(
                    SELECT attname
                    FROM unnest(c.conkey) WITH ORDINALITY cols(colid, arridx)
                    JOIN pg_attribute AS ca ON cols.colid = ca.attnum
                    WHERE ca.attrelid = c.conrelid
                    ORDER BY cols.arridx
                ),
                c.contype,
                (SELECT fkc.relname || '.' || fka.attname
                FROM pg_attribute AS fka
                JOIN pg_class AS fkc ON fka.attrelid = fkc.oid
                WHERE fka.attrelid = c.confrelid AND fka.attnum = c.confkey[1]),
                cl.reloptions
            FROM pg_constraint AS c
            JOIN pg_class AS cl ON c.conrelid = cl.oid
            WHERE cl.relname = 'auth_group' AND pg_catalog.pg_table_is_visible(cl.oid)
;
SELECT
                indexname, array_agg(attname ORDER BY arridx), indisunique, indisprimary,
                array_agg(ordering ORDER BY arridx), amname, exprdef, s2.attoptions
            FROM (
                SELECT
                    c2.relname as indexname, idx.*, attr.attname, am.amname,
                    CASE
                        WHEN idx.indexprs IS NOT NULL THEN
                            pg_get_indexdef(idx.indexrelid)
                    END AS exprdef,
                    CASE am.amname
                        WHEN 'btree' THEN
                            CASE (option & 1)
                                WHEN 1 THEN 'DESC' ELSE 'ASC'
                            END
                    END as ordering,
                    c2.reloptions as attoptions
                FROM (
                    SELECT *
                    FROM pg_index i, unnest(i.indkey, i.indoption) WITH ORDINALITY koi(key, option, arridx)
                ) idx
                LEFT JOIN pg_class c ON idx.indrelid = c.oid
                LEFT JOIN pg_class c2 ON idx.indexrelid = c2.oid
                LEFT JOIN pg_am am ON c2.relam = am.oid
                LEFT JOIN pg_attribute attr ON attr.attrelid = c.oid AND attr.attnum = idx.key
                WHERE c.relname = 'auth_group' AND pg_catalog.pg_table_is_visible(c.oid)
            ) s2
            GROUP BY indexname, indisunique, indisprimary, amname, exprdef, attoptions
;
SELECT
                a.attname AS column_name,
                NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AS is_nullable,
                pg_get_expr(ad.adbin, ad.adrelid) AS column_default,
                CASE WHEN collname = 'default' THEN NULL ELSE collname END AS collation
            FROM pg_attribute a
            LEFT JOIN pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
            LEFT JOIN pg_collation co ON a.attcollation = co.oid
            JOIN pg_type t ON a.atttypid = t.oid
            JOIN pg_class c ON a.attrelid = c.oid
            JOIN pg_namespace n ON c.relnamespace = n.oid
            WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')
                AND c.relname = 'auth_group'
                AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
                AND pg_catalog.pg_table_is_visible(c.oid)
;
SELECT * FROM "auth_group" LIMIT 1
;
SELECT * FROM "auth_group_permissions" LIMIT 1
;
SELECT * FROM "auth_permission" LIMIT 1
;
SELECT * FROM "auth_user" LIMIT 1
;
SELECT * FROM "auth_user_groups" LIMIT 1
;
SELECT * FROM "auth_user_user_permissions" LIMIT 1
;
SELECT * FROM "django_admin_log" LIMIT 1
;
SELECT * FROM "django_content_type" LIMIT 1
;
SELECT * FROM "django_migrations" LIMIT 1
;
SELECT * FROM "django_session" LIMIT 1
;
SELECT * FROM "shopapp_a" LIMIT 1
;
SELECT * FROM "shopapp_c" LIMIT 1
;
SELECT * FROM "shopapp_c_t" LIMIT 1
;
SET search_path TO shop, public
;
SELECT * FROM "customer" LIMIT 1
;
SELECT * FROM "event" LIMIT 1
;
SELECT * FROM "far" LIMIT 1
;
SELECT * FROM "log" LIMIT 1
;
SELECT * FROM "log_old" LIMIT 1
;
SELECT * FROM "orders" LIMIT 1
;
RESET search_path
;
INSERT INTO "shopapp_a" ("n", "j") VALUES ('1', NULL) RETURNING "shopapp_a"."id"
;
INSERT INTO "shopapp_c" ("a_id") VALUES (1), (1) RETURNING "shopapp_c"."id"
;
SAVEPOINT "s139788269293632_x1"
;
SELECT "shopapp_a"."id", "shopapp_a"."n", "shopapp_a"."j" FROM "shopapp_a" WHERE "shopapp_a"."id" = 1 LIMIT 21 FOR UPDATE
;
RELEASE SAVEPOINT "s139788269293632_x1"
;
SELECT "shopapp_a"."id", "shopapp_a"."n", "shopapp_a"."j" FROM "shopapp_a" WHERE "shopapp_a"."n" = '1' LIMIT 21
;
UPDATE "shopapp_a" SET "n" = '2' WHERE "shopapp_a"."n" = '1'
;
UPDATE "shopapp_a" SET "n" = '1', "j" = NULL WHERE "shopapp_a"."id" = 1
;
SELECT "shopapp_c"."id", "shopapp_c"."a_id" FROM "shopapp_c" ORDER BY "shopapp_c"."id" ASC LIMIT 1
;
INSERT INTO "shopapp_c_t" ("c_id", "a_id") VALUES (1, 1) ON CONFLICT DO NOTHING
;
SELECT "shopapp_a"."id", "shopapp_a"."n", "shopapp_a"."j" FROM "shopapp_a" WHERE "shopapp_a"."id" = 1 LIMIT 21
;
UPDATE "shopapp_a" SET "n" = CAST(CASE WHEN ("shopapp_a"."id" = 1) THEN '1' ELSE NULL END AS varchar(20)) WHERE "shopapp_a"."id" IN (1)
;
DECLARE "_django_curs_139788269293632_sync_1" NO SCROLL CURSOR WITHOUT HOLD FOR SELECT "shopapp_a"."id", "shopapp_a"."n", "shopapp_a"."j" FROM "shopapp_a"
;
FETCH FORWARD 2000 FROM "_django_curs_139788269293632_sync_1"
;
CLOSE "_django_curs_139788269293632_sync_1"
;
SELECT "shopapp_c"."id" FROM "shopapp_c" WHERE "shopapp_c"."a_id" IN (1)
;
DELETE FROM "shopapp_c_t" WHERE "shopapp_c_t"."c_id" IN (1, 2)
;
DELETE FROM "shopapp_c_t" WHERE "shopapp_c_t"."a_id" IN (1)
;
DELETE FROM "shopapp_c" WHERE "shopapp_c"."id" IN (2, 1)
;
DELETE FROM "shopapp_a" WHERE "shopapp_a"."id" IN (1)
;
INSERT INTO "auth_user" ("password", "last_login", "is_superuser", "username", "first_name", "last_name", "email", "is_staff", "is_active", "date_joined") VALUES ('pbkdf2_sha256$1$salt$hash=', NULL, true, 'x', '', '', 'x@x.x', true, true, '2026-11-21T15:04:01.519107+00:00'::timestamptz) RETURNING "auth_user"."id"
;
DELETE FROM "django_session" WHERE "django_session"."expire_date" < '2026-11-21T15:04:01.581411+00:00'::timestamptz
;
DELETE FROM "auth_user_groups" WHERE "auth_user_groups"."user_id" IN (1)
;
DELETE FROM "auth_user_user_permissions" WHERE "auth_user_user_permissions"."user_id" IN (1)
;
DELETE FROM "django_admin_log" WHERE "django_admin_log"."user_id" IN (1)
;
DELETE FROM "auth_user" WHERE "auth_user"."id" IN (1)
;
