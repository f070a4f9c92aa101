//! Filters: the input types of conditions, and their SQL, which means the same on every database. Each use of the filter of a
//! list is one [`FilterBuilder`], which collects the errors.

use async_graphql::{ID, InputObject, InputType, MaybeUndefined};
use chrono::{Datelike, SubsecRound, TimeDelta};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Func, SimpleExpr};
use sea_orm::{ColumnTrait, Value};

use crate::db::conditions;
use crate::error::Error;
use crate::scalar::{Date, Id, Instant};

/// Maximum number of conditions in one filter.
const MAX_CONDITIONS: usize = 50;
/// Maximum number of values in one condition.
const MAX_VALUES: usize = 100;
/// The error message for null.
pub const NULL: &str = "must not be null; omit it, or use `isNull: true` to match missing values.";
/// Maximum number of characters of a text in a condition.
const MAX_TEXT_LENGTH: usize = 250;

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

/// Converts a text to the form in which it is compared.
pub type Normalizer = fn(&str) -> String;

/// A text column as it is stored, and in the form in which it is compared.
pub struct Text {
    stored: Expr,
    /// The stored text, compared byte by byte.
    bytes: Expr,
    key: Expr,
    whole: Normalizer,
    part: Normalizer,
}

impl Text {
    /// Creates a text whose key is stored in another column; `whole` and `part` convert values and parts of values to the form of
    /// the key.
    pub fn keyed(
        stored: impl ColumnTrait,
        key: impl ColumnTrait,
        (whole, part): (Normalizer, Normalizer),
        postgres: bool,
    ) -> Self {
        let key = Expr::col(key.as_column_ref());
        Self { bytes: bytes_of(&stored, postgres), stored: Expr::col(stored.as_column_ref()), key, whole, part }
    }

    /// Creates a text without a key: case is ignored only for the letters A to Z.
    pub fn plain(stored: impl ColumnTrait, postgres: bool) -> Self {
        let bytes = bytes_of(&stored, postgres);
        let key = Func::lower(bytes.clone()).into();
        let (whole, part) = (str::to_ascii_lowercase as Normalizer, str::to_ascii_lowercase as _);
        Self { stored: Expr::col(stored.as_column_ref()), bytes, key, whole, part }
    }
}

/// Returns a column without the collation that PostgreSQL may have given it; SQLite has none.
fn bytes_of(column: &impl ColumnTrait, postgres: bool) -> Expr {
    let column = Expr::col(column.as_column_ref());
    if postgres { Expr::cust_with_exprs("$1 COLLATE \"C\"", [column]) } else { column }
}

/// The conversion of one filter to SQL, with its errors and the number of its conditions.
pub struct FilterBuilder {
    postgres: bool,
    faults: Vec<String>,
    conditions: usize,
}

impl FilterBuilder {
    /// Begins a filter.
    #[must_use]
    pub fn new(postgres: bool) -> Self {
        Self { postgres, faults: Vec::new(), conditions: 0 }
    }

    /// Adds an error.
    pub fn fault(&mut self, path: &str, rule: impl std::fmt::Display) {
        self.faults.push(format!("{path}: {rule}"));
    }

    /// Returns the value if it is given. Null is an error, because no value compares with it.
    pub fn given<T: InputType>(&mut self, path: &str, field: &str, given: MaybeUndefined<T>) -> Option<T> {
        match given {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => {
                self.fault(&format!("{path}.{field}"), NULL);
                None
            }
            MaybeUndefined::Value(value) => Some(value),
        }
    }

    /// Counts a condition that is made elsewhere.
    pub fn count(&mut self) {
        self.conditions += 1;
    }

    /// Ends the filter and returns the number of its conditions.
    ///
    /// # Errors
    /// `BadInput` with all errors of the filter.
    pub fn finish(mut self) -> Result<usize, Error> {
        if self.conditions > MAX_CONDITIONS {
            self.fault("filter", format_args!("must contain at most {MAX_CONDITIONS} conditions."));
        }
        if self.faults.is_empty() { Ok(self.conditions) } else { Err(Error::BadInput(self.faults.join(" "))) }
    }

