-- Users, groups, institutions and licenses, and the credentials of users.
-- The application writes columns that end in _key in one canonical form (see src/text.rs). They are compared byte by
-- byte, so that uniqueness, lookups and order are the same on every database and under every locale.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE licenses (
    id          uuid PRIMARY KEY,
    number      text NOT NULL UNIQUE,
    kind        text NOT NULL,
    holder      text NOT NULL,
    starts_on   date NOT NULL,
    expires_on  date
);

CREATE TABLE institutions (
    id          uuid PRIMARY KEY,
    license_id  uuid NOT NULL REFERENCES licenses (id),
    name        text NOT NULL,
    name_key    text COLLATE "C" NOT NULL,
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
    created_at  timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    version     integer NOT NULL,
    UNIQUE (license_id, external_id)
);
CREATE INDEX institutions_by_name ON institutions (license_id, name_key, id);

CREATE TABLE groups (
    id          uuid PRIMARY KEY,
    license_id  uuid NOT NULL REFERENCES licenses (id),
    name        text NOT NULL,
    name_key    text COLLATE "C" NOT NULL,
    description text,
    created_at  timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    version     integer NOT NULL
);
CREATE INDEX groups_by_name ON groups (license_id, name_key, id);

CREATE TABLE users (
    id                             uuid PRIMARY KEY,
    license_id                     uuid NOT NULL REFERENCES licenses (id),
    username                       text,
    username_key                   text COLLATE "C" CONSTRAINT users_username_unique UNIQUE,
    email                          text,
    email_key                      text COLLATE "C" CONSTRAINT users_email_unique UNIQUE,
    email_verified                 boolean NOT NULL,
    first_name                     text NOT NULL,
    first_name_key                 text COLLATE "C" NOT NULL,
    last_name                      text NOT NULL,
    last_name_key                  text COLLATE "C" NOT NULL,
    search_key                     text COLLATE "C" NOT NULL,
    nickname                       text,
    certified_email                text,
    phone                          text,
    mobile                         text,
    website                        text,
    birth_date                     date,
    gender                         text NOT NULL,
    user_type                      text NOT NULL,
    position                       text,
    google_scholar                 text,
    orcid_id                       text,
    atlas_preference               text,
    external_id                    text,
    institution_id                 uuid REFERENCES institutions (id),
    role                           text NOT NULL,
    is_staff                       boolean NOT NULL,
    is_active                      boolean NOT NULL,
    has_activated                  boolean NOT NULL,
    has_pin                        boolean NOT NULL,
    full_site_access               boolean NOT NULL,
    is_superuser                   boolean NOT NULL,
    is_admin                       boolean NOT NULL,
    is_project_admin               boolean NOT NULL,
    is_group_admin                 boolean NOT NULL,
    is_taxonomies_admin            boolean NOT NULL,
    is_resources_admin             boolean NOT NULL,
    is_attributes_admin            boolean NOT NULL,
    is_contact_form_email_receiver boolean NOT NULL,
    date_joined                    timestamptz NOT NULL,
    modified_at                    timestamptz NOT NULL,
    last_login                     timestamptz,
    version                        integer NOT NULL,
    CONSTRAINT users_external_id_unique UNIQUE (license_id, external_id),
    CHECK (username IS NOT NULL OR email IS NOT NULL)
);
CREATE INDEX users_by_name ON users (last_name_key, first_name_key, id);
CREATE INDEX users_of_license_by_name ON users (license_id, last_name_key, first_name_key, id);
CREATE INDEX users_of_institution_by_name ON users (institution_id, last_name_key, first_name_key, id);
CREATE INDEX users_search ON users USING gin (search_key gin_trgm_ops);

CREATE TABLE credentials (
    user_id       uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    password_hash text NOT NULL
);

CREATE TABLE memberships (
    user_id   uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id  uuid NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    role      text NOT NULL,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX memberships_of_group ON memberships (group_id, user_id);

CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    user_agent   text,
    ip_address   text
);
CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
