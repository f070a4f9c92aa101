import { Roster, webStorage } from '@roster/client';
import { cacheConfig, forwardSubscription } from '@roster/client/urql';
import { cacheExchange } from '@urql/exchange-graphcache';
import { Client, fetchExchange, subscriptionExchange } from 'urql';

// Never from the address of the page: who writes a link to it would choose who gets the password and the token.
const url = document.querySelector<HTMLMetaElement>('meta[name=roster]')!.content;

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
