//! The fields of each kind of record, and the types of their values. They are the columns that an export has, and for users what
//! other tables have.

use std::sync::LazyLock;

use async_graphql::EnumType;
use sea_orm::{ColumnTrait, ColumnType, IdenStatic};

use super::record::RecordKind;
use crate::entity::attribute_definition::{self, AttributeKind};
use crate::entity::external_reference::FIELD;
use crate::entity::group;
use crate::entity::institution::{self, InstitutionKind};
use crate::entity::license::{self, LicenseKind};
use crate::entity::user::{self, Gender, Privacy, RIGHTS, Role, UserType};
use crate::{export, text};

/// The type of a field's values in an import file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    Text,
    /// A text; a value of another type becomes its JSON.
    AnyText,
    Boolean,
    Integer,
    Date,
    Instant,
    /// One of several values, each with a code that other systems use for it.
    OneOf(&'static [(&'static str, &'static str)]),
    /// A list or an object, which is decoded by itself.
    Json,
}

use FieldType::{AnyText, Boolean, Date, Instant, Integer, Json, OneOf, Text};

/// The fields of a kind of record, by name.
type Fields = LazyLock<Vec<(String, FieldType)>>;
/// The values of an enum, each with its code or an empty text.
type Values = LazyLock<Vec<(&'static str, &'static str)>>;

static GENDERS: Values =
    LazyLock::new(|| values(&[(Gender::Male, "M"), (Gender::Female, "F"), (Gender::Unknown, "U")]));
static USER_TYPES: Values = LazyLock::new(|| {
    values(&[
        (UserType::Administrative, "AD"),
        (UserType::Technician, "TE"),
        (UserType::Clinician, "CL"),
        (UserType::Student, "ST"),
    ])
});
static ROLES: Values = LazyLock::new(|| values::<Role>(&[]));
static INSTITUTION_KINDS: Values = LazyLock::new(|| values::<InstitutionKind>(&[]));
static ATTRIBUTE_KINDS: Values = LazyLock::new(|| values::<AttributeKind>(&[]));
static LICENSE_KINDS: Values = LazyLock::new(|| values::<LicenseKind>(&[]));

static LICENSE: Fields =
    LazyLock::new(|| of_columns(export::columns::<license::Entity>(), &[("kind", OneOf(&LICENSE_KINDS))]));

static ATTRIBUTE: Fields = LazyLock::new(|| {
    of_columns(export::columns::<attribute_definition::Entity>(), &[("kind", OneOf(&ATTRIBUTE_KINDS))])
});

static INSTITUTION: Fields =
    LazyLock::new(|| of_columns(export::columns::<institution::Entity>(), &[("kind", OneOf(&INSTITUTION_KINDS))]));

static GROUP: Fields = LazyLock::new(|| of_columns(export::columns::<group::Entity>(), &[]));

static USER: Fields = LazyLock::new(|| {
    let enums = [("gender", OneOf(&GENDERS)), ("userType", OneOf(&USER_TYPES)), ("role", OneOf(&ROLES))];
    let other = [
        ("institution", Text),
        ("adminRights", Json),
        ("groups", Json),
        ("sites", Json),
        ("attributes", Json),
        ("passwordHash", AnyText),
        ("pin", Text),
        ("pinHash", Text),
        ("avatar", Json),
    ];
    let mut fields = of_columns(export::columns_of_user(), &enums);
    fields.extend(other.map(|(name, field_type)| (name.to_owned(), field_type)));
    fields
});

/// The prefix of a right's name, and that of the name of a custom attribute.
pub(super) const RIGHT_PREFIX: &str = "adminRights.";
pub(super) const ATTRIBUTE_PREFIX: &str = "attributes.";

/// The parts of names of fields and columns whose values are not shown.
const SECRETS: [&str; 6] = ["password", "hash", "secret", "token", "credential", "pin"];

