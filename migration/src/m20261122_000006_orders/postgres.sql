-- Columns and indexes by which users are filtered and sorted. The application fills in the new text keys, because only it
-- knows their form.
ALTER TABLE users ADD COLUMN nickname_key text COLLATE "C";
ALTER TABLE users ADD COLUMN certified_email_key text COLLATE "C";
ALTER TABLE users ADD COLUMN position_key text COLLATE "C";
ALTER TABLE users ADD COLUMN role_key integer NOT NULL DEFAULT 0;
UPDATE users SET role_key = CASE role WHEN 'LICENSE_ADMIN' THEN 2 WHEN 'ADMIN' THEN 1 ELSE 0 END;

CREATE INDEX users_of_license_by_first_name ON users (license_id, first_name_key, last_name_key, id);
CREATE INDEX users_of_license_by_username ON users (license_id, username_key, id);
CREATE INDEX users_of_license_by_email ON users (license_id, email_key, id);
CREATE INDEX users_of_license_by_role ON users (license_id, role_key, last_name_key, first_name_key, id);
CREATE INDEX users_of_license_by_position ON users (license_id, position_key, last_name_key, first_name_key, id);
CREATE INDEX users_of_license_by_date_joined ON users (license_id, date_joined, id);
CREATE INDEX users_of_license_by_modified_at ON users (license_id, modified_at, id);
CREATE INDEX users_of_license_by_last_login ON users (license_id, last_login, id);
CREATE INDEX users_by_external_id ON users (lower(external_id COLLATE "C"));
