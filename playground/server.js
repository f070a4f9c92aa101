"use strict";

// Requests to the server. The bar of playground.js has the token, and tells what goes wrong.
(() => {
  const PATIENCE_MS = 4_000;
  const DEADLINE_MS = 60_000;
  const UNREACHABLE = "The server does not answer at /graphql. Is it still running? Nothing here was lost: try again when it is back.";
  const TOO_SLOW = "The server has not answered for a minute, so this page no longer waits for it.";
  const SIGN_IN = "Sign in first: only users can follow the changes.";
  const ENDED = "This session has ended, or the token was never valid. Please sign in again.";

  // The answers that stand for those which did not come.
  const missing = new WeakSet();
  const isMissing = (answer) => missing.has(answer);

  // The server refuses for many reasons; only this one means that a token is not valid.
  const isEnded = ({ errors }) => (errors ?? []).some(({ extensions }) => extensions?.code === "UNAUTHENTICATED");

  const isOfGraphql = (answer) => answer?.data !== undefined || Array.isArray(answer?.errors);

  // Always answers as GraphQL does, { data, errors }; whatever goes wrong on the way is said in errors and in the bar.
  async function ask(request, { token = roster.token(), headers, form } = {}) {
    const failed = (message) => {
      roster.notice(message, "connection bad");
      const answer = { errors: [{ message }] };
      missing.add(answer);
      return answer;
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

    const slow = setTimeout(() => roster.notice("Still waiting for the server …", "connection"), PATIENCE_MS);
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
    roster.settle("connection");
    let answer;
    try {
      answer = JSON.parse(body);
    } catch {
      return failed(`The answer is not JSON (HTTP status ${response.status}).`);
    }
    if (!isOfGraphql(answer)) return failed(`The answer is not one of GraphQL (HTTP status ${response.status}).`);
    const isOurs = sent.get("Authorization") === bearer && token === roster.token();
    if (response.status === 401 && isEnded(answer) && isOurs) {
      roster.forget();
      roster.notice(ENDED, "account bad");
    }
    return answer;
  }

  // Sends what the editor has, with the chosen file if the operation takes one.
  async function send(request, options) {
    const path = roster.upload.path(roster.schema(), options?.documentAST, request.operationName);
    const file = path && roster.upload.file();
    const form = file ? roster.upload.form(request, path, file) : undefined;
    const answer = await ask(request, { headers: options?.headers, form });
    roster.settle("upload");
    roster.settle("sharing");
    if (path && !file) roster.notice(`Sent without a file. Choose one under File upload for ${path}.`, "upload");
    return answer;
  }

  // GraphiQL gives the parsed document.
  const isSubscription = ({ operationName }, options) => (options?.documentAST?.definitions ?? []).some((definition) =>
    definition.kind === "OperationDefinition" && definition.operation === "subscription"
      && (!operationName || definition.name?.value === operationName));

  // Each subscription has a socket of its own, which ends with it.
  async function follow(request, options) {
    const token = roster.token();
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

  const execute = (request, options) => (isSubscription(request, options) ? follow : send)(request, options);

  window.roster = { ...window.roster, ask, execute, isEnded, isMissing };
})();
