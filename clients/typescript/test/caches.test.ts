import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ApolloClient, CombinedGraphQLErrors, gql, InMemoryCache } from '@apollo/client';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { parse } from 'graphql';
import {
  ChangesDocument,
  CreateUserDocument,
  GroupsDocument,
  Roster,
  SearchUsersDocument,
  SetUserAvatarDocument,
  succeeded,
  UpdateUserDocument,
  UsersDocument,
} from '@roster/client';
import { cacheConfig as apolloConfig, rosterLink } from '@roster/client/apollo';
import { cacheConfig as urqlConfig, forwardSubscription } from '@roster/client/urql';
import { PICTURE, Server } from './server.js';

let server: Server;
let roster: Roster;
let requests = 0;

before(async () => {
  server = await Server.start();
  const counting: typeof fetch = (...request) => {
    requests += 1;
    return fetch(...request);
  };
  roster = await server.client('license_admin', { fetch: counting });
});
after(() => server.stop());

const GROUP = 'query ($id: ID!) { group(id: $id) { id name } }';
const MEMBERS = `query ($id: ID!, $after: String) {
  group(id: $id) { id members(first: 1, after: $after) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }
}`;

function urql() {
  return new Client({
    url: roster.endpoint,
    fetch: roster.fetch,
    preferGetMethod: false,
    exchanges: [
      cacheExchange(urqlConfig),
      subscriptionExchange({ forwardSubscription: forwardSubscription(roster) }),
      fetchExchange,
    ],
  });
}

const apollo = () => new ApolloClient({ link: rosterLink(roster), cache: new InMemoryCache(apolloConfig) });

/** Fails if a cache warns: about an object without a key, say. */
async function withoutWarnings(run: () => Promise<void>) {
  const { warn, error } = console;
  const warnings: unknown[] = [];
  console.warn = console.error = (...values: unknown[]) => warnings.push(values);
  try {
    await run();
  } finally {
    Object.assign(console, { warn, error });
  }
  assert.deepEqual(warnings, []);
}

const input = (name: string) => ({
  firstName: 'Iris',
  lastName: 'Quill',
  email: `${name}@example.org`,
  sendRegistrationEmail: false,
});

test('urql joins pages, finds objects that it knows, and reads lists again', () =>
  withoutWarnings(async () => {
    const client = urql();
    const first = await client.query(UsersDocument, { first: 2 });
    assert.equal(first.error, undefined);
    const after = first.data?.users.pageInfo.endCursor ?? null;
    const second = await client.query(UsersDocument, { first: 2, after });
    assert.equal(second.data?.users.edges.length, 4);
    assert.equal(
      (await client.query(SearchUsersDocument, { query: 'emil', first: 1 })).data?.searchUsers.edges.length,
      1,
    );

    const group = (await client.query(GroupsDocument, { first: 1 })).data?.groups.edges[0]?.node;
    const before = requests;
    const known = await client.query(GROUP, { id: group?.id });
    assert.deepEqual([known.data.group.name, requests], [group?.name, before]);
    const nobody = await client.query(GROUP, { id: '00000000-0000-7000-8000-000000000000' });
    assert.deepEqual([nobody.data?.group, requests], [null, before + 1]);

    const created = await client.mutation(CreateUserDocument, { input: input('urql') });
    const user = succeeded(created.data?.createUser ?? null).user;
    const total = first.data?.users.totalCount ?? 0;
    assert.equal((await client.query(UsersDocument, { first: 2 })).data?.users.totalCount, total + 1);
    const avatar = { id: user?.id ?? '', avatar: PICTURE };
    const uploaded = await client.mutation(SetUserAvatarDocument, { input: avatar });
    assert.match(uploaded.data?.setUserAvatar?.user?.avatarUrl ?? String(uploaded.error), /^http/);
  }));

test('urql joins the pages of members', () =>
  withoutWarnings(async () => {
    const client = urql();
    const id = await largeGroup();
    const first = await client.query(MEMBERS, { id });
    const { endCursor } = first.data.group.members.pageInfo;
    const second = await client.query(MEMBERS, { id, after: endCursor });
    assert.equal(second.data.group.members.edges.length, 2);
  }));

