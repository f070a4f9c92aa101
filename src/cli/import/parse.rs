//! Parses a line into a record, with all errors of its format.

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::instant;
use super::record::{GroupRecord, InstitutionRecord, Record, UserRecord};
use crate::entity::group::GroupFields;
use crate::entity::institution::InstitutionFields;
use crate::entity::user::{UserFields, UserNames};

type Errors = Vec<String>;

/// Parses a line of JSON: an object with one member, `institution`, `group` or `user`.
///
/// # Errors
/// Every error as `member: message`.
pub fn parse(text: &[u8]) -> Result<Record, Errors> {
    let text = std::str::from_utf8(text)
        .map_err(|error| vec![format!("not UTF-8: invalid byte at position {}", error.valid_up_to() + 1)])?;
    let line: Value = serde_json::from_str(text).map_err(|error| vec![format!("not JSON: {error}")])?;
    let expected = || vec!["expected an object with one member: institution, group or user".to_owned()];
    let Value::Object(line) = line else { return Err(expected()) };
    let mut members = line.into_iter();
    let (Some((kind, Value::Object(object))), None) = (members.next(), members.next()) else { return Err(expected()) };
    let members = Members { rest: object, errors: Vec::new() };
    match kind.as_str() {
        "institution" => institution(members),
        "group" => group(members),
        "user" => user(members),
        _ => Err(expected()),
    }
}

fn institution(mut members: Members) -> Result<Record, Errors> {
    let mut record = InstitutionRecord { id: members.take("id"), ..InstitutionRecord::default() };
    record.core.name = members.nullable("name");
    record.core.kind = members.nullable("kind");
    record.core.country = members.nullable("country");
    record.fields = members.all_other::<InstitutionFields>();
    members.finish(Record::Institution(record))
}

fn group(mut members: Members) -> Result<Record, Errors> {
    let record = GroupRecord { id: members.take("id"), fields: members.all_other::<GroupFields>() };
    members.finish(Record::Group(record))
}

fn user(mut members: Members) -> Result<Record, Errors> {
    let record = UserRecord {
        id: members.take("id"),
        names: UserNames { first_name: members.nullable("firstName"), last_name: members.nullable("lastName") },
        is_active: members.nullable("isActive"),
        attributes: members.take("attributes").unwrap_or_default(),
        institution: members.take("institution"),
        groups: members.take("groups").unwrap_or_default(),
        sites: members.take("sites").unwrap_or_default(),
        password_hash: members.text("passwordHash"),
        date_joined: members.instant("dateJoined"),
        has_activated: false,
        fields: members.all_other::<UserFields>(),
    };
    members.finish(Record::User(Box::new(record)))
}

/// The members of an object that have not been read yet, and the errors of those that have.
struct Members {
    rest: Map<String, Value>,
    errors: Errors,
}

impl Members {
    /// Takes a member of any type; `None` if it is absent or null.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.rest.remove(name)?;
        self.decode::<Option<T>>(name, value).flatten()
    }

    /// Takes a member that may be absent, null or a value.
    fn nullable<T: DeserializeOwned>(&mut self, name: &str) -> MaybeUndefined<T> {
        match self.rest.remove(name) {
            None => MaybeUndefined::Undefined,
            Some(Value::Null) => MaybeUndefined::Null,
            Some(value) => self.decode(name, value).map_or(MaybeUndefined::Undefined, MaybeUndefined::Value),
        }
    }

    /// Takes a member as text; a value of another type becomes its JSON. `None` if the member is absent or null.
    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.rest.remove(name).filter(|value| !value.is_null())?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Takes a member that is an instant; `None` if it is absent or null.
    fn instant(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let value = self.rest.remove(name).filter(|value| !value.is_null())?;
        instant::parse(&value).map_err(|error| self.errors.push(format!("{name}: {error}"))).ok()
    }

    /// Takes all other members at once. If that fails, decodes each by itself, so that all errors are found.
    fn all_other<T: DeserializeOwned + Default>(&mut self) -> T {
        let rest = std::mem::take(&mut self.rest);
        if let Ok(fields) = <T as serde::Deserialize>::deserialize(&rest) {
            return fields;
        }
        for (name, value) in rest {
            let alone = Map::from_iter([(name.clone(), value)]);
            self.decode::<T>(&name, Value::Object(alone));
        }
        T::default()
    }

    fn decode<T: DeserializeOwned>(&mut self, name: &str, value: Value) -> Option<T> {
        match serde_json::from_value(value) {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                self.errors.push(format!("{name}: {error}"));
                None
            }
        }
    }

    fn finish(self, record: Record) -> Result<Record, Errors> {
        if self.errors.is_empty() { Ok(record) } else { Err(self.errors) }
    }
}
