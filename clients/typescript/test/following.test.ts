import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  CreateUserDocument,
  Roster,
  RosterError,
  SetActiveDocument,
  succeeded,
  UpdateUserDocument,
  type Change,
  type ChangesOptions,
} from '@roster/client';
import { Server } from './server.js';

let server: Server;
let admin: Roster;

before(async () => {
  server = await Server.start();
  admin = await server.client('license_admin');
});
after(() => server.stop());

/** Follows the changes until it is told to stop. */
function followed(roster: Roster, { after, types = ['USER'] }: Pick<ChangesOptions, 'after' | 'types'> = {}) {
  const controller = new AbortController();
  const changes: Change[] = [];
  const positions: string[] = [];
  let broken = 0;
  let wake = () => {};
  const options = {
    types,
    after,
    signal: controller.signal,
    retryDelay: () => 20,
    onConnect: (position: string) => {
      positions.push(position);
      wake();
    },
    onDisconnect: () => {
      broken += 1;
      wake();
    },
  };
  const done = (async () => {
    for await (const change of roster.changes(options)) {
      changes.push(change);
      wake();
    }
  })();
  const until = async (condition: () => boolean) => {
    while (!condition()) {
      await Promise.race([new Promise<void>((resolve) => (wake = resolve)), done]);
    }
  };
  const stop = async () => {
    controller.abort();
    await done;
  };
  return { changes, positions, until, stop, broken: () => broken };
}

async function newUser(name: string): Promise<string> {
  const input = { firstName: 'Ann', lastName: 'Writer', email: `${name}@example.org`, sendRegistrationEmail: false };
  const { createUser } = await admin.request(CreateUserDocument, { input });
  return succeeded(createUser).user?.id ?? '';
}

async function newGroup(name: string): Promise<string> {
  const document = 'mutation ($name: String!) { createGroup(input: { name: $name }) { group { id } } }';
  const { data } = await admin.execute<{ createGroup: { group: { id: string } | null } }>(document, { name });
  return data?.createGroup.group?.id ?? '';
}

for (const transport of ['event-stream', 'websocket'] as const) {
  follows(transport);
}

