//! The members of an object in an import file, decoded into a record.

use std::collections::BTreeMap;

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use sea_orm::ActiveEnum;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fields::FieldType;
use super::list_items::{group_reference, json_list, site_reference, text_items};
use super::origin::Fault;
use super::record::{
    AttributeRecord, GroupRecord, GroupReference, History, InstitutionRecord, LicenseRecord, Record, RecordKind,
    UserRecord,
};
use super::values::Formats;
use crate::entity::attribute_definition::AttributeKind;
use crate::entity::external_reference::{FIELD, parse_list};
use crate::entity::group::GroupFields;
use crate::entity::institution::InstitutionFields;
use crate::entity::user::{UserFields, UserNames};
use crate::scalar::Id;

/// The members that have not been read yet, whose values have the types of their fields, and the errors so far.
pub(super) struct Members<'a> {
    rest: Map<String, Value>,
    faults: Vec<Fault>,
    formats: &'a Formats,
}

impl<'a> Members<'a> {
    pub(super) fn new(rest: Map<String, Value>, faults: Vec<Fault>, formats: &'a Formats) -> Self {
        Self { rest, faults, formats }
    }

    /// Returns the errors.
    pub(super) fn finish(self) -> Vec<Fault> {
        self.faults
    }

    /// Reads the members of an object of a kind.
    pub(super) fn record(&mut self, kind: RecordKind) -> Record {
        match kind {
            RecordKind::License => Record::License(self.license()),
            RecordKind::Attribute => Record::Attribute(self.attribute()),
            RecordKind::Institution => Record::Institution(self.institution()),
            RecordKind::Group => Record::Group(self.group()),
            RecordKind::User => Record::User(Box::new(self.user())),
        }
    }

    fn license(&mut self) -> LicenseRecord {
        let record = LicenseRecord {
            id: self.id(RecordKind::License),
            number: self.text("number").unwrap_or_default(),
            holder: self.text("holder").unwrap_or_default(),
            is_private: self.text("kind").is_some_and(|kind| kind == "PRIVATE"),
            starts_on: self.take("startsOn"),
            expires_on: self.take("expiresOn"),
        };
        for (name, value) in [("number", &record.number), ("holder", &record.holder)] {
            if value.trim().is_empty() {
                self.faults.push(Fault::new(name, "This field is required."));
            }
        }
        record
    }

