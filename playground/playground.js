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

  const NO_TOKEN = "That is not a token: a token is one word of plain letters, digits and signs.";
  const ENDED_LINK = "The token of this link has ended, or was never valid.";

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

  const faults = (answer) => (answer.errors ?? []).map((error) => error.message).join(" ");

  // `ask` has said in the bar that an answer is missing; that goes when the server answers again.
  const isRefused = (answer) => Boolean(answer.errors) && !roster.isMissing(answer);

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
    const answer = await roster.ask({ query: VIEWER, operationName: "Viewer" });
    if (token !== storage.getItem(TOKEN)) return;
    showSignedIn(answer.data?.viewer);
    if (isRefused(answer)) notice(faults(answer), "account bad");
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
    const answer = await roster.ask({ query: LOGIN, operationName: "SignIn", variables: { input } }, { token: null });
    const payload = answer.data?.login;
    if (payload?.token) {
      form.reset();
      await keep(payload.token);
    } else {
      const reason = (payload && (faults(payload) || payload.message)) || faults(answer) || "Signing in failed.";
      if (!roster.isMissing(answer)) notice(reason, "account bad");
      form.elements.password.select();
    }
  }

  async function signOut() {
    const answer = await roster.ask({ query: LOGOUT, operationName: "SignOut" });
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
      const answer = await roster.ask({ query: VIEWER, operationName: "Viewer" }, { token });
      return { token, viewer: answer.data?.viewer, answer };
    }));
    const viewers = answers.filter(({ viewer }) => viewer).map(({ token, viewer }) => ({ token, viewer }));
    const refused = answers.map(({ answer }) => answer).filter(isRefused);
    const other = refused.find((answer) => !roster.isEnded(answer));
    if (other) notice(faults(other), "account bad");
    else if (refused.length > 0 && viewers.length === 0) notice(ENDED_LINK, "account bad");
    if (viewers.length > 0) showOffer(viewers);
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
      fetcher: (request, options) => roster.execute(request, options),
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
    settle,
    forget,
    token: () => storage.getItem(TOKEN),
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
