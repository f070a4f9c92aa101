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

test('a stream that ends when it has just begun is tried again more and more slowly', async () => {
  const bodies = ['id: 1\n\n', 'id: 1\n\n', 'id: 1\n\n:\n\n', `id: 1\n\n${next(2, 'a')}`, 'id: 2\n\n', COMPLETE];
  let connections = 0;
  await withServer(
    (_request, response) => {
      response.writeHead(200, STREAM).end(bodies[connections]);
      connections += 1;
    },
    async (url) => {
      const attempts: number[] = [];
      const retryDelay = (attempt: number) => {
        attempts.push(attempt);
        return 0;
      };
      for await (const { nodeId } of new Roster({ url }).changes({ retryDelay })) {
        assert.equal(nodeId, 'a');
      }
      assert.deepEqual(attempts, [1, 2, 1, 1, 2]);
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
  items.set('roster', '{');
  assert.equal(storage.get(), null);
});

const JSON_TYPE = { 'content-type': 'application/json' };
const REFUSED = JSON.stringify({ errors: [{ message: 'Sign in.', extensions: { code: 'UNAUTHENTICATED' } }] });

const signedInAs = (token: string) => {
  const login = { success: true, message: '', errors: [], token, deviceToken: null, expiresAt: null, user: null };
  return JSON.stringify({ data: { login } });
};

test('only the server gets the token and the headers of the client', async () => {
  const seen: unknown[] = [];
  const listener: RequestListener = ({ headers, url }, response) => {
    seen.push([url, headers.authorization, headers['x-app']]);
    response.end();
  };
  await withServer(listener, async (url) => {
    await withServer(listener, async (other) => {
      const roster = new Roster({ url, token: 'ros_a', headers: { 'X-App': 'finder' } });
      await roster.fetch(`${url}/avatars/1`);
      await roster.fetch(new Request(`${url}/avatars/2`));
      await roster.fetch(`${other}/3`);
      await roster.fetch(new URL(`${other}/4`));
      await roster.fetch(new Request(`${other}/5`));
    });
  });
  const without = ['/3', '/4', '/5'].map((path) => [path, undefined, undefined]);
  const sent = ['/avatars/1', '/avatars/2'].map((path) => [path, 'Bearer ros_a', 'finder']);
  assert.deepEqual(seen, [...sent, ...without]);
});

test('a password does not follow a redirection', async () => {
  await withServer(
    () => assert.fail('nothing is sent'),
    async (other) => {
      await withServer(
        (_request, response) => response.writeHead(307, { location: `${other}/graphql` }).end(),
        async (url) => {
          await assert.rejects(new Roster({ url }).signIn({ login: 'fern', password: 'velvet' }), TypeError);
        },
      );
    },
  );
});

test('a request of a former user is not sent again as the one who has signed in since', async () => {
  const sent: unknown[] = [];
  let answer = () => {};
  const answered = new Promise<void>((resolve) => (answer = resolve));
  await withServer(
    async ({ headers: { authorization } }, response) => {
      if (authorization === undefined) {
        response.writeHead(200, JSON_TYPE).end(signedInAs('ros_b'));
      } else {
        sent.push(authorization);
        await answered;
        response.writeHead(401, JSON_TYPE).end(REFUSED);
      }
    },
    async (url) => {
      const roster = new Roster({ url, token: 'ros_a' });
      const refused = assert.rejects(
        roster.request(ViewerDocument),
        (error) => error instanceof RosterError && error.code === 'UNAUTHENTICATED',
      );
      assert.equal((await roster.signIn({ login: 'bo', password: 'velvet' })).success, true);
      answer();
      await refused;
      assert.deepEqual(sent, ['Bearer ros_a']);
      assert.equal(roster.tokens.token, 'ros_b');
    },
  );
});

test('a request is whole when it is sent again as the renewed session', async () => {
  const sent: unknown[] = [];
  const tokens = ['ros_b', 'ros_c'];
  await withServer(
    async (request, response) => {
      let body = '';
      for await (const part of request) {
        body += String(part);
      }
      const { authorization } = request.headers;
      if (authorization === undefined) {
        response.writeHead(200, JSON_TYPE).end(signedInAs(tokens.shift() ?? ''));
        return;
      }
      sent.push([authorization, request.headers['content-type'], body]);
      const isCurrent = authorization === 'Bearer ros_c';
      response.writeHead(isCurrent ? 200 : 401, JSON_TYPE).end(isCurrent ? '{"data":{"viewer":null}}' : REFUSED);
    },
    async (url) => {
      const roster = new Roster({ url, token: 'ros_a', renew: () => ({ login: 'fern', password: 'velvet' }) });
      const body = '{"query":"{ viewer { id } }"}';
      const request = () => new Request(roster.endpoint, { method: 'POST', headers: JSON_TYPE, body });
      assert.equal((await roster.fetch(request())).status, 401, 'the new session has ended, too');
      assert.equal((await roster.fetch(request())).status, 200);
      const expected = ['ros_a', 'ros_b', 'ros_b', 'ros_c'].map((token) => [`Bearer ${token}`, JSON_TYPE['content-type'], body]);
      assert.deepEqual(sent, expected);
    },
  );
});

test('a subscription of a former user does not resume as the one who has signed in since', async () => {
  const sent: unknown[] = [];
  let roster: Roster;
  await withServer(
    async ({ headers: { authorization } }, response) => {
      if (authorization === undefined) {
        response.writeHead(200, JSON_TYPE).end(signedInAs('ros_b'));
        return;
      }
      sent.push(authorization);
      response.writeHead(200, STREAM).write(next(1, 'a'));
      assert.equal((await roster.signIn({ login: 'bo', password: 'velvet' })).success, true);
      response.end();
    },
    async (url) => {
      roster = new Roster({ url, token: 'ros_a' });
      const changes = roster.changes({ retryDelay: () => 0 });
      assert.equal((await changes.next()).value?.nodeId, 'a');
      await assert.rejects(changes.next(), (error) => error instanceof RosterError && error.code === 'UNAUTHENTICATED');
      assert.deepEqual(sent, ['Bearer ros_a']);
    },
  );
});
