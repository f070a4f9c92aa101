import { RosterError, type GraphQLErrorBody, type ResponseInfo } from './errors.js';
import type { EventResult, Inbox, Message } from './inbox.js';
import type { Source } from './request.js';
import { Disconnected, Watchdog } from './subscription.js';

/** A handler of an event, also one that needs more of the event than the client reads. */
type Handler<Event> = { handle(event: Event): void }['handle'] | null;

/** What the client uses of a socket. `WebSocket` of browsers, of Node.js and of the package `ws` have it. */
export interface WebSocketLike {
  onopen: Handler<object>;
  onmessage: Handler<{ readonly data: unknown }>;
  onclose: Handler<{ readonly code: number; readonly reason: string }>;
  onerror: Handler<object>;
  send(text: string): void;
  close(): void;
}

/** The subprotocol of the sockets. */
export const PROTOCOL = 'graphql-transport-ws';
/** Messages have no status but that of the handshake. */
export const HANDSHAKE: ResponseInfo = { status: 101, requestId: null, retryAfter: null };

/** A message of the server about one subscription. */
type SubscriptionMessage =
  | { readonly type: 'next'; readonly id: string; readonly payload: EventResult }
  | { readonly type: 'error'; readonly id: string; readonly payload: GraphQLErrorBody[] }
  | { readonly type: 'complete'; readonly id: string };

type ServerMessage =
  | { readonly type: 'connection_ack' }
  | { readonly type: 'ping' }
  | { readonly type: 'pong' }
  | SubscriptionMessage;

/** The milliseconds between two pings, by which a connection that is gone is noticed. */
const PING = 12_000;
/** The milliseconds after which a socket without subscriptions is closed. */
const LINGER = 500;
/** The number of messages of one subscription that may wait. Then it is ended, and resumes after the last of them. */
const MAX_WAITING = 1_000;
/** The number of bytes of a message. A longer one would close the socket for all its subscriptions. */
const MAX_MESSAGE = 64 * 1024;
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

/** The sockets of a client: one for each value of `Authorization`, from its first subscription to its last. */
export class Sockets {
  /** The calls that end the delays before tries. The first try opens the socket, and all others share it. */
  readonly waiting = new Set<() => void>();
  readonly #open: () => WebSocketLike;
  readonly #sockets = new Map<string | null, Socket>();

  constructor(open: () => WebSocketLike) {
    this.#open = open;
  }

  /** Returns the socket of a value of `Authorization`, and opens it if there is none. */
  get(authorization: string | null): Socket {
    const current = this.#sockets.get(authorization);
    if (current !== undefined) {
      return current;
    }
    const socket = new Socket(this.#open(), authorization, () => this.#sockets.delete(authorization));
    this.#sockets.set(authorization, socket);
    for (const wake of [...this.waiting]) {
      wake();
    }
    return socket;
  }
}

/** A socket with its subscriptions. */
export class Socket {
  readonly #socket: WebSocketLike;
  readonly #onEnd: () => void;
  readonly #watchdog = new Watchdog(undefined);
  readonly #inboxes = new Map<string, Inbox>();
  #lastId = 0;
  #isReady = false;
  #hasEnded = false;
  #pings: ReturnType<typeof setInterval> | undefined;
  #closing: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocketLike, authorization: string | null, onEnd: () => void) {
    this.#socket = socket;
    this.#onEnd = onEnd;
    const payload = authorization === null ? {} : { Authorization: authorization };
    socket.onopen = () => this.#send({ type: 'connection_init', payload });
    socket.onmessage = ({ data }) => this.#receive(String(data));
    socket.onclose = ({ code, reason }) => this.#end(errorOf(code, reason));
    // Some report a failed handshake by this event alone.
    socket.onerror = () => this.#end(new Disconnected('The socket broke off'));
    const { signal } = this.#watchdog;
    signal.addEventListener('abort', () => this.#end(signal.reason as Error));
  }

