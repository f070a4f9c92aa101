// Writes requests as JSON lines, each with the errors that graphql-js reports: valid ones, generated from a schema, and
// changed ones, most of which are invalid. The same seed writes the same requests.
//
//     node documents.js schema.graphql SEED COUNT      writes COUNT requests
//     node documents.js schema.graphql < documents     validates documents, each a line of JSON
//
// A line has `query`, `change` (the change of a valid document, or of its variables), `rejected` (whether graphql-js
// rejects the request before it runs it) and `errors`. With `variables` the document is valid, and they are validated.

import { readFileSync } from 'node:fs';
import { argv, stdin, stdout } from 'node:process';
import { text as readAll } from 'node:stream/consumers';
import {
  GraphQLError,
  Kind,
  __Directive,
  __Schema,
  buildSchema,
  getIntrospectionQuery,
  getNamedType,
  getNullableType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  parse,
  parseType,
  parseValue,
  print,
  specifiedRules,
  typeFromAST,
  validate,
  valueFromASTUntyped,
  visit,
} from 'graphql';
import { getVariableValues } from 'graphql/execution/values.js';

/** Numbers from 0 to 1 by mulberry32. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const name = (value) => ({ kind: Kind.NAME, value });
const number = (value) => ({ kind: Kind.INT, value: String(value) });
const text = (value) => ({ kind: Kind.STRING, value });
const variable = (value) => ({ kind: Kind.VARIABLE, name: name(value) });
const spread = (value) => ({ kind: Kind.FRAGMENT_SPREAD, name: name(value), directives: [] });
const field = (value) => ({ kind: Kind.FIELD, name: name(value), arguments: [], directives: [] });
const set = (selections) => ({ kind: Kind.SELECTION_SET, selections });
const on = (type) => ({ kind: Kind.NAMED_TYPE, name: name(type) });

/** A date, an instant or another text that the scalar of that name takes. */
const OF_SCALARS = {
  Date: () => text('2001-02-03'),
  DateTime: () => text('2026-01-31T09:30:00Z'),
  URL: () => text('https://example.org/'),
  ID: () => text('018f3f3e-0000-7000-8000-000000000000'),
  String: () => text('words'),
  Int: (pick) => number(pick([1, 2, 50])),
  Float: () => ({ kind: Kind.FLOAT, value: '1.5' }),
  Boolean: (pick) => ({ kind: Kind.BOOLEAN, value: pick([true, false]) }),
  JSON: (pick) => pick([text('words'), number(3), parseValue('{ a: [1, "b", null] }')]),
};

/** A selection of introspection fields. */
const EVERYTHING = { schemaDescription: true, specifiedByUrl: true, directiveIsRepeatable: true, inputValueDeprecation: true, oneOf: true };

/** Generates valid documents. */
class Author {
  constructor(schema, chance) {
    this.schema = schema;
    this.chance = chance;
    this.types = Object.values(schema.getTypeMap());
  }

  pick = (list) => list[Math.floor(this.chance() * list.length)];
  one = (among) => this.chance() * among < 1;

  document() {
    if (this.one(15)) return parse(getIntrospectionQuery(EVERYTHING), { noLocation: true });
    const operations = [];
    this.fragments = [];
    const many = this.one(6) ? 2 : 1;
    for (let number = 0; number < many; number += 1) operations.push(this.operation(many > 1 ? `Op${number}` : null));
    return { kind: Kind.DOCUMENT, definitions: [...operations, ...this.fragments] };
  }

  operation(title) {
    this.variables = new Map();
    this.mayShare = title === null;
    const operation = this.one(3) ? 'mutation' : 'query';
    const type = operation === 'mutation' ? this.schema.getMutationType() : this.schema.getQueryType();
    const selectionSet = this.selections(type, 4, operation === 'query');
    const variableDefinitions = [...this.variables].map(([title, { type, value }]) => ({
      kind: Kind.VARIABLE_DEFINITION,
      variable: variable(title),
      type: parseType(type),
      defaultValue: value,
      directives: [],
    }));
    const titled = title ?? (this.one(2) ? 'Op' : null);
    return {
      kind: Kind.OPERATION_DEFINITION,
      operation,
      name: titled ? name(titled) : undefined,
      variableDefinitions,
      directives: [],
      selectionSet,
    };
  }

