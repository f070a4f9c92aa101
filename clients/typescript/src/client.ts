import { RosterError } from './errors.js';
import { overEventStream } from './event-stream.js';
import {
  ChangesDocument,
  PositionDocument,
  SignInDocument,
  SignOutDocument,
  type ChangesSubscription,
  type LoginInput,
  type NodeType,
  type SignInMutation,
} from './generated/operations.js';
import { bodyOf, resultOf, textOf, type Document, type Result, type Source } from './request.js';
import { memoryStorage, Session, UserSession, type Renew, type Tokens, type TokenStorage } from './session.js';
import { PROTOCOL, Sockets, type WebSocketLike } from './socket.js';
import { follow, type Connect, type SubscriptionEvent, type SubscriptionOptions } from './subscription.js';
import { overWebSocket } from './websocket.js';

/** A class of sockets, such as `WebSocket` of browsers. It gets the address of the server and the subprotocol. */
export type WebSocketConstructor = new (url: string, protocol: string) => WebSocketLike;

export interface RosterOptions {
  /** The address of the server, such as `https://roster.example.org`. */
  readonly url: string;
  /** A token to begin with, such as an API key. */
  readonly token?: string | undefined;
  /** The storage of the tokens of a sign-in. Defaults to the memory of the program, with `token`. */
  readonly storage?: TokenStorage | undefined;
  /**
   * Called once when the session has ended. The requests that it kept waiting are sent again as the new session, so it
   * must sign in the same user.
   */
  readonly renew?: Renew | undefined;
  /** Called when the user is signed out: by `signOut`, or because the session has ended and is not renewed. */
  readonly onSignedOut?: (() => void) | undefined;
  /**
   * Headers of every HTTP request, such as `Accept-Language`. A WebSocket gets none of them, because browsers let no page
   * set headers of a handshake; only `Authorization` is sent in its `connection_init`, unless there is a token.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** How subscriptions are sent: each as server-sent events, by default, or all over one WebSocket. */
  readonly transport?: 'event-stream' | 'websocket' | undefined;
  /**
   * The class of the sockets. Node.js before version 22 has none: the package `ws` has one. A subclass can set headers of
   * the handshake where the platform lets it.
   */
  readonly webSocket?: WebSocketConstructor | undefined;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The variables of an operation, which may be left out if none is required, and options. */
export type Arguments<Variables, Options> = {} extends Variables
  ? [variables?: Variables, options?: Options]
  : [variables: Variables, options?: Options];

/** The payload of a sign-in. Its `errors` are the reasons if it was refused. */
export type SignInPayload = NonNullable<SignInMutation['login']>;

/** A committed change. */
export type Change = ChangesSubscription['changes'];

export interface ChangesOptions extends SubscriptionOptions {
  /** The types of the changed objects. Defaults to all types. */
  readonly types?: NodeType[] | undefined;
}

const ACCEPT = 'application/graphql-response+json, application/json;q=0.9';

/** A client of one server, as one user at a time. */
export class Roster {
  /** The address of the API. */
  readonly endpoint: string;
  readonly #options: RosterOptions;
  readonly #session: Session;
  #sockets: Sockets | undefined;

