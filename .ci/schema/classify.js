// Tells how schema.graphql changed since the last release, and fails on a breaking change that CHANGELOG.md does not
// announce. A change is announced by a list item under "### Breaking schema changes", above the last release's
// heading, with its schema coordinate in backticks: `User.nickname`, `Query.users(first:)`, `Gender.UNKNOWN`.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema, isRequiredArgument, isRequiredInputField } from 'graphql';

const SCHEMA = 'schema.graphql';
const LEVELS = {
  [CriticalityLevel.Breaking]: 'breaking',
  [CriticalityLevel.Dangerous]: 'dangerous',
  [CriticalityLevel.NonBreaking]: 'safe',
};

/** Every change from one schema to the next: its level (breaking, dangerous, safe), coordinate and message. */
export async function classify(before, after) {
  const [oldSchema, newSchema] = [buildSchema(before), buildSchema(after)];
  const changes = (await diff(oldSchema, newSchema))
    // Each deprecation is reported as such already.
    .filter(({ type, path }) => !(type.startsWith('DIRECTIVE_USAGE') && path?.includes('.@deprecated')))
    .map((change) => ({
      level: lostDefault(change, newSchema) ? 'breaking' : LEVELS[change.criticality.level],
      coordinate: coordinate(change),
      message: change.message,
    }));
  return changes.sort((a, b) => a.coordinate.localeCompare(b.coordinate));
}

/** The breaking changes whose coordinate the changelog does not announce since that release (a tag, or none yet). */
export function unannounced(changes, changelog, release) {
  const announced = announcements(changelog, release);
  return changes.filter(({ level, coordinate }) => level === 'breaking' && !announced.has(coordinate));
}

/** The schema to compare a checkout with: a name to show, the release if it is one, and the text if any. */
export function baseline(directory) {
  const git = (...args) => execFileSync('git', args, { cwd: directory, encoding: 'utf8', stdio: 'pipe' });
  const attempt = (...args) => {
    try {
      return git(...args).trim();
    } catch {
      return null;
    }
  };
  const at = (name, revision, release = null) => ({
    name,
    release,
    text: attempt('cat-file', '-e', `${revision}:${SCHEMA}`) === null ? null : git('show', `${revision}:${SCHEMA}`),
  });

  git('rev-parse', '--git-dir'); // No repository, or one git does not trust: that must not look like "no release yet".
  if (git('rev-parse', '--is-shallow-repository').trim() === 'true') attempt('fetch', '--quiet', '--unshallow', '--tags');

  const release = attempt('describe', '--tags', '--abbrev=0', '--match', 'v*');
  if (release) return at(`release ${release}`, release, release);
  if (attempt('rev-parse', '--verify', '--quiet', 'HEAD') === null) return { name: 'nothing', release: null, text: null };
  if (attempt('diff', '--quiet', 'HEAD', '--', SCHEMA) === null) return at('the last commit', 'HEAD');
  const [, previous] = git('log', '-2', '--format=%h', '--', SCHEMA).trim().split('\n');
  return previous ? at(`commit ${previous}`, previous) : { name: 'nothing', release: null, text: null };
}

/** A required input that loses its default breaks clients that omit it; the differ calls it merely dangerous. */
function lostDefault({ type, meta }, schema) {
  if (type === 'FIELD_ARGUMENT_DEFAULT_CHANGED') {
    const field = schema.getType(meta.typeName)?.getFields()[meta.fieldName];
    const argument = field?.args.find(({ name }) => name === meta.argumentName);
    return argument !== undefined && isRequiredArgument(argument);
  }
  if (type === 'INPUT_FIELD_DEFAULT_VALUE_CHANGED') {
    const field = schema.getType(meta.inputName)?.getFields()[meta.inputFieldName];
    return field !== undefined && isRequiredInputField(field);
  }
  return false;
}

/** The differ's path as a schema coordinate: `Query.users.first` of an argument is `Query.users(first:)`. */
function coordinate({ type, path, message }) {
  if (!path) return message.match(/type '(\w+)'/)?.[1] ?? 'schema';
  const [element] = path.split('.@');
  return type.startsWith('FIELD_ARGUMENT_') ? element.replace(/^(\w+\.\w+)\.(\w+)$/, '$1($2:)') : element;
}

function announcements(changelog, release) {
  const found = new Set();
  let [inSection, inItem] = [false, false];
  for (const line of changelog.replace(/<!--[^]*?-->/g, '').split('\n')) {
    if (release && line.startsWith(`## [${release.slice(1)}]`)) break;
    if (line.startsWith('#')) inSection = /^### Breaking schema changes\s*$/.test(line);
    inItem = /^\s*[-*] /.test(line) || (inItem && /^\s+\S/.test(line));
    if (!inSection || !inItem) continue;
    for (const [, code] of line.matchAll(/`([^`]+)`/g)) found.add(code);
  }
  return found;
}

async function main(directory) {
  const before = baseline(directory);
  if (before.text === null) {
    console.log(`schema.graphql: no earlier version to compare with${before.release ? ` in ${before.name}` : ''}`);
    return 0;
  }
  const changes = await classify(before.text, readFileSync(`${directory}/${SCHEMA}`, 'utf8'));
  console.log(`schema.graphql since ${before.name}: ${changes.length === 0 ? 'no change' : ''}`.trimEnd());
  for (const level of ['safe', 'dangerous', 'breaking'])
    for (const change of changes.filter((change) => change.level === level))
      console.log(`  ${level.padEnd(9)}  ${change.coordinate}  ${change.message}`);

  const missing = unannounced(changes, readFileSync(`${directory}/CHANGELOG.md`, 'utf8'), before.release);
  if (missing.length === 0) return 0;
  console.error('\nBreaking, and not announced in CHANGELOG.md under "### Breaking schema changes":');
  for (const coordinate of new Set(missing.map((change) => change.coordinate))) console.error(`  - \`${coordinate}\``);
  return 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv[2] ?? '.');
