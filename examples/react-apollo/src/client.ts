import { ApolloClient, InMemoryCache } from '@apollo/client';
import { cacheConfig, rosterLink } from '@roster/client/apollo';
import { roster } from '../../shared/roster';

export function createClient(onConnect: () => void): ApolloClient {
  return new ApolloClient({ link: rosterLink(roster, { onConnect }), cache: new InMemoryCache(cacheConfig) });
}
