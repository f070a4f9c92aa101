//! The order of a list, and the rows before and after a position in it, as conditions that an index can follow.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, NullOrdering, Order as Direction, OrderedStatement, SimpleExpr};
use sea_orm::{ColumnTrait, ColumnType, EntityTrait, ModelTrait, Value};

use super::cursor::Position;
use crate::db::conditions::no_index_hint;
use crate::entity::{audit_event, group, institution, user};
use crate::graphql::projection::Projectable;
use crate::scalar::{Date, Id};

/// One of the columns that a list is ordered by.
#[derive(Clone, Copy, Debug)]
pub struct SortKey<C> {
    pub column: C,
    pub descending: bool,
    /// The position of rows without a value; `None` if each row has one.
    pub nulls: Option<Nulls>,
}

/// The position of rows without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    First,
    Last,
}

/// The order of a list. The last key is unique, so that each row has one position.
#[derive(Clone, Debug)]
pub struct Order<E: EntityTrait> {
    keys: Vec<SortKey<E::Column>>,
    /// Whether few rows are found by other conditions, and sorted.
    is_of_few: bool,
}

/// A table with a default order.
pub trait DefaultOrder: Projectable {
    /// The default order; the last key is unique, and none is nullable.
    const ORDER: &'static [SortKey<Self::Column>];
}

impl DefaultOrder for user::Entity {
    const ORDER: &'static [SortKey<user::Column>] = &[
        SortKey::ascending(user::Column::LastNameKey),
        SortKey::ascending(user::Column::FirstNameKey),
        SortKey::ascending(user::Column::Id),
    ];
}

impl DefaultOrder for group::Entity {
    const ORDER: &'static [SortKey<group::Column>] =
        &[SortKey::ascending(group::Column::NameKey), SortKey::ascending(group::Column::Id)];
}

impl DefaultOrder for institution::Entity {
    const ORDER: &'static [SortKey<institution::Column>] =
        &[SortKey::ascending(institution::Column::NameKey), SortKey::ascending(institution::Column::Id)];
}

impl DefaultOrder for audit_event::Entity {
    const ORDER: &'static [SortKey<audit_event::Column>] = &[SortKey::descending(audit_event::Column::Seq)];
}

/// A part of a list by the value of the first key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullPartition {
    /// All rows.
    Whole,
    /// The rows with a value in the first key.
    With,
    /// The rows without a value in the first key.
    Without,
}

impl<E: DefaultOrder> Default for Order<E> {
    fn default() -> Self {
        Self::by(E::ORDER.to_vec())
    }
}

impl<E: EntityTrait> Order<E> {
    /// Creates the order by these keys, of which the last is unique.
    #[must_use]
    pub fn by(keys: Vec<SortKey<E::Column>>) -> Self {
        Self { keys, is_of_few: false }
    }

    /// Returns the same order, for a list whose few rows are found by other conditions than those of its parts. SQLite would
    /// otherwise find the rows without a value by the index of the first key, if that is unique: it takes them for a single one.
    #[must_use]
    pub fn of_few(self) -> Self {
        Self { is_of_few: true, ..self }
    }

    /// Returns the columns of the order.
    pub fn columns(&self) -> impl Iterator<Item = E::Column> + '_ {
        self.keys.iter().map(|key| key.column)
    }

    /// Returns the reversed order.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { keys: self.keys.iter().map(SortKey::reversed).collect(), ..*self }
    }

    /// Returns the position of a row.
    pub fn position(&self, row: &E::Model) -> Vec<Value> {
        self.columns().map(|column| row.get(column)).collect()
    }

    /// Adds the order to a statement or a window.
    pub fn apply(&self, statement: &mut impl OrderedStatement) {
        for key in &self.keys {
            let column = key.column.as_column_ref();
            // The position of nulls is given only for nullable keys: otherwise the order must be that of the index.
            match key.nulls {
                Some(Nulls::First) => statement.order_by_with_nulls(column, key.direction(), NullOrdering::First),
                Some(Nulls::Last) => statement.order_by_with_nulls(column, key.direction(), NullOrdering::Last),
                None => statement.order_by(column, key.direction()),
            };
        }
    }

    /// Returns the parts of the list, in order. If the first key can be null, the rows without a value are a part of their own,
    /// so that an index has each part in order wherever it keeps nulls.
    #[must_use]
    pub fn parts(&self) -> &'static [NullPartition] {
        match self.keys.first().and_then(|key| key.nulls) {
            None => &[NullPartition::Whole],
            Some(Nulls::First) => &[NullPartition::Without, NullPartition::With],
            Some(Nulls::Last) => &[NullPartition::With, NullPartition::Without],
        }
    }

    /// Returns the order within a part, in which the first key has a value in every row or in none.
    #[must_use]
    pub fn within(&self, part: NullPartition) -> Self {
        let mut keys = self.keys.clone();
        if let (NullPartition::With | NullPartition::Without, Some(first)) = (part, keys.first_mut()) {
            first.nulls = None;
        }
        Self { keys, ..*self }
    }

    /// Returns the condition for the rows of a part.
    #[must_use]
    pub fn rows(&self, part: NullPartition) -> Condition {
        let first = self.keys.first().map(SortKey::col);
        Condition::all().add_option(match part {
            NullPartition::Whole => None,
            NullPartition::With => first.map(ExprTrait::is_not_null),
            NullPartition::Without if self.is_of_few => {
                first.map(|first| no_index_hint(Condition::all().add(first.is_null())))
            }
            NullPartition::Without => first.map(ExprTrait::is_null),
        })
    }

    /// Returns the condition for the rows of a part that come after a position in the list; `None` if the position is not one of
    /// this list.
    #[must_use]
    pub fn after(&self, part: NullPartition, target: &Position) -> Option<Condition> {
        let values: Vec<Option<Value>> =
            self.keys.iter().zip(target).map(|(key, text)| key.value(text.as_deref())).collect::<Option<_>>()?;
        if values.len() != self.keys.len() || target.len() != self.keys.len() {
            return None;
        }
        let has_value = values.first().is_some_and(Option::is_some);
        let is_in_part = part == NullPartition::Whole || has_value == (part == NullPartition::With);
        if !is_in_part {
            let is_earlier = self.parts().first() != Some(&part);
            return Some(if is_earlier { Condition::all() } else { Condition::any().add(Expr::val(1).eq(0)) });
        }
        let order = self.within(part);
        let keys: Vec<_> =
            order.keys.iter().copied().zip(values).skip(usize::from(part == NullPartition::Without)).collect();
        Some(rows_after(&keys))
    }
}

