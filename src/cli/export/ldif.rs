//! LDAP entries (RFC 2849): users as inetOrgPerson, groups as groupOfNames, institutions as organization.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use sea_orm::ActiveEnum;

use super::snapshot::Snapshot;
use crate::auth::password::is_keyed;
use crate::entity::external_reference::{self, StoredReferences};
use crate::entity::membership::GroupRole;
use crate::entity::{group, institution};
use crate::error::Error;
use crate::export::ExportedUser;
use crate::scalar::Id;

/// The maximum length of a line, in bytes.
const LINE_LENGTH: usize = 76;
/// The attribute with the external references, for which the standard schemas have none. Each value is a text such as `hr:7`.
const REFERENCE: &str = "rosterExternalReference";
/// The class of the entries that an import takes for institutions. Other directories have organizations that are none.
const INSTITUTION_CLASS: &str = "rosterInstitution";
/// The attributes of users with the institution, and with each site that they were given access to, by distinguished name.
const INSTITUTION: &str = "rosterInstitutionDN";
const SITE: &str = "rosterSiteDN";
/// The attribute of users with the role in a group, for owners and managers: a text such as `ID=OWNER`.
const GROUP_ROLE: &str = "rosterGroupRole";

/// Writes the institutions, groups and users of a license. An import has to know the others before it reads who belongs to them.
pub(in crate::cli) async fn write_ldif(snapshot: &Snapshot, output: &mut impl Write, base: &str) -> Result<(), Error> {
    output.write_all(b"version: 1\n").map_err(Error::internal)?;
    let write = |row: &institution::Model| output.write_all(&institution_entry(row, base)).map_err(Error::internal);
    snapshot.for_each_institution(write).await?;
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

fn institution_dn(id: Id, base: &str) -> String {
    format!("entryUUID={},ou=institutions,{base}", id.0)
}

fn institution_entry(row: &institution::Model, base: &str) -> Vec<u8> {
    let mut entry = Entry::new(&institution_dn(row.id, base));
    entry.add("objectClass", "organization");
    entry.add("objectClass", INSTITUTION_CLASS);
    entry.add("entryUUID", &row.id.0.to_string());
    entry.add("o", &row.name);
    entry.add("businessCategory", &row.kind.to_value());
    entry.add("c", &row.country);
    let beds = row.num_beds.map(|beds| beds.to_string());
    let optional = [
        ("st", &row.state),
        ("l", &row.city),
        ("street", &row.address),
        ("postalCode", &row.postcode),
        ("telephoneNumber", &row.phone),
        ("mail", &row.email),
        ("rosterBeds", &beds),
        ("rosterExternalId", &row.external_id),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            entry.add(name, value);
        }
    }
    entry.add_references(row.external_references.as_ref());
    entry.0
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
        ("o", given(&user.institution_name)),
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
    add_relations(&mut entry, user, base);
    entry.0
}

/// Adds the institution, sites and groups of a user.
fn add_relations(entry: &mut Entry, user: &ExportedUser, base: &str) {
    if let Some(id) = user.row.institution_id {
        entry.add(INSTITUTION, &institution_dn(id, base));
    }
    if user.row.has_own_full_site_access() {
        entry.add("rosterFullSiteAccess", "TRUE");
    }
    for grant in &user.grants {
        entry.add(SITE, &institution_dn(grant.institution_id, base));
    }
    for membership in &user.memberships {
        entry.add("memberOf", &group_dn(membership.group_id, base));
        if membership.role != GroupRole::Member {
            entry.add(GROUP_ROLE, &format!("{}={}", membership.group_id.0, membership.role.to_value()));
        }
    }
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
