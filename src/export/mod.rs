//! Exports: rows as JSON objects with the names of the import format, and the file with all data about one user. The file
//! consists of the same objects as the export of a license, so that a new column of a table is in both.

mod events;
mod object;
mod related;
mod user_file;

pub use self::object::{
    columns, columns_of_user, groups_of, has_content, instant_text, of_avatar, of_row, of_user, sites_of,
};
pub use self::related::{ExportContent, ExportedUser};
pub use self::user_file::{ExportReader, user_file};
