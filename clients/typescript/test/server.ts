import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Roster, type RosterOptions } from '@roster/client';

const BINARY = resolve(process.env['ROSTER_BINARY'] ?? '../../target/debug/roster');

export type Viewer = 'superuser' | 'license_admin' | 'admin' | 'group_owner' | 'user';

/** The demo of the server, in a directory of its own. */
export class Server {
  #process: ChildProcess | null = null;
  #out = '';
  #log = '';

  private constructor(
    private readonly dir: string,
    private address: string,
  ) {}

  static async start(): Promise<Server> {
    const server = new Server(await mkdtemp(join(tmpdir(), 'roster-client-')), '127.0.0.1:0');
    await server.begin();
    return server;
  }

  /** Starts it, at the same address as before. */
  async begin(): Promise<void> {
    const options = ['--data-dir', join(this.dir, 'data'), '--tokens', join(this.dir, 'tokens.json')];
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(ROSTER_|DATABASE_URL$)/.test(name)),
    );
    const child = spawn(BINARY, ['demo', '--users', '50', '--listen', this.address, ...options], {
      cwd: this.dir,
      env,
    });
    this.#process = child;
    this.#out = '';
    child.stderr.on('data', (data) => (this.#log += data));
    await new Promise<void>((ready, fail) => {
      child.on('error', fail);
      child.on('exit', (code) => fail(new Error(`The server has ended with ${code}\n${this.#out}\n${this.#log}`)));
      child.stdout.on('data', (data) => {
        this.#out += data;
        const address = /Roster listens on http:\/\/([^/]+)\//.exec(this.#out)?.[1];
        if (address !== undefined) {
          this.address = address;
          ready();
        }
      });
    });
  }

  /** Kills it, as a power failure does. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.dir, { recursive: true });
  }

  get url(): string {
    return `http://${this.address}`;
  }

  /** The password of the viewers. */
  get password(): string {
    return /sign in with the password (\S+)/.exec(this.#out)?.[1] ?? '';
  }

  /** The email address of a viewer. */
  login(viewer: Viewer): string {
    return new RegExp(`^ +${viewer} +ros_\\S+ +(\\S+)$`, 'm').exec(this.#out)?.[1] ?? '';
  }

  async client(viewer: Viewer, options: Partial<RosterOptions> = {}): Promise<Roster> {
    const tokens = JSON.parse(await readFile(join(this.dir, 'tokens.json'), 'utf8')) as Record<Viewer, string>;
    return new Roster({ url: this.url, token: tokens[viewer], ...options });
  }
}

/** A picture of one pixel. */
export const PICTURE = new Blob(
  [
    Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
      'base64',
    ),
  ],
  { type: 'image/png' },
);
