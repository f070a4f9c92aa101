//! The input types of conditions.

use async_graphql::{ID, InputObject, MaybeUndefined};

use crate::scalar::{Date, Instant};

/// Conditions on a text. All given conditions must hold. By default, case is ignored. In names and positions, accents and forms
/// of one letter or sign are ignored too, as in `searchUsers`. Each text has at most 250 characters.
#[derive(Clone, Debug, Default, InputObject)]
pub struct StringFilter {
    /// Equal to this value.
    pub eq: MaybeUndefined<String>,
    /// Equal to one of these values, at most 100. An empty list matches nothing.
    #[graphql(name = "in")]
    pub one_of: MaybeUndefined<Vec<String>>,
    /// Text that the value must contain. `%` and `_` are plain characters.
    pub contains: MaybeUndefined<String>,
    /// Text that the value must begin with.
    pub starts_with: MaybeUndefined<String>,
    /// Text that the value must end with.
    pub ends_with: MaybeUndefined<String>,
    /// Whether there is no value.
    pub is_null: MaybeUndefined<bool>,
    /// Text that the value must come before, compared letter by letter in Unicode order.
    pub lt: MaybeUndefined<String>,
    /// Text that the value must come before or equal.
    pub lte: MaybeUndefined<String>,
    /// Text that the value must come after.
    pub gt: MaybeUndefined<String>,
    /// Text that the value must come after or equal.
    pub gte: MaybeUndefined<String>,
    /// Whether case, accents and forms of one letter are compared. Defaults to `false`.
    #[graphql(default_with = "Some(false)")]
    pub case_sensitive: Option<bool>,
}

/// Compares an ID. All fields that are set must match.
#[derive(Clone, Debug, Default, InputObject)]
#[graphql(name = "IDFilter")]
pub struct IdFilter {
    /// Equal to this value.
    pub eq: MaybeUndefined<ID>,
    /// Equal to one of these values, at most 100. An empty list matches nothing.
    #[graphql(name = "in")]
    pub one_of: MaybeUndefined<Vec<ID>>,
    /// Whether there is no value.
    pub is_null: MaybeUndefined<bool>,
}

/// Conditions on a date. All given conditions must hold.
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

/// Conditions on a date and time. All given conditions must hold.
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
