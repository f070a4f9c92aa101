//! The input types of conditions.

use async_graphql::{ID, InputObject, MaybeUndefined};

use crate::scalar::{Date, Instant};

/// A filter for strings. A string must match every field that is set. Null is an error; use `isNull` for missing
/// values. The strings of a filter can have at most 250 characters each. By default, case is ignored; in
/// `firstName`, `lastName`, `nickname` and `position`, so are accents and other forms of a letter, as in
/// `searchUsers`.
#[derive(Clone, Debug, Default, InputObject)]
pub struct StringFilter {
    /// Matches strings equal to this string.
    pub eq: MaybeUndefined<String>,
    /// Matches any of these strings. At most 100. An empty list matches nothing.
    #[graphql(name = "in")]
    pub one_of: MaybeUndefined<Vec<String>>,
    /// Matches strings that contain this string. `%` and `_` are plain characters.
    pub contains: MaybeUndefined<String>,
    /// Matches strings that start with this string.
    pub starts_with: MaybeUndefined<String>,
    /// Matches strings that end with this string.
    pub ends_with: MaybeUndefined<String>,
    /// Whether the value must be missing (`true`) or present (`false`).
    pub is_null: MaybeUndefined<bool>,
    /// Matches strings before this string, in the order of Unicode code points.
    pub lt: MaybeUndefined<String>,
    /// Matches strings equal to or before this string, in the order of Unicode code points.
    pub lte: MaybeUndefined<String>,
    /// Matches strings after this string, in the order of Unicode code points.
    pub gt: MaybeUndefined<String>,
    /// Matches strings equal to or after this string, in the order of Unicode code points.
    pub gte: MaybeUndefined<String>,
    /// Whether the comparison is exact: case, accents and forms of a letter matter. Defaults to `false`.
    #[graphql(default_with = "Some(false)")]
    pub case_sensitive: Option<bool>,
}

/// A filter for IDs. An ID must match every field that is set. Null is an error; use `isNull` for missing values.
#[derive(Clone, Debug, Default, InputObject)]
#[graphql(name = "IDFilter")]
pub struct IdFilter {
    /// Matches this ID.
    pub eq: MaybeUndefined<ID>,
    /// Matches any of these IDs. At most 100. An empty list matches nothing.
    #[graphql(name = "in")]
    pub one_of: MaybeUndefined<Vec<ID>>,
    /// Whether the value must be missing (`true`) or present (`false`).
    pub is_null: MaybeUndefined<bool>,
}

/// A filter for dates. A date must match every field that is set. Null is an error; use `isNull` for missing
/// values.
#[derive(Clone, Copy, Debug, Default, InputObject)]
pub struct DateFilter {
    /// Matches dates equal to this date.
    pub eq: MaybeUndefined<Date>,
    /// Matches dates before this date.
    pub lt: MaybeUndefined<Date>,
    /// Matches dates on or before this date.
    pub lte: MaybeUndefined<Date>,
    /// Matches dates after this date.
    pub gt: MaybeUndefined<Date>,
    /// Matches dates on or after this date.
    pub gte: MaybeUndefined<Date>,
    /// Whether the value must be missing (`true`) or present (`false`).
    pub is_null: MaybeUndefined<bool>,
}

/// A filter for dates and times. A time must match every field that is set. Null is an error; use `isNull` for
/// missing values.
#[derive(Clone, Copy, Debug, Default, InputObject)]
pub struct DateTimeFilter {
    /// Matches times equal to this time.
    pub eq: MaybeUndefined<Instant>,
    /// Matches times before this time.
    pub lt: MaybeUndefined<Instant>,
    /// Matches times at or before this time.
    pub lte: MaybeUndefined<Instant>,
    /// Matches times after this time.
    pub gt: MaybeUndefined<Instant>,
    /// Matches times at or after this time.
    pub gte: MaybeUndefined<Instant>,
    /// Whether the value must be missing (`true`) or present (`false`).
    pub is_null: MaybeUndefined<bool>,
}
