//! Newline-delimited JSON with everything: what an import reads. The same directory is always exported as the same bytes.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::snapshot::Snapshot;
use crate::entity::avatar::ContentType;
use crate::error::Error;
use crate::export::{ExportedUser, of_avatar, of_row, of_user};
use crate::private_file;

/// Writes a license. Pictures become files in `avatar_dir`, if it is given.
pub(in crate::cli) async fn write_ndjson(
    snapshot: &Snapshot,
    output: &mut impl Write,
    avatar_dir: Option<&Path>,
    with_audit: bool,
) -> Result<(), Error> {
    write_line(output, "license", of_row(&snapshot.license))?;
    for definition in snapshot.definitions.values() {
        write_line(output, "attribute", of_row(definition))?;
    }
    snapshot.for_each_institution(|row| write_line(output, "institution", of_row(row))).await?;
    snapshot.for_each_group(|row| write_line(output, "group", of_row(row))).await?;
    let write_user = |user: &ExportedUser| {
        let avatar = export_avatar(user, avatar_dir)?;
        write_line(output, "user", of_user(user, &snapshot.definitions, avatar))
    };
    snapshot.for_each_user(write_user).await?;
    if with_audit { write_audit(snapshot, output).await } else { Ok(()) }
}

async fn write_audit(snapshot: &Snapshot, output: &mut impl Write) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let page = snapshot.audit_events(after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        for event in &page {
            let mut object = of_row(event);
            if let Some(changes) = &event.changes {
                let changes = serde_json::from_str(changes).map_err(Error::internal)?;
                object.insert("changes".to_owned(), changes);
            }
            write_line(output, "auditEvent", object)?;
        }
    }
}

/// Returns the member for a user's picture, and writes the picture to a file if it is not to be in the output.
fn export_avatar(user: &ExportedUser, dir: Option<&Path>) -> Result<Option<Value>, Error> {
    let Some(avatar) = &user.avatar else { return Ok(None) };
    let Some(dir) = dir else { return Ok(Some(of_avatar(avatar))) };
    let extension = match avatar.content_type {
        ContentType::Png => "png",
        ContentType::Jpeg => "jpeg",
    };
    let name = format!("{}.{extension}", user.row.id.0);
    private_file::write(&dir.join(&name), &avatar.content).map_err(Error::internal)?;
    Ok(Some(json!({ "file": name })))
}

fn write_line(output: &mut impl Write, kind: &str, object: Map<String, Value>) -> Result<(), Error> {
    let line = Value::Object(Map::from_iter([(kind.to_owned(), Value::Object(object))]));
    serde_json::to_writer(&mut *output, &line).map_err(Error::internal)?;
    output.write_all(b"\n").map_err(Error::internal)
}
