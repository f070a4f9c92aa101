// Bundles the example in the current folder into dist/. With --serve, serves it on http://127.0.0.1:5173/ and bundles it
// again whenever a file has changed.

import { copyFile, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, context } from 'esbuild';

export async function bundle({ entryPoint = 'src/main.tsx', define = {}, plugins = [] } = {}) {
  const isServed = process.argv.includes('--serve');
  const mode = JSON.stringify(isServed ? 'development' : 'production');
  const options = {
    entryPoints: [entryPoint],
    outdir: 'dist',
    bundle: true,
    minify: !isServed,
    target: 'es2022',
    jsx: 'automatic',
    preserveSymlinks: true,
    // Not the copies beside the linked @roster/client.
    alias: Object.fromEntries(['@apollo/client', '@urql/exchange-graphcache'].map((name) => [name, name])),
    define: { 'process.env.NODE_ENV': mode, ...define },
    plugins,
  };
  await mkdir('dist', { recursive: true });
  await copyFile(new URL('index.html', import.meta.url), 'dist/index.html');
  if (!isServed) {
    await build(options);
    return;
  }
  const watched = await context(options);
  await watched.watch();
  await watched.serve({ servedir: 'dist', host: '127.0.0.1', port: 5173 });
  console.log('http://127.0.0.1:5173/');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await bundle();
}