  /** Adds a subscription, and returns its ID. It can begin when its inbox gets the message `ready`. */
  add(inbox: Inbox): string {
    clearTimeout(this.#closing);
    this.#lastId += 1;
    const id = String(this.#lastId);
    this.#inboxes.set(id, inbox);
    if (this.#isReady) {
      inbox.put({ type: 'ready' });
    }
    return id;
  }

  /** Sends a subscription, unless it has ended. Returns whether it was sent. */
  begin(id: string, source: Source, variables: object): boolean {
    if (!this.#inboxes.has(id)) {
      return false;
    }
    const document = typeof source === 'string' ? { query: source } : source;
    const message = { type: 'subscribe', id, payload: { ...document, variables } };
    if (new TextEncoder().encode(JSON.stringify(message)).length > MAX_MESSAGE) {
      throw errorWith('BAD_REQUEST', `A subscription over a WebSocket can have at most ${MAX_MESSAGE} bytes`);
    }
    this.#send(message);
    return true;
  }

  /** Ends a subscription. The socket stays open for the others, and for a while for another one. */
  remove(id: string): void {
    if (this.#inboxes.delete(id) && this.#isReady) {
      this.#send({ type: 'complete', id });
    }
    if (this.#inboxes.size === 0 && !this.#hasEnded) {
      const end = () => this.#end(new Disconnected('The socket was closed by the client'));
      clearTimeout(this.#closing);
      this.#closing = setTimeout(end, LINGER);
    }
  }

  #send(message: object): void {
    if (!this.#hasEnded) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  #receive(text: string): void {
    if (this.#hasEnded) {
      return;
    }
    this.#watchdog.reset();
    const message = messageOf(text);
    switch (message?.type) {
      case undefined:
        this.#end(errorWith('INVALID_RESPONSE', 'The server sent a message that the protocol does not know'));
        break;
      case 'connection_ack':
        this.#isReady = true;
        this.#pings = setInterval(() => this.#send({ type: 'ping' }), PING);
        this.#putAll({ type: 'ready' });
        break;
      case 'ping':
        this.#send({ type: 'pong' });
        break;
      case 'pong':
        this.#putAll({ type: 'alive' });
        break;
      default:
        this.#deliver(message as SubscriptionMessage);
    }
  }

  #deliver(message: SubscriptionMessage): void {
    const inbox = this.#inboxes.get(message.id);
    if (inbox === undefined) {
      return; // The subscription has ended meanwhile.
    }
    inbox.put(message);
    if (message.type !== 'next') {
      this.#inboxes.delete(message.id);
    } else if (inbox.length >= MAX_WAITING) {
      // An event after one that was left out would leave a gap.
      inbox.put({ type: 'lost', error: new Disconnected('Too many events waited') });
      this.remove(message.id);
    }
  }

  #putAll(message: Message): void {
    for (const inbox of this.#inboxes.values()) {
      inbox.put(message);
    }
  }

  #end(error: Error): void {
    if (this.#hasEnded) {
      return;
    }
    this.#hasEnded = true;
    clearInterval(this.#pings);
    clearTimeout(this.#closing);
    this.#watchdog.end();
    this.#socket.close();
    this.#onEnd();
    this.#putAll({ type: 'lost', error });
    this.#inboxes.clear();
  }
}

/** Returns a message of the server. Null if the text is none. */
function messageOf(text: string): ServerMessage | null {
  try {
    return JSON.parse(text) as ServerMessage | null;
  } catch {
    return null;
  }
}

function errorWith(code: string, message: string, extensions: Readonly<Record<string, unknown>> = {}): RosterError {
  return new RosterError([{ message, extensions: { code, ...extensions } }], HANDSHAKE);
}

/** The error of a socket that the server, or the network, has closed. */
function errorOf(closeCode: number, reason: string): Error {
  const message = reason || `The socket was closed with ${closeCode}`;
  const code = CODES.get(closeCode);
  return code === undefined ? new Disconnected(message) : errorWith(code, message, { closeCode });
}
