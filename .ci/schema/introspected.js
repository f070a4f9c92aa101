// Prints the differences between a response to the introspection query and a schema. Prints nothing if they are equal.
//
//     node introspected.js schema.graphql < response.json
//
// With `--query` it prints the introspection query.

import { readFileSync } from 'node:fs';
import { argv, stdin, stdout } from 'node:process';
import { text as readAll } from 'node:stream/consumers';
import { diff } from '@graphql-inspector/core';
import { buildClientSchema, buildSchema, getIntrospectionQuery, lexicographicSortSchema, printSchema } from 'graphql';

const EVERYTHING = { schemaDescription: true, specifiedByUrl: true, directiveIsRepeatable: true, inputValueDeprecation: true, oneOf: true };

if (argv[2] === '--query') {
  stdout.write(getIntrospectionQuery(EVERYTHING));
} else {
  const written = buildSchema(readFileSync(argv[2], 'utf8'));
  const { data } = JSON.parse(await readAll(stdin));
  const served = buildClientSchema(data);
  // Only the text of a schema shows which directives are applied.
  const reread = buildSchema(printSchema(served));
  const changes = [...(await diff(written, reread)), ...(await diff(reread, written))].map(({ message }) => message);
  const texts = [written, served].map((schema) => printSchema(lexicographicSortSchema(schema)).split('\n'));
  const other = texts[0].findIndex((line, place) => line !== texts[1][place]);
  if (other >= 0) changes.push(`printed, line ${other + 1}: ${texts[0][other]} | ${texts[1][other]}`);
  // graphql-js prints neither of them if they are equal to its own.
  for (const [mine, theirs] of [[written, served], [served, written]]) {
    for (const directive of mine.getDirectives()) {
      const same = theirs.getDirective(directive.name);
      const text = (each) => each && JSON.stringify([each.locations.toSorted(), each.isRepeatable, each.args.map((one) => [one.name, String(one.type), one.defaultValue])]);
      if (text(directive) !== text(same)) changes.push(`@${directive.name}: ${text(directive)} | ${text(same)}`);
    }
  }
  for (const change of changes) stdout.write(`${change}\n`);
}
