//! Objects to which rows of users refer, and which are created if there are none.

use super::importer::Importer;
use super::origin::Origin;
use super::record::RecordKind;
use super::report::Outcome;
use crate::error::Error;
use crate::scalar::Id;

impl Importer<'_> {
    /// Returns whether the object of a record is left as it is: a row of a user only refers to it, and there is one already, or
    /// several, which is an error of that row.
    pub(super) fn is_left_as_it_is(
        &mut self,
        origin: &Origin,
        kind: RecordKind,
        id: Option<Id>,
    ) -> Result<bool, Error> {
        let Some(key) = &origin.key else { return Ok(false) };
        let index = if kind == RecordKind::Group { &self.groups } else { &self.institutions };
        let found = match id {
            Some(id) => Ok(Some(id).filter(|id| index.ids.contains(id))),
            None => index.find_named(key.trim()),
        };
        match found {
            Ok(None) => Ok(false),
            Ok(Some(id)) => self.count_unchanged(origin, kind, id).map(|()| true),
            Err(_) => Ok(true),
        }
    }

    /// Counts and reports an object that is left as it is, unless it has a row of its own.
    pub(super) fn count_unchanged(&mut self, origin: &Origin, kind: RecordKind, id: Id) -> Result<(), Error> {
        if self.seen.contains(kind, id) {
            return Ok(());
        }
        self.summary.count(Outcome::Unchanged);
        self.report.row(origin, kind, Some(id), Outcome::Unchanged)
    }
}
