import { Roster, webStorage } from '@roster/client';
import { cacheConfig, forwardSubscription } from '@roster/client/urql';
import { cacheExchange } from '@urql/exchange-graphcache';
import { Client, fetchExchange, subscriptionExchange } from 'urql';

const url = new URLSearchParams(location.search).get('server') ?? 'http://127.0.0.1:8000';

export const roster = new Roster({
  url,
  storage: webStorage(sessionStorage),
  // A new page, so that nothing that the user could see is left in memory.
  onSignedOut: () => location.reload(),
});

/** A client whose cache follows the changes of the directory. */
export function createClient(onConnect: () => void): Client {
  return new Client({
    url: roster.endpoint,
    fetch: roster.fetch,
    preferGetMethod: false,
    exchanges: [
      cacheExchange(cacheConfig),
      subscriptionExchange({ forwardSubscription: forwardSubscription(roster, { onConnect }) }),
      fetchExchange,
    ],
  });
}
