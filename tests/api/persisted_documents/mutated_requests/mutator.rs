//! A generator of requests that are almost those for a trusted document.

use roster::http::hash_of;
use serde_json::{Map, Value, json};

use super::{BAD_REQUEST, NOT_TRUSTED, TRUSTED};
use crate::hostile::Rng;
use crate::persisted_documents::{VIEWER, persisted};

/// Characters that are written into texts and IDs: some of GraphQL, some that look like others, and some that are not seen.
const CHARACTERS: [char; 24] = [
    ' ', '\n', '\t', ',', '#', '{', '}', '(', ')', '!', '$', ':', '"', '\\', '%', 'A', 'a', '0', '_', '\u{435}',
    '\u{feff}', '\u{200b}', '\u{301}', '\u{ff4d}',
];
const PREFIXES: [&str; 10] =
    ["sha256:", "SHA256:", "sha256:sha256:", "sha256-", "sha512:", "sha1:", "md5:", "../", "\u{feff}", " "];

/// Generates requests.
pub(super) struct Mutator {
    pub(super) rng: Rng,
    /// The IDs and hashes by which documents are found.
    keys: Vec<String>,
}

impl Mutator {
    pub(super) fn new(seed: usize) -> Self {
        let hashes = TRUSTED.map(hash_of);
        let prefixed = hashes.iter().map(|hash| format!("sha256:{hash}"));
        let keys = ["me", "login"].map(str::to_owned).into_iter().chain(prefixed).chain(hashes.clone()).collect();
        Self { rng: Rng(u64::try_from(seed).unwrap()), keys }
    }

    /// Members of a request for a document that was not published. They are well-formed.
    pub(super) fn members(&mut self) -> Map<String, Value> {
        let (key, text) = (self.other_key(), self.other_text());
        let mut members = match self.rng.below(5) {
            0 => json!({ "query": text }),
            1 => json!({ "query": text, "extensions": persisted(&text) }),
            2 => json!({ "documentId": key }),
            3 => json!({ "documentId": key, "extensions": persisted(VIEWER) }),
            _ => json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": key } } }),
        };
        let more = [("operationName", "Me"), ("id", "me"), ("doc_id", "me"), ("queryId", "login"), ("hash", "me")];
        if self.rng.one_in(3) {
            let (name, value) = *self.rng.choose(&more);
            members[name] = json!(value);
        }
        members.as_object().unwrap().clone()
    }

    /// A text that is almost that of a trusted document.
    fn other_text(&mut self) -> String {
        loop {
            let text = *self.rng.choose(&TRUSTED);
            let other = match self.rng.below(9) {
                0 => format!("{text}\n"),
                1 => format!("\u{feff}{text}"),
                2 => format!("{text} query Other {{ __typename }}"),
                3 => format!("#\n{text}{text}"),
                4 => text.replace(' ', "  "),
                5 => text.replace('e', "\u{435}"),
                6 => text.to_uppercase(),
                7 => text.chars().take(1 + self.rng.below(text.len())).collect(),
                _ => self.edited(text),
            };
            if !TRUSTED.contains(&other.as_str()) {
                return other;
            }
        }
    }

    /// A text that is almost the ID or the hash of a trusted document.
    fn other_key(&mut self) -> String {
        loop {
            let key = self.rng.choose(&self.keys).clone();
            let other = match self.rng.below(7) {
                0 => key.to_uppercase(),
                1 => format!("{}{key}", self.rng.choose(&PREFIXES)),
                2 => key.chars().take(1 + self.rng.below(key.len())).collect(),
                3 => key.repeat(2),
                4 => hash_of(&key),
                5 => format!("{key}\n"),
                _ => self.edited(&key),
            };
            if !self.keys.contains(&other) {
                return other;
            }
        }
    }

