import { RosterError, type GraphQLErrorBody } from './errors.js';
import type { UserSession } from './session.js';

/** Options of a subscription. */
export interface SubscriptionOptions {
  /** Ends the subscription. */
  readonly signal?: AbortSignal | undefined;
  /** The position after which events are sent first. Defaults to the current one. */
  readonly after?: string | null | undefined;
  /** Called whenever events begin to come, with the position after which they do. */
  readonly onConnect?: ((position: string) => void) | undefined;
  /** Called whenever the connection has broken off or ended, with the reason, and before the next try if there is one. */
  readonly onDisconnect?: ((reason: unknown) => void) | undefined;
  /**
   * The milliseconds before a try, which is 1 for the first one after the connection has worked: after an event or
   * another sign of life, not only a beginning.
   */
  readonly retryDelay?: ((attempt: number) => number) | undefined;
}

/** A result of a subscription. */
export interface SubscriptionEvent<Data> {
  readonly data: Data;
  readonly errors?: readonly GraphQLErrorBody[];
  /** The position after the event, from which to resume. */
  readonly position: string;
}

/** An event, or a position alone: the one at which the events begin, or with a sign of life. */
export type Step<Data> = Partial<SubscriptionEvent<Data>> & {
  readonly position: string;
  /** Whether the connection only begins. One that breaks off now has not worked yet. */
  readonly isBeginning?: boolean;
};

/** Connects after a position, and returns the steps. Throws if the connection ends before the subscription does. */
export type Connect<Data> = (position: string | null) => AsyncGenerator<Step<Data>, void, void>;

/** The server shows a sign of life every 12 seconds. */
const SILENCE = 40_000;
/** The codes of errors that pass by themselves. */
const PASSING: ReadonlySet<string> = new Set(['RATE_LIMITED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED']);

/** The end of a connection after which another one resumes. */
export class Disconnected extends Error {
  override readonly name = 'Disconnected';
}

/** Aborts a connection together with its subscription, and when the server is silent. */
export class Watchdog {
  readonly #controller = new AbortController();
  readonly #subscription: AbortSignal | undefined;
  readonly #abort = () => this.#controller.abort(this.#subscription?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(subscription: AbortSignal | undefined) {
    this.#subscription = subscription;
    subscription?.addEventListener('abort', this.#abort);
    this.reset();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Notes a sign of life. */
  reset(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(new Disconnected('The server is silent')), SILENCE);
  }

  /** Ends the connection. */
  end(): void {
    clearTimeout(this.#timer);
    this.#subscription?.removeEventListener('abort', this.#abort);
    this.#controller.abort();
  }
}

/** Half a second, doubled up to half a minute, and up to a quarter less so that not all clients come at once. */
function usualDelay(attempt: number): number {
  return Math.min(500 * 2 ** (attempt - 1), 30_000) * (1 - Math.random() / 4);
}

/**
 * Follows a subscription, and resumes after the last event whenever the connection breaks off. Ends when the
 * subscription is complete or the signal is aborted; throws an error that needs more than another try. `waiting` gets a
 * call that ends the delay before a try.
 */
export async function* follow<Data>(
  connect: Connect<Data>,
  options: SubscriptionOptions,
  waiting?: Set<() => void>,
): AsyncGenerator<SubscriptionEvent<Data>, void, void> {
  let position = options.after ?? null;
  let attempt = 0;
  while (!options.signal?.aborted) {
    try {
      for await (const event of connect(position)) {
        if (!event.isBeginning) {
          attempt = 0;
        }
        position = event.position;
        if (event.data !== undefined) {
          yield event as SubscriptionEvent<Data>;
        }
      }
      return;
    } catch (error) {
      if (options.signal?.aborted) {
        return;
      }
      options.onDisconnect?.(error);
      if (!isPassing(error)) {
        throw error;
      }
      attempt += 1;
      const retryAfter = error instanceof RosterError ? error.response.retryAfter : null;
      const delay = Math.max((options.retryDelay ?? usualDelay)(attempt), 1000 * (retryAfter ?? 0));
      await sleep(delay, options.signal, retryAfter === null ? waiting : undefined);
    }
  }
}

/** Returns the reason for which an error ends a connection: it only broke off if the session is renewed. */
export async function reasonAfter(error: RosterError, user: UserSession): Promise<Error> {
  const isRenewed = error.code === 'UNAUTHENTICATED' && (await user.renew());
  return isRenewed ? new Disconnected('The session was renewed') : error;
}

/** Whether an error is over after a while: the connection broke off, or the server is busy or restarts. */
function isPassing(error: unknown): boolean {
  if (error instanceof RosterError) {
    return PASSING.has(error.code) || error.response.status >= 500 || error.response.status === 429;
  }
  // `fetch` reports a failed connection as a TypeError, and one that breaks off as a TypeError or a DOMException.
  return error instanceof Disconnected || error instanceof TypeError || error instanceof DOMException;
}

function sleep(milliseconds: number, signal?: AbortSignal, waiting?: Set<() => void>): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      waiting?.delete(finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish);
    waiting?.add(finish);
    if (signal?.aborted) {
      finish();
    }
  });
}
