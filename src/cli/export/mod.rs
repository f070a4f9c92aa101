//! Export: everything of one license, read page by page from one snapshot of the database, so that it uses constant memory and
//! changes made by running servers do not affect it.

mod ldif;
mod ndjson;
mod output;
mod scim;
mod snapshot;
mod table;

pub(super) use self::ldif::write_ldif;
pub(super) use self::ndjson::write_ndjson;
pub(super) use self::output::Output;
pub(super) use self::scim::write_scim;
pub(super) use self::snapshot::Snapshot;
pub(super) use self::table::write_table;
