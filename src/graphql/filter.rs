//! Filters: the input types of conditions, and their SQL, which means the same on every database. Each use of the filter of a
//! list is one [`FilterBuilder`], which collects the errors.

mod inputs;
mod text;

use async_graphql::{ID, InputType, MaybeUndefined};
use chrono::{Datelike, SubsecRound, TimeDelta};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, SimpleExpr};
use sea_orm::{ColumnTrait, Value};

pub use self::inputs::{DateFilter, DateTimeFilter, IdFilter, StringFilter};
pub use self::text::{Normalizers, Text};
use crate::error::Error;
use crate::scalar::{Id, Instant};

/// Maximum number of conditions in one filter.
const MAX_CONDITIONS: usize = 50;
/// Maximum number of values in one condition.
const MAX_VALUES: usize = 100;
/// The error message for null.
pub const NULL: &str = "must not be null; omit it, or use `isNull: true` to match missing values.";

/// The conversion of one filter to SQL, with its errors and the number of its conditions.
pub struct FilterBuilder {
    postgres: bool,
    errors: Vec<String>,
    conditions: usize,
}

impl FilterBuilder {
    /// Begins a filter.
    #[must_use]
    pub fn new(postgres: bool) -> Self {
        Self { postgres, errors: Vec::new(), conditions: 0 }
    }

    /// Adds an error.
    pub fn add_error(&mut self, path: &str, rule: impl std::fmt::Display) {
        self.errors.push(format!("{path}: {rule}"));
    }

    /// Returns the value if it is given. Null is an error, because no value compares with it.
    pub fn non_null<T: InputType>(&mut self, path: &str, field: &str, value: MaybeUndefined<T>) -> Option<T> {
        match value {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => {
                self.add_error(&format!("{path}.{field}"), NULL);
                None
            }
            MaybeUndefined::Value(value) => Some(value),
        }
    }

    /// Counts a condition.
    pub fn count(&mut self) {
        self.conditions += 1;
    }

    /// Ends the filter and returns the number of its conditions.
    ///
    /// # Errors
    /// `BadInput` with all errors of the filter.
    pub fn finish(mut self) -> Result<usize, Error> {
        if self.conditions > MAX_CONDITIONS {
            self.add_error("filter", format_args!("must contain at most {MAX_CONDITIONS} comparisons."));
        }
        if self.errors.is_empty() { Ok(self.conditions) } else { Err(Error::BadInput(self.errors.join(" "))) }
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
        let (eq, one_of) = (self.non_null(path, "eq", eq), self.non_null(path, "in", one_of));
        let null = self.non_null(path, "isNull", null);
        let parse = |builder: &mut Self, path: &str, id: ID| {
            let id = Id::parse(&id);
            if id.is_none() {
                builder.add_error(path, "must be a valid ID (a UUID).");
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
        let operands = [("eq", eq), ("lt", lt), ("lte", lte), ("gt", gt), ("gte", gte)];
        let values = operands.map(|(field, date)| self.non_null(path, field, date).map(|date| Value::from(date.0)));
        let is_null = self.non_null(path, "isNull", is_null);
        self.ordered(&column, values, is_null)
    }

    /// Returns the condition for a date and time.
    pub fn instant(&mut self, path: &str, filter: DateTimeFilter, column: impl ColumnTrait) -> Condition {
        let DateTimeFilter { eq, lt, lte, gt, gte, is_null } = filter;
        let operands = [("eq", eq), ("lt", lt), ("lte", lte), ("gt", gt), ("gte", gte)];
        let [eq, lt, lte, gt, gte] = operands.map(|(field, instant)| self.non_null(path, field, instant));
        let is_null = self.non_null(path, "isNull", is_null);
        let mut value = |instant: Option<Instant>, round_up: bool| {
            let Instant(instant) = instant?;
            // Stored times are whole microseconds: none lies between two of them.
            let below = instant.trunc_subsecs(6);
            let above = if below == instant { below } else { below + TimeDelta::microseconds(1) };
            let compared = if round_up { above } else { below };
            if !(1..10_000).contains(&compared.year()) {
                self.add_error(path, "must be a time from the year 1 to the year 9999.");
                return None;
            }
            Some(Value::from(compared))
        };
        let values = [value(eq, false), value(lt, true), value(lte, false), value(gt, false), value(gte, true)];
        let is_never_equal = eq.is_some_and(|Instant(instant)| instant.trunc_subsecs(6) != instant);
        let nothing = is_never_equal.then(|| Expr::val(1).eq(0));
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
    pub fn boolean(&mut self, expected: Option<bool>, column: impl ColumnTrait) -> Option<SimpleExpr> {
        self.conditions += usize::from(expected.is_some());
        expected.map(|expected| column.eq(expected))
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

    fn null(&mut self, is_null: Option<bool>, stored: &Expr) -> Option<SimpleExpr> {
        self.conditions += usize::from(is_null.is_some());
        is_null.map(|is_null| if is_null { stored.clone().is_null() } else { stored.clone().is_not_null() })
    }

    /// Counts a condition on several values and returns them, each converted by `convert`; values for which that is `None` are
    /// left out. If there are more than 100, adds an error and returns `None`.
    pub fn values<V, T>(
        &mut self,
        path: &str,
        values: Option<Vec<V>>,
        convert: impl Fn(&mut Self, &str, V) -> Option<T>,
    ) -> Option<Vec<T>> {
        let values = values?;
        self.conditions += 1;
        if values.len() > MAX_VALUES {
            self.add_error(path, format_args!("must contain at most {MAX_VALUES} values."));
            return None;
        }
        Some(values.into_iter().filter_map(|value| convert(self, path, value)).collect())
    }
}
