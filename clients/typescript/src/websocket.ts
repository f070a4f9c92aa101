import { RosterError } from './errors.js';
import { Inbox, type EventResult } from './inbox.js';
import type { Source } from './request.js';
import type { UserSession } from './session.js';
import { HANDSHAKE, type Sockets } from './socket.js';
import { reasonAfter, Watchdog, type Connect, type Step, type SubscriptionOptions } from './subscription.js';

/** What a subscription over sockets needs. */
export interface SocketAccess {
  readonly user: UserSession;
  /** The sockets that the subscriptions of the client share. */
  readonly sockets: Sockets;
  /** Returns the value of `Authorization` for a token. Null for none. */
  readonly authorization: (token: string | null) => string | null;
  /** Returns the current position in the changes. */
  readonly position: (signal: AbortSignal) => Promise<string>;
}

/** A subscription with its variables, except the position. */
export interface SocketOperation {
  readonly source: Source;
  readonly variables: Readonly<Record<string, unknown>>;
}

/**
 * Connects by the socket that the subscriptions of a user share. Unlike event streams, sockets do not say at which
 * position they begin and resume, so the document selects `position` and passes on the variable `after`.
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

/** The events of a subscription of one socket, and before them the position at which the first one begins. */
async function* connection<Data>(
  access: SocketAccess,
  { source, variables }: SocketOperation,
  from: string | null,
  { signal, onConnect }: SubscriptionOptions,
): AsyncGenerator<Step<Data>, void, void> {
  const { user, sockets, authorization } = access;
  let position = from ?? (await currentPosition(access, signal));
  if (from === null) {
    yield { position, isBeginning: true };
  }
  const socket = sockets.get(authorization(await user.token()));
  const inbox = new Inbox(signal);
  const id = socket.add(inbox);
  try {
    for (;;) {
      const message = await inbox.next();
      if (message.type === 'ready') {
        if (socket.begin(id, source, { ...variables, after: position })) {
          onConnect?.(position);
        }
      } else if (message.type === 'next') {
        const step = await stepOf<Data>(message.payload, user);
        position = step.position;
        yield step;
      } else if (message.type === 'alive') {
        yield { position }; // The connection works: the next try is the first one again.
      } else if (message.type === 'error') {
        throw await reasonAfter(new RosterError(message.payload, HANDSHAKE), user);
      } else if (message.type === 'lost') {
        throw message.error instanceof RosterError ? await reasonAfter(message.error, user) : message.error;
      } else {
        return;
      }
    }
  } finally {
    inbox.end();
    socket.remove(id);
  }
}

async function currentPosition({ position }: SocketAccess, signal: AbortSignal | undefined): Promise<string> {
  const watchdog = new Watchdog(signal);
  try {
    return await position(watchdog.signal);
  } finally {
    watchdog.end();
  }
}

async function stepOf<Data>({ data = null, errors }: EventResult, user: UserSession): Promise<Step<Data>> {
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
