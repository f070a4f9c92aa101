//! Requests of anonymous callers that attack the server, or whose program is broken.

use serde_json::{Value, json};

use crate::http::Response;

/// Placeholder for the number of a request, which makes its document, login or token different from all others.
const NUMBER: &str = "########";

/// The head of a request to /graphql, up to its length.
const POST: &str = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

/// A hostile request.
pub struct Hostile {
    pub name: &'static str,
    bytes: Vec<u8>,
    /// The position of the number, if it has one.
    number: Option<usize>,
    /// Whether the response may be without an error.
    may_succeed: bool,
}

impl Hostile {
    fn new(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let number = bytes.windows(NUMBER.len()).position(|window| window == NUMBER.as_bytes());
        Self { name, bytes, number, may_succeed: false }
    }

    fn document(name: &'static str, query: &str) -> Self {
        Self::new(name, post(&json!({"query": format!("# {NUMBER}\n{query}")})))
    }

    fn that_may_succeed(self) -> Self {
        Self { may_succeed: true, ..self }
    }

    /// Writes the request with its number.
    pub fn write(&self, number: usize, request: &mut Vec<u8>) {
        request.clear();
        request.extend_from_slice(&self.bytes);
        let digits = format!("{number:0width$}", width = NUMBER.len());
        if let Some(place) = self.number.and_then(|at| request.get_mut(at..at + digits.len())) {
            place.copy_from_slice(digits.as_bytes());
        }
    }

