import { ApolloClient, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import { apply, headers, keepFollowing, query, socketUrl } from './changes.js';

// Its own retry would send the first position again, or none, and so repeat or miss changes.
const socket = createClient({ url: socketUrl, connectionParams: headers, retryAttempts: 0 });
const client = new ApolloClient({ link: new GraphQLWsLink(socket), cache: new InMemoryCache() });

await keepFollowing((variables) =>
  client.subscribe({ query: gql(query), variables, fetchPolicy: 'no-cache' }).forEach(apply),
);
