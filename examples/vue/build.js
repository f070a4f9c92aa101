import { readFile } from 'node:fs/promises';
import { compileScript, parse } from 'vue/compiler-sfc';
import { bundle } from '../shared/build.js';

/** Compiles components with `<script setup lang="ts">`. */
const vue = {
  name: 'vue',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const { descriptor, errors } = parse(await readFile(path, 'utf8'), { filename: path });
      if (errors.length > 0) {
        return { errors: errors.map(({ message }) => ({ text: message })) };
      }
      return { contents: compileScript(descriptor, { id: path, inlineTemplate: true }).content, loader: 'ts' };
    }),
};

const define = {
  __VUE_OPTIONS_API__: 'false',
  __VUE_PROD_DEVTOOLS__: 'false',
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
};

await bundle({ entryPoint: 'src/main.ts', define, plugins: [vue] });
