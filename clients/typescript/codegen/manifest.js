// Writes dist/documents.json: the operations of the package by the SHA-256 of their text, as `roster documents publish`
// reads them.

import { createHash } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import * as operations from '../dist/generated/operations.js';

const documents = Object.values(operations).map(({ loc }) => {
  const text = loc.source.body;
  return [createHash('sha256').update(text).digest('hex'), text];
});
const manifest = JSON.stringify(Object.fromEntries(documents), null, 2);
const file = new URL('../dist/documents.json', import.meta.url);
const written = new URL(`${file}.new`);
writeFileSync(written, `${manifest}\n`);
renameSync(written, file); // so that nobody reads a part of it
