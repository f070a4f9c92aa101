//! The input types of conditions.

use async_graphql::{ID, InputObject, MaybeUndefined};

use crate::scalar::{Date, Instant};

/// A filter for strings. A string must match every field that is set. Null is an error; use `isNull`. Each string has
/// at most 250 characters. By default, case is ignored; in `firstName`, `lastName`, `nickname` and `position`, so are
/// accents and other forms of a letter, as in `searchUsers`.
#[derive(Clone, Debug, Default, InputObject)]
pub struct StringFilter {
    /// The string is equal to this string.
    pub eq: MaybeUndefined<String>,
    /// The string is one of these strings. At most 100. An empty list matches nothing.
    #[graphql(name = "in")]
    pub one_of: MaybeUndefined<Vec<String>>,
    /// The string contains this string. `%` and `_` are plain characters.
    pub contains: MaybeUndefined<String>,
    /// The string begins with this string.
    pub starts_with: MaybeUndefined<String>,
    /// The string ends with this string.
    pub ends_with: MaybeUndefined<String>,
    /// Whether there is no value.
    pub is_null: MaybeUndefined<bool>,
    /// The string comes before this string, in the order of Unicode code points.
    pub lt: MaybeUndefined<String>,
    /// The string comes before this string, in the order of Unicode code points, or is equal to it.
    pub lte: MaybeUndefined<String>,
    /// The string comes after this string, in the order of Unicode code points.
    pub gt: MaybeUndefined<String>,
    /// The string comes after this string, in the order of Unicode code points, or is equal to it.
    pub gte: MaybeUndefined<String>,
    /// Whether the comparison is exact: case, accents and forms of a letter matter. Defaults to `false`.
    #[graphql(default_with = "Some(false)")]
    pub case_sensitive: Option<bool>,
}

/// A filter for IDs. An ID must match every field that is set. Null is an error; use `isNull`.
#[derive(Clone, Debug, Default, InputObject)]
#[graphql(name = "IDFilter")]
pub struct IdFilter {
    /// The ID is equal to this ID.
    pub eq: MaybeUndefined<ID>,
    /// The ID is one of these IDs. At most 100. An empty list matches nothing.
    #[graphql(name = "in")]
    pub one_of: MaybeUndefined<Vec<ID>>,
    /// Whether there is no value.
    pub is_null: MaybeUndefined<bool>,
}

/// A filter for dates. A date must match every field that is set. Null is an error; use `isNull`.
#[derive(Clone, Copy, Debug, Default, InputObject)]
pub struct DateFilter {
    /// The date is equal to this date.
    pub eq: MaybeUndefined<Date>,
    /// The date is before this date.
    pub lt: MaybeUndefined<Date>,
    /// The date is on or before this date.
    pub lte: MaybeUndefined<Date>,
    /// The date is after this date.
    pub gt: MaybeUndefined<Date>,
    /// The date is on or after this date.
    pub gte: MaybeUndefined<Date>,
    /// Whether there is no value.
    pub is_null: MaybeUndefined<bool>,
}

/// A filter for dates and times. A time must match every field that is set. Null is an error; use `isNull`.
#[derive(Clone, Copy, Debug, Default, InputObject)]
pub struct DateTimeFilter {
    /// The time is equal to this time.
    pub eq: MaybeUndefined<Instant>,
    /// The time is before this time.
    pub lt: MaybeUndefined<Instant>,
    /// The time is at or before this time.
    pub lte: MaybeUndefined<Instant>,
    /// The time is after this time.
    pub gt: MaybeUndefined<Instant>,
    /// The time is at or after this time.
    pub gte: MaybeUndefined<Instant>,
    /// Whether there is no value.
    pub is_null: MaybeUndefined<bool>,
}
