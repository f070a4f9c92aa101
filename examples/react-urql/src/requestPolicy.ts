import type { RequestPolicy } from 'urql';

/** Once changes are followed, everything is read again: what has changed before, and what has failed. */
export function requestPolicyWhen(isLive: boolean): RequestPolicy {
  return isLive ? 'cache-and-network' : 'cache-first';
}
