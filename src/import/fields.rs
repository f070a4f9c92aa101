//! The fields of each kind of record, and the types of their values.

use std::sync::LazyLock;

use sea_orm::{ColumnTrait, ColumnType, Iterable};

use super::record::RecordKind;
use crate::entity::user::{Column, Privacy, RIGHTS};

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

const GENDERS: FieldType = OneOf(&[("MALE", "M"), ("FEMALE", "F"), ("UNKNOWN", "U")]);
const USER_TYPES: FieldType =
    OneOf(&[("ADMINISTRATIVE", "AD"), ("TECHNICIAN", "TE"), ("CLINICIAN", "CL"), ("STUDENT", "ST")]);
const ROLES: FieldType = OneOf(&[("LICENSE_ADMIN", ""), ("ADMIN", ""), ("USER", "")]);
const INSTITUTION_KINDS: FieldType =
    OneOf(&[("HOSPITAL", ""), ("CARE_HOME", ""), ("HOSPICE", ""), ("PRIVATE", ""), ("RESEARCH", "")]);
const ATTRIBUTE_KINDS: FieldType = OneOf(&[("STRING", ""), ("BOOLEAN", ""), ("DATE", ""), ("INTEGER", "")]);
const LICENSE_KINDS: FieldType = OneOf(&[("COMMERCIAL", ""), ("PRIVATE", "")]);

const LICENSE: &[(&str, FieldType)] = &[
    ("id", Text),
    ("number", Text),
    ("holder", Text),
    ("kind", LICENSE_KINDS),
    ("startsOn", Date),
    ("expiresOn", Date),
];

const ATTRIBUTE: &[(&str, FieldType)] = &[
    ("id", Text),
    ("name", Text),
    ("label", Text),
    ("kind", ATTRIBUTE_KINDS),
    ("required", Boolean),
    ("userEditable", Boolean),
    ("userVisible", Boolean),
    ("createdAt", Instant),
    ("modifiedAt", Instant),
];

const INSTITUTION: &[(&str, FieldType)] = &[
    ("id", Text),
    ("name", Text),
    ("kind", INSTITUTION_KINDS),
    ("country", Text),
    ("state", Text),
    ("city", Text),
    ("address", Text),
    ("postcode", Text),
    ("phone", Text),
    ("email", Text),
    ("numBeds", Integer),
    ("externalId", Text),
    ("externalReferences", Json),
    ("createdAt", Instant),
    ("modifiedAt", Instant),
    ("version", Integer),
];

const GROUP: &[(&str, FieldType)] = &[
    ("id", Text),
    ("name", Text),
    ("description", Text),
    ("externalReferences", Json),
    ("createdAt", Instant),
    ("modifiedAt", Instant),
    ("version", Integer),
];

/// The fields of a user that are columns, in the order of the columns.
static USER_COLUMNS: LazyLock<Vec<(String, FieldType)>> = LazyLock::new(|| {
    let is_field = |column: &Column| {
        matches!(column.privacy(), Privacy::Open | Privacy::Private) && !matches!(column, Column::HasPin)
    };
    Column::iter().filter(is_field).map(|column| (column.field(), type_of_column(column))).collect()
});

/// The fields of a user that are no columns, or not under this name.
const USER_OTHERS: &[(&str, FieldType)] = &[
    ("institution", Text),
    ("adminRights", Json),
    ("groups", Json),
    ("sites", Json),
    ("attributes", Json),
    ("passwordHash", AnyText),
    ("pin", Text),
    ("pinHash", Text),
];

/// The fields of a user.
static USER: LazyLock<Vec<(&str, FieldType)>> = LazyLock::new(|| {
    let columns = USER_COLUMNS.iter().map(|(name, field_type)| (name.as_str(), *field_type));
    columns.chain(USER_OTHERS.iter().copied()).collect()
});

/// Returns the type of a column of users. An enum is named here, with the codes that other systems use. The values of one that is
/// not are accepted only as the API writes them.
fn type_of_column(column: Column) -> FieldType {
    match column {
        Column::Gender => GENDERS,
        Column::UserType => USER_TYPES,
        Column::Role => ROLES,
        Column::Avatar | Column::ExternalReferences => Json,
        _ => match column.def().get_column_type() {
            ColumnType::Boolean => Boolean,
            ColumnType::Integer | ColumnType::BigInteger => Integer,
            ColumnType::Date => Date,
            ColumnType::TimestampWithTimeZone => Instant,
            _ => Text,
        },
    }
}

/// The prefix of a right's name, and that of the name of a custom attribute.
pub(super) const RIGHT_PREFIX: &str = "adminRights.";
pub(super) const ATTRIBUTE_PREFIX: &str = "attributes.";

/// The parts of names of fields and columns whose values are not shown.
const SECRETS: [&str; 6] = ["password", "hash", "secret", "token", "credential", "pin"];

/// Returns the fields of a kind of record.
pub(super) fn of_kind(kind: RecordKind) -> &'static [(&'static str, FieldType)] {
    match kind {
        RecordKind::License => LICENSE,
        RecordKind::Attribute => ATTRIBUTE,
        RecordKind::Institution => INSTITUTION,
        RecordKind::Group => GROUP,
        RecordKind::User => USER.as_slice(),
    }
}

/// Returns the type of a field, which may be one right or one custom attribute; `None` if there is no such field.
pub(super) fn type_of(kind: RecordKind, field: &str) -> Option<FieldType> {
    let known = of_kind(kind).iter().find(|(name, _)| *name == field).map(|(_, kind)| *kind);
    let of_user = || {
        if Column::of_field(field).is_some_and(|column| column.privacy() == Privacy::Right) {
            Some(Boolean)
        } else {
            field.starts_with(ATTRIBUTE_PREFIX).then_some(Json)
        }
    };
    known.or_else(|| of_user().filter(|_| kind == RecordKind::User))
}

/// Returns the names of the fields of a kind, for messages.
pub(super) fn names(kind: RecordKind) -> String {
    let names: Vec<&str> = of_kind(kind).iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// Returns the field of a user that a column is named after, ignoring case and signs: `first_name` and `First Name` are `firstName`.
pub(super) fn named_like(column: &str) -> Option<String> {
    let plain =
        |name: &str| -> String { name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    if let Some(name) = column.strip_prefix(ATTRIBUTE_PREFIX) {
        return Some(format!("{ATTRIBUTE_PREFIX}{name}"));
    }
    let wanted = plain(column.strip_prefix(RIGHT_PREFIX).unwrap_or(column));
    let field = USER.iter().map(|(name, _)| *name).find(|name| plain(name) == wanted).map(str::to_owned);
    let is_wanted = |right: &String| right.strip_prefix(RIGHT_PREFIX).is_some_and(|name| plain(name) == wanted);
    field.or_else(|| RIGHTS.into_iter().map(Column::field).find(is_wanted))
}

/// Returns whether the values of a field or column must not be shown.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRETS.iter().any(|secret| name.contains(secret))
}
