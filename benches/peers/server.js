// The users of Roster's PostgreSQL database, served by Mercurius with hand-written SQL. README.md says what it is for.
import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import mercurius from 'mercurius';
import pg from 'pg';

const schema = `
  type Query { user(by: UserBy!): User  users(first: Int!, after: String): UserConnection!
    usersContaining(text: String!, first: Int!): UserConnection! }
  type Mutation { createUser(input: CreateUserInput!): UserPayload!  updateUser(input: UpdateUserInput!): UserPayload! }
  type User { id: ID!  username: String  firstName: String!  lastName: String!  email: String  position: String
    userType: String!  version: Int!  institution: Institution  groups: [Group!]! }
  type Institution { id: ID!  name: String! }  type Group { id: ID!  name: String! }
  type UserConnection { nodes: [User!]! }  type UserPayload { success: Boolean!  user: User! }
  input UserBy { id: ID! }  input UpdateUserInput { id: ID!  position: String }
  input CreateUserInput { firstName: String!  lastName: String!  username: String!  email: String!  position: String
    userType: String!  sendRegistrationEmail: Boolean }`;

const options = '-c random_page_cost=1.1'; // as Roster
const db = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8, options });
// Each connection prepares a statement once, by its name.
const statement = (name, text) => async (...values) => (await db.query({ name, text, values })).rows;

const COLUMNS = `id, username, first_name AS "firstName", last_name AS "lastName", email, position,
  user_type AS "userType", version, institution_id AS "institutionId"`;
const SEARCHED = `(coalesce(username_key, '') || chr(10) || first_name_key || chr(10) || last_name_key || chr(10)
  || coalesce(email_key, '') || chr(10) || coalesce(certified_email_key, ''))`;
const START = ['', '', '00000000-0000-0000-0000-000000000000'];
const byId = statement('by-id', `SELECT ${COLUMNS} FROM users WHERE id = $1`);
const page = statement('page', `SELECT ${COLUMNS} FROM users WHERE license_id = $1 AND is_active
  AND (last_name_key, first_name_key, id) > ($3, $4, $5) ORDER BY last_name_key, first_name_key, id LIMIT $2`);
const containing = statement('containing', `SELECT ${COLUMNS} FROM users WHERE license_id = $1 AND is_active
  AND ${SEARCHED} LIKE $3 ORDER BY username_key, id LIMIT $2`);
const institutions = statement('institutions', 'SELECT id, name FROM institutions WHERE id = ANY ($1)');
const groups = statement('groups', `SELECT m.user_id AS "userId", g.id, g.name
  FROM memberships m JOIN groups g ON g.id = m.group_id WHERE m.user_id = ANY ($1) ORDER BY g.name_key, g.id`);
// A trigger writes the logins. The 13 columns that are false begin with email_verified.
const create = statement('create', `INSERT INTO users (id, license_id, username, username_key, email, email_key,
    first_name, first_name_key, last_name, last_name_key, position, position_key, user_type, search_key, gender, role,
    date_joined, modified_at, version, is_active, email_verified, is_staff, has_activated, has_pin, full_site_access,
    is_superuser, is_admin, is_project_admin, is_group_admin, is_taxonomies_admin, is_resources_admin,
    is_attributes_admin, is_contact_form_email_receiver)
  VALUES ($1, $2, $3, lower($3), $4, lower($4), $5, lower($5), $6, lower($6), $7, lower($7), $8, '', 'UNKNOWN', 'USER',
    now(), now(), 1, true${', false'.repeat(13)}) RETURNING ${COLUMNS}`);
const update = statement('update', `UPDATE users SET position = $2, position_key = lower($2), modified_at = now(),
  version = version + 1 WHERE id = $1 RETURNING ${COLUMNS}`);

await db.query(`CREATE INDEX IF NOT EXISTS peers_search ON users USING gin (${SEARCHED} gin_trgm_ops)`);
await db.query('ANALYZE users');
const licenses = 'SELECT license_id FROM users GROUP BY license_id ORDER BY count(*) DESC LIMIT 1';
const license = (await db.query(licenses)).rows[0].license_id;

const resolvers = {
  Query: {
    user: async (_, { by }) => (await byId(by.id))[0],
    users: async (_, { first, after }) =>
      ({ nodes: await page(license, first, ...(after ? JSON.parse(after) : START)) }),
    usersContaining: async (_, { text, first }) =>
      ({ nodes: await containing(license, first, `%${text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`) }),
  },
  Mutation: {
    createUser: async (_, { input: { username, email, firstName, lastName, position, userType } }) => {
      const rows = await create(randomUUID(), license, username, email, firstName, lastName, position, userType);
      return { success: true, user: rows[0] };
    },
    updateUser: async (_, { input: { id, position } }) => ({ success: true, user: (await update(id, position))[0] }),
  },
};
const loaders = {
  User: {
    institution: async (queries) => {
      const ids = queries.map(({ obj }) => obj.institutionId);
      const found = new Map((await institutions(ids)).map((row) => [row.id, row]));
      return ids.map((id) => found.get(id));
    },
    groups: async (queries) => {
      const ids = queries.map(({ obj }) => obj.id);
      const found = Map.groupBy(await groups(ids), (row) => row.userId);
      return ids.map((id) => found.get(id) ?? []);
    },
  },
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, loaders, jit: 1 });
console.log(`Mercurius listens on ${await app.listen({ host: '127.0.0.1', port: 0 })}/`);
process.stdin.on('end', () => process.exit()).resume(); // the load test has ended
