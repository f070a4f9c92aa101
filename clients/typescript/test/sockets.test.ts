import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RosterError } from '@roster/client';
import { ACK, COMPLETE, complete, error, isError, next, PING, PONG, scripted, signsIn } from './scripted.js';

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

test('a subscription for which too many events wait begins again', async () => {
  const many = Array.from({ length: 1_100 }, (_, index) => next(`${index}`, 'a'));
  const { roster, sent } = scripted([[ACK, ...many, next('last', 'b', '2'), complete('2')]]);
  const seen = [];
  for await (const { position } of roster.changes({ after: 'first', retryDelay: () => 0 })) {
    seen.push(position);
  }
  const waited = many.slice(0, 1_000).map((_, index) => `${index}`);
  assert.deepEqual(seen, [...waited, 'last']);
  assert.deepEqual(
    sent.map((messages) => messages.map(({ type, id, payload }) => [type, id, payload?.variables?.after])),
    [
      [
        ['connection_init', undefined, undefined],
        ['subscribe', '1', 'first'],
        ['complete', '1', undefined],
        ['subscribe', '2', '999'],
      ],
    ],
  );
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
  const { roster, sent } = scripted([
    [ACK, error('RATE_LIMITED'), error('SNAPSHOT_REQUIRED', '2', { position: '9' })],
  ]);
  await assert.rejects(
    roster.changes({ after: '1', retryDelay: () => 0 }).next(),
    (thrown) => isError('SNAPSHOT_REQUIRED')(thrown) && (thrown as RosterError).position === '9',
  );
  assert.equal(sent.length, 1);
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
