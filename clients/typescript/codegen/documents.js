// A plugin of graphql-codegen: each operation with its fragments as a typed document. Unlike those of the plugin
// typed-document-node, a document has its text (`loc.source.body`), so that it can be sent without graphql's printer.

import { Kind, print, stripIgnoredCharacters, visit } from 'graphql';

export function plugin(_schema, documents) {
  const definitions = documents.flatMap(({ document }) => document.definitions);
  const fragments = new Map(
    definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION).map((node) => [node.name.value, node]),
  );
  const operations = definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  return {
    prepend: ["import type { TypedDocumentNode } from '@graphql-typed-document-node/core';"],
    content: operations.map((operation) => constant(operation, fragments)).join('\n'),
  };
}

function constant(operation, fragments) {
  const names = new Set();
  collect(operation, fragments, names);
  const definitions = [operation, ...[...names].map((name) => fragments.get(name))].map(withoutLocations);
  const body = stripIgnoredCharacters(print({ kind: Kind.DOCUMENT, definitions }));
  const loc = { start: 0, end: body.length, source: { body, name: 'Roster', locationOffset: { line: 1, column: 1 } } };
  const document = JSON.stringify({ kind: Kind.DOCUMENT, definitions, loc });
  const name = operation.name.value;
  const kind = operation.operation[0].toUpperCase() + operation.operation.slice(1);
  const comment = operation.loc.startToken.prev.value.trim();
  const types = `${name}${kind}, ${name}${kind}Variables`;
  return `/** ${comment} */\nexport const ${name}Document = ${document} as unknown as TypedDocumentNode<${types}>;\n`;
}

function collect(node, fragments, names) {
  visit(node, {
    FragmentSpread({ name: { value } }) {
      if (!names.has(value)) {
        names.add(value);
        collect(fragments.get(value), fragments, names);
      }
    },
  });
}

function withoutLocations(node) {
  return JSON.parse(JSON.stringify(node, (key, value) => (key === 'loc' ? undefined : value)));
}