  selections(type, depth, isQuery = false) {
    const chosen = [];
    const fields = Object.values(type.getFields?.() ?? {});
    const wanted = 1 + Math.floor(this.chance() * 3);
    for (let turn = 0; turn < 12 && chosen.length < wanted; turn += 1) {
      const candidate = this.pick(fields);
      if (!candidate || (depth === 0 && isCompositeType(getNamedType(candidate.type)))) continue;
      if (chosen.some((other) => (other.alias ?? other.name)?.value === candidate.name)) continue;
      chosen.push(this.field(candidate, depth));
    }
    if (isQuery && this.one(12)) chosen.push(this.introspection());
    if (chosen.length === 0 || this.one(6)) chosen.push(field('__typename'));
    const inside = chosen.map((selection) => this.perhapsInFragment(selection, type));
    return set(inside);
  }

  introspection() {
    const query = this.pick([
      '{ __schema { queryType { name } directives { name args { name defaultValue } } } }',
      '{ __type(name: "User") { name kind fields(includeDeprecated: true) { name type { name } } } }',
    ]);
    return parse(query, { noLocation: true }).definitions[0].selectionSet.selections[0];
  }

  field(definition, depth) {
    const node = field(definition.name);
    if (this.one(10)) node.alias = name(`a${Math.floor(this.chance() * 1000)}`);
    for (const argument of definition.args) {
      const isNeeded = isNonNullType(argument.type) && argument.defaultValue === undefined;
      if (!isNeeded && !this.one(3)) continue;
      const value = this.value(argument.type, 3, argument.defaultValue !== undefined);
      node.arguments.push({ kind: Kind.ARGUMENT, name: name(argument.name), value });
    }
    if (this.one(12)) node.directives.push(this.directive());
    const type = getNamedType(definition.type);
    if (isCompositeType(type)) node.selectionSet = this.selections(type, depth - 1);
    return node;
  }

  directive() {
    const flag = this.one(2) ? { kind: Kind.BOOLEAN, value: true } : this.asVariable('Boolean!', null);
    return {
      kind: Kind.DIRECTIVE,
      name: name(this.pick(['skip', 'include'])),
      arguments: [{ kind: Kind.ARGUMENT, name: name('if'), value: flag }],
    };
  }

  perhapsInFragment(selection, type) {
    if (this.one(8)) {
      const condition = this.pick([type.name, ...this.schema.getPossibleTypes(type).map((each) => each.name)]
        .filter((each) => each === type.name));
      const typeCondition = this.one(3) ? undefined : on(condition);
      return { kind: Kind.INLINE_FRAGMENT, typeCondition, directives: [], selectionSet: set([selection]) };
    }
    if (this.mayShare && this.one(10)) {
      const title = `F${this.fragments.length}`;
      this.fragments.push({
        kind: Kind.FRAGMENT_DEFINITION,
        name: name(title),
        typeCondition: on(type.name),
        directives: [],
        selectionSet: set([selection]),
      });
      return spread(title);
    }
    return selection;
  }

  asVariable(type, value) {
    const title = `v${this.variables.size}`;
    this.variables.set(title, { type, value: value ?? undefined });
    return variable(title);
  }

  value(type, depth, hasDefault = false) {
    if (depth < 3 || this.one(3)) {
      if (this.one(depth === 3 ? 1 : 5)) {
        const nullable = hasDefault ? getNullableType(type) : type;
        const isLoose = this.one(4);
        const written = isLoose ? String(type) : String(nullable);
        const base = getNullableType(type);
        const withDefault = this.one(5) ? this.literal(base, 1, false) : null;
        return this.asVariable(written, withDefault);
      }
    }
    return this.literal(type, depth, true);
  }

  literal(type, depth, mayVary) {
    const inner = (of, hasDefault) =>
      mayVary ? this.value(of, depth - 1, hasDefault) : this.literal(of, depth - 1, false);
    if (isNonNullType(type)) return this.literal(type.ofType, depth, mayVary);
    if (isListType(type)) {
      if (this.one(6)) return this.literal(type.ofType, depth - 1, false);
      const values = Array.from({ length: Math.floor(this.chance() * 3) }, () => inner(type.ofType));
      return { kind: Kind.LIST, values };
    }
    if (isEnumType(type)) return { kind: Kind.ENUM, value: this.pick(type.getValues()).name };
    if (isInputObjectType(type)) return this.object(type, depth, inner);
    return (OF_SCALARS[type.name] ?? OF_SCALARS.String)(this.pick);
  }

