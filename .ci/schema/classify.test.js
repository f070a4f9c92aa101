import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { classify, unannounced } from './classify.js';

const CHANGELOG = '# Changelog\n\n## [Unreleased]\n\n### Breaking schema changes\n\n';

// What changed, the schema before and after, and how each change is to be judged.
const cases = [
  ['a removed field', 'type Query { a: Int b: Int }', 'type Query { a: Int }', ['breaking Query.b']],
  ['a removed type', 'type A { x: Int } type Query { a: Int b: A }', 'type Query { a: Int }', ['breaking A', 'breaking Query.b']],
  ['a removed root', 'type Query { a: Int } type Mutation { b: Int }', 'type Query { a: Int }', ['breaking Mutation', 'breaking Mutation']],
  ['an added field', 'type Query { a: Int }', 'type Query { a: Int b: Int }', ['safe Query.b']],
  ['an output made non-null', 'type Query { a: Int }', 'type Query { a: Int! }', ['safe Query.a']],
  ['an output made nullable', 'type Query { a: Int! }', 'type Query { a: Int }', ['breaking Query.a']],
  ['a list item made nullable', 'type Query { a: [Int!]! }', 'type Query { a: [Int]! }', ['breaking Query.a']],
  ['a new required argument', 'type Query { a: Int }', 'type Query { a(x: Int!): Int }', ['breaking Query.a(x:)']],
  ['a new optional argument', 'type Query { a: Int }', 'type Query { a(x: Int): Int }', ['dangerous Query.a(x:)']],
  ['a removed argument', 'type Query { a(x: Int): Int }', 'type Query { a: Int }', ['breaking Query.a(x:)']],
  ['an argument made required', 'type Query { a(x: Int): Int }', 'type Query { a(x: Int!): Int }', ['breaking Query.a(x:)']],
  ['an argument made optional', 'type Query { a(x: Int!): Int }', 'type Query { a(x: Int): Int }', ['safe Query.a(x:)']],
  // A literal 1 is coerced to [1], a variable of type Int is not.
  ['an argument made a list', 'type Query { a(x: Int): Int }', 'type Query { a(x: [Int]): Int }', ['breaking Query.a(x:)']],
  ['another default', 'type Query { a(x: Int = 1): Int }', 'type Query { a(x: Int = 2): Int }', ['dangerous Query.a(x:)']],
  ['a default lost by a required argument', 'type Query { a(x: Int! = 1): Int }', 'type Query { a(x: Int!): Int }', ['breaking Query.a(x:)']],
  ['a default lost by a required input field', input('x: Int! = 1'), input('x: Int!'), ['breaking I.x']],
  ['a new required input field', input('x: Int'), input('x: Int y: Int!'), ['breaking I.y']],
  ['a new required input field with a default', input('x: Int'), input('x: Int y: Int! = 1'), ['dangerous I.y']],
  ['a new optional input field', input('x: Int'), input('x: Int y: Int'), ['safe I.y']],
  ['an input that must now be one of', input('x: Int'), input('x: Int', '@oneOf'), ['breaking I']],
  ['a new enum value', 'enum E { A } type Query { e: E }', 'enum E { A B } type Query { e: E }', ['dangerous E.B']],
  ['a removed enum value', 'enum E { A B } type Query { e: E }', 'enum E { A } type Query { e: E }', ['breaking E.B']],
  ['an interface no longer implemented', node('type U implements N'), node('type U'), ['breaking U']],
  ['an interface newly implemented', node('type U'), node('type U implements N'), ['dangerous U']],
  ['a new union member', 'type A { x: Int } type B { x: Int } union U = A type Query { u: U b: B }', 'type A { x: Int } type B { x: Int } union U = A | B type Query { u: U b: B }', ['dangerous U']],
  ['a deprecation', 'type Query { a: Int }', 'type Query { a: Int @deprecated(reason: "b") }', ['safe Query.a']],
  ['another description', 'type Query { "one" a: Int }', 'type Query { "two" a: Int }', ['safe Query.a']],
  ['the same in another order', 'type Query { a: Int b: Int }', 'type Query { b: Int a: Int }', []],
];

