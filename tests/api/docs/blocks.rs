//! The executable blocks of a page.

use serde_json::{Value, json};

/// A request, with the response that the page shows.
pub struct Block {
    pub request: Request,
    pub response: Option<Value>,
}

pub enum Request {
    Shell(String),
    Operation { document: String, variables: Value },
}

/// The blocks of `sh` and `graphql`. A block of JSON directly below one is its response if it has `data` or `errors`, and
/// otherwise its variables.
pub fn blocks(text: &str) -> Vec<Block> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((language, content, after)) = next_block(rest) {
        rest = after;
        if !matches!(language, "sh" | "graphql") {
            continue;
        }
        let (mut variables, mut response) = (json!({}), None);
        while let Some((value, after)) = json_below(rest).filter(|_| response.is_none()) {
            rest = after;
            if value.get("data").or(value.get("errors")).is_some() {
                response = Some(value);
            } else {
                variables = value;
            }
        }
        let content = content.to_owned();
        let request = if language == "sh" {
            Request::Shell(content)
        } else {
            Request::Operation { document: content, variables }
        };
        found.push(Block { request, response });
    }
    found
}

/// The next block: its language, its content, and the text after it.
fn next_block(text: &str) -> Option<(&str, &str, &str)> {
    let (_, text) = text.split_once("```")?;
    let (block, rest) = text.split_once("```")?;
    let (language, content) = block.split_once('\n').unwrap_or_default();
    Some((language.trim(), content, rest))
}

/// The JSON directly below, and the text after it.
fn json_below(text: &str) -> Option<(Value, &str)> {
    let text = text.trim_start();
    let (_, content, rest) = text.starts_with("```json\n").then(|| next_block(text))??;
    let value = serde_json::from_str(content).unwrap_or_else(|error| panic!("{error}: {content}"));
    Some((value, rest))
}
