//! Mutations with a file: the GraphQL multipart request specification
//! (<https://github.com/jaydenseric/graphql-multipart-request-spec>), as far as one file needs it.

use std::convert::Infallible;

use async_graphql::UploadValue;
use async_graphql::parser::types::OperationType;
use futures_util::stream;
use multer::{Field, Multipart};
use poem::{
    Request,
    http::{HeaderMap, Method, header},
};
use serde_json::{Map, Value};

use super::{
    Application, body,
    caller::Caller,
    error::HttpError,
    parameters::{self, Parameters},
    prepared::{Prepared, SharedDescription},
    request::{self, Allowed, Reader},
};
use crate::scalar::Upload;

/// Maximum number of bytes of a body: a file of 2 MiB and a little more, so that the mutation itself can refuse a file just above
/// its limit; the operation and the map, each as large as a JSON body may be; and the lines between the parts.
pub const MAX_BODY: usize = 2 * 1024 * 1024 + 3 * body::MAX_JSON;
/// The headers of which one is required. It shows that the browser has sent a preflight request: without it, any page could send
/// a form on behalf of the user who opens it.
const PREFLIGHT: [&str; 3] = ["graphql-require-preflight", "apollo-require-preflight", "x-apollo-operation-name"];

/// Returns whether a request is meant to send a file.
pub fn is_multipart(request: &Request) -> bool {
    let essence = request.header(header::CONTENT_TYPE).and_then(|value| value.split(';').next());
    request.method() == Method::POST && essence.is_some_and(|it| it.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// Checks the headers, before the body is read.
///
/// # Errors
/// 400 without a header that no form can send, 415 for a body that is compressed or has two content types.
pub fn check(headers: &HeaderMap) -> Result<(), HttpError> {
    if !PREFLIGHT.iter().any(|name| headers.get(*name).is_some_and(|value| !value.is_empty())) {
        let message = "A request with a file requires the header GraphQL-Require-Preflight, with any value";
        return Err(HttpError::bad_request(message));
    }
    if headers.get_all(header::CONTENT_TYPE).iter().count() == 1 && request::is_plain(headers) {
        return Ok(());
    }
    Err(request::unsupported())
}

/// Reads and checks a request with a file, without executing it.
///
/// # Errors
/// 400 if it is malformed, 413 if it is too large; otherwise as [`Reader::prepare`].
pub async fn read<A: Application>(
    request: &mut Request,
    reader: &Reader<A>,
    caller: &Caller,
) -> Result<Prepared<A::DocumentInfo>, HttpError> {
    let content_type = request.header(header::CONTENT_TYPE).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| malformed())?;
    let body = body::read(request).await?;
    let (parameters, file) = parse(body, boundary).await?;
    let allowed = Allowed { mutations: true, subscriptions: false };
    let mut prepared = reader.prepare(parameters, allowed, caller, SharedDescription::of(request)).await?;
    if prepared.operation_type != Some(OperationType::Mutation) {
        return Err(HttpError::bad_request("A query must be sent as application/json"));
    }
    prepared.request.uploads.extend(file);
    Ok(prepared)
}

async fn parse(body: Vec<u8>, boundary: String) -> Result<(Parameters, Option<UploadValue>), HttpError> {
    let mut parts = Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let operations = text(next(&mut parts, "operations").await?, "operations").await?;
    let mut parameters = parameters::from_json(operations.as_bytes(), "operations")?;
    let map = text(next(&mut parts, "map").await?, "map").await?;
    let file = match file_entry(&map)? {
        None => None,
        Some(FileEntry { part_name, path }) => {
            insert_marker(&mut parameters.variables, &path)?;
            Some(upload(next(&mut parts, &part_name).await?).await?)
        }
    };
    if parts.next_field().await.map_err(|_| malformed())?.is_some() {
        return Err(HttpError::bad_request("Each file must be named in the map; at most one file can be sent"));
    }
    Ok((parameters, file))
}

/// Returns the next part, which must have this name.
async fn next(parts: &mut Multipart<'static>, name: &str) -> Result<Field<'static>, HttpError> {
    let part = parts.next_field().await.map_err(|_| malformed())?;
    part.filter(|part| part.name() == Some(name)).ok_or_else(|| {
        HttpError::bad_request("The parts must be operations, map, and the file named in the map, in this order")
    })
}

async fn text(part: Field<'static>, name: &str) -> Result<String, HttpError> {
    let bytes = part.bytes().await.map_err(|_| malformed())?;
    if bytes.len() > body::MAX_JSON {
        let message = format!("{name}: at most {} bytes are allowed", body::MAX_JSON);
        return Err(HttpError::bad_request(message));
    }
    String::from_utf8(bytes.into()).map_err(|_| HttpError::bad_request(format!("{name}: not valid UTF-8")))
}

async fn upload(part: Field<'static>) -> Result<UploadValue, HttpError> {
    // Neither the name nor the type is trusted, so neither is kept.
    let content = part.bytes().await.map_err(|_| malformed())?;
    Ok(UploadValue { filename: String::new(), content_type: None, content })
}

/// The entry of the file in the map.
struct FileEntry {
    /// The name of the part that has the file.
    part_name: String,
    /// The path of the file in the operation: `variables`, and the path from there.
    path: Vec<String>,
}

/// Returns the entry of the file in the map; `None` if the map is empty.
fn file_entry(map: &str) -> Result<Option<FileEntry>, HttpError> {
    let Value::Object(map) = parameters::parse_json(map, "map")? else {
        return Err(HttpError::bad_request("map: must be a JSON object"));
    };
    let mut entries = map.into_iter();
    let Some((part_name, paths)) = entries.next() else { return Ok(None) };
    if entries.next().is_some() {
        return Err(HttpError::bad_request("map: at most one file can be sent"));
    }
    match paths.as_array().map(Vec::as_slice) {
        Some([Value::String(path)]) => {
            let path = path.split('.').map(str::to_owned).collect();
            Ok(Some(FileEntry { part_name, path }))
        }
        _ => Err(HttpError::bad_request(
            "map: must map the file to exactly one path, such as [\"variables.input.avatar\"]",
        )),
    }
}

/// Writes the marker of the file at the null that the operation has for it.
fn insert_marker(variables: &mut Map<String, Value>, path: &[String]) -> Result<(), HttpError> {
    let wrong_path = || HttpError::bad_request("map: the path must lead to a null in the variables of the operation");
    let (root, steps) = path.split_first().ok_or_else(wrong_path)?;
    let (first, steps) = steps.split_first().filter(|_| root == "variables").ok_or_else(wrong_path)?;
    let start = variables.get_mut(first);
    let slot = steps.iter().fold(start, |slot, step| match slot? {
        Value::Object(members) => members.get_mut(step),
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    });
    match slot {
        Some(slot @ Value::Null) => {
            *slot = Value::String(Upload::MARK.to_owned());
            Ok(())
        }
        _ => Err(wrong_path()),
    }
}

fn malformed() -> HttpError {
    HttpError::bad_request("The body is not well-formed multipart/form-data")
}
