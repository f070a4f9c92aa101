import { RosterError, responseInfo, type GraphQLErrorBody } from './errors.js';
import { eventsOf } from './events.js';
import { resultOf } from './request.js';
import type { UserSession } from './session.js';
import {
  Disconnected,
  reasonAfter,
  Watchdog,
  type Connect,
  type Step,
  type SubscriptionOptions,
} from './subscription.js';

/** Opens an event stream from a position, and returns its response. */
export type OpenStream = (position: string | null, signal: AbortSignal) => Promise<Response>;

/** Connects by server-sent events. */
export function overEventStream<Data>(
  open: OpenStream,
  user: UserSession,
  options: SubscriptionOptions,
): Connect<Data> {
  return (from) => connection(open, user, from, options);
}

/** The events of one connection. The first has no data. */
async function* connection<Data>(
  open: OpenStream,
  user: UserSession,
  from: string | null,
  { signal, onConnect }: SubscriptionOptions,
): AsyncGenerator<Step<Data>, void, void> {
  const watchdog = new Watchdog(signal);
  try {
    const response = await open(from, watchdog.signal);
    await expectStream(response);
    let position = from;
    for await (const event of eventsOf(response.body as ReadableStream<Uint8Array>)) {
      watchdog.reset();
      position = event?.id ?? position;
      if (event?.event === 'complete') {
        return;
      }
      if (event?.event === 'next') {
        yield { ...(await resultOfEvent<Data>(event.data, response, user)), position: position ?? '' };
      } else if (event !== null) {
        position ??= '';
        onConnect?.(position);
        yield { position, isBeginning: true };
      } else if (position !== null) {
        yield { position }; // The connection works: the next try is the first one again.
      }
    }
    throw new Disconnected('The event stream broke off');
  } finally {
    watchdog.end();
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

async function resultOfEvent<Data>(text: string, response: Response, user: UserSession) {
  const { data = null, errors } = JSON.parse(text) as { data?: Data | null; errors?: GraphQLErrorBody[] };
  if (data !== null) {
    return { data, ...(errors && { errors }) };
  }
  throw await reasonAfter(new RosterError(errors ?? [], responseInfo(response)), user);
}
