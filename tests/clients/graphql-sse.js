import { createClient } from 'graphql-sse';
import { apply, headers, keepFollowing, query, url } from './changes.js';

const client = createClient({ url, headers, retryAttempts: 0 });

await keepFollowing(async (variables) => {
  for await (const result of client.iterate({ query, variables })) apply(result);
});
