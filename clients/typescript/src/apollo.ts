import { ApolloLink, Observable, type InMemoryCacheConfig, type TypePolicies } from '@apollo/client';
import { print, relayStylePagination } from '@apollo/client/utilities';
import type { Roster } from './client.js';
import { connections, embeddedTypes, lookups, possibleTypes } from './generated/schema.js';
import type { SubscriptionOptions } from './subscription.js';

export { possibleTypes };

/**
 * Pages are joined, and an object that is known by its ID is not read again. An object without an ID is a part of the object
 * around it.
 */
export const typePolicies: TypePolicies = Object.fromEntries(embeddedTypes.map((type) => [type, { keyFields: false }]));
for (const { type, field, arguments: keyArguments } of connections) {
  fieldsOf(type)[field] = relayStylePagination(keyArguments.length > 0 && [...keyArguments]);
}
for (const [field, __typename] of Object.entries(lookups)) {
  fieldsOf('Query')[field] = {
    read: (existing, { args, toReference }) =>
      existing === undefined ? toReference({ __typename, id: args?.['id'] }) : existing,
  };
}

function fieldsOf(type: string) {
  const policy = (typePolicies[type] ??= {});
  return (policy.fields ??= {});
}

/** The configuration of `InMemoryCache`. */
export const cacheConfig: InMemoryCacheConfig = { possibleTypes, typePolicies };

/** A link that sends every operation as the signed-in user: files as a form, subscriptions with resumption. */
export function rosterLink(
  roster: Roster,
  options: Pick<SubscriptionOptions, 'onConnect' | 'onDisconnect'> = {},
): ApolloLink {
  return new ApolloLink((operation) => {
    const query = print(operation.query);
    return new Observable((observer) => {
      const controller = new AbortController();
      const { signal } = controller;
      const deliver = async () => {
        if (operation.operationType === 'subscription') {
          for await (const { data } of roster.subscribeTo<Data>(query, operation.variables, { ...options, signal })) {
            observer.next({ data });
          }
          return;
        }
        const { data, errors } = await roster.execute<Data>(query, operation.variables, { signal });
        observer.next({ data, ...(errors && { errors: errors as ApolloLink.Result['errors'] & {} }) });
      };
      deliver().then(
        () => observer.complete(),
        (error: unknown) => observer.error(error),
      );
      return () => controller.abort();
    });
  });
}

type Data = Record<string, unknown>;
