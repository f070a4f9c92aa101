import { createClient } from 'graphql-sse';
import { apply, headers, keepFollowing, query, url } from './changes.js';

// Its own retry would send the first position again, or none, and so repeat or miss changes.
const client = createClient({ url, headers, retryAttempts: 0 });

await keepFollowing(async (variables) => {
  for await (const result of client.iterate({ query, variables })) apply(result);
});