/// Returns the condition for the rows whose keys come after these values.
fn rows_after<C: ColumnTrait>(keys: &[(SortKey<C>, Option<Value>)]) -> Condition {
    let is_plain = |(key, _): &(SortKey<C>, Option<Value>)| {
        key.nulls.is_none() && keys.first().is_some_and(|(first, _)| first.descending == key.descending)
    };
    if let (Some((first, _)), true) = (keys.first(), keys.iter().all(is_plain)) {
        // With a row value, an index finds the position at once.
        let columns = Expr::tuple(keys.iter().map(|(key, _)| key.col()));
        let values = Expr::tuple(keys.iter().filter_map(|(_, value)| value.clone()).map(Expr::val));
        return Condition::all().add(if first.descending { columns.lt(values) } else { columns.gt(values) });
    }
    let mut any = Condition::any();
    let mut equal = Condition::all();
    for (key, value) in keys {
        if let Some(after) = key.after(value.as_ref()) {
            any = any.add(equal.clone().add(after));
        }
        equal = equal.add(key.equals(value.as_ref()));
    }
    // Redundant, but an index needs a condition from which to begin.
    let start = keys.first().and_then(|(key, value)| key.from(value.as_ref()));
    Condition::all().add_option(start).add(any)
}

impl<C> SortKey<C> {
    /// Creates a key from the lowest value to the highest, for values that are never null.
    pub const fn ascending(column: C) -> Self {
        Self { column, descending: false, nulls: None }
    }

    /// Creates a key from the highest value to the lowest, for values that are never null.
    pub const fn descending(column: C) -> Self {
        Self { column, descending: true, nulls: None }
    }
}

impl<C: ColumnTrait> SortKey<C> {
    fn reversed(&self) -> Self {
        let nulls = self.nulls.map(|nulls| match nulls {
            Nulls::First => Nulls::Last,
            Nulls::Last => Nulls::First,
        });
        Self { descending: !self.descending, nulls, ..*self }
    }

    fn direction(&self) -> Direction {
        if self.descending { Direction::Desc } else { Direction::Asc }
    }

    fn col(&self) -> Expr {
        Expr::col(self.column.as_column_ref())
    }

    fn equals(&self, value: Option<&Value>) -> SimpleExpr {
        match value {
            Some(value) => self.col().eq(value.clone()),
            None => self.col().is_null(),
        }
    }

    /// Returns the condition for the rows with a later value; `None` if there is no later value.
    fn after(&self, value: Option<&Value>) -> Option<SimpleExpr> {
        let Some(value) = value.cloned() else {
            return (self.nulls == Some(Nulls::First)).then(|| self.col().is_not_null());
        };
        let later = if self.descending { self.col().lt(value) } else { self.col().gt(value) };
        Some(if self.nulls == Some(Nulls::Last) { later.or(self.col().is_null()) } else { later })
    }

    /// Returns the condition for the rows with this value or a later one; `None` if the key is nullable.
    fn from(&self, value: Option<&Value>) -> Option<SimpleExpr> {
        let value = value.filter(|_| self.nulls.is_none())?.clone();
        Some(if self.descending { self.col().lte(value) } else { self.col().gte(value) })
    }

    /// Parses the value of the key from a text in a cursor; `None` if the text is not a value.
    #[expect(clippy::option_option, reason = "null is a value here")]
    fn value(&self, text: Option<&str>) -> Option<Option<Value>> {
        let Some(text) = text else { return Some(None) };
        let value = match self.column.def().get_column_type() {
            ColumnType::Boolean => Value::from(text.parse::<bool>().ok()?),
            ColumnType::Uuid => Value::from(Id::parse(text)?.0),
            ColumnType::Integer => Value::from(text.parse::<i32>().ok()?),
            ColumnType::BigInteger => Value::from(text.parse::<i64>().ok()?),
            ColumnType::Date => Value::from(Date::parse(text)?.0),
            ColumnType::TimestampWithTimeZone => {
                Value::from(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
            }
            _ => Value::from(text),
        };
        Some(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{IdenStatic, Iterable};

    use super::super::cursor::to_text;
    use super::*;

    #[test]
    fn a_position_keeps_the_value_of_every_column_of_a_user() {
        let user = user::Model {
            birth_date: Date::parse("1980-07-08"),
            nickname: Some("true".to_owned()),
            ..user::Model::empty(Id::new(), Id::new())
        };
        for column in user::Column::iter() {
            let value = user.get(column);
            let read = SortKey::ascending(column).value(to_text(&value).as_deref());
            let expected = if value == value.as_null() { None } else { Some(value) };
            assert_eq!(read, Some(expected), "{}", column.as_str());
        }
    }
}
