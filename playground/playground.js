"use strict";

(() => {
  // The token stays in this tab and ends with it: no other tab, no later visit and no disk has it.
  // GraphiQL's tabs and history go to the same place, because people write passwords into mutations.
  const storage = window.sessionStorage;
  const TOKEN = "roster:token";

  const FIRST_QUERY = `# Welcome to Roster.
#
#   Sign in       with the bar above
#   Run           Ctrl-Enter, or the button
#   Suggestions   Ctrl-Space
#   All fields    the book on the left
#   Changes       subscription { changes { kind type nodeId } }
#   Of users      subscription { userChanged { kind user { fullName } } }

query FirstLook {
  # The user who is signed in.
  viewer {
    fullName
    role
  }

  # The first five users that you can see.
  # For more, add pageInfo { endCursor },
  # and give that as users(first: 5, after: "…").
  users(first: 5) {
    totalCount
    nodes {
      fullName
      email
      institution {
        name
      }
      groups {
        name
      }
    }
  }
}
`;
  const VIEWER = "query Viewer { viewer { fullName role } }";
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
  // The token of the link that led here, until the person has said whether to sign in with it.
  let offered = null;

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

  function showSignedOut() {
    element("who").textContent = "Not signed in";
    element("signed-out").hidden = offered !== null;
    element("sign-out").hidden = true;
  }

  function named(viewer) {
    const name = document.createElement("strong");
    name.textContent = viewer.fullName;
    return [name, ` (${viewer.role.toLowerCase().replaceAll("_", " ")})`];
  }

  function showSignedIn(viewer) {
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
  async function ask(request, { token = storage.getItem(TOKEN), headers } = {}) {
    const failed = (message) => {
      notice(message, "connection bad");
      return { errors: [{ message }] };
    };
    const bearer = `Bearer ${token}`;
    let sent;
    try {
      sent = new Headers(headers);
      sent.set("Accept", "application/graphql-response+json, application/json");
      sent.set("Content-Type", "application/json");
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
        body: JSON.stringify(request),
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

  async function keep(token) {
    settle("account");
    if (!isToken(token)) {
      notice(NO_TOKEN, "account bad");
      return;
    }
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
  async function offer(token) {
    if (!isToken(token)) {
      notice(NO_TOKEN, "account bad");
      return;
    }
    if (token === storage.getItem(TOKEN)) return;
    const answer = await ask({ query: VIEWER, operationName: "Viewer" }, { token });
    const viewer = answer.data?.viewer;
    if (!viewer) {
      if (answer.errors?.[0]?.extensions) notice(ENDED_LINK, "account bad");
      return;
    }
    offered = token;
    element("offered").replaceChildren("This link signs you in as ", ...named(viewer));
    element("offer").hidden = false;
    element("signed-out").hidden = true;
  }

  // The token to sign in with, if the person wants to.
  function endOffer() {
    const token = offered;
    offered = null;
    element("offer").hidden = true;
    element("signed-out").hidden = !element("sign-out").hidden;
    return token;
  }

  // `roster demo` prints links with a token in the fragment, which no server and no log ever sees.
  function tokenFromAddress() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (token === null) return null;
    history.replaceState(null, "", location.pathname + location.search);
    return token.trim();
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
    busy(event.submitter, () => keep(endOffer()));
  });
  element("decline").addEventListener("click", endOffer);
  element("sign-out").addEventListener("click", (event) => busy(event.currentTarget, signOut));
  window.addEventListener("hashchange", () => {
    const token = tokenFromAddress();
    if (token !== null) offer(token);
  });

  // ---- GraphiQL

  // GraphiQL asks for the schema again when its fetcher is another function: wanted after a sign-in if it was refused before.
  function show() {
    if (hasSchema) return;
    root.render(React.createElement(GraphiQL, {
      fetcher: (request, options) => (isSubscription(request, options) ? follow : ask)(request, options),
      storage,
      defaultQuery: FIRST_QUERY,
      defaultEditorToolsVisibility: false,
      inputValueDeprecation: true,
      schemaDescription: true,
      shouldPersistHeaders: false,
      showPersistHeadersSettings: false,
      onSchemaChange: () => { hasSchema = true; },
    }));
  }

  const given = tokenFromAddress();
  if (storage.getItem(TOKEN)) {
    element("who").textContent = "Signing in …";
    greet();
  } else {
    showSignedOut();
  }
  if (given !== null) offer(given);
  show();
})();
