//! The request for a page of a list, validated from the pagination arguments.

use sea_orm::EntityTrait;
use sea_orm::sea_query::Condition;

use super::cursor::{Cursor, CursorKey, ListFingerprint, Position};
use super::order::{NullPartition, Order};
use super::{Page, PositionedRow};
use crate::error::Error;

/// The default number of rows on a page.
pub const DEFAULT_PAGE_SIZE: u64 = 50;
/// Maximum number of rows on a page.
pub const MAX_PAGE_SIZE: u64 = 100;

/// The four pagination arguments of a connection.
#[derive(Clone, Debug, Default)]
pub struct PageArgs {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// A validated request for a page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest {
    list: ListFingerprint,
    pub(super) size: u64,
    is_backward: bool,
    pub(super) after: Option<Position>,
    before: Option<Position>,
}

impl PageRequest {
    /// Validates the pagination arguments. `list` identifies the list, with everything that its rows depend on: a cursor of
    /// another list is an error.
    ///
    /// # Errors
    /// `BadInput` with all invalid arguments.
    pub fn new(args: PageArgs, list_name: &str, key: &CursorKey) -> Result<Self, Error> {
        let mut errors = Vec::new();
        let mut size = |name: &str, given: Option<i32>| match given.map(u64::try_from) {
            Some(Ok(valid @ 1..=MAX_PAGE_SIZE)) => Some(valid),
            None => None,
            Some(_) => {
                errors.push(format!("{name}: must be a number from 1 to {MAX_PAGE_SIZE}."));
                None
            }
        };
        let (first, last) = (size("first", args.first), size("last", args.last));
        let mut position = |name: &str, given: Option<String>| {
            let given = given?;
            let position = key.decode(list_name, &given);
            if position.is_none() {
                errors.push(format!("{name}: must be a cursor of this list, with the same filter and order."));
            }
            position
        };
        let (after, before) = (position("after", args.after), position("before", args.before));
        if args.first.is_some() && args.last.is_some() {
            errors.push("first, last: at most one of them can be given.".to_owned());
        }
        if !errors.is_empty() {
            return Err(Error::BadInput(errors.join(" ")));
        }
        Ok(Self {
            list: key.of_list(list_name),
            size: first.or(last).unwrap_or(DEFAULT_PAGE_SIZE),
            is_backward: args.last.is_some(),
            after,
            before,
        })
    }

    /// Returns the number of rows of the page.
    #[must_use]
    pub fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    /// Returns the position after which the page begins, as `parse` reads it. `None` for the beginning of the list.
    ///
    /// # Errors
    /// `BadInput` if `parse` cannot read it.
    pub fn begin<P>(&self, parse: impl FnOnce(&[Option<String>]) -> Option<P>) -> Result<Option<P>, Error> {
        let damaged =
            || Error::BadInput("after: must be a cursor of this list, with the same filter and order.".to_owned());
        self.after.as_ref().map(|after| parse(after.as_slice()).ok_or_else(damaged)).transpose()
    }

    /// Returns the request without its list and page size; it is equal for all requests for the same part of any list.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { list: ListFingerprint::default(), size: 0, ..self.clone() }
    }

    /// Returns the smallest request that contains all of `requests`, which must be requests for this part.
    #[must_use]
    pub fn around(part: Self, requests: &[&Self]) -> Self {
        let size = requests.iter().map(|request| request.size).max().unwrap_or_default();
        Self { size, ..part }
    }

    /// Returns the page of each of several requests for one part, made of the rows of the request [around](Self::around) them.
    #[must_use]
    pub fn pages<'a, R: Clone>(requests: &[&'a Self], rows: Vec<PositionedRow<R>>) -> Vec<(&'a Self, Page<R>)> {
        let Some((last, others)) = requests.split_last() else { return Vec::new() };
        let of_others = others.iter().map(|request| {
            let rows = rows.iter().take(usize::try_from(request.size + 1).unwrap_or(usize::MAX));
            (*request, request.page(rows.cloned().collect()))
        });
        let mut pages: Vec<_> = of_others.collect();
        pages.push((*last, last.page(rows)));
        pages
    }

    /// Returns the order in which the rows are read.
    pub(super) fn direction<E: EntityTrait>(&self, order: &Order<E>) -> Order<E> {
        if self.is_backward { order.reversed() } else { order.clone() }
    }

    /// Returns the condition for the rows of a part of the list that lie between the cursors.
    pub(super) fn between<E: EntityTrait>(&self, order: &Order<E>, part: NullPartition) -> Result<Condition, Error> {
        let damaged = || {
            Error::BadInput("after, before: must be a cursor of this list, with the same filter and order.".to_owned())
        };
        let after = self.after.as_ref().map(|position| order.after(part, position).ok_or_else(damaged));
        let before = self.before.as_ref().map(|position| order.reversed().after(part, position).ok_or_else(damaged));
        Ok(order.rows(part).add_option(after.transpose()?).add_option(before.transpose()?))
    }

    /// Makes a page of rows that were read in the direction of the request: one row more than the page holds, if there is one.
    pub(super) fn page<R>(&self, mut rows: Vec<PositionedRow<R>>) -> Page<R> {
        let size = self.size();
        let has_more = rows.len() > size;
        rows.truncate(size);
        if self.is_backward {
            rows.reverse();
        }
        Page {
            rows: rows.into_iter().map(|(position, row)| (Cursor { list: self.list, position }, row)).collect(),
            has_previous: if self.is_backward { has_more } else { self.after.is_some() },
            has_next: if self.is_backward { self.before.is_some() } else { has_more },
        }
    }
}
