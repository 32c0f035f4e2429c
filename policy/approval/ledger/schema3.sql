-- Version 3: which locks are held by what waits at its COMMIT, and who waits for
-- them.

ALTER TABLE request ADD COLUMN locks BLOB NOT NULL DEFAULT x'';
