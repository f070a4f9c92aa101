-- Users, groups, institutions and licenses, and the credentials of users.
-- The application writes columns that end in _key in one canonical form (see src/text.rs). They are compared byte by
-- byte, so that uniqueness, lookups and order are the same on every database and under every locale.

CREATE TABLE licenses (
    id          blob NOT NULL PRIMARY KEY,
    number      text NOT NULL UNIQUE,
    kind        text NOT NULL,
    holder      text NOT NULL,
    starts_on   text NOT NULL,
    expires_on  text
) STRICT;

CREATE TABLE institutions (
    id          blob NOT NULL PRIMARY KEY,
    license_id  blob NOT NULL REFERENCES licenses (id),
    name        text NOT NULL,
    name_key    text NOT NULL,
    kind        text NOT NULL,
    country     text NOT NULL,
    state       text,
    city        text,
    address     text,
    postcode    text,
    phone       text,
    email       text,
    num_beds    integer,
    external_id text,
    created_at  text NOT NULL,
    modified_at text NOT NULL,
    version     integer NOT NULL,
    UNIQUE (license_id, external_id)
) STRICT;
CREATE INDEX institutions_by_name ON institutions (license_id, name_key, id);

CREATE TABLE groups (
    id          blob NOT NULL PRIMARY KEY,
    license_id  blob NOT NULL REFERENCES licenses (id),
    name        text NOT NULL,
    name_key    text NOT NULL,
    description text,
    created_at  text NOT NULL,
    modified_at text NOT NULL,
    version     integer NOT NULL
) STRICT;
CREATE INDEX groups_by_name ON groups (license_id, name_key, id);

-- seq is the row's key in the full-text index: an implicit rowid may change when the file is vacuumed.
CREATE TABLE users (
    seq                            integer PRIMARY KEY,
    id                             blob NOT NULL UNIQUE,
    license_id                     blob NOT NULL REFERENCES licenses (id),
    username                       text,
    username_key                   text CONSTRAINT users_username_unique UNIQUE,
    email                          text,
    email_key                      text CONSTRAINT users_email_unique UNIQUE,
    email_verified                 integer NOT NULL,
    first_name                     text NOT NULL,
    first_name_key                 text NOT NULL,
    last_name                      text NOT NULL,
    last_name_key                  text NOT NULL,
    search_key                     text NOT NULL,
    nickname                       text,
    certified_email                text,
    phone                          text,
    mobile                         text,
    website                        text,
    birth_date                     text,
    gender                         text NOT NULL,
    user_type                      text NOT NULL,
    position                       text,
    google_scholar                 text,
    orcid_id                       text,
    atlas_preference               text,
    external_id                    text,
    institution_id                 blob REFERENCES institutions (id),
    role                           text NOT NULL,
    is_staff                       integer NOT NULL,
    is_active                      integer NOT NULL,
    has_activated                  integer NOT NULL,
    has_pin                        integer NOT NULL,
    full_site_access               integer NOT NULL,
    is_superuser                   integer NOT NULL,
    is_admin                       integer NOT NULL,
    is_project_admin               integer NOT NULL,
    is_group_admin                 integer NOT NULL,
    is_taxonomies_admin            integer NOT NULL,
    is_resources_admin             integer NOT NULL,
    is_attributes_admin            integer NOT NULL,
    is_contact_form_email_receiver integer NOT NULL,
    date_joined                    text NOT NULL,
    modified_at                    text NOT NULL,
    last_login                     text,
    version                        integer NOT NULL,
    CONSTRAINT users_external_id_unique UNIQUE (license_id, external_id),
    CHECK (username IS NOT NULL OR email IS NOT NULL)
) STRICT;
CREATE INDEX users_by_name ON users (last_name_key, first_name_key, id);
CREATE INDEX users_of_license_by_name ON users (license_id, last_name_key, first_name_key, id);
CREATE INDEX users_of_institution_by_name ON users (institution_id, last_name_key, first_name_key, id);

CREATE VIRTUAL TABLE users_search USING fts5 (
    search_key, content = 'users', content_rowid = 'seq', tokenize = 'trigram case_sensitive 1'
);
CREATE TRIGGER users_search_insert AFTER INSERT ON users BEGIN
    INSERT INTO users_search (rowid, search_key) VALUES (new.seq, new.search_key);
END;
CREATE TRIGGER users_search_update AFTER UPDATE OF search_key ON users WHEN old.search_key <> new.search_key BEGIN
    INSERT INTO users_search (users_search, rowid, search_key) VALUES ('delete', old.seq, old.search_key);
    INSERT INTO users_search (rowid, search_key) VALUES (new.seq, new.search_key);
END;
CREATE TRIGGER users_search_delete AFTER DELETE ON users BEGIN
    INSERT INTO users_search (users_search, rowid, search_key) VALUES ('delete', old.seq, old.search_key);
END;

CREATE TABLE credentials (
    user_id       blob NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    password_hash text NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    user_id   blob NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id  blob NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    role      text NOT NULL,
    joined_at text NOT NULL,
    PRIMARY KEY (user_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_of_group ON memberships (group_id, user_id);

CREATE TABLE sessions (
    id           blob NOT NULL PRIMARY KEY,
    user_id      blob NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   blob NOT NULL UNIQUE,
    created_at   text NOT NULL,
    last_seen_at text NOT NULL,
    expires_at   text NOT NULL,
    user_agent   text,
    ip_address   text
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