    /// Returns the condition for a text.
    pub fn text(&mut self, path: &str, filter: StringFilter, text: &Text) -> Condition {
        let StringFilter { eq, one_of, contains, starts_with, ends_with, is_null, lt, lte, gt, gte, case_sensitive } =
            filter;
        let case_sensitive = case_sensitive.unwrap_or_default();
        let (equal, compared) = if case_sensitive { (&text.stored, &text.bytes) } else { (&text.key, &text.key) };
        let form = |form: Normalizer| if case_sensitive { str::to_owned } else { form };
        let (whole, part) = (form(text.whole), form(text.part));
        let mut short = |operator: &str, given: MaybeUndefined<String>, form: Normalizer| {
            let given = self.given(path, operator, given).inspect(|_| self.conditions += 1)?;
            if given.chars().count() > MAX_TEXT_LENGTH {
                self.fault(
                    &format!("{path}.{operator}"),
                    format_args!("must be at most {MAX_TEXT_LENGTH} characters."),
                );
            }
            Some(form(&given))
        };
        // Equal texts have equal keys, and the key has an index.
        let of_key = |value: &String| case_sensitive.then(|| text.key.clone().eq((text.whole)(value)));
        let eq = short("eq", eq, whole);
        let condition = Condition::all()
            .add_option(eq.as_ref().and_then(of_key))
            .add_option(eq.map(|value| equal.clone().eq(value)))
            .add_option(short("lt", lt, whole).map(|value| compared.clone().lt(value)))
            .add_option(short("lte", lte, whole).map(|value| compared.clone().lte(value)))
            .add_option(short("gt", gt, whole).map(|value| compared.clone().gt(value)))
            .add_option(short("gte", gte, whole).map(|value| compared.clone().gte(value)))
            .add_option(
                short("startsWith", starts_with, part).map(|value| conditions::starts_with(compared.clone(), &value)),
            );
        let (contains, ends_with) = (short("contains", contains, part), short("endsWith", ends_with, part));
        let (one_of, is_null) = (self.given(path, "in", one_of), self.given(path, "isNull", is_null));
        let one_of = self.values(&format!("{path}.in"), one_of, |reading, path, value| {
            if value.chars().count() > MAX_TEXT_LENGTH {
                reading.fault(path, format_args!("must be at most {MAX_TEXT_LENGTH} characters."));
            }
            Some(whole(&value))
        });
        let of_keys = |values: &Vec<String>| {
            case_sensitive.then(|| text.key.clone().is_in(values.iter().map(|value| (text.whole)(value))))
        };
        condition
            .add_option(one_of.as_ref().and_then(of_keys))
            .add_option(one_of.map(|values| equal.clone().is_in(values)))
            .add_option(contains.map(|value| conditions::contains(compared.clone(), &value, self.postgres)))
            .add_option(ends_with.map(|value| conditions::ends_with(compared.clone(), &value, self.postgres)))
            .add_option(self.null(is_null, &text.stored))
    }

    /// Returns the condition for an ID. `is_one_of` returns the expression for IDs that are one of the given ones, `is_null` that
    /// for missing IDs.
    pub fn id(
        &mut self,
        path: &str,
        filter: IdFilter,
        is_one_of: impl Fn(Vec<Id>) -> SimpleExpr,
        is_null: impl FnOnce() -> SimpleExpr,
    ) -> Condition {
        let IdFilter { eq, one_of, is_null: null } = filter;
        let (eq, one_of) = (self.given(path, "eq", eq), self.given(path, "in", one_of));
        let null = self.given(path, "isNull", null);
        let parse = |reading: &mut Self, path: &str, id: ID| {
            let id = Id::parse(&id);
            if id.is_none() {
                reading.fault(path, "must be a valid ID (a UUID).");
            }
            id
        };
        let eq = eq.and_then(|id| {
            self.conditions += 1;
            parse(self, &format!("{path}.eq"), id)
        });
        let one_of = self.values(&format!("{path}.in"), one_of, parse);
        self.conditions += usize::from(null.is_some());
        Condition::all()
            .add_option(eq.map(|id| is_one_of(vec![id])))
            .add_option(one_of.map(is_one_of))
            .add_option(null.map(|null| if null { is_null() } else { is_null().not() }))
    }

