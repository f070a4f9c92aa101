//! The result of introspection, as code generators read it from a file.

use async_graphql::Request;
use async_graphql::parser::parse_query;

use crate::http::introspection;
use crate::schema;

/// The query of graphql-js, with everything that its options add.
const QUERY: &str = include_str!("../../graphql/cost/full_introspection.graphql");

/// Returns the schema as the JSON of an introspection.
///
/// # Errors
/// If the introspection fails.
pub async fn json() -> anyhow::Result<String> {
    let document = parse_query(QUERY)?;
    let paths = introspection::descriptions(&document);
    let mut response = schema::build().finish().execute(Request::new(QUERY)).await;
    let errors: Vec<&str> = response.errors.iter().map(|error| error.message.as_str()).collect();
    anyhow::ensure!(errors.is_empty(), "introspection failed: {}", errors.join("; "));
    introspection::set_description(&mut response, None, &paths);
    Ok(format!("{:#}\n", serde_json::to_value(&response.data)?))
}
