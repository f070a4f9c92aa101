//! LDAP entries (RFC 2849): users as inetOrgPerson, groups as groupOfNames.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::snapshot::Snapshot;
use crate::auth::password::is_keyed;
use crate::entity::external_reference::{self, StoredReferences};
use crate::entity::group;
use crate::error::Error;
use crate::export::ExportedUser;
use crate::scalar::Id;

/// The maximum length of a line, in bytes.
const LINE_LENGTH: usize = 76;
/// The attribute with the external references, for which the standard schemas have none. Each value is a text such as `hr:7`.
const REFERENCE: &str = "rosterExternalReference";

/// Writes the groups and users of a license. An import has to know the groups before it reads who belongs to them.
pub(in crate::cli) async fn write_ldif(snapshot: &Snapshot, output: &mut impl Write, base: &str) -> Result<(), Error> {
    output.write_all(b"version: 1\n").map_err(Error::internal)?;
    let mut after: Option<Id> = None;
    loop {
        let page = snapshot.groups(after).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for group in &page {
            write_group(snapshot, output, group, base).await?;
        }
    }
    snapshot.for_each_user(|user| output.write_all(&user_entry(user, base)).map_err(Error::internal)).await
}

fn user_dn(id: Id, base: &str) -> String {
    format!("entryUUID={},ou=users,{base}", id.0)
}

fn group_dn(id: Id, base: &str) -> String {
    format!("entryUUID={},ou=groups,{base}", id.0)
}

fn user_entry(user: &ExportedUser, base: &str) -> Vec<u8> {
    let row = &user.row;
    let mut entry = Entry::new(&user_dn(row.id, base));
    entry.add("objectClass", "inetOrgPerson");
    entry.add("entryUUID", &row.id.0.to_string());
    entry.add("cn", &row.name());
    entry.add("givenName", &row.first_name);
    entry.add("sn", &row.last_name);
    let given = |value: &Option<String>| value.clone().unwrap_or_default();
    let optional = [
        ("uid", given(&row.username)),
        ("mail", given(&row.email)),
        ("telephoneNumber", given(&row.phone)),
        ("mobile", given(&row.mobile)),
        ("title", given(&row.position)),
        ("employeeNumber", given(&row.external_id)),
        ("labeledURI", row.website.as_ref().map(|url| url.0.clone()).unwrap_or_default()),
    ];
    optional.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| entry.add(name, value));
    entry.add_references(row.external_references.as_ref());
    // Hashes that Roster made work nowhere else.
    if let Some(hash) = user.password_hash.as_ref().filter(|hash| !is_keyed(hash)) {
        entry.add("userPassword", hash);
    }
    if let Some(avatar) = &user.avatar {
        entry.add_bytes("jpegPhoto", &avatar.content);
    }
    if !row.is_active {
        entry.add("nsAccountLock", "TRUE");
    }
    for row in &user.memberships {
        entry.add("memberOf", &group_dn(row.group_id, base));
    }
    entry.0
}

async fn write_group(
    snapshot: &Snapshot,
    output: &mut impl Write,
    group: &group::Model,
    base: &str,
) -> Result<(), Error> {
    let mut entry = Entry::new(&group_dn(group.id, base));
    entry.add("objectClass", "groupOfNames");
    entry.add("entryUUID", &group.id.0.to_string());
    entry.add("cn", &group.name);
    if let Some(description) = &group.description {
        entry.add("description", description);
    }
    entry.add_references(group.external_references.as_ref());
    output.write_all(&entry.0).map_err(Error::internal)?;
    let mut after: Option<Id> = None;
    loop {
        let members = snapshot.members(group.id, after).await?;
        let Some(last) = members.last() else { return Ok(()) };
        after = Some(*last);
        let mut lines = Entry(Vec::new());
        for id in &members {
            lines.add("member", &user_dn(*id, base));
        }
        output.write_all(&lines.0).map_err(Error::internal)?;
    }
}

/// The lines of an entry.
struct Entry(Vec<u8>);

impl Entry {
    fn new(dn: &str) -> Self {
        let mut entry = Self(b"\n".to_vec());
        entry.add("dn", dn);
        entry
    }

    /// Adds a value; in base64 if it is not a safe string.
    fn add(&mut self, name: &str, value: &str) {
        let is_safe = value.bytes().all(|byte| byte.is_ascii() && !matches!(byte, 0 | b'\n' | b'\r'))
            && !value.starts_with([' ', ':', '<'])
            && !value.ends_with(' ');
        if is_safe {
            self.add_line(&format!("{name}: {value}"));
        } else {
            self.add_bytes(name, value.as_bytes());
        }
    }

    fn add_references(&mut self, references: Option<&StoredReferences>) {
        for reference in external_reference::list(references) {
            self.add(REFERENCE, &reference.text());
        }
    }

    fn add_bytes(&mut self, name: &str, value: &[u8]) {
        self.add_line(&format!("{name}:: {}", STANDARD.encode(value)));
    }

    /// Adds a line of ASCII, folded.
    fn add_line(&mut self, line: &str) {
        let (first, rest) = line.as_bytes().split_at_checked(LINE_LENGTH).unwrap_or((line.as_bytes(), &[]));
        self.0.extend(first);
        for part in rest.chunks(LINE_LENGTH - 1) {
            self.0.extend(b"\n ");
            self.0.extend(part);
        }
        self.0.push(b'\n');
    }
}
