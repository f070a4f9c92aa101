//! External references: the IDs of users, groups and institutions in other systems, each with the source that it is from. The row
//! of the object has them as text; triggers keep the tables that find objects by them, and in which each ID is unique.

use std::collections::{BTreeMap, HashSet};

use async_graphql::MaybeUndefined::{self, Null, Undefined, Value as Given};
use async_graphql::{InputObject, SimpleObject};
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, DeriveValueType, EntityTrait, QueryFilter, QuerySelect};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::scalar::Id;
use crate::validation::{Blank, ValidationError, Validator, rule};

/// The maximum number of references of an object, and of items in one input.
const MAX_REFERENCES: usize = 20;
/// The maximum lengths of the name of a source and of an ID, in characters.
const MAX_SOURCE_LENGTH: usize = 50;
const MAX_ID_LENGTH: usize = 250;
/// The character between the source and the ID of a reference in a text.
pub const ID_SEPARATOR: char = ':';
/// The character between several references in a text.
pub const LIST_SEPARATOR: char = ';';

/// The column with the references of an object.
const COLUMN: &str = "external_references";
/// The field of the column.
pub const FIELD: &str = "externalReferences";
/// The message of the error if another object has a reference, where it is not known which.
pub const TAKEN: &str = "An external reference is taken.";

/// The ID of an object in another system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, SimpleObject)]
pub struct ExternalReference {
    /// The name of the other system.
    pub source: String,
    /// The object's ID in that system.
    pub id: String,
}

impl ExternalReference {
    /// Returns the reference as one text: `source:id`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{ID_SEPARATOR}{}", self.source, self.id)
    }
}

/// A table that finds the objects of one kind by their references.
pub trait ReferenceTable: EntityTrait {
    const LICENSE_ID: Self::Column;
    const SOURCE: Self::Column;
    const EXTERNAL_ID: Self::Column;
    const OBJECT_ID: Self::Column;
}

/// Returns those of several references in a license that an object other than `object_id` has.
pub async fn taken<E: ReferenceTable>(
    db: &impl ConnectionTrait,
    license_id: Id,
    object_id: Id,
    references: &[ExternalReference],
) -> Result<Vec<ExternalReference>, DbErr> {
    if references.is_empty() {
        return Ok(Vec::new());
    }
    let is_one_of = references.iter().fold(Condition::any(), |any, reference| {
        let of_source = Condition::all().add(E::LICENSE_ID.eq(license_id)).add(E::SOURCE.eq(reference.source.as_str()));
        any.add(of_source.add(E::EXTERNAL_ID.eq(reference.id.as_str())))
    });
    let of_others = E::find().select_only().columns([E::SOURCE, E::EXTERNAL_ID]);
    let of_others = of_others.filter(is_one_of).filter(E::OBJECT_ID.ne(object_id));
    let found: Vec<(String, String)> = of_others.into_tuple().all(db).await?;
    Ok(found.into_iter().map(|(source, id)| ExternalReference { source, id }).collect())
}

/// The ID of an object in another system, to set or to remove.
#[derive(Clone, Debug, InputObject, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalReferenceInput {
    /// The name of the other system. At most 50 characters, without `:` and `;`. Case-sensitive.
    pub source: String,
    /// The object's ID in that system. At most 250 characters. Null removes the reference. Cannot be omitted.
    #[serde(default, deserialize_with = "text_or_number")]
    pub id: MaybeUndefined<String>,
}

impl ExternalReferenceInput {
    /// Returns the reference as [`ExternalReference::text`]; `None` if it has no ID.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let id = self.id.value().filter(|id| !id.is_blank())?;
        Some(format!("{}{ID_SEPARATOR}{}", self.source.trim(), id.trim()))
    }
}

/// Identifies an object by its ID in another system.
#[derive(Clone, Debug, InputObject)]
pub struct ExternalReferenceKey {
    /// The name of the other system.
    pub source: String,
    /// The object's ID in that system.
    pub id: String,
}

/// The references of an object as they are stored: a JSON array, sorted by source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, DeriveValueType)]
pub struct StoredReferences(pub String);

impl StoredReferences {
    /// Returns the stored form of IDs by source; `None` if there are none.
    fn of(references: BTreeMap<String, String>) -> Option<Self> {
        let list = references.into_iter().map(|(source, id)| ExternalReference { source, id });
        let list: Vec<ExternalReference> = list.collect();
        if list.is_empty() { None } else { serde_json::to_string(&list).ok().map(Self) }
    }
}

/// Returns the references of an object, sorted by source.
#[must_use]
pub fn list(stored: Option<&StoredReferences>) -> Vec<ExternalReference> {
    stored.and_then(|stored| serde_json::from_str(&stored.0).ok()).unwrap_or_default()
}

/// Returns the value of a column in its own form, where references are stored as text.
#[must_use]
pub fn decoded(column: &str, value: Value) -> Value {
    match &value {
        Value::String(text) if column == COLUMN => serde_json::from_str(text).unwrap_or(value),
        _ => value,
    }
}

