//! Suggestions for fields that a document misspells. They disclose names of the schema, so there are none unless everyone may
//! read it.

use bluejay_core::AsIter;
use bluejay_core::definition::FieldDefinition;
use bluejay_parser::ast::executable::ExecutableDocument;
use bluejay_validator::executable::document::Error;

use super::validation::Schema;

/// Maximum length of a name for which another is looked for; comparing longer ones would take long.
const MAX_NAME: usize = 40;

/// Returns the question whether another field was meant; `None` if no field of the type has a similar name.
pub fn of_error<'a>(error: &Error<'a, ExecutableDocument<'a>, Schema>) -> Option<String> {
    let Error::FieldDoesNotExistOnType { field, r#type } = error else { return None };
    let names = AsIter::iter(r#type.fields_definition()?).map(FieldDefinition::name);
    nearest(field.name().as_ref(), names).map(|name| format!(". Did you mean `{name}`?"))
}

/// Returns the name that is most similar, as far as a typo or two make one of the other.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let lower = name.to_lowercase();
    let max = name.len() * 2 / 5 + 1;
    let candidates = names.filter(|other| !other.starts_with("__") && other.len().abs_diff(name.len()) <= max);
    let ranked = candidates.map(|other| (strsim::osa_distance(&lower, &other.to_lowercase()), other));
    ranked.filter(|(distance, _)| *distance <= max).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME, nearest};

    #[test]
    fn a_typo_is_recognised() {
        let names = ["firstName", "lastName", "lastLogin", "id", "__typename"];
        for (name, wanted) in [
            ("firstname", Some("firstName")),
            ("fistName", Some("firstName")),
            ("lsatName", Some("lastName")),
            ("idd", Some("id")),
            ("birthDate", None),
            ("__typenam", None),
            ("x", None),
            (&"a".repeat(MAX_NAME + 1), None),
        ] {
            assert_eq!(nearest(name, names.into_iter()), wanted, "{name}");
        }
    }
}
