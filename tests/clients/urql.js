import { Client, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { toAsyncIterable } from 'wonka';
import { apply, headers, keepFollowing, query, socketUrl, url } from './changes.js';

// Its own retry would send the first position again, or none, and so repeat or miss changes.
const socket = createClient({ url: socketUrl, connectionParams: headers, retryAttempts: 0 });
const subscribe = (request, sink) => ({ unsubscribe: socket.subscribe(request, sink) });
const forwardSubscription = (request) => ({ subscribe: (sink) => subscribe(request, sink) });
const client = new Client({ url, exchanges: [subscriptionExchange({ forwardSubscription })] });

await keepFollowing(async (variables) => {
  for await (const result of toAsyncIterable(client.subscription(query, variables))) apply(result);
});
