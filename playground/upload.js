"use strict";

// The file that goes with the next mutation that takes one, by the GraphQL multipart request specification.
(() => {
  const { getNamedType, isInputObjectType, typeFromAST } = GraphiQL.GraphQL;
  const TYPE = "Upload";
  // Deeper than any input has its file.
  const MAX_DEPTH = 3;
  let file = null;

  function pathIn(type, path, depth) {
    const named = getNamedType(type);
    if (named?.name === TYPE) return path;
    if (depth === 0 || !isInputObjectType(named)) return null;
    for (const field of Object.values(named.getFields())) {
      const found = pathIn(field.type, `${path}.${field.name}`, depth - 1);
      if (found) return found;
    }
    return null;
  }

  // The place of the file in the request, such as variables.input.avatar; null if the operation takes none.
  function path(schema, document, operationName) {
    if (!schema) return null;
    const operation = (document?.definitions ?? []).find((definition) => definition.kind === "OperationDefinition"
      && (!operationName || definition.name?.value === operationName));
    for (const { variable, type } of operation?.variableDefinitions ?? []) {
      const found = pathIn(typeFromAST(schema, type), `variables.${variable.name.value}`, MAX_DEPTH);
      if (found) return found;
    }
    return null;
  }

  // The request with a null where the file belongs; objects on the way are made.
  function form(request, path, file) {
    const operations = structuredClone(request);
    const steps = path.split(".");
    const last = steps.pop();
    let parent = operations;
    for (const step of steps) parent = parent[step] ??= {};
    parent[last] = null;
    const form = new FormData();
    form.append("operations", JSON.stringify(operations));
    form.append("map", JSON.stringify({ 0: [path] }));
    form.append("0", file);
    return form;
  }

  window.roster = { ...window.roster, upload: { path, form, file: () => file, choose: (chosen) => { file = chosen ?? null; } } };
})();
