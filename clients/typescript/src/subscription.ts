import { RosterError, responseInfo, type GraphQLErrorBody } from './errors.js';
import { eventsOf } from './events.js';
import { resultOf } from './request.js';

/** Options of a subscription. */
export interface SubscriptionOptions {
  /** Ends the subscription. */
  readonly signal?: AbortSignal | undefined;
  /** The position after which events are sent first. Defaults to the current one. */
  readonly after?: string | null | undefined;
  /** Called whenever events begin to come, with the position after which they do. */
  readonly onConnect?: ((position: string) => void) | undefined;
  /** Called whenever the connection has broken off, with the reason, and before the next try. */
  readonly onDisconnect?: ((reason: unknown) => void) | undefined;
  /** The milliseconds before a try, which is 1 for the first one after the last event. */
  readonly retryDelay?: ((attempt: number) => number) | undefined;
}

/** A result of a subscription. */
export interface SubscriptionEvent<Data> {
  readonly data: Data;
  readonly errors?: readonly GraphQLErrorBody[];
  /** The position after the event, from which to resume. */
  readonly position: string;
}

/** Opens an event stream from a position, and returns its response. */
export type Open = (position: string | null, signal: AbortSignal) => Promise<Response>;

/** Returns whether the session was renewed after the server has ended a stream. */
export type Reauthenticate = () => Promise<boolean>;

/** The server shows a sign of life every 12 seconds. */
const SILENCE = 40_000;
/** The codes of errors that pass by themselves. */
const PASSING: ReadonlySet<string> = new Set(['RATE_LIMITED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED']);

class Disconnected extends Error {
  override readonly name = 'Disconnected';
}

/** Half a second, doubled up to half a minute, and up to a quarter less so that not all clients come at once. */
function usualDelay(attempt: number): number {
  return Math.min(500 * 2 ** (attempt - 1), 30_000) * (1 - Math.random() / 4);
}

/**
 * Follows a subscription, and resumes after the last event whenever the connection breaks off. Ends when the
 * subscription is complete or the signal is aborted; throws an error that needs more than another try.
 */
export async function* follow<Data>(
  open: Open,
  reauthenticate: Reauthenticate,
  options: SubscriptionOptions,
): AsyncGenerator<SubscriptionEvent<Data>, void, void> {
  let position = options.after ?? null;
  let attempt = 0;
  while (!options.signal?.aborted) {
    try {
      for await (const event of connection<Data>(open, reauthenticate, position, options)) {
        attempt = 0;
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
      if (!isPassing(error)) {
        throw error;
      }
      options.onDisconnect?.(error);
      attempt += 1;
      const retryAfter = error instanceof RosterError ? error.response.retryAfter : null;
      await sleep(Math.max((options.retryDelay ?? usualDelay)(attempt), 1000 * (retryAfter ?? 0)), options.signal);
    }
  }
}

/** The events of one connection. The first has no data. Throws if the connection ends before the subscription does. */
async function* connection<Data>(
  open: Open,
  reauthenticate: Reauthenticate,
  from: string | null,
  { signal, onConnect }: SubscriptionOptions,
): AsyncGenerator<Partial<SubscriptionEvent<Data>> & { position: string }, void, void> {
  const silence = new AbortController();
  const abort = () => silence.abort(signal?.reason);
  signal?.addEventListener('abort', abort);
  const watch = () => setTimeout(() => silence.abort(new Disconnected('The server is silent')), SILENCE);
  let timer = watch();
  try {
    const response = await open(from, silence.signal);
    await expectStream(response);
    let position = from ?? '';
    for await (const event of eventsOf(response.body as ReadableStream<Uint8Array>)) {
      clearTimeout(timer);
      timer = watch();
      position = event?.id ?? position;
      if (event?.event === 'complete') {
        return;
      }
      if (event?.event === 'next') {
        yield { ...(await resultOfEvent<Data>(event.data, response, reauthenticate)), position };
      } else if (event !== null) {
        onConnect?.(position);
        yield { position };
      }
    }
    throw new Disconnected('The event stream broke off');
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    silence.abort();
  }
}

async function expectStream(response: Response): Promise<void> {
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  if (response.ok && isStream && response.body !== null) {
    return;
  }
  const { errors = [], data, response: info } = await resultOf(response);
  throw new RosterError(errors, info, data);
}

async function resultOfEvent<Data>(text: string, response: Response, reauthenticate: Reauthenticate) {
  const { data = null, errors } = JSON.parse(text) as { data?: Data | null; errors?: GraphQLErrorBody[] };
  if (data !== null) {
    return { data, ...(errors && { errors }) };
  }
  const error = new RosterError(errors ?? [], responseInfo(response));
  if (error.code === 'UNAUTHENTICATED' && (await reauthenticate())) {
    throw new Disconnected('The session was renewed');
  }
  throw error;
}

/** Whether an error is over after a while: the connection broke off, or the server is busy or restarts. */
function isPassing(error: unknown): boolean {
  if (error instanceof RosterError) {
    return PASSING.has(error.code) || error.response.status >= 500 || error.response.status === 429;
  }
  // `fetch` reports a failed connection as a TypeError, and one that breaks off as a TypeError or a DOMException.
  return error instanceof Disconnected || error instanceof TypeError || error instanceof DOMException;
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal?.addEventListener('abort', finish);
    if (signal?.aborted) {
      finish();
    }
  });
}
