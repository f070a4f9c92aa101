// reqwest = { version = "0.13", features = ["json"] }
// serde_json = "1"
// tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
use serde_json::{Value, json};

const QUERY: &str = r#"query Named($text: String!, $other: String!) {
  # """ ` ${text} \ '
  users(filter: { firstName: { contains: $text }, not: { lastName: { contains: $other } } }) {
    nodes {
      fullName
    }
  }
}
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let token = std::env::var("TOKEN")?;
    let body = json!({ "query": QUERY, "variables": { "other": "\"#\\ `${x}`\né", "text": "O'N" } });
    let response = reqwest::Client::new()
        .post("http://127.0.0.1:8000/graphql")
        .bearer_auth(token)
        .json(&body)
        .send()
        .await?;
    let answer: Value = response.json().await?;
    println!("{answer:#}");
    Ok(())
}
