// A plugin of graphql-codegen: the facts of the schema that caches need.

import { isInterfaceType, isNonNullType, isObjectType, isUnionType } from 'graphql';

export function plugin(schema) {
  const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'));
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  const objects = types.filter((type) => isObjectType(type) && !roots.includes(type));
  const possibleTypes = Object.fromEntries(
    types
      .filter((type) => isInterfaceType(type) || isUnionType(type))
      .map((type) => [
        type.name,
        schema
          .getPossibleTypes(type)
          .map(({ name }) => name)
          .sort(),
      ]),
  );
  const embedded = objects.filter((type) => named(type.getFields().id?.type ?? {}) !== 'ID').map(({ name }) => name);
  const connections = types.filter(isObjectType).flatMap((type) =>
    Object.values(type.getFields())
      .filter(({ type: of }) => named(of).endsWith('Connection'))
      .map(({ name, args }) => ({
        type: type.name,
        field: name,
        arguments: args.map((argument) => argument.name).filter((argument) => !PAGING.includes(argument)),
      })),
  );
  const lookups = Object.values(schema.getQueryType().getFields())
    .filter(({ type, args }) => isObjectType(type) && args.length === 1 && args[0].name === 'id')
    .map(({ name, type }) => [name, type.name]);
  return [
    // Caches want it mutable.
    `/** The object types of each interface. */\nexport const possibleTypes: Record<string, string[]> = ${json(possibleTypes)};\n`,
    constant('The object types without an ID, which are a part of the object around them.', 'embeddedTypes', embedded),
    constant('The fields with pages, and their arguments other than those of pages.', 'connections', connections),
    constant(
      'The root fields that find an object by the argument `id`, and its type.',
      'lookups',
      Object.fromEntries(lookups),
    ),
  ].join('\n');
}

const PAGING = ['first', 'after', 'last', 'before'];

function named(type) {
  return (isNonNullType(type) ? type.ofType : type).name ?? '';
}

function constant(comment, name, value) {
  return `/** ${comment} */\nexport const ${name} = ${json(value)} as const;\n`;
}

function json(value) {
  return JSON.stringify(value, null, 2);
}
