import { readFile } from 'node:fs/promises';
import { bundle } from '../shared/build.js';

/** Each graphql`...` becomes what the Relay compiler has made of it, as babel-plugin-relay does. */
const relay = {
  name: 'relay',
  setup: ({ onLoad }) =>
    onLoad({ filter: /react-relay\/src\/\w+\.tsx$/ }, async ({ path }) => {
      const names = [];
      const source = (await readFile(path, 'utf8')).replace(/graphql`\s*\w+ (\w+)[^`]*`/g, (_tag, name) => {
        names.push(name);
        return name;
      });
      const imports = names.map((name) => `import ${name} from './__generated__/${name}.graphql';`);
      return { contents: [...imports, source].join(''), loader: 'tsx' };
    }),
};

await bundle({ plugins: [relay] });