    /// Changes one to three characters.
    fn edited(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=self.rng.below(3) {
            let (at, character) = (self.rng.below(characters.len()), *self.rng.choose(&CHARACTERS));
            match self.rng.below(3) {
                0 => characters[at] = character,
                1 if characters.len() > 1 => drop(characters.remove(at)),
                _ => characters.insert(at, character),
            }
        }
        characters.into_iter().collect()
    }

    /// A body that is not that of a request, or names two documents; and the code of the refusal.
    pub(super) fn misshapen(&mut self) -> (String, &'static str) {
        let (id, text) = (*self.rng.choose(&["me", "login"]), *self.rng.choose(&TRUSTED));
        let (other_id, other) = (self.other_key(), self.other_text());
        let by_id = json!({ "documentId": id });
        let twice =
            |name: &str, first: &str, last: &str| format!("{{\"{name}\":{},\"{name}\":{}}}", json!(first), json!(last));
        match self.rng.below(10) {
            // The last one counts.
            0 => (twice("documentId", id, &other_id), NOT_TRUSTED),
            1 => (twice("query", text, &other), NOT_TRUSTED),
            2 => (format!("\u{feff}{by_id}"), BAD_REQUEST),
            3 => (format!("{by_id}\n{by_id}"), BAD_REQUEST),
            _ => (self.rng.choose(&misshapen_bodies(id, text, &other)).to_string(), BAD_REQUEST),
        }
    }

    /// The bytes of a request for a document that was not published, some of which are changed.
    pub(super) fn damaged(&mut self) -> Vec<u8> {
        loop {
            let mut bytes = Value::Object(self.members()).to_string().into_bytes();
            for _ in 0..=self.rng.below(3) {
                let (at, from) = (self.rng.below(bytes.len()), self.rng.below(bytes.len()));
                match self.rng.below(3) {
                    0 => bytes[at] = *self.rng.choose(b" {}()[]\"\\:$!.,#aQ0\x00\xff"),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, bytes[from]),
                }
            }
            if !self.is_trusted(&bytes) {
                return bytes;
            }
        }
    }

    /// Whether the bytes are a request for a trusted document after all.
    fn is_trusted(&self, body: &[u8]) -> bool {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return false };
        let is_key = |value: Option<&Value>| {
            value.and_then(Value::as_str).is_some_and(|text| self.keys.iter().any(|key| key == text))
        };
        let query = members.get("query").and_then(Value::as_str).unwrap_or_default();
        let hash = members.get("extensions").and_then(|extensions| extensions.pointer("/persistedQuery/sha256Hash"));
        TRUSTED.contains(&query) || is_key(members.get("documentId")) || is_key(hash)
    }
}

/// Bodies in JSON that are not those of a request, or name two documents: by the ID and the text of trusted ones, and by another
/// text.
fn misshapen_bodies(id: &str, text: &str, other: &str) -> [Value; 23] {
    let of_version = |version: Value| json!({ "persistedQuery": { "version": version, "sha256Hash": hash_of(text) } });
    let by_id = json!({ "documentId": id });
    [
        json!([by_id]),
        json!([by_id, { "query": text }]),
        json!([[by_id]]),
        json!(text),
        json!(id),
        json!(null),
        json!({}),
        json!({ "query": text, "documentId": id }),
        json!({ "query": other, "documentId": id }),
        json!({ "query": [text] }),
        json!({ "query": { "text": text } }),
        json!({ "query": "", "documentId": "" }),
        json!({ "documentId": [id] }),
        json!({ "documentId": 1 }),
        json!({ "DocumentId": id, "Query": text }),
        json!({ "documentId": id, "operationName": 1 }),
        json!({ "documentId": id, "variables": [] }),
        json!({ "documentId": id, "extensions": [persisted(text)] }),
        json!({ "query": other, "extensions": persisted(text) }),
        json!({ "query": text, "extensions": persisted(other) }),
        json!({ "query": text, "extensions": of_version(json!(2)) }),
        json!({ "extensions": of_version(json!("1")) }),
        json!({ "documentId": id, "extensions": { "persistedQuery": { "version": 1 } } }),
    ]
}