function follows(transport: 'event-stream' | 'websocket') {
  test(`every change is seen once although the server is killed and started again (${transport})`, async () => {
    const following = followed(await server.client('license_admin', { transport }));
    await following.until(() => following.positions.length === 1);
    const expected: [kind: string, id: string][] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      const id = await newUser(`turn-${turn}-${transport}`);
      await following.until(() => following.changes.length > expected.length);
      // Acknowledged, but perhaps not sent yet.
      succeeded((await admin.request(UpdateUserDocument, { input: { id, position: 'Nurse' } })).updateUser);
      succeeded((await admin.request(SetActiveDocument, { input: { id, active: false } })).setActive);
      expected.push(['CREATED', id], ['UPDATED', id], ['DEACTIVATED', id]);
      const { positions } = following;
      const connections = positions.length;
      await server.kill();
      await following.until(() => following.broken() > turn);
      await server.begin();
      await following.until(() => positions.length > connections);
    }
    await following.until(() => following.changes.length === expected.length);
    await following.stop();
    assert.deepEqual(
      following.changes.map(({ kind, nodeId }) => [kind, nodeId]),
      expected,
    );
  });

  test(`changes are followed from a position (${transport})`, async () => {
    const roster = await server.client('license_admin', { transport });
    const first = followed(roster);
    await first.until(() => first.positions.length === 1);
    const id = await newUser(`position-${transport}`);
    await first.until(() => first.changes.length === 1);
    await first.stop();

    const again = followed(roster, { after: first.positions[0] });
    await again.until(() => again.changes.length === 1);
    await again.stop();
    const [change] = again.changes;
    assert.deepEqual([change?.nodeId, change?.node?.__typename], [id, 'User']);
    assert(change?.node?.__typename === 'User' && change.node.fullName === 'Ann Writer');
  });

  test(`a loop that is left ends the subscription (${transport})`, async () => {
    const roster = await server.client('admin', { transport });
    const changes = roster.changes({ onConnect: () => void newUser(`left-${transport}`) });
    for await (const change of changes) {
      assert.equal(change.kind, 'CREATED');
      break;
    }
    assert.deepEqual(await changes.next(), { done: true, value: undefined });
  });

  test(`a subscription of a session that has ended is renewed, or refused (${transport})`, async () => {
    const renew = () => ({ login: server.login('admin'), password: server.password });
    const renewed = new Roster({ url: server.url, renew, transport });
    await renewed.signIn(renew());
    const following = followed(renewed);
    await following.until(() => following.positions.length === 1);
    const { token } = renewed.tokens;
    await new Roster({ url: server.url, token: token ?? '' }).signOut();
    await following.until(() => following.positions.length === 2);
    assert.notEqual(renewed.tokens.token, token);
    const id = await newUser(`renewed-${transport}`);
    await following.until(() => following.changes.length === 1);
    await following.stop();
    assert.equal(following.changes[0]?.nodeId, id);

    const ended = new Roster({ url: server.url, token: 'ros_ended', transport }).changes();
    await assert.rejects(ended.next(), (error) => error instanceof RosterError && error.code === 'UNAUTHENTICATED');
  });

  test(`errors that need more than another try end a subscription (${transport})`, async () => {
    const roster = await server.client('license_admin', { transport });
    const wrong = roster.changes({ after: 'nowhere' });
    await assert.rejects(wrong.next(), (error) => error instanceof RosterError && error.code === 'BAD_USER_INPUT');
    const document = 'subscription ($after: String) { nothing(after: $after) }';
    const invalid = roster.subscribe<unknown, object>(document);
    await assert.rejects(
      invalid.next(),
      (error) => error instanceof RosterError && error.code === 'GRAPHQL_VALIDATION_FAILED',
    );
  });
}

test('the subscriptions of a client share a socket, and each resumes after its own last change', async () => {
  const sockets: WebSocket[] = [];
  class Counted extends WebSocket {
    constructor(url: string, protocol: string) {
      super(url, protocol);
      sockets.push(this);
    }
  }
  const roster = await server.client('license_admin', { transport: 'websocket', webSocket: Counted });
  const users = followed(roster);
  const groups = followed(roster, { types: ['GROUP'] });
  const ended = followed(roster);
  for (const { positions, until } of [users, groups, ended]) {
    await until(() => positions.length === 1);
  }
  assert.equal(sockets.length, 1);
  await ended.stop();

  const created = ({ changes }: ReturnType<typeof followed>) =>
    changes.filter(({ kind }) => kind === 'CREATED').map(({ nodeId }) => nodeId);
  const expected: { user: string; group: string }[] = [];
  const createBoth = async (name: string) =>
    expected.push({ user: await newUser(`${name}-socket`), group: await newGroup(`${name} of a socket`) });
  await createBoth('first');
  await users.until(() => created(users).length === 1);
  await groups.until(() => created(groups).length === 1);
  // Acknowledged, but perhaps not sent yet.
  await createBoth('second');
  await server.kill();
  for (const { broken, until } of [users, groups]) {
    await until(() => broken() > 0);
  }
  await server.begin();
  for (const { positions, until } of [users, groups]) {
    await until(() => positions.length > 1);
  }
  await createBoth('third');
  await users.until(() => created(users).length === expected.length);
  await groups.until(() => created(groups).length === expected.length);
  assert.deepEqual(created(users), expected.map(({ user }) => user));
  assert.deepEqual(created(groups), expected.map(({ group }) => group));
  assert.deepEqual(ended.changes, []);
  assert.equal(sockets.filter(({ readyState }) => readyState === WebSocket.OPEN).length, 1);
  await users.stop();
  await groups.stop();
});
