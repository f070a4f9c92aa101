// Writes each file of this folder that the playground serves as FILE.br and FILE.gz, which are put into the binary.
// Run it after every change: node playground/compress.mjs

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const folder = new URL('.', import.meta.url);
const { BROTLI_PARAM_LGWIN, BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = constants;

for (const name of readdirSync(folder).filter(name => /\.(css|js|svg|txt)$/.test(name))) {
  const content = readFileSync(new URL(name, folder));
  const params = { [BROTLI_PARAM_QUALITY]: 11, [BROTLI_PARAM_LGWIN]: 22, [BROTLI_PARAM_SIZE_HINT]: content.length };
  writeFileSync(new URL(`${name}.br`, folder), brotliCompressSync(content, { params }));
  writeFileSync(new URL(`${name}.gz`, folder), gzipSync(content, { level: 9 }));
}