    /// Returns the condition for a date.
    pub fn date(&mut self, path: &str, filter: DateFilter, column: impl ColumnTrait) -> Condition {
        let DateFilter { eq, lt, lte, gt, gte, is_null } = filter;
        let named = [("eq", eq), ("lt", lt), ("lte", lte), ("gt", gt), ("gte", gte)];
        let values = named.map(|(field, date)| self.given(path, field, date).map(|date| Value::from(date.0)));
        let is_null = self.given(path, "isNull", is_null);
        self.ordered(&column, values, is_null)
    }

    /// Returns the condition for a date and time.
    pub fn instant(&mut self, path: &str, filter: DateTimeFilter, column: impl ColumnTrait) -> Condition {
        let DateTimeFilter { eq, lt, lte, gt, gte, is_null } = filter;
        let named = [("eq", eq), ("lt", lt), ("lte", lte), ("gt", gt), ("gte", gte)];
        let [eq, lt, lte, gt, gte] = named.map(|(field, instant)| self.given(path, field, instant));
        let is_null = self.given(path, "isNull", is_null);
        let mut value = |instant: Option<Instant>, up: bool| {
            let Instant(instant) = instant?;
            // Stored times are whole microseconds: none lies between two of them.
            let below = instant.trunc_subsecs(6);
            let above = if below == instant { below } else { below + TimeDelta::microseconds(1) };
            let compared = if up { above } else { below };
            if !(1..10_000).contains(&compared.year()) {
                self.fault(path, "must be a time from the year 1 to the year 9999.");
                return None;
            }
            Some(Value::from(compared))
        };
        let values = [value(eq, false), value(lt, true), value(lte, false), value(gt, false), value(gte, true)];
        let is_none = eq.is_some_and(|Instant(instant)| instant.trunc_subsecs(6) != instant);
        let nothing = is_none.then(|| Expr::val(1).eq(0));
        self.ordered(&column, values, is_null).add_option(nothing)
    }

    /// Returns the condition that a value is one of several.
    pub fn one_of<V: Into<Value>>(
        &mut self,
        path: &str,
        values: Option<Vec<V>>,
        column: impl ColumnTrait,
    ) -> Option<SimpleExpr> {
        self.values(path, values, |_, _, value| Some(value)).map(|values| column.is_in(values))
    }

    /// Returns the condition that a column is true, or false.
    pub fn truth(&mut self, wanted: Option<bool>, column: impl ColumnTrait) -> Option<SimpleExpr> {
        self.conditions += usize::from(wanted.is_some());
        wanted.map(|wanted| column.eq(wanted))
    }

    fn ordered(&mut self, column: &impl ColumnTrait, values: [Option<Value>; 5], is_null: Option<bool>) -> Condition {
        self.conditions += values.iter().flatten().count();
        let [eq, lt, lte, gt, gte] = values;
        let stored = Expr::col(column.as_column_ref());
        Condition::all()
            .add_option(eq.map(|value| column.eq(value)))
            .add_option(lt.map(|value| column.lt(value)))
            .add_option(lte.map(|value| column.lte(value)))
            .add_option(gt.map(|value| column.gt(value)))
            .add_option(gte.map(|value| column.gte(value)))
            .add_option(self.null(is_null, &stored))
    }

    fn null(&mut self, wanted: Option<bool>, stored: &Expr) -> Option<SimpleExpr> {
        self.conditions += usize::from(wanted.is_some());
        wanted.map(|wanted| if wanted { stored.clone().is_null() } else { stored.clone().is_not_null() })
    }

    /// Counts a condition on several values and returns them, each converted by `read`; values for which that is `None` are left
    /// out. If there are more than 100, adds an error and returns `None`.
    pub fn values<V, T>(
        &mut self,
        path: &str,
        values: Option<Vec<V>>,
        read: impl Fn(&mut Self, &str, V) -> Option<T>,
    ) -> Option<Vec<T>> {
        let values = values?;
        self.conditions += 1;
        if values.len() > MAX_VALUES {
            self.fault(path, format_args!("must contain at most {MAX_VALUES} values."));
            return None;
        }
        Some(values.into_iter().filter_map(|value| read(self, path, value)).collect())
    }
}