    /// Returns what is wrong with a response. None if it is 4xx, 503, or 200 with errors that the caller caused.
    pub fn mismatch(&self, response: &Response<'_>) -> Option<String> {
        let is_right = match response.status {
            200 if response.body.contains(r#""INTERNAL""#) => false,
            200 => self.may_succeed || response.body.contains(r#""errors":[{"#),
            status => (400..500).contains(&status) || status == 503,
        };
        let body = || response.body.chars().take(500).collect::<String>();
        (!is_right).then(|| format!("a wrong response: {} {}", response.status, body()))
    }
}

/// Returns one request of every kind.
pub fn requests() -> Vec<Hostile> {
    [introspections(), documents(), mutations(), bodies(), heads()].into_iter().flatten().collect()
}

/// Returns requests that are never finished, for connections that are held open.
pub fn unfinished() -> Vec<Vec<u8>> {
    let parts = [
        String::new(),
        "POST /gra".to_owned(),
        format!("{POST}X-Header: never en"),
        format!("{POST}Content-Length: 100\r\n\r\n{{\"qu"),
        format!("{POST}Transfer-Encoding: chunked\r\n\r\n4\r\n{{\"q"),
        format!("{POST}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"),
    ];
    parts.map(String::into_bytes).to_vec()
}

/// Returns introspection queries that multiply.
fn introspections() -> Vec<Hostile> {
    let pairs = |count: usize| format!("{}name{}", "interfaces{possibleTypes{".repeat(count), "}}".repeat(count));
    let types = format!("{}name{}", "type{fields{".repeat(3), "}}".repeat(3));
    let fragments = each(4, |n| format!("fragment T{n} on __Type{{fields{{name type{{...T{}}}}}}} ", n + 1));
    let wide = each(29, |n| format!("a{n}:types{{...T}} "));
    let arguments = "args{name type{ofType{name}}}type{ofType{name}}";
    [
        ("interfaces of possible types", format!("{{__schema{{types{{{}}}}}}}", pairs(5))),
        ("few interfaces of possible types", format!("{{__schema{{types{{{}}}}}}}", pairs(2))),
        ("fields of types", format!("{{__schema{{types{{fields{{{types}}}}}}}}}")),
        ("types by fragments", format!("{{__schema{{types{{...T0}}}}}} {fragments} fragment T4 on __Type{{name}}")),
        ("types by aliases", format!("{{__schema{{{wide}}}}} fragment T on __Type{{fields{{{arguments}}}}}")),
    ]
    .map(|(name, query)| Hostile::document(name, &query))
    .into()
}

/// Returns documents that would take long to validate or to execute.
fn documents() -> Vec<Hostile> {
    let bomb = |count: usize, times: usize| {
        let spreads = |n: usize| format!("...F{n} ").repeat(times);
        let fragments = each(count, |n| format!("fragment F{n} on Query{{{}}} ", spreads(n + 1)));
        format!("{{...F0}} {fragments} fragment F{count} on Query{{viewer{{id}}}}")
    };
    let page = "groups{members(first:100){nodes{groups{members(first:100){nodes{id}}}}}}";
    let login = r#"login(input:{login:"a",password:"b"}){success} "#;
    let documents = [
        ("fragments that double", bomb(24, 2)),
        ("fragments that grow tenfold", bomb(9, 10)),
        ("600 fragments", bomb(600, 2)),
        ("fragments in a cycle", "{...A} fragment A on Query{...B} fragment B on Query{...A}".to_owned()),
        ("31 aliases", format!("{{viewer{{{}}}}}", each(31, |n| format!("a{n}:id ")))),
        ("900 aliases", format!("{{{}}}", each(900, |n| format!("a{n}:viewer{{id}} ")))),
        ("10000 aliases", format!("{{{}}}", each(10_000, |n| format!("a{n}:viewer{{id}} ")))),
        ("depth 16", format!("{}{}", "{viewer".repeat(16), "}".repeat(16))),
        ("depth 10000", format!("{}{}", "{a".repeat(10_000), "}".repeat(10_000))),
        ("brackets", "[".repeat(30_000)),
        ("full pages", format!("{{users(first:100){{nodes{{{page}}}}}}}")),
        ("logins", format!("mutation{{{}}}", login.repeat(11))),
        ("directives", format!("{{viewer{{id {}}}}}", "@include(if:true)".repeat(51))),
        ("unknown fields", format!("{{__schema{{{}}}}}", "zz ".repeat(1_900))),
        ("unused variables", format!("query({}){{viewer{{id}}}}", each(2_000, |n| format!("$v{n}:Int ")))),
        ("a long name", format!("{{{}}}", "z".repeat(30_000))),
        ("a long text", format!("{{searchUsers(query:\"{}\"){{totalCount}}}}", "x".repeat(32_000))),
        ("a long number", format!("{{users(first:{}){{totalCount}}}}", "9".repeat(32_000))),
        ("quotes", "\"".repeat(32_000)),
    ];
    let overlap = Hostile::document("overlapping fields", &format!("{{__schema{{{}}}}}", "types{name} ".repeat(900)));
    let documents = documents.iter().map(|(name, query)| Hostile::document(name, query));
    documents.chain([overlap.that_may_succeed()]).collect()
}

/// Returns mutations that the caller has no right to. A request for an email succeeds whether or not the address is
/// known.
fn mutations() -> Vec<Hostile> {
    let mutation = |name, input_type: &str, field: &str, input: &Value| {
        let query = format!("mutation($i:{input_type}!){{{field}(input:$i){{success errors{{code}}}}}}");
        Hostile::new(name, post(&json!({"query": query, "variables": {"i": input}})))
    };
    let email = format!("stranger.{NUMBER}@bench.example.org");
    let login = json!({"login": email, "password": "not-the-password"});
    let user = json!({"email": email, "firstName": "A", "lastName": "Stranger"});
    let reset = json!({"email": email});
    vec![
        mutation("login", "LoginInput", "login", &login),
        mutation("reset", "RequestPasswordResetInput", "requestPasswordReset", &reset).that_may_succeed(),
        mutation("registration", "RegisterUserInput", "registerUser", &user).that_may_succeed(),
        mutation("creation", "CreateUserInput", "createUser", &user),
    ]
}

/// Returns invalid bodies.
fn bodies() -> Vec<Hostile> {
    let nested = format!(r#"{{"query":"{{viewer{{id}}}}","variables":{{"a":{}"#, "[".repeat(100_000));
    let objects = format!(r#"{{"query":"{{viewer{{id}}}}","variables":{{"a":[{{}}{}]}}}}"#, ",{}".repeat(80_000));
    let persisted = json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": NUMBER.repeat(8)}}});
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let multipart = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x";
    let preflight = format!("{multipart}\r\nGraphQL-Require-Preflight: 1");
    let garbage =
        format!("--x\r\nContent-Disposition: form-data; name={NUMBER}\r\n\r\n\0\r\n{}", "--x\r\n".repeat(500));
    vec![
        Hostile::new("no JSON", post_text("{\"query\": ")),
        Hostile::new("JSON arrays in one another", post_text(&"[".repeat(200_000))),
        Hostile::new("arrays in a variable", post_text(&nested)),
        Hostile::new("objects in a variable", post_text(&objects)),
        Hostile::new("a batch", post_text(&format!("[{}]", [r#"{"query":"{viewer{id}}"}"#; 1_000].join(",")))),
        Hostile::new("broken UTF-8", post_bytes(b"{\"query\":\"{viewer{id}}\xff\xfe\"}")),
        Hostile::new("a body that is too large", post_text(&"x".repeat(300_000))),
        Hostile::new("a length that is far too large", format!("{POST}Content-Length: 1000000000\r\n\r\nxxxx")),
        Hostile::new(
            "too many chunks",
            format!("{POST}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(70)),
        ),
        Hostile::new("a persisted query", post(&persisted)),
        Hostile::new("multipart", with_body(multipart, garbage.as_bytes())),
        Hostile::new("multipart with preflight", with_body(&preflight, garbage.as_bytes())),
    ]
}

/// Returns requests with invalid methods, paths and headers.
fn heads() -> Vec<Hostile> {
    let post = |name, headers: &str| {
        let head = format!("POST /graphql HTTP/1.1\r\n{headers}");
        Hostile::new(name, with_body(&head, br#"{"query":"{viewer{id}}"}"#))
    };
    let get = |name, path: &str, headers: &str| {
        Hostile::new(name, format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"))
    };
    let json = "Host: x\r\nContent-Type: application/json\r\n";
    vec![
        Hostile::new("PUT", "PUT /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
        Hostile::new("TRACE", "TRACE /graphql HTTP/1.1\r\nHost: x\r\n\r\n"),
        Hostile::new("not HTTP", format!("NONSENSE {NUMBER}\r\n\r\n")),
        get("an unknown path", &format!("/.git/config?{NUMBER}"), ""),
        get("a mutation by GET", "/graphql?query=mutation%7Blogout%7Bsuccess%7D%7D", ""),
        get("broken UTF-8 in a path", &format!("/graphql?query=%ff{NUMBER}"), ""),
        get("a long path", &format!("/graphql?query={}", "a".repeat(70_000)), ""),
        get("a long header", "/graphql", &format!("X-Long: {}\r\n", "a".repeat(500_000))),
        get("many headers", "/graphql", &each(120, |n| format!("X-{n}: {n}\r\n"))),
        post("no host", "Content-Type: application/json"),
        post("two hosts", &format!("{json}Host: y")),
        post("an unknown type of body", "Host: x\r\nContent-Type: text/plain"),
        post("a compressed body", &format!("{json}Content-Encoding: gzip")),
        post("an unknown type of response", &format!("{json}Accept: text/html")),
        post("an unknown token", &format!("{json}Authorization: Bearer ros_{NUMBER}{}", "A".repeat(35))),
        post("a malformed token", &format!("{json}Authorization: Basic {NUMBER}")),
        post("a long token", &format!("{json}Authorization: Bearer {}", "x".repeat(2_000))),
        Hostile::new("a length that is no number", format!("{POST}Content-Length: x\r\n\r\n")),
    ]
}

fn post(body: &Value) -> Vec<u8> {
    post_text(&body.to_string())
}

fn post_text(body: &str) -> Vec<u8> {
    post_bytes(body.as_bytes())
}

fn post_bytes(body: &[u8]) -> Vec<u8> {
    with_body(POST.trim_end(), body)
}

/// Returns a request made of a head, without its last line end, and a body.
fn with_body(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// Returns the texts of the numbers from zero, one after the other.
pub fn each(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect()
}