  object(type, depth, inner) {
    const fields = Object.values(type.getFields());
    const ofField = (each, value) => ({ kind: Kind.OBJECT_FIELD, name: name(each.name), value });
    if (type.isOneOf) {
      const each = this.pick(fields.filter((each) => depth > 0 || isLeafType(getNamedType(each.type))));
      return { kind: Kind.OBJECT, fields: [ofField(each, this.literal(each.type, depth - 1, false))] };
    }
    const given = fields.filter((each) => {
      const isNeeded = isNonNullType(each.type) && each.defaultValue === undefined;
      return isNeeded || (depth > 0 && this.one(fields.length > 8 ? 8 : 3));
    });
    return { kind: Kind.OBJECT, fields: given.map((each) => ofField(each, inner(each.type, each.defaultValue !== undefined))) };
  }
}

/** Changes valid documents; each change has a name. */
class Mutator {
  constructor(schema, chance) {
    this.chance = chance;
    this.typeNames = Object.keys(schema.getTypeMap());
    this.fieldNames = [
      ...new Set(Object.values(schema.getTypeMap()).flatMap((type) => Object.keys(type.getFields?.() ?? {}))),
    ];
    this.enumValues = Object.values(schema.getTypeMap()).filter(isEnumType).flatMap((type) => type.getValues().map((each) => each.name));
    this.composites = Object.values(schema.getTypeMap()).filter(isCompositeType).map((type) => type.name);
  }

  pick = (list) => list[Math.floor(this.chance() * list.length)];
  one = (among) => this.chance() * among < 1;

  /** The nodes of some kinds, each with its parent. */
  nodes(document, ...kinds) {
    const found = [];
    visit(document, {
      enter: (node, key, parent) => {
        if (kinds.includes(node.kind)) found.push({ node, key, parent });
      },
    });
    return found;
  }

  anyValue(document) {
    const variables = this.nodes(document, Kind.VARIABLE).map(({ node }) => node);
    return this.pick([
      () => number(this.pick([0, 1, -1, 2147483647, 2147483648, '99999999999999999999'])),
      () => ({ kind: Kind.FLOAT, value: this.pick(['1.0', '1.5', '1e3', '1e400']) }),
      () => text(this.pick(['', 'words', '5'])),
      () => ({ kind: Kind.ENUM, value: this.pick([...this.enumValues, 'NOTHING']) }),
      () => ({ kind: Kind.BOOLEAN, value: true }),
      () => ({ kind: Kind.NULL }),
      () => ({ kind: Kind.LIST, values: [] }),
      () => ({ kind: Kind.LIST, values: [text('a'), { kind: Kind.NULL }] }),
      () => ({ kind: Kind.LIST, values: [{ kind: Kind.LIST, values: [number(1)] }] }),
      () => ({ kind: Kind.OBJECT, fields: [] }),
      () => parseValue(`{ ${this.pick(this.fieldNames)}: 1 }`, { noLocation: true }),
      () => variable('nowhere'),
      ...(variables.length > 0 ? [() => structuredClone(this.pick(variables)), () => structuredClone(this.pick(variables))] : []),
    ])();
  }

  anyType() {
    const named = this.pick(['String', 'Int', 'ID', 'Boolean', 'Float', 'Nothing', 'User', ...this.typeNames]);
    return this.pick([named, `${named}!`, `[${named}]`, `[${named}!]`, `[${named}!]!`, `[[${named}]]`]);
  }

  anyDirective(document) {
    const title = this.pick(['skip', 'include', 'deprecated', 'specifiedBy', 'oneOf', 'nope', 'include']);
    const argument = this.pick(['if', 'if', 'if', 'reason', 'unless']);
    const many = this.pick([0, 1, 1, 1, 2]);
    const value = () => (this.one(2) ? { kind: Kind.BOOLEAN, value: true } : this.anyValue(document));
    return {
      kind: Kind.DIRECTIVE,
      name: name(title),
      arguments: Array.from({ length: many }, () => ({ kind: Kind.ARGUMENT, name: name(argument), value: value() })),
    };
  }

