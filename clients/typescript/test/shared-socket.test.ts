import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change } from '@roster/client';
import { ACK, complete, error, isError, next, scripted, signsIn, type Sent } from './scripted.js';

/** Follows changes to their end, and returns the IDs of their objects. */
async function objectsOf(changes: AsyncIterable<Change>): Promise<string[]> {
  const objects = [];
  for await (const { nodeId } of changes) {
    objects.push(nodeId);
  }
  return objects;
}

/** The IDs of the subscriptions that a socket got, and where each begins. */
const beginnings = (sent: readonly Sent[]) =>
  sent.filter(({ type }) => type === 'subscribe').map(({ id, payload }) => [id, payload?.variables?.after]);

test('the subscriptions of a client share a socket, and each gets its own events', async () => {
  const { roster, sent } = scripted([
    [ACK, next('2', 'a', '1'), next('12', 'b', '2'), complete('1'), next('13', 'c', '2'), complete('2')],
  ]);
  const seen = await Promise.all([
    objectsOf(roster.changes({ after: '1' })),
    objectsOf(roster.changes({ after: '11' })),
  ]);
  assert.deepEqual(seen, [['a'], ['b', 'c']]);
  assert.deepEqual(sent.map(beginnings), [[['1', '1'], ['2', '11']]]);
});

test('a lost socket is opened again once, and each subscription resumes after its own last event', async () => {
  const { roster, sent } = scripted([
    [ACK, next('2', 'a', '1'), next('12', 'b', '2'), 1001],
    [1013],
    [ACK, next('3', 'c', '1'), next('13', 'd', '2'), complete('1'), complete('2')],
  ]);
  const seen = await Promise.all([
    objectsOf(roster.changes({ after: '1', retryDelay: () => 0 })),
    // The delay ends when the other subscription has opened the socket.
    objectsOf(roster.changes({ after: '11', retryDelay: () => 3_600_000 })),
  ]);
  assert.deepEqual(seen, [['a', 'c'], ['b', 'd']]);
  assert.deepEqual(sent.map(beginnings), [[['1', '1'], ['2', '11']], [], [['1', '2'], ['2', '12']]]);
});

test('the error and the end of a subscription leave the others', async () => {
  const { roster, sent, sockets } = scripted([
    [ACK, error('SNAPSHOT_REQUIRED', '1'), next('12', 'b', '2'), next('22', 'c', '3')],
  ]);
  const refused = assert.rejects(roster.changes({ after: '1' }).next(), isError('SNAPSHOT_REQUIRED'));
  const left = roster.changes({ after: '11' });
  const stays = roster.changes({ after: '21' });
  const [first, second] = await Promise.all([left.next(), stays.next(), refused]);
  assert.deepEqual([first.value?.nodeId, second.value?.nodeId], ['b', 'c']);
  await left.return(undefined);
  sockets[0]?.play(next('13', 'd', '2'), next('23', 'e', '3'), complete('3'));
  assert.deepEqual(await objectsOf(stays), ['e']);
  assert.deepEqual(sent.map((messages) => messages.filter(({ type }) => type === 'complete')), [[complete('2')]]);
});

test('a subscription that is aborted leaves the others', async () => {
  const { roster, sent, sockets } = scripted([[ACK, next('12', 'b', '2')]]);
  const controller = new AbortController();
  const aborted = objectsOf(roster.changes({ after: '1', signal: controller.signal }));
  const stays = roster.changes({ after: '11' });
  assert.equal((await stays.next()).value?.nodeId, 'b');
  controller.abort();
  assert.deepEqual(await aborted, []);
  sockets[0]?.play(next('13', 'c', '2'), complete('2'));
  assert.deepEqual(await objectsOf(stays), ['c']);
  assert.deepEqual(sent.map((messages) => messages.at(-1)), [complete('1')]);
});

test('a socket stays open for another subscription, and closes when none has come', async () => {
  const { roster, sent, sockets } = scripted([[ACK, complete('1'), complete('2')]]);
  assert.deepEqual(await objectsOf(roster.changes({ after: '1' })), []);
  assert.deepEqual(await objectsOf(roster.changes({ after: '2' })), []);
  assert.deepEqual(sent.map(beginnings), [[['1', '1'], ['2', '2']]]);
  await sockets[0]?.closed;
});

test('the subscriptions of another user have another socket', async () => {
  const { roster, sent } = scripted(
    [
      [ACK, next('2', 'a')],
      [ACK, next('12', 'b'), complete('1')],
    ],
    { fetch: signsIn('ros_b') },
  );
  const former = roster.changes({ after: '1' });
  assert.equal((await former.next()).value?.nodeId, 'a');
  await roster.signIn({ login: 'bo', password: 'velvet' });
  assert.deepEqual(await objectsOf(roster.changes({ after: '11' })), ['b']);
  await former.return(undefined);
  assert.deepEqual(
    sent.map(([init]) => init?.payload?.Authorization),
    ['Bearer ros_a', 'Bearer ros_b'],
  );
});

test('the subscriptions of a session that was renewed share its new socket', async () => {
  const { roster, sent } = scripted(
    [
      [ACK, next('2', 'a', '1'), next('12', 'b', '2'), 4401],
      [ACK, next('3', 'c', '1'), next('13', 'd', '2'), complete('1'), complete('2')],
    ],
    { fetch: signsIn('ros_b'), renew: () => ({ login: 'fern', password: 'velvet' }) },
  );
  const seen = await Promise.all([
    objectsOf(roster.changes({ after: '1', retryDelay: () => 0 })),
    objectsOf(roster.changes({ after: '11', retryDelay: () => 3_600_000 })),
  ]);
  assert.deepEqual(seen, [['a', 'c'], ['b', 'd']]);
  assert.deepEqual(
    sent.map(([init]) => init?.payload?.Authorization),
    ['Bearer ros_a', 'Bearer ros_b'],
  );
});

test('a socket gets no header of the client but `Authorization`, and that of a token first', async () => {
  const headers = { 'Accept-Language': 'de', authorization: 'Bearer ros_c' };
  for (const [token, expected] of [
    [undefined, 'Bearer ros_c'],
    ['ros_a', 'Bearer ros_a'],
  ] as const) {
    const { roster, sent } = scripted([[ACK, complete('1')]], { headers, token });
    assert.deepEqual(await objectsOf(roster.changes({ after: '1' })), []);
    assert.deepEqual(sent[0]?.[0], { type: 'connection_init', payload: { Authorization: expected } });
  }
});

test('a subscription that would close the socket is refused, and leaves the others', async () => {
  const { roster, sent } = scripted([[ACK, next('12', 'b', '1'), complete('1')]]);
  const stays = roster.changes({ after: '11' });
  const query = 'subscription ($after: String, $note: String) { changes(after: $after, note: $note) { position } }';
  const long = roster.subscribeTo(query, { note: 'ö'.repeat(40_000) }, { after: '1' });
  const [first] = await Promise.all([stays.next(), assert.rejects(long.next(), isError('BAD_REQUEST'))]);
  assert.equal(first.value?.nodeId, 'b');
  assert.deepEqual(await objectsOf(stays), []);
  assert.deepEqual(sent.map(beginnings), [[['1', '11']]]);
});
