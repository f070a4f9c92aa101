//! Mappings: which columns of a file become which fields. A mapping is a TOML file; those of some systems are built in.

mod additions;
mod keys;
mod license;
mod logins;
mod rows;

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fields::{self, ATTRIBUTE_PREFIX};
use super::input::Format;
use super::mapping_rule::{Environment, FieldRule};
use super::mapping_value::{lookup, text_of};
use super::origin::{Columns, Fault};
use super::parse::put;
use super::record::RecordKind;
use super::values::{Formats, parse_date_form, parse_zone};
use crate::entity::external_reference::FIELD;
use crate::scalar::Id;

/// A system whose exports have a built-in mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The user list of PainChek's API.
    Painchek,
    /// The users of MOST.
    Most,
    /// The user list of UFDL.
    Ufdl,
    /// The users of Authentic 2.
    Authentic2,
    /// The users of BrainSTEM.
    Brainstem,
    /// Users and groups of Django, as `dumpdata auth` writes them.
    Django,
    /// A realm of Keycloak, exported with its users.
    Keycloak,
    /// Entries of LDAP with the class inetOrgPerson, and their groups.
    Ldap,
    /// Users and groups of SCIM 2.0.
    Scim,
}

impl Preset {
    /// Returns the text of the mapping.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Painchek => include_str!("presets/painchek.toml"),
            Self::Most => include_str!("presets/most.toml"),
            Self::Ufdl => include_str!("presets/ufdl.toml"),
            Self::Authentic2 => include_str!("presets/authentic2.toml"),
            Self::Brainstem => include_str!("presets/brainstem.toml"),
            Self::Django => include_str!("presets/django.toml"),
            Self::Keycloak => include_str!("presets/keycloak.toml"),
            Self::Ldap => include_str!("presets/ldap.toml"),
            Self::Scim => include_str!("presets/scim.toml"),
        }
    }

    /// Returns the preset for a format that only one system writes.
    #[must_use]
    pub const fn of_format(format: Format) -> Option<Self> {
        match format {
            Format::Django => Some(Self::Django),
            Format::Keycloak => Some(Self::Keycloak),
            Format::Scim => Some(Self::Scim),
            Format::Ldif => Some(Self::Ldap),
            Format::Ndjson | Format::Json | Format::Csv | Format::Tsv => None,
        }
    }
}

/// A mapping of the columns of a file to fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mapping {
    /// The name of the system, which distinguishes its ids from those of other systems.
    pub source: String,
    /// The format of the file, if it is not found out by the content.
    pub format: Option<Format>,
    /// The zone of times without an offset.
    time_zone: Option<String>,
    /// Forms of dates, as in `strftime`.
    #[serde(default)]
    date_formats: Vec<String>,
    /// The license that the rows name.
    license: Option<Section>,
    institution: Option<Section>,
    group: Option<Section>,
    user: Option<Section>,
}

/// The mapping of one kind of rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Section {
    /// The list of the document that contains the rows.
    list: Option<String>,
    /// The values that columns must have, ignoring case.
    #[serde(default, rename = "where")]
    conditions: BTreeMap<String, Vec<String>>,
    /// The column with a list of rows of the same section, such as the groups within a group.
    within: Option<String>,
    /// Columns that are left out on purpose.
    #[serde(default)]
    ignore: Vec<String>,
    fields: BTreeMap<String, FieldRule>,
    #[serde(default)]
    attributes: BTreeMap<String, FieldRule>,
    /// The rule for the institution if institutions are created from rows of users.
    new_institution: Option<FieldRule>,
}

/// A row with the names of fields.
pub(super) struct MappedRow {
    pub(super) kind: RecordKind,
    pub(super) object: Map<String, Value>,
    /// The column that each field was read from.
    pub(super) columns: Columns,
    /// Objects that the row refers to, each with its key in the row, which are created if they do not exist.
    pub(super) created: Vec<(RecordKind, String, Map<String, Value>)>,
    pub(super) faults: Vec<Fault>,
    /// Columns with a value that no rule uses.
    pub(super) ignored: Vec<String>,
}

