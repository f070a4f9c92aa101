"use strict";

// Writes the request of a tab as a program. The programs read the token from the environment variable TOKEN: none contains it.
(() => {
  const FILE = "picture.png";

  const pretty = (value) => JSON.stringify(value, null, 2);
  const indented = (text, by) => text.replaceAll("\n", `\n${" ".repeat(by)}`);
  const body = ({ query, variables, operationName }) => ({
    query,
    ...(variables && { variables }),
    ...(operationName && { operationName }),
  });
  const map = ({ upload }) => ({ 0: [upload] });

  // ---- curl

  const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

  function curl(request) {
    const start = [`curl -sS --fail-with-body${request.kind === "subscription" ? " -N" : ""} ${shell(request.url)}`,
      "-H \"Authorization: Bearer $TOKEN\""];
    if (request.upload) {
      return [...start, "-H 'GraphQL-Require-Preflight: 1'", `--form-string operations=${shell(pretty(body(request)))}`,
        `--form-string map=${shell(JSON.stringify(map(request)))}`, `-F 0=@${FILE}`].join(" \\\n  ") + "\n";
    }
    if (request.kind === "subscription") start.push("-H 'Accept: text/event-stream'");
    return [...start, "-H 'Content-Type: application/json'", "--data-binary @- <<'JSON'"].join(" \\\n  ")
      + `\n${pretty(body(request))}\nJSON\n`;
  }

  // ---- TypeScript

  const template = (text) => `\`${text.replace(/[`\\]|\$\{/g, "\\$&")}\``;

  function typescript(request) {
    const { url, query, variables, operationName, kind, upload } = request;
    const fields = ["query", variables && "variables", operationName && `operationName: ${JSON.stringify(operationName)}`];
    const payload = `JSON.stringify({ ${fields.filter(Boolean).join(", ")} })`;
    const header = upload ? "\"GraphQL-Require-Preflight\": \"1\"" : "\"Content-Type\": \"application/json\"";
    const accept = kind === "subscription" ? "\n    Accept: \"text/event-stream\"," : "";
    return `${upload ? "import { readFile } from \"node:fs/promises\";\n\n" : ""}const query = ${template(query)};
${variables ? `const variables = ${pretty(variables)};\n` : ""}${upload ? `
const form = new FormData();
form.append("operations", ${payload});
form.append("map", ${JSON.stringify(JSON.stringify(map(request)))});
form.append("0", new Blob([await readFile("${FILE}")]));
` : ""}
const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.TOKEN}\`,${accept}
    ${header},
  },
  body: ${upload ? "form" : payload},
});
${kind === "subscription" ? `const decoder = new TextDecoder();
for await (const chunk of response.body ?? []) {
  process.stdout.write(decoder.decode(chunk, { stream: true }));
}
` : "console.log(JSON.stringify(await response.json(), null, 2));\n"}`;
  }

  // ---- Python

  const tripled = (text) => `"""${text.replaceAll("\\", "\\\\").replaceAll("\"\"\"", "\\\"\\\"\\\"").replace(/"$/, "\\\"")}"""`;
  const PYTHON = { true: "True", false: "False", null: "None" };

  function pythonValue(value) {
    if (value === null || typeof value !== "object") return PYTHON[value] && typeof value !== "string" ? PYTHON[value] : JSON.stringify(value);
    const [open, close, items] = Array.isArray(value)
      ? ["[", "]", value.map(pythonValue)]
      : ["{", "}", Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pythonValue(item)}`)];
    return items.length === 0 ? open + close : `${open}\n    ${items.map((item) => indented(item, 4)).join(",\n    ")},\n${close}`;
  }

  function python(request) {
    const { url, query, variables, operationName, kind, upload } = request;
    const fields = ["\"query\": query", variables && "\"variables\": variables",
      operationName && `"operationName": ${JSON.stringify(operationName)}`].filter(Boolean).join(", ");
    const start = `query = ${tripled(query)}
${variables ? `variables = ${pythonValue(variables)}\n` : ""}`;
    if (upload) {
      return `import json
import os

import requests  # pip install requests

${start}
with open("${FILE}", "rb") as file:
    response = requests.post(
        ${JSON.stringify(url)},
        headers={"Authorization": "Bearer " + os.environ["TOKEN"], "GraphQL-Require-Preflight": "1"},
        data={"operations": json.dumps({${fields}}), "map": json.dumps({"0": [${JSON.stringify(upload)}]})},
        files={"0": file},
    )
print(json.dumps(response.json(), indent=2))
`;
    }
    const accept = kind === "subscription" ? "\n        \"Accept\": \"text/event-stream\"," : "";
    const read = kind === "subscription"
      ? "for line in response:\n        print(line.decode(), end=\"\", flush=True)"
      : "print(json.dumps(json.load(response), indent=2))";
    return `import json
import os
import urllib.request

${start}
request = urllib.request.Request(
    ${JSON.stringify(url)},
    data=json.dumps({${fields}}).encode(),
    headers={
        "Authorization": "Bearer " + os.environ["TOKEN"],${accept}
        "Content-Type": "application/json",
    },
)
with urllib.request.urlopen(request) as response:
    ${read}
`;
  }

  // ---- Rust

  // JSON's escapes for control characters are not Rust's.
  const rustString = (text) => JSON.stringify(text).replace(/\\(?:u([0-9a-f]{4})|([bf])|.)/g, (all, code, letter) =>
    code ? `\\u{${code}}` : letter ? `\\u{${letter === "b" ? 8 : "c"}}` : all);

  function raw(text) {
    const hashes = (text.match(/"#*/g) ?? []).reduce((most, run) => Math.max(most, run.length), 1);
    return `r${"#".repeat(hashes)}"${text}"${"#".repeat(hashes)}`;
  }

  function rustValue(value) {
    if (typeof value === "string") return rustString(value);
    if (value === null || typeof value !== "object") return JSON.stringify(value);
    const [open, close, items] = Array.isArray(value)
      ? ["[", "]", value.map(rustValue)]
      : ["{", "}", Object.entries(value).map(([key, item]) => `${rustString(key)}: ${rustValue(item)}`)];
    return items.length === 0 ? open + close : `${open} ${items.join(", ")} ${close}`.replaceAll("[ ", "[").replaceAll(" ]", "]");
  }

  const RUST_END = {
    subscription: `    while let Some(chunk) = response.chunk().await? {
        print!("{}", String::from_utf8_lossy(&chunk));
    }
`,
    answer: "    let answer: Value = response.json().await?;\n    println!(\"{answer:#}\");\n",
  };

  function rust(request) {
    const { url, query, variables, operationName, kind, upload } = request;
    const fields = ["\"query\": QUERY", variables && `"variables": ${rustValue(variables)}`,
      operationName && `"operationName": ${rustString(operationName)}`].filter(Boolean).join(", ");
    const follows = kind === "subscription";
    const features = upload ? "\"json\", \"multipart\"" : "\"json\"";
    const form = `    let picture = reqwest::multipart::Part::bytes(std::fs::read("${FILE}")?);
    let form = reqwest::multipart::Form::new()
        .text("operations", body.to_string())
        .text("map", ${rustString(JSON.stringify(map(request)))})
        .part("0", picture);
`;
    const send = upload ? "        .header(\"GraphQL-Require-Preflight\", \"1\")\n        .multipart(form)\n" : "        .json(&body)\n";
    return `// reqwest = { version = "0.13", features = [${features}] }
// serde_json = "1"
// tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
use serde_json::${follows ? "json" : "{Value, json}"};

const QUERY: &str = ${raw(query)};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let token = std::env::var("TOKEN")?;
    let body = json!({ ${fields} });
${upload ? form : ""}    let ${follows ? "mut " : ""}response = reqwest::Client::new()
        .post(${rustString(url)})
        .bearer_auth(token)
${follows ? "        .header(\"Accept\", \"text/event-stream\")\n" : ""}${send}        .send()
        .await?;
${follows ? RUST_END.subscription : RUST_END.answer}    Ok(())
}
`;
  }

  window.roster = { ...window.roster, languages: { curl, TypeScript: typescript, Python: python, Rust: rust } };
})();
