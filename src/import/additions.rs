//! Objects that rows of users name, and that an import creates if it is told to: institutions and definitions of attributes.

use std::str::FromStr;

use async_graphql::EnumType;
use serde_json::{Map, Value, json};

use super::mapping::Mapping;
use super::parse::{ParsedRow, RowParser, parse_object};
use super::reader::Parsed;
use super::record::{Record, RecordKind, UserRecord};
use super::values::Formats;
use crate::entity::institution::InstitutionKind;
use crate::scalar::Id;
use crate::validation::rule;

/// The objects that an import creates if rows of users name them.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    pub institutions: Option<NewInstitutions>,
    /// Whether custom attributes are defined.
    pub attributes: bool,
}

/// The kind and the country of institutions of which only the names are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInstitutions {
    kind: &'static str,
    country: String,
}

impl FromStr for NewInstitutions {
    type Err = String;

    /// Parses the kind and the country, such as `CARE_HOME/AU`.
    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = InstitutionKind::items();
        let (kind, country) = text.split_once('/').unwrap_or((text, ""));
        let known = kinds.iter().find(|known| known.name.eq_ignore_ascii_case(kind.trim()));
        let country = rule::country(country.trim()).ok();
        known.zip(country).map(|(known, country)| Self { kind: known.name, country }).ok_or_else(|| {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
            format!("expected a kind and a country, such as CARE_HOME/AU; the kinds are {}", names.join(", "))
        })
    }
}

impl NewInstitutions {
    /// Returns the fields of such an institution besides its name.
    pub(super) fn fields(&self) -> Map<String, Value> {
        Map::from_iter([("kind".to_owned(), self.kind.into()), ("country".to_owned(), self.country.as_str().into())])
    }
}

impl RowParser {
    /// Returns the objects that a user refers to and that are to be created, unless they were returned before.
    pub(super) fn added(
        &mut self,
        parsed: &ParsedRow,
        mapping: Option<&Mapping>,
        formats: &Formats,
    ) -> Vec<Parsed<Record>> {
        let Some(Record::User(user)) = &parsed.record else { return Vec::new() };
        let mut objects = self.institutions_of(user);
        if self.additions.attributes {
            let is_text = parsed.origin.mapped.is_some();
            let given = user.attributes.iter().filter(|(_, value)| !value.is_null());
            let define = |(name, value): (&String, &Value)| {
                let kind = if is_text { "STRING" } else { kind_of(value) };
                let mut object = json!({ "name": name, "label": name, "kind": kind });
                if let (Some(object), Some(mapping)) = (object.as_object_mut(), mapping) {
                    object.extend(mapping.definition_of(name));
                }
                (RecordKind::Attribute, name.clone(), object)
            };
            objects.extend(given.map(define));
        }
        let mut added = Vec::new();
        for (kind, name, object) in objects {
            if let Value::Object(object) = object
                && self.created.insert((kind, name.clone()))
            {
                let origin = parsed.origin.referring_by(name, &object);
                let record = parse_object(kind, object, formats).0;
                added.push(Parsed { origin, record, faults: Vec::new() });
            }
        }
        added
    }

    /// Returns the institution and the sites of a user that are not given by their ids.
    fn institutions_of(&self, user: &UserRecord) -> Vec<(RecordKind, String, Value)> {
        let Some(new) = &self.additions.institutions else { return Vec::new() };
        let named = user.institution.iter().chain(&user.sites).filter(|name| Id::parse(name).is_none());
        let institution = |name: &String| {
            let mut object = new.fields();
            object.insert("name".to_owned(), name.as_str().into());
            (RecordKind::Institution, name.clone(), Value::Object(object))
        };
        named.map(institution).collect()
    }
}

/// Returns the kind of attribute that a value of Roster's own format has.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "BOOLEAN",
        Value::Number(_) => "INTEGER",
        _ => "STRING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_a_country_are_parsed() {
        let parsed = NewInstitutions::from_str("care_home/au");
        assert_eq!(parsed, Ok(NewInstitutions { kind: "CARE_HOME", country: "AU".to_owned() }));
        for text in ["AU", "CARE_HOME", "CARE_HOME/", "HOUSE/AU", "CARE_HOME/Australia", ""] {
            assert!(NewInstitutions::from_str(text).is_err_and(|error| error.contains("HOSPITAL")), "{text}");
        }
    }
}
