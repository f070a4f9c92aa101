"use strict";

(() => {
  // The token stays in this tab and ends with it: no other tab, no later visit and no disk has it.
  // GraphiQL's tabs and history go to the same place, because people write passwords into mutations.
  const storage = window.sessionStorage;
  const TOKEN = "roster:token";
  // The viewers between whom a link lets the person switch: [{ token, viewer }].
  const VIEWERS = "roster:viewers";
  const MAX_VIEWERS = 10;

  const VIEWER = "query Viewer { viewer { id fullName role isStaff adminRights { isSuperuser isAdmin } } }";
  const LOGIN = "mutation SignIn($input: LoginInput!) { login(input: $input) { success message token user { fullName } errors { message } } }";
  const LOGOUT = "mutation SignOut { logout { success } }";

  const PATIENCE_MS = 4_000;
  const DEADLINE_MS = 60_000;
  const UNREACHABLE = "The server does not answer at /graphql. Is it still running? Nothing here was lost: try again when it is back.";
  const TOO_SLOW = "The server has not answered for a minute, so this page no longer waits for it.";
  const NO_TOKEN = "That is not a token: a token is one word of plain letters, digits and signs.";
  const ENDED_LINK = "The token of this link has ended, or was never valid.";
  const SIGN_IN = "Sign in first: only users can follow the changes.";
  const ENDED = "This session has ended, or the token was never valid. Please sign in again.";

  // Libraries that make a <style> of their own mark it with this, as the content security policy asks.
  window.__webpack_nonce__ = document.currentScript.nonce;

  const element = (id) => document.getElementById(id);
  const root = ReactDOM.createRoot(element("graphiql"));
  let hasSchema = false;
  // The viewers of the link that led here, until the person has said whether to sign in.
  let offered = null;
  let current = null;
  const listeners = new Set();

  // ---- the bar

  // A word about the connection goes when the server answers again; one about the account stays until the next sign-in.
  function notice(text, about) {
    const line = element("notice");
    line.textContent = text;
    line.hidden = false;
    line.className = about;
  }

  function settle(about) {
    const line = element("notice");
    if (line.classList.contains(about)) line.hidden = true;
  }

  function setViewer(viewer) {
    current = viewer && { ...viewer, rank: rank(viewer) };
    listeners.forEach((listener) => listener());
  }

  function showSignedOut() {
    setViewer(null);
    showViewers();
    element("who").textContent = "Not signed in";
    element("signed-out").hidden = offered !== null;
    element("sign-out").hidden = true;
  }

  function rank({ role, isStaff, adminRights }) {
    if (adminRights?.isSuperuser) return "superuser";
    if (role === "USER" && (isStaff || adminRights?.isAdmin)) return "admin";
    return role.toLowerCase().replaceAll("_", " ");
  }

  function named(viewer) {
    const name = document.createElement("strong");
    name.textContent = viewer.fullName;
    return [name, ` (${rank(viewer)})`];
  }

  const option = ({ viewer }, index) => new Option(`${viewer.fullName} (${rank(viewer)})`, index);

  function storedViewers() {
    return JSON.parse(storage.getItem(VIEWERS) ?? "[]");
  }

  function storeViewers(viewers) {
    if (viewers.length > 0) storage.setItem(VIEWERS, JSON.stringify(viewers));
    else storage.removeItem(VIEWERS);
  }

  function showViewers() {
    const viewers = storedViewers();
    const select = element("viewers");
    select.replaceChildren(...viewers.map(option));
    select.selectedIndex = viewers.findIndex(({ token }) => token === storage.getItem(TOKEN));
    element("view-as").hidden = viewers.length === 0;
  }

  function showSignedIn(viewer) {
    setViewer(viewer ?? null);
    showViewers();
    element("who").replaceChildren(...(viewer ? ["Signed in as ", ...named(viewer)] : ["Using a token"]));
    element("signed-out").hidden = true;
    element("sign-out").hidden = false;
  }

  async function busy(button, work) {
    button.disabled = true;
    try {
      await work();
    } finally {
      button.disabled = false;
    }
  }

  // ---- asking the server

  // Always answers as GraphQL does, { data, errors }; whatever goes wrong on the way is said in errors and in the bar.
  async function ask(request, { token = storage.getItem(TOKEN), headers, form } = {}) {
    const failed = (message) => {
      notice(message, "connection bad");
      return { errors: [{ message }] };
    };
    const bearer = `Bearer ${token}`;
    let sent;
    try {
      sent = new Headers(headers);
      sent.set("Accept", "application/graphql-response+json, application/json");
      sent.set(...(form ? ["GraphQL-Require-Preflight", "1"] : ["Content-Type", "application/json"]));
      if (token && !sent.has("Authorization")) sent.set("Authorization", bearer);
    } catch (error) {
      return failed(`These headers cannot be sent. ${error.message}`);
    }

    const slow = setTimeout(() => notice("Still waiting for the server …", "connection"), PATIENCE_MS);
    let response, body;
    try {
      response = await fetch("graphql", {
        method: "POST",
        cache: "no-store",
        signal: AbortSignal.timeout(DEADLINE_MS),
        headers: sent,
        body: form ?? JSON.stringify(request),
      });
      body = await response.text();
    } catch (error) {
      return failed(error.name === "TimeoutError" ? TOO_SLOW : UNREACHABLE);
    } finally {
      clearTimeout(slow);
    }
    settle("connection");
    if (response.status === 401 && sent.get("Authorization") === bearer && token === storage.getItem(TOKEN)) {
      forget();
      notice(ENDED, "account bad");
    }
    try {
      return JSON.parse(body);
    } catch {
      return failed(`The answer is not JSON (HTTP status ${response.status}).`);
    }
  }

  // Sends what the editor has, with the chosen file if the operation takes one.
  async function send(request, options) {
    const path = roster.upload.path(roster.schema(), options?.documentAST, request.operationName);
    const file = path && roster.upload.file();
    const form = file ? roster.upload.form(request, path, file) : undefined;
    const answer = await ask(request, { headers: options?.headers, form });
    settle("upload");
    settle("sharing");
    if (path && !file) notice(`Sent without a file. Choose one under File upload for ${path}.`, "upload");
    return answer;
  }

  const faults = (answer) => (answer.errors ?? []).map((error) => error.message).join(" ");

  // ---- subscriptions

  // GraphiQL gives the parsed document.
  const isSubscription = ({ operationName }, options) => (options?.documentAST?.definitions ?? []).some((definition) =>
    definition.kind === "OperationDefinition" && definition.operation === "subscription"
      && (!operationName || definition.name?.value === operationName));

  // Each subscription has a socket of its own, which ends with it.
  async function follow(request, options) {
    const token = storage.getItem(TOKEN);
    if (!token && !options?.headers) return { errors: [{ message: SIGN_IN }] };
    const address = new URL("graphql", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const fetcher = GraphiQL.createFetcher({
      url: "graphql",
      subscriptionUrl: address.href,
      wsConnectionParams: token ? { Authorization: `Bearer ${token}` } : {},
    });
    return fetcher(request, options);
  }

  // ---- signing in and out

  function forget() {
    settle("account");
    storeViewers(storedViewers().filter(({ token }) => token !== storage.getItem(TOKEN)));
    storage.removeItem(TOKEN);
    showSignedOut();
    show();
  }

  async function greet() {
    const token = storage.getItem(TOKEN);
    const answer = await ask({ query: VIEWER, operationName: "Viewer" });
    if (token !== storage.getItem(TOKEN)) return;
    showSignedIn(answer.data?.viewer);
    if (answer.errors) notice(faults(answer), "account bad");
  }

  async function keep(token, viewers = []) {
    settle("account");
    if (!isToken(token)) {
      notice(NO_TOKEN, "account bad");
      return;
    }
    storeViewers(viewers);
    storage.setItem(TOKEN, token);
    await greet();
    show();
  }

  async function signIn(form) {
    const input = Object.fromEntries(new FormData(form));
    const answer = await ask({ query: LOGIN, operationName: "SignIn", variables: { input } }, { token: null });
    const payload = answer.data?.login;
    if (payload?.token) {
      form.reset();
      await keep(payload.token);
    } else {
      notice((payload && (faults(payload) || payload.message)) || faults(answer) || "Signing in failed.", "account bad");
      form.elements.password.select();
    }
  }

  async function signOut() {
    const answer = await ask({ query: LOGOUT, operationName: "SignOut" });
    if (!storage.getItem(TOKEN)) return;
    const ended = answer.data?.logout?.success;
    forget();
    if (!ended) notice(`Signed out here, but the server did not end the session. ${faults(answer)}`, "account bad");
  }

  // A link that somebody else made must not sign anybody in unasked: what is written then is written as another user.
  async function offer(tokens) {
    if (!tokens.every(isToken)) {
      notice(NO_TOKEN, "account bad");
      return;
    }
    if (tokens.length === 1 && tokens[0] === storage.getItem(TOKEN)) return;
    const answers = await Promise.all(tokens.slice(0, MAX_VIEWERS).map(async (token) => {
      const { data, errors } = await ask({ query: VIEWER, operationName: "Viewer" }, { token });
      return { token, viewer: data?.viewer, isRefused: Boolean(errors?.[0]?.extensions) };
    }));
    const viewers = answers.filter(({ viewer }) => viewer).map(({ token, viewer }) => ({ token, viewer }));
    if (viewers.length === 0) {
      if (answers.some(({ isRefused }) => isRefused)) notice(ENDED_LINK, "account bad");
      return;
    }
    showOffer(viewers);
  }

  function showOffer(viewers) {
    offered = viewers;
    const isOne = viewers.length === 1;
    element("offered").replaceChildren("This link signs you in as ", ...(isOne ? named(viewers[0].viewer) : []));
    element("offered-viewers").replaceChildren(...viewers.map(option));
    element("offered-viewers").hidden = isOne;
    element("offer").hidden = false;
    element("signed-out").hidden = true;
  }

  // The viewers to sign in as, if the person wants to.
  function endOffer() {
    const viewers = offered;
    offered = null;
    element("offer").hidden = true;
    element("signed-out").hidden = !element("sign-out").hidden;
    return viewers;
  }

  // `roster demo` prints links with tokens in the fragment, which no server and no log ever sees. A link that shares a document
  // has it there too; it is shown and never run.
  function readAddress() {
    const parameters = new URLSearchParams(location.hash.slice(1));
    const [tokens, query] = [parameters.getAll("token").map((token) => token.trim()), parameters.get("query")];
    if (tokens.length === 0 && query === null) return;
    history.replaceState(null, "", location.pathname + location.search);
    if (query !== null) roster.open(query, parameters.get("variables") ?? "");
    if (tokens.length > 0) offer(tokens);
  }

  const isToken = (text) => /^[!-~]+$/.test(text);

  // What people paste is often the whole header.
  const bare = (text) => text.trim().replace(/^(authorization:\s*)?bearer\s+/i, "");

  element("login").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(event.submitter, () => signIn(event.target));
  });
  element("paste").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = bare(new FormData(event.target).get("token"));
    event.target.reset();
    busy(event.submitter, () => keep(token));
  });
  element("offer").addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = element("offered-viewers").selectedIndex;
    const viewers = endOffer();
    busy(event.submitter, () => keep(viewers[chosen].token, viewers.length > 1 ? viewers : []));
  });
  element("decline").addEventListener("click", endOffer);
  element("sign-out").addEventListener("click", (event) => busy(event.currentTarget, signOut));
  element("viewers").addEventListener("change", (event) => {
    const viewers = storedViewers();
    keep(viewers[event.target.selectedIndex].token, viewers);
  });
  window.addEventListener("hashchange", readAddress);

  // ---- GraphiQL

  // GraphiQL asks for the schema again when its fetcher is another function: wanted after a sign-in if it was refused before.
  function show() {
    if (hasSchema) return;
    root.render(React.createElement(GraphiQL, {
      fetcher: (request, options) => (isSubscription(request, options) ? follow : send)(request, options),
      storage,
      defaultQuery: roster.firstQuery,
      defaultEditorToolsVisibility: false,
      inputValueDeprecation: true,
      schemaDescription: true,
      shouldPersistHeaders: false,
      showPersistHeadersSettings: false,
      onSchemaChange: () => { hasSchema = true; },
      plugins: roster.plugins,
    }, roster.toolbar()));
  }

  Object.assign(roster, {
    notice,
    viewer: () => current,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    tokens: () => [storage.getItem(TOKEN), ...storedViewers().map(({ token }) => token)].filter(Boolean),
  });

  if (storage.getItem(TOKEN)) {
    element("who").textContent = "Signing in …";
    greet();
  } else {
    showSignedOut();
  }
  readAddress();
  show();
})();
