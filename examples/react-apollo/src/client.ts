import { ApolloClient, InMemoryCache } from '@apollo/client';
import { cacheConfig, rosterLink } from '@roster/client/apollo';
import type { Listeners } from '../../shared/react/useConnected';
import { roster } from '../../shared/roster';

export function createClient(listeners: Listeners): ApolloClient {
  return new ApolloClient({ link: rosterLink(roster, listeners), cache: new InMemoryCache(cacheConfig) });
}