for (const [what, before, after, expected] of cases)
  test(`${what} is ${expected.length ? expected.join(', ') : 'no change'}`, async () => {
    const changes = await classify(before, after);
    assert.deepEqual(changes.map(({ level, coordinate }) => `${level} ${coordinate}`), expected);
  });

test('only the exact coordinate in a list item of the right section announces', () => {
  const changes = [{ level: 'breaking', coordinate: 'User.nickname', message: '' }];
  const passes = (text, release) => unannounced(changes, text, release).length === 0;
  assert.ok(passes(`${CHANGELOG}- Gone: \`User.nickname\`.\n`));
  assert.ok(passes(`${CHANGELOG}- Gone for good,\n  as promised: \`User.nickname\`.\n`));
  assert.ok(!passes(CHANGELOG));
  assert.ok(!passes(`${CHANGELOG}- \`User.nickname2\`, \`User\`, User.nickname\n`));
  assert.ok(!passes(`${CHANGELOG}<!-- - \`User.nickname\` -->\n`));
  assert.ok(!passes(`${CHANGELOG}\`User.nickname\` is meant to go.\n`));
  assert.ok(!passes(`${CHANGELOG}### Removed\n\n- \`User.nickname\`\n`));
});

test('what an earlier release announced counts no more, what the coming one announces does', () => {
  const changes = [{ level: 'breaking', coordinate: 'A.b', message: '' }];
  const of = (version) => `## [${version}] - 2030-01-01\n\n### Breaking schema changes\n\n- \`A.b\`\n\n`;
  assert.equal(unannounced(changes, `## [Unreleased]\n\n${of('1.0.0')}`, 'v1.0.0').length, 1);
  assert.equal(unannounced(changes, `## [Unreleased]\n\n${of('2.0.0')}${of('1.0.0')}`, 'v1.0.0').length, 0);
});

test('a schema is compared with the last release, before the first with its previous commit', (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'roster-schema-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.org', '-c', 'commit.gpgsign=false'];
  const git = (...args) => execFileSync('git', [...identity, ...args], { cwd: directory, stdio: 'pipe' });
  const write = (fields, announced = '') => {
    writeFileSync(join(directory, 'schema.graphql'), `type Query { ${fields} }\n`);
    writeFileSync(join(directory, 'CHANGELOG.md'), CHANGELOG + announced);
  };
  const commit = () => (git('add', '.'), git('commit', '-qm', 'a commit', '--allow-empty'));
  const run = (status, pattern) => {
    const { status: actual, stdout, stderr } = spawnSync(
      process.execPath, [join(import.meta.dirname, 'classify.js'), directory], { encoding: 'utf8' });
    assert.match(stdout + stderr, pattern);
    assert.equal(actual, status, stdout + stderr);
  };

  write('a: Int b: Int');
  run(1, /not a git repository/);
  git('init', '-q');
  run(0, /no earlier version/);
  commit();
  run(0, /no earlier version/);

  write('a: Int');
  run(1, /since the last commit:\n[^]*breaking {3}Query\.b[^]*not announced[^]*- `Query\.b`/);
  write('a: Int', '- `Query.b`\n');
  run(0, /breaking {3}Query\.b/);
  commit();
  writeFileSync(join(directory, 'other'), '');
  commit();
  run(0, /since commit [0-9a-f]+:\n {2}breaking {3}Query\.b/);
  write('a: Int');
  run(1, /not announced/);

  git('-c', 'tag.gpgsign=false', 'tag', 'v1.0.0');
  run(0, /since release v1\.0\.0: no change/);
  write('a: Int c: Int');
  commit();
  write('c: Int');
  commit();
  run(1, /since release v1\.0\.0:\n[^]*safe {7}Query\.c[^]*breaking {3}Query\.a/);
});

function input(fields, directive = '') {
  return `input I ${directive} { ${fields} } type Query { a(i: I): Int }`;
}

function node(declaration) {
  return `interface N { id: ID } ${declaration} { id: ID } type Query { u: U n: N }`;
}