  constructor(options: RosterOptions) {
    this.endpoint = `${options.url.replace(/\/+$/, '')}/graphql`;
    this.#options = options;
    const storage = options.storage ?? memoryStorage(options.token);
    const signIn = async (input: LoginInput) => tokensOf(await this.#login(input));
    this.#session = new Session(storage, signIn, options.renew, options.onSignedOut);
  }

  /** The tokens of the current session and of this device. */
  get tokens(): Tokens {
    return this.#session.tokens;
  }

  /** Signs a user in. If the payload is a success, further requests are sent as this user. */
  async signIn(input: LoginInput): Promise<SignInPayload> {
    const payload = await this.#login(input);
    const tokens = tokensOf(payload);
    if (tokens) {
      this.#session.keep(tokens);
    }
    return payload;
  }

  /** Ends the session, and forgets its token even if the server cannot be reached. */
  async signOut(): Promise<void> {
    const { token } = this.tokens;
    if (token === null) {
      return;
    }
    this.#session.end();
    const result = await resultOf(await this.#fetch(this.endpoint, post(bodyOf(textOf(SignOutDocument), {})), token));
    if (result.errors && result.errors[0]?.extensions?.code !== 'UNAUTHENTICATED') {
      throw new RosterError(result.errors, result.response, result.data);
    }
  }

  /** Sends an operation, and returns its data. Throws a `RosterError` if the response has any error. */
  async request<Data, Variables>(
    document: Document<Data, Variables>,
    ...[variables, options]: Arguments<NoInfer<Variables>, RequestOptions>
  ): Promise<Data> {
    const { data, errors, response } = await this.execute<Data>(textOf(document), variables, options);
    if (errors || data === null) {
      throw new RosterError(errors ?? [], response, data);
    }
    return data;
  }

  /** Sends an operation, as text or by the ID of its trusted document, and returns its data and errors. */
  async execute<Data>(source: Source, variables: unknown, options: RequestOptions = {}): Promise<Result<Data>> {
    const request = post(bodyOf(source, variables));
    return resultOf(await this.fetch(this.endpoint, { ...request, signal: options.signal ?? null }));
  }

  /**
   * Sends a request as the signed-in user, and once more if the session was renewed meanwhile. Other clients, such as
   * urql and Apollo Client, take it as their `fetch`. Requests to other origins than that of the server are sent
   * without the token and the headers of the client.
   */
  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    if (!this.#isOfServer(input)) {
      return (this.#options.fetch ?? globalThis.fetch)(input, init);
    }
    const token = await this.#session.token();
    // A body can be read only once.
    const again = input instanceof Request ? input.clone() : input;
    const response = await this.#fetch(input, init, token);
    if (response.status !== 401 || token === null) {
      return response;
    }
    const fresh = await this.#session.replace(token);
    if (fresh === null) {
      return response;
    }
    await response.body?.cancel();
    return this.#fetch(again, init, fresh);
  };

  /** Follows a subscription. Resumes after the last event, without a gap, whenever the connection breaks off. */
  subscribe<Data, Variables>(
    document: Document<Data, Variables>,
    ...[variables, options = {}]: Arguments<NoInfer<Variables>, SubscriptionOptions>
  ): AsyncGenerator<SubscriptionEvent<Data>, void, void> {
    return this.subscribeTo(textOf(document), variables, options);
  }

  /** Follows a subscription that is given as text, or by the ID of its trusted document. */
  subscribeTo<Data>(
    source: Source,
    variables: unknown,
    options: SubscriptionOptions = {},
  ): AsyncGenerator<SubscriptionEvent<Data>, void, void> {
    const connect =
      this.#options.transport === 'websocket'
        ? this.#bySocket<Data>(source, variables, options)
        : this.#byStream<Data>(source, variables, options);
    return follow(connect, options, this.#sockets?.waiting);
  }

  /** Follows the changes of the directory, in the order of the commits and each exactly once. */
  async *changes(options: ChangesOptions = {}): AsyncGenerator<Change, void, void> {
    const variables = { types: options.types ?? null };
    for await (const { data } of this.subscribe(ChangesDocument, variables, options)) {
      yield data.changes;
    }
  }

  #byStream<Data>(source: Source, variables: unknown, options: SubscriptionOptions): Connect<Data> {
    const body = bodyOf(source, variables);
    const user = new UserSession(this.#session);
    const open = async (position: string | null, signal: AbortSignal) => {
      user.require();
      const request = post(body, 'text/event-stream');
      if (position !== null) {
        request.headers.set('Last-Event-ID', position);
      }
      const response = await this.fetch(this.endpoint, { ...request, signal });
      user.advance();
      return response;
    };
    return overEventStream<Data>(open, user, options);
  }

  #bySocket<Data>(source: Source, variables: unknown, options: SubscriptionOptions): Connect<Data> {
    const WebSocket: WebSocketConstructor | undefined = this.#options.webSocket ?? globalThis.WebSocket;
    if (WebSocket === undefined) {
      throw new Error('The program has no WebSocket: give the option `webSocket`');
    }
    const user = new UserSession(this.#session);
    const position = async (signal: AbortSignal) => {
      user.require();
      const { changes } = await this.request(PositionDocument, {}, { signal });
      user.advance();
      return changes.position;
    };
    const authorization = (token: string | null) =>
      token === null ? new Headers(this.#options.headers).get('Authorization') : `Bearer ${token}`;
    const sockets = (this.#sockets ??= new Sockets(() => new WebSocket(socketUrl(this.endpoint), PROTOCOL)));
    const operation = { source, variables: { ...(variables as Record<string, unknown> | undefined) } };
    return overWebSocket<Data>({ user, sockets, authorization, position }, operation, options);
  }

  async #login(input: LoginInput): Promise<SignInPayload> {
    const { deviceToken } = this.tokens;
    const body = bodyOf(textOf(SignInDocument), { input: { ...(deviceToken && { deviceToken }), ...input } });
    const { data, errors, response } = await resultOf<SignInMutation>(
      await this.#fetch(this.endpoint, post(body), null),
    );
    if (errors || !data?.login) {
      throw new RosterError(errors ?? [], response, data);
    }
    return data.login;
  }

  #fetch(input: string | URL | Request, init: RequestInit, token: string | null): Promise<Response> {
    const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
    for (const [name, value] of Object.entries(this.#options.headers ?? {})) {
      headers.set(name, value);
    }
    if (token !== null) {
      headers.set('Authorization', `Bearer ${token}`);
    }
    if (init.body instanceof FormData) {
      headers.set('GraphQL-Require-Preflight', '1');
    }
    // The server redirects no request. Whoever does would get what it contains, such as a password.
    return (this.#options.fetch ?? globalThis.fetch)(input, { redirect: 'error', ...init, headers });
  }

  #isOfServer(input: string | URL | Request): boolean {
    const origin = originOf(input instanceof Request ? input.url : String(input));
    return origin !== null && origin === originOf(this.endpoint);
  }
}

/** The origin of an address, which may be relative to that of the page. Null if it has none. */
function originOf(address: string): string | null {
  try {
    return new URL(address, globalThis.location?.href).origin;
  } catch {
    return null;
  }
}

/** The address of the API for sockets. */
function socketUrl(endpoint: string): string {
  const url = new URL(endpoint, globalThis.location?.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}

/** A request that sends a body. Of a form, `fetch` writes the content type. */
function post(body: string | FormData, accept = ACCEPT) {
  const headers = new Headers({ Accept: accept });
  if (typeof body === 'string') {
    headers.set('Content-Type', 'application/json');
  }
  return { method: 'POST', headers, body };
}

function tokensOf({ success, token, expiresAt, deviceToken }: SignInPayload): Tokens | null {
  return success && token !== null ? { token, expiresAt, deviceToken } : null;
}
