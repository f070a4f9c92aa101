import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import {
  memoryStorage,
  Roster,
  RosterError,
  SetUserAvatarDocument,
  textOf,
  ViewerDocument,
  webStorage,
} from '@roster/client';

/** Runs a test against a server whose responses the test writes. */
async function withServer(listener: RequestListener, run: (url: string) => Promise<void>) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const next = (id: number, nodeId: string) =>
  `id: ${id}\nevent: next\ndata: ${JSON.stringify({ data: { changes: { position: String(id), nodeId } } })}\n\n`;
const failure = (code: string, extensions = {}) =>
  `event: next\ndata: ${JSON.stringify({ errors: [{ message: code, extensions: { code, ...extensions } }] })}\n\n`;
const COMPLETE = 'event: complete\ndata:\n\n';
const STREAM = { 'content-type': 'text/event-stream; charset=utf-8' };

test('a server that is busy, and a connection that breaks off in an event, are tried again', async () => {
  const first = next(2, 'ö');
  const responses = [
    {
      status: 503,
      headers: { 'content-type': 'application/json', 'retry-after': '0' },
      parts: ['{"errors":[{"message":"busy"}]}'],
    },
    { status: 502, headers: { 'content-type': 'text/html' }, parts: ['<title>Bad gateway</title>'] },
    {
      status: 200,
      headers: STREAM,
      parts: ['id: 1\n\n', ':\n\n', first.slice(0, 20), first.slice(20), next(3, 'b').slice(0, -1)],
    },
    { status: 200, headers: STREAM, parts: [next(3, 'b'), failure('RATE_LIMITED'), COMPLETE] },
    { status: 200, headers: STREAM, parts: [next(4, 'c'), COMPLETE] },
  ];
  const resumed: unknown[] = [];
  await withServer(
    (request, response) => {
      resumed.push(request.headers['last-event-id']);
      const { status, headers, parts } = responses[resumed.length - 1]!;
      response.writeHead(status, headers);
      for (const part of parts) {
        response.write(part);
      }
      response.end();
    },
    async (url) => {
      const seen = [];
      for await (const { nodeId } of new Roster({ url }).changes({ retryDelay: () => 0 })) {
        seen.push(nodeId);
      }
      assert.deepEqual(seen, ['ö', 'b', 'c']);
      assert.deepEqual(resumed, [undefined, undefined, undefined, '2', '3']);
    },
  );
});

test('a directory that was restored from an older backup says from where to follow', async () => {
  await withServer(
    (_request, response) => {
      response.writeHead(200, STREAM).end(`id: 7\n\n${failure('SNAPSHOT_REQUIRED', { position: '9' })}${COMPLETE}`);
    },
    async (url) => {
      await assert.rejects(
        new Roster({ url }).changes({ after: '7' }).next(),
        (error) => error instanceof RosterError && error.code === 'SNAPSHOT_REQUIRED' && error.position === '9',
      );
    },
  );
});

test('a response that is not one of Roster is an error with its status', async () => {
  await withServer(
    (_request, response) => response.writeHead(502, { 'retry-after': '7' }).end('<title>Bad gateway</title>'),
    async (url) => {
      await assert.rejects(new Roster({ url }).request(ViewerDocument), (error) => {
        assert(error instanceof RosterError);
        assert.deepEqual(error.response, { status: 502, requestId: null, retryAfter: 7 });
        assert.deepEqual([error.code, error.message], ['INVALID_RESPONSE', 'The server answered with 502']);
        return true;
      });
    },
  );
});

test('a request fails if the server cannot be reached, and can be aborted', async () => {
  let url = '';
  const signal = AbortSignal.abort();
  await withServer(
    () => assert.fail('nothing is sent'),
    async (address) => {
      url = address;
      await assert.rejects(new Roster({ url }).request(ViewerDocument, {}, { signal }), { name: 'AbortError' });
      assert.deepEqual(await new Roster({ url }).changes({ signal }).next(), { done: true, value: undefined });
    },
  );
  const roster = new Roster({ url, token: 'ros_any' });
  await assert.rejects(roster.request(ViewerDocument), TypeError);
  await assert.rejects(roster.signOut(), TypeError);
  assert.equal(roster.tokens.token, null);
});

test('a session whose time is over is renewed before the next request', async () => {
  const tokens: unknown[] = [];
  const login = {
    success: true,
    message: '',
    errors: [],
    token: 'ros_new',
    deviceToken: null,
    expiresAt: null,
    user: null,
  };
  await withServer(
    (request, response) => {
      tokens.push(request.headers.authorization);
      const data = tokens.length === 1 ? { login } : { viewer: null };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ data }));
    },
    async (url) => {
      const storage = memoryStorage();
      storage.set({ token: 'ros_old', expiresAt: '2026-01-01T00:00:00+00:00', deviceToken: 'rod_1' });
      const renew = ({ deviceToken }: { deviceToken: string | null }) => ({ login: 'fern', pin: '0472', deviceToken });
      await new Roster({ url, storage, renew }).request(ViewerDocument);
      assert.deepEqual(tokens, [undefined, 'Bearer ros_new']);
      assert.equal(storage.get()?.deviceToken, 'rod_1');
    },
  );
});

test('one file can be sent, and a document needs its text', async () => {
  const roster = new Roster({ url: 'http://127.0.0.1:1' });
  const avatar = new Blob(['a']);
  const twice = { input: { id: '1', avatar }, other: [avatar] };
  await assert.rejects(roster.request(SetUserAvatarDocument, twice), /at most one file/);
  assert.throws(() => textOf({ kind: 'Document', definitions: [] }), /has no text/);
  assert.match(textOf(new String('{ viewer { id } }')), /viewer/);
});

test('a browser keeps the tokens in its storage', () => {
  const items = new Map<string, string>();
  const storage = webStorage({
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
  });
  assert.equal(storage.get(), null);
  const tokens = { token: 'ros_a', expiresAt: null, deviceToken: null };
  storage.set(tokens);
  assert.deepEqual([storage.get(), [...items.keys()]], [tokens, ['roster']]);
});
