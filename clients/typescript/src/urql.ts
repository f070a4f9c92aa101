import type { Cache, KeyingConfig, ResolverConfig, UpdatesConfig } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import type { Change, Roster } from './client.js';
import type { NodeType } from './generated/operations.js';
import { connections, embeddedTypes, lookups, possibleTypes } from './generated/schema.js';
import type { SubscriptionOptions } from './subscription.js';

export { possibleTypes };

/** An object is identified by its ID. An object without one is kept with the object around it. */
export const keys: KeyingConfig = Object.fromEntries(embeddedTypes.map((type) => [type, () => null]));

/** Pages are joined, and an object that is known by its ID is not read again. */
export const resolvers: ResolverConfig = {};
for (const { type, field } of connections) {
  (resolvers[type] ??= {})[field] = relayPagination();
}
for (const [field, __typename] of Object.entries(lookups)) {
  (resolvers['Query'] ??= {})[field] = (_parent, given, cache, { fieldName }) => {
    const key = { __typename, id: String(given['id']) };
    return cache.resolve(key, 'id') === undefined ? cache.resolve('Query', fieldName, given) : key;
  };
}

const LISTS = ['users', 'searchUsers'];

function invalidateLists(cache: Cache) {
  for (const { fieldName, arguments: given } of cache.inspectFields('Query')) {
    if (LISTS.includes(fieldName)) {
      cache.invalidate('Query', fieldName, given);
    }
  }
}

const TYPES: Record<NodeType, string> = {
  GROUP: 'Group',
  INSTITUTION: 'Institution',
  LICENSE: 'License',
  USER: 'User',
};

/** Lists are read again when a user may be new in them or gone, and an object when the change does not say all of it. */
function applyChange(change: Pick<Change, 'changedFields' | 'kind' | 'node' | 'nodeId' | 'type'>, cache: Cache) {
  const { changedFields, kind, node, nodeId, type } = change;
  if (kind !== 'UPDATED' && type === 'USER') {
    invalidateLists(cache);
  }
  if (node === null || !changedFields.every((field) => field in node)) {
    cache.invalidate({ __typename: TYPES[type], id: nodeId });
  }
}

/** Lists of users are read again after a mutation that creates, hides or removes users, and changes are applied. */
export const updates: UpdatesConfig = {
  Mutation: {
    createUser: (_result, _arguments, cache) => invalidateLists(cache),
    importUsers: (_result, _arguments, cache) => invalidateLists(cache),
    setActive: (_result, _arguments, cache) => invalidateLists(cache),
    deleteUser: (_result, _arguments, cache) => invalidateLists(cache),
  },
  Subscription: {
    changes: (result, _arguments, cache) => applyChange(result['changes'] as unknown as Change, cache),
  },
};

/** The configuration of `cacheExchange` of `@urql/exchange-graphcache`. */
export const cacheConfig = { possibleTypes, keys, resolvers, updates };

/** The operation that urql's `subscriptionExchange` passes on. */
interface SubscriptionRequest {
  readonly query?: string | undefined;
  readonly variables?: object | undefined;
}

interface Sink {
  next(value: { data?: Record<string, unknown>; errors?: Error[] }): void;
  error(error: unknown): void;
  complete(): void;
}

/** The `forwardSubscription` of urql's `subscriptionExchange`: as a client of Roster, with resumption. */
export function forwardSubscription(
  roster: Roster,
  options: Pick<SubscriptionOptions, 'onConnect' | 'onDisconnect'> = {},
) {
  return (request: SubscriptionRequest) => ({
    subscribe(sink: Sink) {
      const controller = new AbortController();
      void deliver(roster, request, sink, { ...options, signal: controller.signal });
      return { unsubscribe: () => controller.abort() };
    },
  });
}

async function deliver(
  roster: Roster,
  { query = '', variables }: SubscriptionRequest,
  sink: Sink,
  options: SubscriptionOptions,
) {
  try {
    for await (const { data } of roster.subscribeTo<Record<string, unknown>>(query, variables, options)) {
      sink.next({ data });
    }
    sink.complete();
  } catch (error) {
    sink.error(error);
  }
}