    fn attribute(&mut self) -> AttributeRecord {
        let kind = self.text("kind").and_then(|kind| AttributeKind::try_from_value(&kind).ok());
        AttributeRecord {
            id: self.id(RecordKind::Attribute),
            name: self.text("name").unwrap_or_default(),
            label: self.nullable("label"),
            kind: kind.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value),
            required: self.nullable("required"),
            user_editable: self.nullable("userEditable"),
            user_visible: self.nullable("userVisible"),
            history: self.history(),
        }
    }

    fn institution(&mut self) -> InstitutionRecord {
        let (id, history) = (self.id(RecordKind::Institution), self.history());
        let mut record = InstitutionRecord { id, history, ..InstitutionRecord::default() };
        record.core.name = self.nullable("name");
        record.core.kind = self.nullable("kind");
        record.core.country = self.nullable("country");
        self.read_references();
        record.fields = self.all_other::<InstitutionFields>();
        record
    }

    fn group(&mut self) -> GroupRecord {
        let (id, history) = (self.id(RecordKind::Group), self.history());
        self.read_references();
        GroupRecord { id, history, fields: self.all_other::<GroupFields>() }
    }

    fn user(&mut self) -> UserRecord {
        self.read_avatar();
        let names = UserNames { first_name: self.nullable("firstName"), last_name: self.nullable("lastName") };
        let is_blank = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        let clears_institution = self.rest.get("institution").is_some_and(is_blank);
        let is_given = |name: &str| self.rest.get(name).is_some_and(|value| !value.is_null());
        let (has_all_groups, has_all_sites) = (is_given("groups"), is_given("sites"));
        let (sites, granted_at) = self.sites();
        UserRecord {
            id: self.id(RecordKind::User),
            names,
            is_active: self.nullable("isActive"),
            attributes: self.take("attributes").unwrap_or_default(),
            attribute_list: MaybeUndefined::Undefined,
            institution: self
                .text("institution")
                .map(|text| text.trim().to_owned())
                .filter(|reference| !reference.is_empty()),
            clears_institution,
            groups: self.groups(),
            has_all_groups,
            sites,
            has_all_sites,
            granted_at,
            password_hash: self.text("passwordHash"),
            pin: self.text("pin"),
            pin_hash: self.text("pinHash"),
            avatar: self.take("avatar"),
            date_joined: self.instant("dateJoined"),
            last_login: self.instant("lastLogin"),
            history: self.history(),
            email_verified: self.take("emailVerified").unwrap_or_default(),
            has_activated: self.take("hasActivated").unwrap_or_default(),
            fields: self.user_fields(),
        }
    }

    /// Takes a text for the URL or the path of a picture. A blank text is not known.
    fn read_avatar(&mut self) {
        if let Some(avatar @ Value::String(_)) = self.rest.get_mut("avatar") {
            let url = avatar.as_str().map(str::trim).filter(|url| !url.is_empty());
            *avatar = url.map(|url| serde_json::json!({ "url": url })).unwrap_or_default();
        }
    }

    fn user_fields(&mut self) -> UserFields {
        if let Some(Value::Object(rights)) = self.rest.get_mut("adminRights") {
            for (right, value) in rights {
                match self.formats.convert(value.take(), FieldType::Boolean) {
                    // Members who are not known stay as they are.
                    Ok(converted) => *value = converted,
                    Err(message) => self.faults.push(Fault::new(format!("adminRights.{right}"), message)),
                }
            }
        }
        if let Some(Value::Object(rights)) = self.rest.get_mut("adminRights") {
            rights.retain(|_, value| !value.is_null());
        }
        self.read_references();
        self.all_other::<UserFields>()
    }

    /// Replaces a text such as `hr:7;most:1` by the references that it lists. A blank text is not known.
    fn read_references(&mut self) {
        let Some(Value::String(text)) = self.rest.get(FIELD) else { return };
        let listed = json_list(text).map_or_else(|| parse_list(text), |list| Ok(Some(list.into())));
        self.rest.remove(FIELD);
        if let Some(Some(references)) = self.found(FIELD, listed) {
            self.rest.insert(FIELD.to_owned(), references);
        }
    }

    fn history(&mut self) -> History {
        History {
            created_at: self.instant("createdAt"),
            modified_at: self.instant("modifiedAt"),
            version: self.take("version"),
        }
    }

    fn groups(&mut self) -> Vec<GroupReference> {
        self.items("groups").into_iter().filter_map(|item| self.found("groups", group_reference(item))).collect()
    }

    /// Returns the references to sites, and when access to them was granted.
    fn sites(&mut self) -> (Vec<String>, BTreeMap<String, DateTime<Utc>>) {
        let (mut sites, mut granted_at) = (Vec::new(), BTreeMap::new());
        for item in self.items("sites") {
            if let Some((site, at)) = self.found("sites", site_reference(item)) {
                granted_at.extend(at.map(|at| (site.clone(), at)));
                sites.push(site);
            }
        }
        (sites, granted_at)
    }

    /// Takes a list; a text is a list of its parts, or a list in JSON.
    fn items(&mut self, name: &str) -> Vec<Value> {
        match self.rest.remove(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(Value::String(text)) => text_items(name, &text),
            Some(_) => {
                self.faults.push(Fault::new(name, "expected a list"));
                Vec::new()
            }
        }
    }

    fn found<T>(&mut self, name: &str, found: Result<T, String>) -> Option<T> {
        found.map_err(|message| self.faults.push(Fault::new(name, message))).ok()
    }

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

    /// Takes the ID of the object; `None` if it is absent or null.
    fn id(&mut self, kind: RecordKind) -> Option<Id> {
        let id = self.text("id")?;
        let expected = match kind {
            RecordKind::License | RecordKind::Attribute => "expected a UUID",
            _ => "expected a UUID; the ID of another system belongs in externalReferences",
        };
        self.found("id", Id::parse(&id).ok_or_else(|| expected.to_owned()))
    }

    /// Takes a member that is a text; `None` if it is absent or null.
    fn text(&mut self, name: &str) -> Option<String> {
        self.take(name)
    }

    /// Takes a member that is an instant; `None` if it is absent or null.
    fn instant(&mut self, name: &str) -> Option<DateTime<Utc>> {
        self.take(name)
    }

    /// Takes all other members at once. If that fails, decodes each by itself, so that all errors are found.
    fn all_other<T: DeserializeOwned + Default>(&mut self) -> T {
        let rest = std::mem::take(&mut self.rest);
        if let Ok(fields) = <T as serde::Deserialize>::deserialize(&rest) {
            return fields;
        }
        let mut good = Map::new();
        for (name, value) in rest {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            if self.decode::<T>(&name, Value::Object(alone)).is_some() {
                good.insert(name, value);
            }
        }
        <T as serde::Deserialize>::deserialize(&good).unwrap_or_default()
    }

    fn decode<T: DeserializeOwned>(&mut self, name: &str, value: Value) -> Option<T> {
        match serde_json::from_value(value) {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                self.faults.push(Fault::new(name, error.to_string()));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields;
    use super::*;

    #[test]
    fn every_field_is_read() {
        let formats = Formats::default();
        for kind in RecordKind::ALL {
            let fields = fields::of_kind(kind).iter().map(|(name, _)| (name.clone(), Value::Null));
            let mut members = Members::new(fields.collect(), Vec::new(), &formats);
            members.record(kind);
            assert!(members.rest.is_empty(), "{}: not read: {:?}", kind.name(), members.rest);
            let unknown: Vec<Fault> =
                members.finish().into_iter().filter(|fault| fault.message.contains("unknown field")).collect();
            assert!(unknown.is_empty(), "{}: {unknown:?}", kind.name());
        }
    }
}
