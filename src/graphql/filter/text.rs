//! Conditions on texts.

use async_graphql::MaybeUndefined;
use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Func, SimpleExpr};

use super::{FilterBuilder, StringFilter};
use crate::db::conditions;

/// Maximum number of characters of a text in a condition.
const MAX_TEXT_LENGTH: usize = 250;

/// Converts a text to the form in which it is compared.
type Normalizer = fn(&str) -> String;

/// A text column as it is stored, and in the form in which it is compared.
pub struct Text {
    stored: Expr,
    /// The stored text, compared byte by byte.
    bytes: Expr,
    key: Expr,
    normalizers: Normalizers,
}

/// The conversions of texts to the form of a key.
#[derive(Clone, Copy)]
pub struct Normalizers {
    /// Converts a whole value.
    pub value: Normalizer,
    /// Converts a part of a value.
    pub part: Normalizer,
}

impl Text {
    /// Creates a text whose key is stored in another column.
    pub fn keyed(stored: impl ColumnTrait, key: impl ColumnTrait, normalizers: Normalizers, postgres: bool) -> Self {
        let bytes = without_collation(&stored, postgres);
        let key = Expr::col(key.as_column_ref());
        Self { stored: Expr::col(stored.as_column_ref()), bytes, key, normalizers }
    }

    /// Creates a text without a key: case is ignored only for the letters A to Z.
    pub fn plain(stored: impl ColumnTrait, postgres: bool) -> Self {
        let bytes = without_collation(&stored, postgres);
        let key = Func::lower(bytes.clone()).into();
        let normalizers = Normalizers { value: str::to_ascii_lowercase, part: str::to_ascii_lowercase };
        Self { stored: Expr::col(stored.as_column_ref()), bytes, key, normalizers }
    }
}

/// Returns a column without the collation that PostgreSQL may have given it; SQLite has none.
fn without_collation(column: &impl ColumnTrait, postgres: bool) -> Expr {
    let column = Expr::col(column.as_column_ref());
    if postgres { Expr::cust_with_exprs("$1 COLLATE \"C\"", [column]) } else { column }
}

/// The form in which one filter compares a text.
struct Comparison<'a> {
    text: &'a Text,
    case_sensitive: bool,
}

impl Comparison<'_> {
    /// Returns the expression that is compared for equality.
    fn equality(&self) -> Expr {
        if self.case_sensitive { self.text.stored.clone() } else { self.text.key.clone() }
    }

    /// Returns the expression whose order and parts are compared.
    fn order(&self) -> Expr {
        if self.case_sensitive { self.text.bytes.clone() } else { self.text.key.clone() }
    }

    fn normalizers(&self) -> Normalizers {
        if self.case_sensitive {
            Normalizers { value: str::to_owned, part: str::to_owned }
        } else {
            self.text.normalizers
        }
    }

    /// Returns a condition that follows from the equality with one of the stored values: equal texts have equal keys, and the key
    /// has an index. `None` if the keys are compared anyway.
    fn key_is_one_of(&self, values: &[String]) -> Option<SimpleExpr> {
        let keys = values.iter().map(|value| (self.text.normalizers.value)(value));
        self.case_sensitive.then(|| self.text.key.clone().is_in(keys))
    }

    /// Returns the same condition for a single value.
    fn key_equals(&self, value: &str) -> Option<SimpleExpr> {
        self.case_sensitive.then(|| self.text.key.clone().eq((self.text.normalizers.value)(value)))
    }
}

impl FilterBuilder {
    /// Returns the condition for a text.
    pub fn text(&mut self, path: &str, filter: StringFilter, text: &Text) -> Condition {
        let StringFilter { eq, one_of, contains, starts_with, ends_with, is_null, lt, lte, gt, gte, case_sensitive } =
            filter;
        let comparison = Comparison { text, case_sensitive: case_sensitive.unwrap_or_default() };
        let Normalizers { value, part } = comparison.normalizers();
        let eq = self.operand(path, "eq", eq, value);
        let lt = self.operand(path, "lt", lt, value);
        let lte = self.operand(path, "lte", lte, value);
        let gt = self.operand(path, "gt", gt, value);
        let gte = self.operand(path, "gte", gte, value);
        let starts_with = self.operand(path, "startsWith", starts_with, part);
        let contains = self.operand(path, "contains", contains, part);
        let ends_with = self.operand(path, "endsWith", ends_with, part);
        let (one_of, is_null) = (self.non_null(path, "in", one_of), self.non_null(path, "isNull", is_null));
        let one_of = self.values(&format!("{path}.in"), one_of, |builder, path, text| {
            builder.check_length(path, &text);
            Some(value(&text))
        });
        Condition::all()
            .add_option(eq.as_ref().and_then(|eq| comparison.key_equals(eq)))
            .add_option(eq.map(|eq| comparison.equality().eq(eq)))
            .add_option(lt.map(|lt| comparison.order().lt(lt)))
            .add_option(lte.map(|lte| comparison.order().lte(lte)))
            .add_option(gt.map(|gt| comparison.order().gt(gt)))
            .add_option(gte.map(|gte| comparison.order().gte(gte)))
            .add_option(starts_with.map(|start| conditions::starts_with(comparison.order(), &start)))
            .add_option(one_of.as_ref().and_then(|values| comparison.key_is_one_of(values)))
            .add_option(one_of.map(|values| comparison.equality().is_in(values)))
            .add_option(contains.map(|part| conditions::contains(comparison.order(), &part, self.postgres)))
            .add_option(ends_with.map(|end| conditions::ends_with(comparison.order(), &end, self.postgres)))
            .add_option(self.null(is_null, &text.stored))
    }

    /// Counts a condition with one text if it is given, and returns the text in the form in which it is compared.
    fn operand(
        &mut self,
        path: &str,
        operator: &str,
        text: MaybeUndefined<String>,
        normalizer: Normalizer,
    ) -> Option<String> {
        let text = self.non_null(path, operator, text)?;
        self.count();
        self.check_length(&format!("{path}.{operator}"), &text);
        Some(normalizer(&text))
    }

    /// Adds an error if a text is too long.
    pub fn check_length(&mut self, path: &str, text: &str) {
        if text.chars().count() > MAX_TEXT_LENGTH {
            self.add_error(path, format_args!("must be at most {MAX_TEXT_LENGTH} characters."));
        }
    }
}
