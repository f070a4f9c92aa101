import { cacheConfig, forwardSubscription } from '@roster/client/urql';
import { cacheExchange } from '@urql/exchange-graphcache';
import { Client, fetchExchange, subscriptionExchange } from 'urql';
import type { Listeners } from '../../shared/react/useConnected';
import { roster } from '../../shared/roster';

/** A client whose cache follows the changes of the directory. */
export function createClient(listeners: Listeners): Client {
  return new Client({
    url: roster.endpoint,
    fetch: roster.fetch,
    preferGetMethod: false,
    exchanges: [
      cacheExchange(cacheConfig),
      subscriptionExchange({ forwardSubscription: forwardSubscription(roster, listeners) }),
      fetchExchange,
    ],
  });
}