test('Apollo Client joins pages and finds objects that it knows', () =>
  withoutWarnings(async () => {
    const client = apollo();
    const first = await client.query({ query: UsersDocument, variables: { first: 2 } });
    const after = first.data?.users.pageInfo.endCursor ?? null;
    await client.query({ query: UsersDocument, variables: { first: 2, after }, fetchPolicy: 'network-only' });
    const all = client.readQuery({ query: UsersDocument, variables: {} });
    assert.equal(all?.users.edges.length, 4);

    const groups = await client.query({ query: GroupsDocument, variables: { first: 1 } });
    const group = groups.data?.groups.edges[0]?.node;
    const before = requests;
    const known = await client.query<{ group: { name: string } | null }>({
      query: gql(GROUP),
      variables: { id: group?.id },
    });
    assert.deepEqual([known.data?.group?.name, requests], [group?.name, before]);
    const unknown = { id: '00000000-0000-7000-8000-000000000000' };
    const nobody = await client.query<{ group: null }>({ query: gql(GROUP), variables: unknown });
    assert.deepEqual([nobody.data?.group, requests], [null, before + 1]);

    const created = await client.mutate({ mutation: CreateUserDocument, variables: { input: input('apollo') } });
    const user = succeeded(created.data?.createUser ?? null).user;
    const avatar = { id: user?.id ?? '', avatar: PICTURE };
    const uploaded = await client.mutate({ mutation: SetUserAvatarDocument, variables: { input: avatar } });
    assert.match(uploaded.data?.setUserAvatar?.user?.avatarUrl ?? '', /^http/);
    await assert.rejects(
      client.query({ query: UsersDocument, variables: { first: 101 }, fetchPolicy: 'network-only' }),
      (error) => CombinedGraphQLErrors.is(error) && error.errors[0]?.extensions?.['code'] === 'BAD_USER_INPUT',
    );
  }));

test('Apollo Client joins the pages of members', () =>
  withoutWarnings(async () => {
    type Data = { group: { members: { edges: unknown[]; pageInfo: { endCursor: string } } } };
    const client = apollo();
    const id = await largeGroup();
    const query = parse(MEMBERS);
    const first = await client.query<Data>({ query, variables: { id } });
    const after = first.data?.group.members.pageInfo.endCursor;
    await client.query<Data>({ query, variables: { id, after }, fetchPolicy: 'network-only' });
    const all = client.readQuery<Data>({ query, variables: { id } });
    assert.equal(all?.group.members.edges.length, 2);
  }));

test('both follow changes', async ({ mock }) => {
  // Graphcache looks for the fields of all types in a node, as it has no schema.
  mock.method(console, 'warn', () => undefined);
  const { createUser } = await roster.request(CreateUserDocument, { input: input('followed') });
  const { id } = succeeded(createUser).user!;
  const update = () => roster.request(UpdateUserDocument, { input: { id, position: `Nurse ${requests}` } });
  const start = roster.changes();
  const change = start.next();
  // Without a position, a subscription begins at some time: until it does, the user is changed again.
  const first = await untilSeen(change, update);
  assert.equal(first.value?.nodeId, id);
  await start.return();
  const after = first.value?.position ?? null;
  await update();

  const seen = await new Promise((resolve, reject) => {
    const { unsubscribe } = urql()
      .subscription(ChangesDocument, { after })
      .subscribe(({ data, error }) => {
        queueMicrotask(() => unsubscribe());
        error ? reject(error) : resolve(data?.changes.node);
      });
  });
  const viaApollo = await new Promise((resolve, reject) => {
    const subscription = apollo()
      .subscribe({ query: ChangesDocument, variables: { after }, fetchPolicy: 'no-cache' })
      .subscribe(({ data, error }) => {
        subscription.unsubscribe();
        error ? reject(error) : resolve(data?.changes.node);
      });
  });
  for (const node of [seen, viaApollo] as { __typename: string; id: string }[]) {
    assert.deepEqual([node.__typename, node.id], ['User', id]);
  }
});

async function untilSeen<T>(seen: Promise<T>, update: () => Promise<unknown>): Promise<T> {
  let isSeen = false;
  void seen.finally(() => (isSeen = true));
  while (!isSeen) {
    await update();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return seen;
}

/** A group with several members. */
async function largeGroup(): Promise<string> {
  type Data = { groups: { nodes: { id: string; members: { totalCount: number } }[] } };
  const query = '{ groups { nodes { id members(first: 1) { totalCount } } } }';
  const { groups } = await roster.request<Data, object>(query);
  return groups.nodes.find(({ members }) => members.totalCount > 2)?.id ?? '';
}