/// Returns the values of an enum, some of which have codes.
fn values<E: EnumType>(codes: &[(E, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let code = |value: E| codes.iter().find(|(of, _)| *of == value).map_or("", |(_, code)| *code);
    E::items().iter().map(|item| (item.name, code(item.value))).collect()
}

/// Returns the fields of columns. The types of `enums` are not those of their columns, which are texts.
fn of_columns<C: ColumnTrait>(
    columns: impl Iterator<Item = C>,
    enums: &[(&str, FieldType)],
) -> Vec<(String, FieldType)> {
    let field = |column: C| {
        let name = text::camel(column.as_str());
        let of_enum = enums.iter().find(|(of, _)| *of == name).map(|(_, field_type)| *field_type);
        let field_type = of_enum.unwrap_or_else(|| type_of_column(&name, column.def().get_column_type()));
        (name, field_type)
    };
    columns.map(field).collect()
}

fn type_of_column(name: &str, column_type: &ColumnType) -> FieldType {
    match column_type {
        _ if name == FIELD => Json,
        ColumnType::Boolean => Boolean,
        ColumnType::Integer | ColumnType::BigInteger => Integer,
        ColumnType::Date => Date,
        ColumnType::TimestampWithTimeZone => Instant,
        _ => Text,
    }
}

/// Returns the fields of a kind of record.
pub(super) fn of_kind(kind: RecordKind) -> &'static [(String, FieldType)] {
    match kind {
        RecordKind::License => &LICENSE,
        RecordKind::Attribute => &ATTRIBUTE,
        RecordKind::Institution => &INSTITUTION,
        RecordKind::Group => &GROUP,
        RecordKind::User => &USER,
    }
}

/// Returns the type of a field, which may be one right or one custom attribute; `None` if there is no such field.
pub(super) fn type_of(kind: RecordKind, field: &str) -> Option<FieldType> {
    let known = of_kind(kind).iter().find(|(name, _)| *name == field).map(|(_, kind)| *kind);
    let is_right = || user::Column::of_field(field).is_some_and(|column| column.privacy() == Privacy::Right);
    let of_user = || {
        if is_right() { Some(Boolean) } else { field.starts_with(ATTRIBUTE_PREFIX).then_some(Json) }
    };
    known.or_else(|| of_user().filter(|_| kind == RecordKind::User))
}

/// Returns the names of the fields of a kind, for messages.
pub(super) fn names(kind: RecordKind) -> String {
    let names: Vec<&str> = of_kind(kind).iter().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

/// Returns the error of a column that is not named after a field of a user, with the names of the fields or without.
pub(super) fn unknown_column(with_names: bool) -> String {
    let fields = if with_names { format!("; the fields are {}", names(RecordKind::User)) } else { String::new() };
    format!("unknown field; columns of custom attributes are named {ATTRIBUTE_PREFIX}NAME{fields}")
}

/// Returns the field of a user that a column is named after, ignoring case and signs: `first_name` and `First Name` are `firstName`.
/// The name of a custom attribute counts as it is.
pub(super) fn named_like(column: &str) -> Option<String> {
    let plain =
        |name: &str| -> String { name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    if let Some(name) = after_prefix(column, ATTRIBUTE_PREFIX) {
        return Some(format!("{ATTRIBUTE_PREFIX}{name}"));
    }
    let wanted = plain(after_prefix(column, RIGHT_PREFIX).unwrap_or(column));
    let field = USER.iter().map(|(name, _)| name).find(|name| plain(name) == wanted).cloned();
    let right = || RIGHTS.into_iter().find(|right| plain(right.as_str()) == wanted).map(user::Column::field);
    field.or_else(right)
}

/// Returns what follows a prefix of a column, ignoring its case; `None` if the column has another one.
fn after_prefix<'a>(column: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = column.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Returns whether the values of a field or column must not be shown.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRETS.iter().any(|secret| name.contains(secret))
}
