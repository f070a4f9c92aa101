import assert from 'node:assert/strict';
import { Roster, RosterError, type RosterOptions } from '@roster/client';

export interface Sent {
  readonly type: string;
  readonly id?: string;
  readonly payload?: { readonly Authorization?: string; readonly variables?: { readonly after?: string } };
}

/** A message of a server, or the code with which it closes the socket. */
export type Step = { readonly type: string; readonly id?: string; readonly payload?: unknown } | number;

/** A socket that plays its first step when it is initialised, and each other one when its subscription has begun. */
export interface Played {
  /** The messages of the client. */
  readonly sent: Sent[];
  /** Resolves when the client closes it. */
  readonly closed: Promise<void>;
  play(...steps: Step[]): void;
}

export const ACK = { type: 'connection_ack' };
export const PING = { type: 'ping' };
export const PONG = { type: 'pong' };
export const complete = (id: string) => ({ type: 'complete', id });
export const COMPLETE = complete('1');
export const next = (position: string, nodeId: string, id = '1') => ({
  type: 'next',
  id,
  payload: { data: { changes: { position, nodeId } } },
});
export const error = (code: string, id = '1', extensions = {}) => ({
  type: 'error',
  id,
  payload: [{ message: code, extensions: { code, ...extensions } }],
});

/** A client whose sockets follow one script after the other, and the messages that each of them gets. */
export function scripted(scripts: readonly (readonly Step[])[], options: Partial<RosterOptions> = {}) {
  const sent: Sent[][] = [];
  const sockets: Played[] = [];
  class Scripted implements Played {
    onopen = () => {};
    onmessage = (_event: { data: string }) => {};
    onclose = (_event: { code: number; reason: string }) => {};
    readonly sent: Sent[] = [];
    readonly #script = [...(scripts[sent.length] ?? [])];
    #close = () => {};
    readonly closed = new Promise<void>((resolve) => (this.#close = resolve));

    constructor(
      readonly url: string,
      readonly protocol: string,
    ) {
      assert.deepEqual([url, protocol], ['wss://roster.example.org/graphql', 'graphql-transport-ws']);
      sent.push(this.sent);
      sockets.push(this);
      setImmediate(() => this.onopen());
    }

    send(text: string) {
      const message = JSON.parse(text) as Sent;
      this.sent.push(message);
      if (message.type === 'connection_init') {
        this.play(...this.#script.splice(0, 1));
      } else if (message.type === 'subscribe') {
        const waits = (step: Step) => typeof step !== 'number' && step.id !== undefined && !this.#hasBegun(step.id);
        const first = this.#script.findIndex(waits);
        this.play(...this.#script.splice(0, first < 0 ? this.#script.length : first));
      }
    }

    play(...steps: Step[]) {
      for (const step of steps) {
        if (typeof step === 'number') {
          this.onclose({ code: step, reason: '' });
        } else {
          this.onmessage({ data: JSON.stringify(step) });
        }
      }
    }

    close() {
      this.#close();
    }

    #hasBegun(id: string): boolean {
      return this.sent.some((message) => message.type === 'subscribe' && message.id === id);
    }
  }
  const webSocket = Scripted as unknown as typeof WebSocket;
  const url = 'https://roster.example.org';
  const roster = new Roster({ url, token: 'ros_a', transport: 'websocket', webSocket, ...options });
  return { roster, sent, sockets };
}

export const isError = (code: string) => (error: unknown) => error instanceof RosterError && error.code === code;

/** A server that signs everybody in with this token. */
export const signsIn = (token: string) => async () => {
  const login = { success: true, message: '', errors: [], token, deviceToken: null, expiresAt: null, user: null };
  return new Response(JSON.stringify({ data: { login } }), { headers: { 'content-type': 'application/json' } });
};
