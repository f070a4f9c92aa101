// Runs the audits of graphql-http against a server, and prints each that fails as a line of JSON.

import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { serverAudits } from 'graphql-http';

// Sends no other headers than those of an audit. Node's fetch adds `Accept` and `Content-Type`, and some audits are
// about requests without them.
async function fetchFn(url, { method, headers, body } = {}) {
  const [response] = await once(request(url, { method, headers, agent: false }).end(body), 'response');
  return new Response(await text(response), { status: response.statusCode, headers: response.headers });
}

for (const audit of serverAudits({ url: `${process.env.URL}/graphql`, fetchFn })) {
  const { status, id, name, reason, response } = await audit.fn();
  if (status === 'ok') continue;
  const contentType = response.headers.get('content-type');
  console.log(JSON.stringify({ id, name, reason, status: response.status, contentType }));
}
