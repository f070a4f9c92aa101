//! Credentials of Keycloak.

use serde_json::Value;

/// Returns the password hash among the credentials of a user in the form in which it is imported; null if there is none.
///
/// # Errors
/// The password has a form that is not supported.
pub(super) fn password_hash(credentials: &Value) -> Result<Value, String> {
    let credentials = credentials.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_password = |credential: &&Value| text(credential, "type") == Some("password");
    let Some(credential) = credentials.iter().find(is_password) else { return Ok(Value::Null) };
    let [Some(secret), Some(data)] = ["secretData", "credentialData"].map(|name| nested(credential, name)) else {
        return Err(
            "the password has no secretData and credentialData; export the realm with its credentials".to_owned()
        );
    };
    let (Some(value), Some(salt)) = (text(&secret, "value"), text(&secret, "salt")) else {
        return Err("the password has no value and salt".to_owned());
    };
    let length = base64_length(value);
    let iterations = data.get("hashIterations").and_then(Value::as_u64).unwrap_or_default();
    let pbkdf2 = |name: &str| Ok(format!("${name}$i={iterations},l={length}${salt}${value}").into());
    match text(&data, "algorithm").unwrap_or_default() {
        "pbkdf2" => pbkdf2("pbkdf2-sha1"),
        "pbkdf2-sha256" => pbkdf2("pbkdf2-sha256"),
        "pbkdf2-sha512" => pbkdf2("pbkdf2-sha512"),
        "argon2" => {
            let parameter = |name: &str| {
                let first = data.get("additionalParameters").and_then(|all| all.get(name)).and_then(|all| all.get(0));
                first.and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let (kind, version) = (parameter("type"), if parameter("version") == "1.0" { 16 } else { 19 });
            let (memory, lanes) = (parameter("memory"), parameter("parallelism"));
            Ok(format!("$argon2{kind}$v={version}$m={memory},t={iterations},p={lanes}${salt}${value}").into())
        }
        other => Err(format!("the algorithm {other:?} of the password is not supported")),
    }
}

/// Returns a member that is an object, or the text of one.
fn nested(credential: &Value, name: &str) -> Option<Value> {
    match credential.get(name)? {
        Value::String(text) => serde_json::from_str(text).ok(),
        object => Some(object.clone()),
    }
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// Returns the number of bytes that a text in base64 stands for.
fn base64_length(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}
