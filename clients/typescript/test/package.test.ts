import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { ChangesDocument, textOf } from '@roster/client';
import { Server } from './server.js';

const run = promisify(execFile);
let server: Server;

before(async () => {
  server = await Server.start();
});
after(() => server.stop());

async function examples(): Promise<string[]> {
  const readme = await readFile('README.md', 'utf8');
  return [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? '');
}

test('the first example of the README works', async () => {
  const [first] = await examples();
  await writeFile('build/first.mjs', first ?? '');
  const { token } = (await server.client('license_admin')).tokens;
  const { stdout } = await run('node', ['build/first.mjs'], {
    env: { ...process.env, URL: server.url, TOKEN: token ?? '' },
  });
  assert.equal(stdout.trim().split('\n').length, 3, stdout);
});

test('the examples of the README have the right types', async () => {
  const files = await Promise.all(
    (await examples()).map(async (code, index) => {
      const file = `readme-${index}.mts`;
      await writeFile(`build/${file}`, code);
      return file;
    }),
  );
  const compilerOptions = {
    types: ['node'],
    noEmit: true,
    noUnusedLocals: false,
    noPropertyAccessFromIndexSignature: false,
    exactOptionalPropertyTypes: false,
    rootDir: '.',
  };
  await writeFile(
    'build/tsconfig.json',
    JSON.stringify({ extends: '../tsconfig.json', compilerOptions, include: files }),
  );
  await run('node_modules/.bin/tsc', ['-p', 'build']).catch(({ stdout }) => assert.fail(stdout));
});

test('a field that an input does not have is an error of the compiler', async () => {
  const code = `
    import { ChangesDocument, Roster, UpdateUserDocument } from '@roster/client';
    const roster = new Roster({ url: '' });
    await roster.request(UpdateUserDocument, { input: { id: '', position: '' } });
    // @ts-expect-error
    await roster.request(UpdateUserDocument, { input: { id: '', postion: '' } });
    roster.subscribe(ChangesDocument, { types: ['USER'] });
    // @ts-expect-error
    roster.subscribe(ChangesDocument, { types: ['USER'], typo: 1 });
  `;
  await writeFile('build/unknown-fields.mts', code);
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
  const compiler = [...options, 'build/unknown-fields.mts'];
  await run('node_modules/.bin/tsc', compiler).catch(({ stdout }) => assert.fail(stdout));
});

test('the types need neither those of browsers nor a socket of theirs', async () => {
  const code = `
    import { Roster } from '@roster/client';
    interface OpenEvent { readonly type: string; readonly target: Socket }
    interface MessageEvent extends OpenEvent { readonly data: string | Buffer | ArrayBuffer | Buffer[] }
    interface CloseEvent extends OpenEvent { readonly code: number; readonly reason: string }
    // As the package ws declares it.
    declare class Socket {
      onopen: ((event: OpenEvent) => void) | null;
      onmessage: ((event: MessageEvent) => void) | null;
      onclose: ((event: CloseEvent) => void) | null;
      onerror: ((event: OpenEvent) => void) | null;
      constructor(address: null);
      constructor(address: string | URL, options?: object);
      constructor(address: string | URL, protocols?: string | string[], options?: object);
      send(data: string | Buffer, callback?: (error?: Error) => void): void;
      close(code?: number, reason?: string | Buffer): void;
    }
    new Roster({ url: '', transport: 'websocket', webSocket: Socket });
  `;
  await writeFile('build/without-dom.mts', code);
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022'];
  const compiler = [...options, '--types', 'node', 'build/without-dom.mts'];
  await run('node_modules/.bin/tsc', compiler).catch(({ stdout }) => assert.fail(stdout));
});

test('the package has its modules, their types, its documents and the README, and nothing else', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']);
  const [pack] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const paths = pack.files.map(({ path }) => path);
  for (const path of [
    'README.md',
    'package.json',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/apollo.js',
    'dist/urql.js',
    'dist/documents.json',
  ]) {
    assert(paths.includes(path), path);
  }
  assert.deepEqual(
    paths.filter((path) => !/^(README\.md|package\.json|dist\/(documents\.json|.*\.(js|d\.ts)))$/.test(path)),
    [],
  );
});

test('the manifest has the text of each document by its hash', async () => {
  const manifest = JSON.parse(await readFile('dist/documents.json', 'utf8')) as Record<string, string>;
  for (const [id, text] of Object.entries(manifest)) {
    assert.equal(createHash('sha256').update(text).digest('hex'), id);
  }
  assert(Object.values(manifest).includes(textOf(ChangesDocument)));
  const source = await readFile('src/operations.graphql', 'utf8');
  assert.equal(Object.keys(manifest).length, source.match(/^(query|mutation|subscription) /gm)?.length);
});