  at(document, kinds, change) {
    const found = this.nodes(document, ...[kinds].flat());
    if (found.length > 0) change(this.pick(found));
    return found.length > 0;
  }

  changes = {
    'another field': (document) => this.at(document, Kind.FIELD, ({ node }) => {
      node.name = name(this.pick([this.pick(this.fieldNames), 'nothing', '__typename', '__schema', '__type']));
    }),
    'another argument': (document) => this.at(document, Kind.ARGUMENT, ({ node }) => {
      node.name = name(this.pick(['first', 'last', 'filter', 'input', 'id', 'nothing', 'if']));
    }),
    'no argument': (document) => this.at(document, [Kind.FIELD, Kind.DIRECTIVE], ({ node }) => { node.arguments.pop(); }),
    'an argument more': (document) => this.at(document, Kind.FIELD, ({ node }) => {
      const title = this.pick(['first', 'id', 'filter', 'input', 'nothing', 'includeInactive']);
      node.arguments.push({ kind: Kind.ARGUMENT, name: name(title), value: this.anyValue(document) });
    }),
    'an argument twice': (document) => this.at(document, Kind.ARGUMENT, ({ node, parent }) => { parent.push(structuredClone(node)); }),
    'another value': (document) => this.at(document, Kind.ARGUMENT, ({ node }) => { node.value = this.anyValue(document); }),
    'another value inside': (document) => this.at(document, Kind.OBJECT_FIELD, ({ node }) => { node.value = this.anyValue(document); }),
    'another item': (document) => this.at(document, Kind.LIST, ({ node }) => { node.values.push(this.anyValue(document)); }),
    'a list around': (document) => this.at(document, [Kind.OBJECT_FIELD, Kind.ARGUMENT], ({ node }) => {
      node.value = { kind: Kind.LIST, values: [node.value] };
    }),
    'another key': (document) => this.at(document, Kind.OBJECT_FIELD, ({ node }) => {
      node.name = name(this.pick([this.pick(this.fieldNames), 'eq', 'in', 'nothing']));
    }),
    'a key more': (document) => this.at(document, Kind.OBJECT, ({ node }) => {
      const title = this.pick([this.pick(this.fieldNames), 'eq', 'in', 'nothing']);
      node.fields.push({ kind: Kind.OBJECT_FIELD, name: name(title), value: this.anyValue(document) });
    }),
    'a key twice': (document) => this.at(document, Kind.OBJECT_FIELD, ({ node, parent }) => { parent.push(structuredClone(node)); }),
    'a key less': (document) => this.at(document, Kind.OBJECT, ({ node }) => { node.fields.shift(); }),
    'no definition of a variable': (document) => this.at(document, Kind.OPERATION_DEFINITION, ({ node }) => {
      node.variableDefinitions.shift();
    }),
    'a variable twice': (document) => this.at(document, Kind.VARIABLE_DEFINITION, ({ node, parent }) => { parent.push(structuredClone(node)); }),
    'a variable that is not used': (document) => this.at(document, Kind.OPERATION_DEFINITION, ({ node }) => {
      const definition = { kind: Kind.VARIABLE_DEFINITION, variable: variable('unused'), directives: [] };
      node.variableDefinitions.push({ ...definition, type: parseType(this.anyType(), { noLocation: true }) });
    }),
    'another type of a variable': (document) => this.at(document, Kind.VARIABLE_DEFINITION, ({ node }) => {
      node.type = parseType(this.anyType(), { noLocation: true });
    }),
    'a variable that may be null, or not': (document) => this.at(document, Kind.VARIABLE_DEFINITION, ({ node }) => {
      node.type = node.type.kind === Kind.NON_NULL_TYPE ? node.type.type : { kind: Kind.NON_NULL_TYPE, type: node.type };
    }),
    'a variable of a list': (document) => this.at(document, Kind.VARIABLE_DEFINITION, ({ node }) => {
      const item = node.type.kind === Kind.NON_NULL_TYPE ? node.type.type : node.type;
      node.type = item.kind === Kind.LIST_TYPE ? item.type : { kind: Kind.LIST_TYPE, type: item };
    }),
    'another default': (document) => this.at(document, Kind.VARIABLE_DEFINITION, ({ node }) => {
      const value = this.anyValue(document);
      if (value.kind !== Kind.VARIABLE) node.defaultValue = value;
    }),
    'another name of a variable': (document) => this.at(document, Kind.VARIABLE, ({ node }) => {
      node.name = name(this.pick(['v0', 'v1', 'nowhere']));
    }),
    'another fragment': (document) => this.at(document, Kind.FRAGMENT_SPREAD, ({ node }) => {
      node.name = name(this.pick(['F0', 'F1', 'Nowhere']));
    }),
    'a spread more': (document) => this.at(document, Kind.SELECTION_SET, ({ node }) => {
      node.selections.push(spread(this.pick(['F0', 'F1', 'Nowhere', 'Unused'])));
    }),
    'a fragment that is not used': (document) => {
      const title = this.pick(['Unused', 'F0']);
      const ofType = { kind: Kind.FRAGMENT_DEFINITION, name: name(title), typeCondition: on(this.pick(this.typeNames)), directives: [] };
      document.definitions.push({ ...ofType, selectionSet: set([field('__typename')]) });
      return true;
    },
    'another type of a fragment': (document) => this.at(document, [Kind.FRAGMENT_DEFINITION, Kind.INLINE_FRAGMENT], ({ node }) => {
      node.typeCondition = on(this.pick([this.pick(this.typeNames), this.pick(this.composites), 'Nothing']));
    }),
    'a definition less': (document) => { document.definitions.pop(); return document.definitions.length > 0; },
    'a definition twice': (document) => { document.definitions.push(structuredClone(this.pick(document.definitions))); return true; },
    'another kind of operation': (document) => this.at(document, Kind.OPERATION_DEFINITION, ({ node }) => {
      node.operation = this.pick(['query', 'mutation', 'subscription']);
    }),
    'no name of an operation': (document) => this.at(document, Kind.OPERATION_DEFINITION, ({ node }) => { node.name = undefined; }),
    'an operation more': (document) => {
      const definition = parse(this.pick(['{ __typename }', 'query Op { __typename }', 'mutation Op1 { __typename }']), { noLocation: true });
      document.definitions.push(definition.definitions[0]);
      return true;
    },
    'a directive': (document) => this.at(
      document,
      [Kind.FIELD, Kind.OPERATION_DEFINITION, Kind.FRAGMENT_DEFINITION, Kind.FRAGMENT_SPREAD, Kind.INLINE_FRAGMENT, Kind.VARIABLE_DEFINITION],
      ({ node }) => { node.directives.push(this.anyDirective(document)); },
    ),
    'a directive twice': (document) => this.at(document, Kind.DIRECTIVE, ({ node, parent }) => { parent.push(structuredClone(node)); }),
    'an alias': (document) => this.at(document, Kind.FIELD, ({ node }) => {
      node.alias = name(this.pick([this.pick(this.fieldNames), 'x', 'id', 'name']));
    }),
    'two aliases alike': (document) => this.at(document, Kind.SELECTION_SET, ({ node }) => {
      for (const each of node.selections) if (each.kind === Kind.FIELD) each.alias = name('x');
    }),
    'a field twice': (document) => this.at(document, Kind.FIELD, ({ node, parent }) => {
      const again = structuredClone(node);
      this.pick([
        () => { again.alias = name((node.alias ?? node.name).value); again.name = name(this.pick(this.fieldNames)); },
        () => { again.arguments = []; },
        () => { const argument = this.pick(again.arguments); if (argument) argument.value = this.anyValue(document); },
        () => { again.selectionSet?.selections.reverse(); },
        () => {
          const inner = again.selectionSet?.selections.find((each) => each.kind === Kind.FIELD);
          if (inner) inner.alias = name(this.pick(['id', 'name', 'x', 'email', 'totalCount']));
        },
      ])();
      parent.push(this.one(3) ? { kind: Kind.INLINE_FRAGMENT, directives: [], selectionSet: set([again]) } : again);
    }),
    'no selection': (document) => this.at(document, Kind.FIELD, ({ node }) => { node.selectionSet = undefined; }),
    'a selection': (document) => this.at(document, Kind.FIELD, ({ node }) => {
      node.selectionSet = set([field(this.pick(['__typename', 'id', this.pick(this.fieldNames)]))]);
    }),
    'a field more': (document) => this.at(document, Kind.SELECTION_SET, ({ node }) => {
      node.selections.push(field(this.pick(['id', 'name', '__typename', this.pick(this.fieldNames)])));
    }),
    'a fragment around': (document) => this.at(document, Kind.SELECTION_SET, ({ node }) => {
      const typeCondition = on(this.pick(['Node', 'MutationPayload', this.pick(this.composites), this.pick(this.typeNames)]));
      const inner = this.one(2) ? node.selections.splice(0) : [field('__typename')];
      node.selections.push({ kind: Kind.INLINE_FRAGMENT, typeCondition, directives: [], selectionSet: set(inner) });
    }),
    'fields of two types under one name': (document) => this.at(document, Kind.SELECTION_SET, ({ node }) => {
      const [first, second] = [this.pick(this.composites), this.pick(this.composites)];
      const aliased = (title) => ({ ...field(title), alias: name('x') });
      const among = (type, title) => ({ kind: Kind.INLINE_FRAGMENT, typeCondition: on(type), directives: [], selectionSet: set([aliased(title)]) });
      node.selections.push(among(first, this.pick(this.fieldNames)), among(second, this.pick(this.fieldNames)));
    }),
    'a definition of a type': (document) => {
      document.definitions.push(parse('type Extra { a: Int }', { noLocation: true }).definitions[0]);
      return true;
    },
  };