impl Mapping {
    /// Parses a mapping.
    ///
    /// # Errors
    /// The text is not TOML, or refers to a field or a time zone that does not exist, or a form of dates is invalid.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mapping: Self = toml::from_str(text)?;
        let mut has_section = false;
        for (kind, section) in mapping.sections().chain(mapping.license_section()) {
            has_section |= kind != RecordKind::License;
            for field in section.fields.keys() {
                let known = fields::type_of(kind, field).is_some();
                ensure!(known, "{}.fields: {field} is no field; the fields are {}", kind.name(), fields::names(kind));
            }
        }
        ensure!(has_section, "expected a section user, group or institution");
        mapping.formats(Formats::default())?;
        Ok(mapping)
    }

    /// Returns the forms of dates and times, with a time zone that was given otherwise.
    ///
    /// # Errors
    /// The time zone of the mapping does not exist, or a form of dates is invalid.
    pub fn formats(&self, given: Formats) -> anyhow::Result<Formats> {
        let own = self.time_zone.as_deref().map(parse_zone).transpose();
        let own = own.map_err(anyhow::Error::msg).context("time-zone")?;
        let dates = self.date_formats.iter().map(|form| parse_date_form(form));
        let dates: Result<Vec<String>, String> = given.dates.into_iter().map(Ok).chain(dates).collect();
        let dates = dates.map_err(anyhow::Error::msg).context("date-formats")?;
        Ok(Formats { time_zone: given.time_zone.or(own), dates })
    }

    /// Returns the source of the ids of users, if they are told apart by it.
    pub(super) fn source_of_users(&self) -> Option<String> {
        let fields = &self.user.as_ref()?.fields;
        let mut rules = [FIELD, "externalId"].into_iter().filter_map(|field| fields.get(field));
        rules.any(FieldRule::has_source).then(|| self.source.clone())
    }

    fn sections(&self) -> impl Iterator<Item = (RecordKind, &Section)> {
        let sections = [
            (RecordKind::Institution, &self.institution),
            (RecordKind::Group, &self.group),
            (RecordKind::User, &self.user),
        ];
        sections.into_iter().filter_map(|(kind, section)| Some((kind, section.as_ref()?)))
    }

    /// Returns the fields of a row; `None` if the mapping has no section for such rows.
    pub(super) fn apply(
        &self,
        row: &Map<String, Value>,
        list: Option<&str>,
        license_id: Id,
        formats: &Formats,
    ) -> Option<MappedRow> {
        let mut matching = self.sections().filter(|(_, section)| section.includes(row, list));
        // Without the list that it was in, as in a file of rejected rows, a row is rather that of a user.
        let (kind, section) = if list.is_none() { matching.last() } else { matching.next() }?;
        let environment = Environment { row, source: &self.source, license_id, formats };
        let ignored = section.ignored(row);
        let (object, columns) = (Map::new(), Columns::new());
        let mut mapped = MappedRow { kind, object, columns, created: Vec::new(), faults: Vec::new(), ignored };
        for (field, rule) in &section.fields {
            mapped.set(field, rule, &environment);
        }
        for (name, rule) in &section.attributes {
            mapped.set(&format!("{ATTRIBUTE_PREFIX}{name}"), rule, &environment);
        }
        mapped.leave_out_repeated_login();
        Some(mapped)
    }
}

impl Section {
    fn includes(&self, row: &Map<String, Value>, list: Option<&str>) -> bool {
        let is_in_list = self.list.is_none() || list.is_none() || self.list.as_deref() == list;
        is_in_list && self.conditions.iter().all(|(column, allowed)| has_one_of(lookup(row, column), allowed))
    }

    /// Returns the columns with a value that neither a rule nor a condition uses, and that are not ignored on purpose.
    fn ignored(&self, row: &Map<String, Value>) -> Vec<String> {
        let rules = || self.fields.values().chain(self.attributes.values());
        let is_used = |name: &str| {
            let is_name = |used: &str| {
                let outer = used.get(..name.len()).filter(|outer| outer.eq_ignore_ascii_case(name));
                outer.is_some() && matches!(used.as_bytes().get(name.len()), None | Some(b'.' | b'['))
            };
            self.ignore.iter().any(|used| is_name(used))
                || self.conditions.keys().any(|used| is_name(used))
                || rules().any(|rule| rule.used_columns(row).any(is_name))
        };
        let has_value = |value: &Value| match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        };
        row.iter().filter(|(name, value)| has_value(value) && !is_used(name)).map(|(name, _)| name.clone()).collect()
    }
}

fn has_one_of(value: Option<&Value>, allowed: &[String]) -> bool {
    let is_allowed = |value: &Value| {
        text_of(value).is_some_and(|text| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(text.trim())))
    };
    match value {
        Some(Value::Array(items)) => items.iter().any(is_allowed),
        value => value.is_some_and(is_allowed),
    }
}

impl MappedRow {
    /// Sets a field by a rule. A blank value is not known, and leaves the field out.
    fn set(&mut self, field: &str, rule: &FieldRule, environment: &Environment<'_>) {
        let (column, value) = rule.find(environment.row);
        self.columns.extend(column.map(|column| (field.to_owned(), column.to_owned())));
        match rule.value(field, value, environment) {
            Ok(Value::Null) => {}
            Ok(value) => put(&mut self.object, field, value),
            Err(message) => self.faults.push(Fault::new(field, message)),
        }
        let kind = if field == "groups" { RecordKind::Group } else { RecordKind::Institution };
        let created = rule.created(value, environment).into_iter();
        self.created.extend(created.map(|(key, object)| (kind, key, object)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_valid() {
        for preset in Preset::value_variants() {
            let mapping = Mapping::parse(preset.text()).unwrap_or_else(|error| panic!("{preset:?}: {error:#}"));
            mapping.formats(Formats::default()).unwrap();
        }
    }

    #[test]
    fn an_invalid_mapping_is_an_error() {
        for text in [
            "",
            "source = 'x'",
            "source = 'x'\n[user.fields]\nshoeSize = 'a'",
            "source = 'x'\n[user.fields]\nemail = { columm = 'a' }",
            "source = 'x'\nsauce = 1\n[user.fields]\n",
        ] {
            assert!(Mapping::parse(text).is_err(), "{text}");
        }
    }
}