/// Parses a text such as `hr:7;most:1` into a list as [`decoded`] returns it; `None` if the text is blank.
///
/// # Errors
/// A message for a text of another form.
pub fn parse_list(text: &str) -> Result<Option<Value>, String> {
    let parts = text.split(LIST_SEPARATOR).map(str::trim).filter(|part| !part.is_empty());
    let reference = |part: &str| {
        let (source, id) = part.split_once(ID_SEPARATOR)?;
        Some(json!({ "source": source, "id": id }))
    };
    let list: Option<Vec<Value>> = parts.map(reference).collect();
    let list = list.ok_or_else(|| "expected references such as hr:7;most:1".to_owned())?;
    Ok(if list.is_empty() { None } else { Some(list.into()) })
}

/// Applies given references to those of an object: sources that are not given keep theirs; an empty list removes all. Adds errors
/// to `validator`.
pub fn apply(
    given: MaybeUndefined<Vec<ExternalReferenceInput>>,
    target: &mut Option<StoredReferences>,
    validator: &mut Validator,
) {
    let before = list(target.as_ref()).into_iter().map(|reference| (reference.source, reference.id));
    let before: BTreeMap<String, String> = before.collect();
    let mut merged = target.take().map(Some);
    validator.optional(FIELD, given, &mut merged, |items| merge(before, items).map(StoredReferences::of));
    *target = merged.flatten();
}

fn merge(
    mut references: BTreeMap<String, String>,
    items: Vec<ExternalReferenceInput>,
) -> Result<BTreeMap<String, String>, ValidationError> {
    let too_many = || ValidationError::invalid(format!("Must contain at most {MAX_REFERENCES} references."));
    if items.len() > MAX_REFERENCES {
        return Err(too_many());
    }
    let mut named = HashSet::new();
    for ExternalReferenceInput { source, id } in items {
        let source = source_name(&source)?;
        if !named.insert(source.clone()) {
            return Err(ValidationError::invalid("Each source can be given only once."));
        }
        match id {
            Undefined => return Err(ValidationError::invalid("Each reference must have an ID, which can be null.")),
            Given(id) if !id.is_blank() => {
                let id = rule::text(MAX_ID_LENGTH)(id.trim())?;
                references.insert(source, id);
            }
            Null | Given(_) => {
                references.remove(&source);
            }
        }
    }
    if references.len() > MAX_REFERENCES { Err(too_many()) } else { Ok(references) }
}

/// Validates the name of a source.
fn source_name(name: &str) -> Result<String, ValidationError> {
    let name = rule::text(MAX_SOURCE_LENGTH)(name.trim())?;
    if name.is_blank() {
        return Err(ValidationError::invalid("A source must have a name."));
    }
    if name.contains([ID_SEPARATOR, LIST_SEPARATOR]) {
        return Err(ValidationError::invalid("The name of a source must not contain : or ;."));
    }
    Ok(name)
}

impl Blank for Vec<ExternalReferenceInput> {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

/// Decodes an ID, which is a number in many systems.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MaybeUndefined<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Null),
        Value::String(text) => Ok(Given(text)),
        Value::Number(number) => Ok(Given(number.to_string())),
        _ => Err(D::Error::custom("expected a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(source: &str, id: MaybeUndefined<&str>) -> ExternalReferenceInput {
        ExternalReferenceInput { source: source.to_owned(), id: id.map_value(str::to_owned) }
    }

    fn applied(stored: Option<&str>, given: Vec<ExternalReferenceInput>) -> Option<String> {
        let mut target = stored.map(|text| StoredReferences(text.to_owned()));
        let mut validator = Validator::changing();
        apply(Given(given), &mut target, &mut validator);
        assert!(validator.finish().is_ok());
        target.map(|stored| stored.0)
    }

    #[test]
    fn references_are_stored_by_source_and_the_others_stay() {
        let first = applied(None, vec![item("most", Given(" 1 ")), item("hr", Given("7"))]);
        let both = r#"[{"source":"hr","id":"7"},{"source":"most","id":"1"}]"#;
        assert_eq!(first.as_deref(), Some(both));
        let one = applied(Some(both), vec![item("most", Null)]);
        assert_eq!(one.as_deref(), Some(r#"[{"source":"hr","id":"7"}]"#));
        assert_eq!(applied(Some(both), vec![item("hr", Null), item("most", Given(" "))]), None);
        assert_eq!(applied(Some(both), Vec::new()), None);
    }

    #[test]
    fn an_invalid_reference_is_an_error() {
        let long = "x".repeat(MAX_SOURCE_LENGTH + 1);
        for wrong in [item("a:b", Given("1")), item(" ", Given("1")), item("hr", Undefined), item(&long, Null)] {
            assert!(merge(BTreeMap::new(), vec![wrong.clone()]).is_err(), "{wrong:?}");
        }
        assert!(merge(BTreeMap::new(), vec![item("hr", Given("1")), item("hr", Null)]).is_err());
    }
}
