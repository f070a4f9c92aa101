import { RosterError, type GraphQLErrorBody, type ResponseInfo } from './errors.js';
import type { Source } from './request.js';
import type { UserSession } from './session.js';
import {
  Disconnected,
  reasonAfter,
  Watchdog,
  type Connect,
  type Step,
  type SubscriptionOptions,
} from './subscription.js';

/** The subprotocol of the sockets. */
export const PROTOCOL = 'graphql-transport-ws';

/** What a subscription over sockets needs. */
export interface SocketAccess {
  readonly user: UserSession;
  /** Opens a socket. */
  readonly open: () => WebSocket;
  /** Returns the current position in the changes. */
  readonly position: (signal: AbortSignal) => Promise<string>;
}

/** A subscription with its variables, except the position. */
export interface SocketOperation {
  readonly source: Source;
  readonly variables: Readonly<Record<string, unknown>>;
}

type ServerMessage =
  | { readonly type: 'connection_ack' | 'ping' | 'pong' | 'complete' }
  | { readonly type: 'next'; readonly payload: { readonly data?: unknown; readonly errors?: GraphQLErrorBody[] } }
  | { readonly type: 'error'; readonly payload: GraphQLErrorBody[] };

/** The end of a socket. */
interface Closed {
  readonly type: 'closed';
  readonly error: Error;
}

/** The ID of the only subscription of a socket. */
const ID = '1';
/** The milliseconds between two pings, by which a connection that is gone is noticed. */
const PING = 12_000;
/** The number of messages that may wait. Then the socket is closed, and another one resumes after the last of them. */
const MAX_WAITING = 1_000;
/** Messages have no status but that of the handshake. */
const HANDSHAKE: ResponseInfo = { status: 101, requestId: null, retryAfter: null };
/** The error codes of the codes with which the server closes a socket. After all others, another one resumes. */
const CODES: ReadonlyMap<number, string> = new Map([
  [1002, 'BAD_REQUEST'],
  [1009, 'BAD_REQUEST'],
  [4400, 'BAD_REQUEST'],
  [4401, 'UNAUTHENTICATED'],
  [4403, 'UNAUTHENTICATED'],
  [4406, 'BAD_REQUEST'],
  [4409, 'BAD_REQUEST'],
  [4421, 'RATE_LIMITED'],
  [4429, 'BAD_REQUEST'],
]);

/**
 * Connects by a socket for each subscription. Unlike event streams, sockets do not say at which position they begin and
 * resume, so the document selects `position` and passes on the variable `after`.
 */
export function overWebSocket<Data>(
  access: SocketAccess,
  operation: SocketOperation,
  options: SubscriptionOptions,
): Connect<Data> {
  if (typeof operation.source === 'string' && !/\$after\b/.test(operation.source)) {
    throw new Error('A subscription over a WebSocket needs the variable `$after` to resume');
  }
  const { after } = operation.variables;
  const start = typeof after === 'string' ? after : null;
  return (from) => connection(access, operation, from ?? start, options);
}

/** The events of one socket, and before them the position at which the first one begins. */
async function* connection<Data>(
  { user, open, position: current }: SocketAccess,
  { source, variables }: SocketOperation,
  from: string | null,
  { signal, onConnect }: SubscriptionOptions,
): AsyncGenerator<Step<Data>, void, void> {
  const watchdog = new Watchdog(signal);
  let channel: Channel | null = null;
  try {
    let position = from ?? (await current(watchdog.signal));
    if (from === null) {
      yield { position, isBeginning: true };
    }
    const token = await user.token();
    channel = new Channel(open(), token, watchdog);
    for (;;) {
      const message = await channel.next();
      if (message.type === 'connection_ack') {
        channel.subscribe(source, { ...variables, after: position });
        onConnect?.(position);
      } else if (message.type === 'next') {
        const step = await stepOf<Data>(message.payload, user);
        position = step.position;
        yield step;
      } else if (message.type === 'ping') {
        channel.send({ type: 'pong' });
      } else if (message.type === 'pong') {
        yield { position }; // The connection works: the next try is the first one again.
      } else if (message.type === 'complete') {
        return;
      } else if (message.type === 'error') {
        throw await reasonAfter(new RosterError(message.payload, HANDSHAKE), user);
      } else if (message.type === 'closed') {
        throw message.error instanceof RosterError ? await reasonAfter(message.error, user) : message.error;
      }
    }
  } finally {
    watchdog.end();
    channel?.close();
  }
}

async function stepOf<Data>(
  { data = null, errors }: { readonly data?: unknown; readonly errors?: GraphQLErrorBody[] },
  user: UserSession,
): Promise<Step<Data>> {
  if (data === null) {
    throw await reasonAfter(new RosterError(errors ?? [], HANDSHAKE), user);
  }
  // A subscription has one root field.
  const [event] = Object.values(data as object) as ({ readonly position?: unknown } | null)[];
  if (typeof event?.position !== 'string') {
    throw new Error('A subscription over a WebSocket must select `position` to resume');
  }
  return { data: data as Data, ...(errors && { errors }), position: event.position };
}

/** A socket, whose messages wait until they are asked for. */
class Channel {
  readonly #socket: WebSocket;
  readonly #watchdog: Watchdog;
  readonly #received: string[] = [];
  #closed: Closed | null = null;
  #pings: ReturnType<typeof setInterval> | undefined;
  #wake = () => {};

  constructor(socket: WebSocket, token: string | null, watchdog: Watchdog) {
    this.#socket = socket;
    this.#watchdog = watchdog;
    const payload = token === null ? {} : { Authorization: `Bearer ${token}` };
    socket.onopen = () => this.send({ type: 'connection_init', payload });
    socket.onmessage = ({ data }) => this.#receive(String(data));
    socket.onclose = ({ code, reason }) => this.#end(errorOf(code, reason));
    // Some report a failed handshake by this event alone.
    socket.onerror = () => this.#end(new Disconnected('The socket broke off'));
    watchdog.signal.addEventListener('abort', () => this.#wake());
  }

  send(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }

  subscribe(source: Source, variables: object): void {
    const document = typeof source === 'string' ? { query: source } : source;
    this.send({ type: 'subscribe', id: ID, payload: { ...document, variables } });
    this.#pings = setInterval(() => this.send({ type: 'ping' }), PING);
  }

  /** Returns the next message, and after the last one the end of the socket. Throws if the connection is aborted. */
  async next(): Promise<ServerMessage | Closed> {
    for (;;) {
      this.#watchdog.signal.throwIfAborted();
      const text = this.#received.shift();
      if (text !== undefined) {
        return JSON.parse(text) as ServerMessage;
      }
      if (this.#closed !== null) {
        return this.#closed;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  close(): void {
    this.#end(new Disconnected('The socket was closed by the client'));
    this.#socket.close();
  }

  #receive(text: string): void {
    if (this.#closed !== null) {
      return; // An event after one that was left out would leave a gap.
    }
    this.#watchdog.reset();
    this.#received.push(text);
    this.#wake();
    if (this.#received.length >= MAX_WAITING) {
      this.close();
    }
  }

  #end(error: Error): void {
    clearInterval(this.#pings);
    this.#closed ??= { type: 'closed', error };
    this.#wake();
  }
}

/** The error of a socket that the server, or the network, has closed. */
function errorOf(closeCode: number, reason: string): Error {
  const message = reason || `The socket was closed with ${closeCode}`;
  const code = CODES.get(closeCode);
  return code === undefined
    ? new Disconnected(message)
    : new RosterError([{ message, extensions: { code, closeCode } }], HANDSHAKE);
}