  /** A document after some changes, and their names. */
  change(document) {
    const changed = structuredClone(document);
    const made = [];
    const wanted = this.pick([1, 1, 1, 2, 3]);
    for (let turn = 0; turn < 10 && made.length < wanted; turn += 1) {
      const title = this.pick(Object.keys(this.changes));
      if (this.changes[title](changed)) made.push(title);
    }
    return [changed, made.join(', ')];
  }

  /** Changes one of some values, at any depth; returns the name of the change. */
  changeValue(values) {
    const places = [];
    const walk = (holder) => {
      for (const key of Object.keys(holder)) {
        places.push([holder, key]);
        if (holder[key] !== null && typeof holder[key] === 'object') walk(holder[key]);
      }
    };
    walk(values);
    const [holder, key] = this.pick(places);
    const other = this.pick([null, 1, -1, 1.5, 2147483648, 1e300, 'words', '', '5', true, [], {}, ['a'], [1], [null], { nothing: 1 }, { eq: 'a' }]);
    const done = {
      'no value': () => { if (Array.isArray(holder)) holder.splice(Number(key), 1); else delete holder[key]; },
      'another value': () => { holder[key] = other; },
      'a value in a list': () => { holder[key] = [holder[key]]; },
      'a key more': () => {
        const inner = holder[key];
        if (inner !== null && typeof inner === 'object' && !Array.isArray(inner)) inner[this.pick([this.pick(this.fieldNames), 'nothing'])] = other;
        else holder[key] = { ...holder, [this.pick(this.fieldNames)]: other };
      },
    };
    const title = this.pick(Object.keys(done));
    done[title]();
    return `variables: ${title}`;
  }

