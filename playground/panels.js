"use strict";

// The parts of GraphiQL that are ours: panels on the left, and the button that shares a document.
(() => {
  const { createElement: h, useEffect, useState, useSyncExternalStore } = React;
  const { ToolbarButton, useEditorContext, useOperationsEditorState, useSchemaStore, useVariablesEditorState } = GraphiQL.React;
  const { parse } = GraphiQL.GraphQL;
  const RANKS = ["user", "admin", "license admin", "superuser"];
  const HEADINGS = ["Every user", "Administrators", "License administrators", "Superusers"];
  // As GraphiQL finds it.
  const TITLE = /^(?!#).*(?:query|subscription|mutation)\s+([a-zA-Z0-9_]+)/m;
  const SECRETS = [/\bro[a-z]_[\w-]{20,}/, /\b(?:\w*password|pin)"?\s*:\s*"[^"]/i];
  const HAS_SECRET = "This document or its variables hold a token or a password, so no link was made. Remove it first.";
  const SHARED = "A link to this document and its variables is in the address bar";

  // ---- the editor, for whoever opens a document

  let editor = null;
  let waiting = null;
  let schema = null;

  const variablesOf = (text) => {
    try {
      return JSON.parse(text || "{}");
    } catch {
      return null;
    }
  };

  // Opens a document in a tab of its own; a tab that has it already is shown instead, and one that nobody has written in is used.
  function open(query, variables = "") {
    waiting = { query, variables };
    settle();
  }

  function settle() {
    if (!waiting || !editor?.queryEditor || !editor.variableEditor) return;
    const { query, variables, tabs } = waiting;
    // The tab is added with the next rendering, which also overwrites the editors.
    if (tabs && editor.tabs.length !== tabs) return;
    const shown = (tab) => (tab.query ?? "") === query && (tab.variables ?? "") === variables;
    const same = editor.tabs.findIndex(shown);
    if (!tabs && same >= 0) {
      waiting = null;
      if (same !== editor.activeTabIndex) editor.changeTab(same);
      return;
    }
    if (!tabs && editor.queryEditor.getValue() !== roster.firstQuery) {
      waiting.tabs = editor.tabs.length + 1;
      editor.addTab();
      return;
    }
    waiting = null;
    editor.queryEditor.setValue(query);
    editor.variableEditor.setValue(variables);
    const tools = document.querySelector(".graphiql-editor-tools [data-name=variables]");
    if (variables && tools && !tools.classList.contains("active")) tools.click();
  }

  // GraphiQL stores its tabs half a second after a change: a reload must not lose what was written in between.
  window.addEventListener("pagehide", () => {
    if (!editor?.queryEditor) return;
    const [query, variables] = [editor.queryEditor.getValue(), editor.variableEditor?.getValue() ?? ""];
    const title = TITLE.exec(query)?.[1] ?? "<untitled>";
    const tabs = editor.tabs.map((tab, index) => ({
      ...tab,
      ...(index === editor.activeTabIndex && { query, variables, title }),
      hash: null,
      headers: null,
      response: null,
    }));
    const stored = { query, variables, tabState: JSON.stringify({ tabs, activeTabIndex: editor.activeTabIndex }) };
    for (const [name, value] of Object.entries(stored)) sessionStorage.setItem(`graphiql:${name}`, value);
  });

  // ---- sharing

  function link() {
    const [query, variables] = [editor.queryEditor.getValue(), editor.variableEditor.getValue().trim()];
    const parameters = new URLSearchParams({ query, ...(variables && { variables }) });
    const isIn = (secret) => query.includes(secret) || variables.includes(secret);
    const hasSecret = SECRETS.some((secret) => secret.test(query) || secret.test(variables));
    if (hasSecret || roster.tokens().some(isIn)) return null;
    return `${location.origin}${location.pathname}#${parameters}`;
  }

  async function share() {
    const address = link();
    if (!address) {
      roster.notice(HAS_SECRET, "sharing bad");
      return;
    }
    history.replaceState(null, "", address);
    const isCopied = await navigator.clipboard?.writeText(address).then(() => true, () => false);
    roster.notice(`${SHARED}${isCopied ? ", and copied" : ""}.`, "sharing");
  }

  function Share() {
    editor = useEditorContext({ nonNull: true });
    schema = useSchemaStore().schema;
    useEffect(settle);
    return h(ToolbarButton, { label: "Share a link to this document", onClick: share },
      h(icon("M10 14a4 4 0 0 0 6 0l4-4a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-4 4a4 4 0 0 0 6 6l1-1"), { className: "graphiql-toolbar-icon" }));
  }

  const toolbar = () => h(GraphiQL.Toolbar, null, ({ merge, prettify, copy }) => h(React.Fragment, null, prettify, merge, copy, h(Share)));

  // ---- the panels

  const icon = (d) => (properties) => h("svg", {
    height: "1em", viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.5, strokeLinecap: "round", strokeLinejoin: "round", ...properties,
  }, h("path", { d }));

  const panel = (title, ...content) => h("section", { className: "roster-panel", "aria-label": title },
    h("h2", { className: "graphiql-history-header" }, title), ...content);

  function useViewer() {
    return useSyncExternalStore(roster.subscribe, roster.viewer);
  }

  const withViewer = (variables, viewer) => variables
    && JSON.stringify(variables, (_, value) => (value === "$viewer" ? viewer?.id ?? "" : value), 2);

  function Example({ example, viewer }) {
    const reference = document.querySelector("#bar a[href=docs]");
    return h("li", null,
      h("button", { type: "button", onClick: () => open(example.query, withViewer(example.variables, viewer)) }, example.title),
      reference && h("a", { href: `docs#${example.field}` }, example.field));
  }

  function Examples() {
    const viewer = useViewer();
    const reached = viewer ? RANKS.indexOf(viewer.rank) : RANKS.length;
    const sections = RANKS.map((rank, index) => h("div", { key: rank, className: index > reached ? "beyond" : undefined },
      h("h3", null, HEADINGS[index], index > reached && " (not for you)"),
      h("ul", null, roster.examples.filter((example) => example.rank === rank)
        .map((example) => h(Example, { key: example.title, example, viewer })))));
    return panel("Examples", ...sections);
  }

  function requestOf(query, variables, operationName) {
    const request = { url: new URL("graphql", location.href.split("#")[0]).href, query, operationName };
    const values = variablesOf(variables);
    if (values === null) return { fault: "The variables are not JSON." };
    if (Object.keys(values).length > 0) request.variables = values;
    try {
      const definitions = parse(query).definitions.filter((definition) => definition.kind === "OperationDefinition");
      const named = definitions.find((definition) => definition.name?.value === operationName) ?? definitions[0];
      request.kind = named?.operation;
      request.operationName = definitions.length > 1 ? named?.name?.value : undefined;
      request.upload = roster.upload.path(schema, parse(query), request.operationName);
    } catch (error) {
      return { fault: `The document has an error. ${error.message}` };
    }
    return { request };
  }

  function Export() {
    const [query] = useOperationsEditorState();
    const [variables] = useVariablesEditorState();
    const [language, setLanguage] = useState("curl");
    const [isCopied, setCopied] = useState(false);
    const { request, fault } = requestOf(query, variables, editor?.queryEditor?.operationName);
    const code = fault ?? roster.languages[language](request);
    useEffect(() => setCopied(false), [code]);
    const copy = () => navigator.clipboard?.writeText(code).then(() => setCopied(true), () => {});
    return panel("Code",
      h("p", null, "The program reads your token from the environment variable ", h("code", null, "TOKEN"), "."),
      h("div", { className: "roster-choice" },
        h("select", { "aria-label": "Language", value: language, onChange: (event) => setLanguage(event.target.value) },
          Object.keys(roster.languages).map((name) => h("option", { key: name }, name))),
        h("button", { type: "button", className: "graphiql-button", onClick: copy, disabled: Boolean(fault) }, isCopied ? "Copied" : "Copy")),
      h("pre", { id: "code", tabIndex: 0 }, code));
  }

  function Upload() {
    const [name, setName] = useState(roster.upload.file()?.name);
    const choose = (event) => {
      const [file] = event.target.files;
      roster.upload.choose(file);
      setName(file?.name);
    };
    const clear = () => {
      roster.upload.choose(null);
      setName(undefined);
    };
    return panel("File upload",
      h("p", null, "The file is sent with each mutation that has a variable of the type ", h("code", null, "Upload"), ", such as ",
        h("code", null, "setUserAvatar"), ". Leave null in its place."),
      h("p", null, h("label", null, "File ", h("input", { type: "file", id: "file", key: String(name), onChange: choose }))),
      name && h("p", null, `Chosen: ${name} `, h("button", { type: "button", className: "graphiql-button", onClick: clear }, "Remove")));
  }

  const plugins = [
    GraphiQLPluginExplorer.explorerPlugin(),
    { title: "Examples", icon: icon("M4 6h16M4 12h16M4 18h10"), content: Examples },
    { title: "Code", icon: icon("M8 7l-5 5 5 5M16 7l5 5-5 5M14 4l-4 16"), content: Export },
    { title: "File upload", icon: icon("M12 16V4M7 9l5-5 5 5M4 16v4h16v-4"), content: Upload },
  ];

  window.roster = { ...window.roster, open, plugins, toolbar, schema: () => schema };
})();
