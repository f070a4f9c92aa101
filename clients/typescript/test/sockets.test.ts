import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Roster, RosterError, type RosterOptions } from '@roster/client';

interface Sent {
  readonly type: string;
  readonly payload?: { readonly Authorization?: string; readonly variables?: { readonly after?: string } };
}

/** The messages of a server, and the code with which it closes the socket. */
type Script = readonly (object | number)[];

const ACK = { type: 'connection_ack' };
const PING = { type: 'ping' };
const PONG = { type: 'pong' };
const COMPLETE = { type: 'complete', id: '1' };
const next = (position: string, nodeId: string) => ({
  type: 'next',
  id: '1',
  payload: { data: { changes: { position, nodeId } } },
});

/** A client whose sockets follow one script after the other, and the messages that each of them gets. */
function scripted(scripts: readonly Script[], options: Partial<RosterOptions> = {}) {
  const sent: Sent[][] = [];
  class Scripted {
    onopen = () => {};
    onmessage = (_event: { data: string }) => {};
    onclose = (_event: { code: number; reason: string }) => {};
    readonly #script = scripts[sent.length] ?? [];
    readonly #sent: Sent[] = [];

    constructor(
      readonly url: string,
      readonly protocol: string,
    ) {
      assert.deepEqual([url, protocol], ['wss://roster.example.org/graphql', 'graphql-transport-ws']);
      sent.push(this.#sent);
      setImmediate(() => this.onopen());
    }

    send(text: string) {
      const message = JSON.parse(text) as Sent;
      this.#sent.push(message);
      for (const step of message.type === 'connection_init' ? this.#script : []) {
        if (typeof step === 'number') {
          this.onclose({ code: step, reason: '' });
        } else {
          this.onmessage({ data: JSON.stringify(step) });
        }
      }
    }

    close() {}
  }
  const webSocket = Scripted as unknown as typeof WebSocket;
  const url = 'https://roster.example.org';
  const roster = new Roster({ url, token: 'ros_a', transport: 'websocket', webSocket, ...options });
  return { roster, sent };
}

const isError = (code: string) => (error: unknown) => error instanceof RosterError && error.code === code;

/** A server that signs everybody in with this token. */
const signsIn = (token: string) => async () => {
  const login = { success: true, message: '', errors: [], token, deviceToken: null, expiresAt: null, user: null };
  return new Response(JSON.stringify({ data: { login } }), { headers: { 'content-type': 'application/json' } });
};

test('a socket that closes is followed by another one, which resumes after the last event', async () => {
  const { roster, sent } = scripted([
    [ACK, next('2', 'a'), 4420],
    [1013],
    [ACK, next('3', 'b'), 4421],
    [ACK, PING, next('4', 'c'), COMPLETE],
  ]);
  const seen = [];
  const connected: string[] = [];
  const onConnect = (position: string) => connected.push(position);
  for await (const { nodeId } of roster.changes({ after: '1', retryDelay: () => 0, onConnect })) {
    seen.push(nodeId);
  }
  assert.deepEqual(seen, ['a', 'b', 'c']);
  assert.deepEqual(connected, ['1', '2', '3']);
  const types = sent.map((messages) => messages.map(({ type }) => type));
  const begin = ['connection_init', 'subscribe'];
  assert.deepEqual(types, [begin, ['connection_init'], begin, [...begin, 'pong']]);
  const resumed = sent.map(([init, subscribe]) => [init?.payload?.Authorization, subscribe?.payload?.variables?.after]);
  const token = 'Bearer ros_a';
  assert.deepEqual(resumed, [[token, '1'], [token, undefined], [token, '2'], [token, '3']]);
});

test('a socket on which too many events wait is followed by another one', async () => {
  const many = Array.from({ length: 1_100 }, (_, index) => next(`${index}`, 'a'));
  const { roster, sent } = scripted([
    [ACK, ...many],
    [ACK, next('last', 'b'), COMPLETE],
  ]);
  const seen = [];
  for await (const { position } of roster.changes({ after: 'first', retryDelay: () => 0 })) {
    seen.push(position);
  }
  // The first message is the acknowledgement.
  const waited = many.slice(0, 999).map((_, index) => `${index}`);
  assert.deepEqual(seen, [...waited, 'last']);
  assert.equal(sent[1]?.[1]?.payload?.variables?.after, '998');
});

test('tries are counted anew after a connection has worked', async () => {
  const { roster } = scripted([[1013], [1013], [ACK, 1001], [ACK, PONG, 1001], [ACK, COMPLETE]]);
  const attempts: number[] = [];
  const retryDelay = (attempt: number) => {
    attempts.push(attempt);
    return 0;
  };
  assert.equal((await roster.changes({ after: '1', retryDelay }).next()).done, true);
  assert.deepEqual(attempts, [1, 2, 3, 1]);
});

test('a socket that closes because the client or its token is wrong ends the subscription', async () => {
  for (const [closed, code] of [
    [1002, 'BAD_REQUEST'],
    [1009, 'BAD_REQUEST'],
    [4400, 'BAD_REQUEST'],
    [4401, 'UNAUTHENTICATED'],
    [4403, 'UNAUTHENTICATED'],
    [4406, 'BAD_REQUEST'],
    [4409, 'BAD_REQUEST'],
    [4429, 'BAD_REQUEST'],
  ] as const) {
    const { roster, sent } = scripted([[ACK, closed]]);
    await assert.rejects(roster.changes({ after: '1' }).next(), isError(code));
    assert.equal(sent.length, 1, `${closed}`);
  }
});

test('an error of a subscription ends it, unless it passes', async () => {
  const error = (code: string, extensions = {}) => ({
    type: 'error',
    id: '1',
    payload: [{ message: code, extensions: { code, ...extensions } }],
  });
  const { roster, sent } = scripted([
    [ACK, error('RATE_LIMITED')],
    [ACK, error('SNAPSHOT_REQUIRED', { position: '9' })],
  ]);
  await assert.rejects(
    roster.changes({ after: '1', retryDelay: () => 0 }).next(),
    (thrown) => isError('SNAPSHOT_REQUIRED')(thrown) && (thrown as RosterError).position === '9',
  );
  assert.equal(sent.length, 2);
});

test('a socket resumes as the renewed session', async () => {
  const { roster, sent } = scripted([[ACK, next('2', 'a'), 4401], [ACK, next('3', 'b'), COMPLETE]], {
    fetch: signsIn('ros_b'),
    renew: () => ({ login: 'fern', password: 'velvet' }),
  });
  const seen = [];
  for await (const { nodeId } of roster.changes({ after: '1', retryDelay: () => 0 })) {
    seen.push(nodeId);
  }
  assert.deepEqual(seen, ['a', 'b']);
  assert.deepEqual(
    sent.map(([init]) => init?.payload?.Authorization),
    ['Bearer ros_a', 'Bearer ros_b'],
  );
});

test('a socket of a former user does not resume as the one who has signed in since', async () => {
  const { roster, sent } = scripted([[ACK, next('2', 'a'), 1001]], { fetch: signsIn('ros_b') });
  const changes = roster.changes({ after: '1', retryDelay: () => 0 });
  assert.equal((await changes.next()).value?.nodeId, 'a');
  assert.equal((await roster.signIn({ login: 'bo', password: 'velvet' })).success, true);
  await assert.rejects(changes.next(), isError('UNAUTHENTICATED'));
  assert.equal(sent.length, 1);
});

test('a subscription over a socket selects its position, and can be told where to begin', async () => {
  const { roster } = scripted([[ACK, { type: 'next', id: '1', payload: { data: { changes: { kind: 'CREATED' } } } }]]);
  assert.throws(() => roster.subscribeTo('subscription { changes { position } }', {}), /\$after/);
  const query = 'subscription ($after: String) { changes(after: $after) { kind } }';
  await assert.rejects(roster.subscribeTo(query, { after: '1' }).next(), /must select `position`/);
});