  /** A text after a change of its letters. */
  misspell(query) {
    const tokens = query.match(/"""[^]*?"""|"(?:[^"\\\n]|\\.)*"|\.\.\.|[A-Za-z_0-9.+-]+|[^\s]|\s+/g);
    const place = Math.floor(this.chance() * tokens.length);
    const insert = this.pick([
      'on', '{', '}', '(', ')', '[', ']', ':', '!', '$', '@', '...', '..', '&', '|', '=', ',', '"', '"""', '"\\u00e9"',
      '"\\q"', '"\\u{1F600}"', '"\\u{110000}"', '"\\uD83D"', '"\\uD83D\\uDE00"', '0', '-', '01', '1.', '.5', '1e', '-0', '1a', '1_0', '1.0.0', '#', '# x\n', '\ufeff', '\u00a0', 'é', 'null', 'true',
      'query', 'fragment', 'fragment on on Query { __typename }', 'type', '"""a\n"b" \\""" c"""', '"', '?', '\\', "'", '\u0007', '{}', '()', '{ }', '[]',
    ]);
    this.pick([
      () => tokens.splice(place, 1),
      () => tokens.splice(place, 0, tokens[place]),
      () => tokens.splice(place, 1, insert),
      () => tokens.splice(place, 0, insert),
      () => tokens.splice(place, 0, ` ${insert} `),
      () => tokens.splice(place),
    ])();
    return tokens.join('');
  }
}

// Drafts of features after the edition of September 2025, which only graphql-js implements.
for (const draft of ['isDeprecated', 'deprecationReason']) delete __Directive.getFields()[draft];
__Schema.getFields().directives.args = [];

/** Operation Type Existence (5.2.1.1). */
const OperationTypeExists = (context) => ({
  OperationDefinition(node) {
    if (!context.getSchema().getRootType(node.operation)) {
      context.reportError(new GraphQLError(`There is no ${node.operation} type.`, { nodes: node }));
    }
  },
});

/** The errors of a document according to graphql-js. Null if it is valid. */
export function documentErrors(schema, query) {
  // The first is a limit, not a rule of the specification; graphql-js checks the second when it runs an operation.
  const rules = specifiedRules.filter((rule) => rule.name !== 'MaxIntrospectionDepthRule').concat(OperationTypeExists);
  try {
    const errors = validate(schema, parse(query), rules);
    return errors.length > 0 ? errors.slice(0, 3).map((error) => error.message) : null;
  } catch (error) {
    return [error.message];
  }
}

/** The errors of the variables of a valid document with one operation, according to graphql-js. Null if none. */
function variableErrors(schema, document, variables) {
  const [operation] = document.definitions;
  const { errors } = getVariableValues(schema, operation.variableDefinitions, variables);
  return errors ? errors.slice(0, 3).map((error) => error.message) : null;
}

/** Generates the lines of the output. */
export function* lines(sdl, seed, count) {
  const schema = buildSchema(sdl);
  const chance = random(seed);
  const [author, mutator] = [new Author(schema, chance), new Mutator(schema, chance)];
  for (let made = 0; made < count; ) {
    const valid = author.document();
    for (const line of [...variants(schema, valid, mutator), ...withVariables(schema, valid, author, mutator)]) {
      yield line;
      made += 1;
    }
  }
}

function* variants(schema, valid, mutator) {
  const validated = (query, change) => {
    const errors = documentErrors(schema, query);
    return { query, change, rejected: errors !== null, errors };
  };
  const query = print(valid);
  yield validated(query, 'nothing');
  for (let turn = 0; turn < 6; turn += 1) {
    const [changed, change] = mutator.change(valid);
    yield validated(print(changed), change);
  }
  yield validated(mutator.misspell(query), 'letters');
}

/** A valid document with values for its variables, valid and changed ones. Yields nothing if it has no variables. */
function* withVariables(schema, valid, author, mutator) {
  const operations = valid.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  const [{ variableDefinitions, selectionSet }] = operations;
  const query = print(valid);
  if (operations.length > 1 || variableDefinitions.length === 0 || documentErrors(schema, query)) return;
  if (selectionSet.selections.some(({ name }) => PUBLIC.has(name?.value))) return;
  const good = {};
  for (const { variable, type } of variableDefinitions) {
    good[variable.name.value] = valueFromASTUntyped(author.literal(typeFromAST(schema, type), 2, false));
  }
  for (let turn = 0; turn < 4; turn += 1) {
    const variables = structuredClone(good);
    const change = turn === 0 ? 'good values' : mutator.changeValue(variables);
    const errors = variableErrors(schema, valid, variables);
    yield { query, variables, change, rejected: errors !== null, errors };
  }
}

/** Mutations that need no token and would have effects. */
const PUBLIC = new Set([
  'login', 'activateAccount', 'requestPasswordReset', 'resetPassword', 'confirmEmailChange', 'registerUser',
]);

if (process.argv[1] === import.meta.filename) {
  const [, , file, seed, count] = argv;
  const sdl = readFileSync(file, 'utf8');
  if (count) {
    for (const line of lines(sdl, Number(seed), Number(count))) stdout.write(`${JSON.stringify(line)}\n`);
  } else {
    const schema = buildSchema(sdl);
    for (const line of (await readAll(stdin)).split('\n').filter(Boolean)) {
      const errors = documentErrors(schema, JSON.parse(line));
      stdout.write(`${JSON.stringify({ query: JSON.parse(line), rejected: errors !== null, errors })}\n`);
    }
  }
}
