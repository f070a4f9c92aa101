//! Mutations of users, groups, keys and the viewer's own account.

use roster::scalar::Id;
use serde_json::json;

use super::cell::Cell;
use super::oracle::{Change, DONE, Joining, NOT_FOUND, RIGHTS, USER, UserRights};
use super::seat::{GroupCase, Joiner, KeyCase, Known, SiteCase, ViewerCase, World};
use crate::app::PASSWORD;
use crate::user_fields::user_field;

impl ViewerCase<'_> {
    /// Updates of each field alone, as dry runs.
    pub fn changes(&self, fields: &[String]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for known in &self.known {
            for Sample { field, input, change } in samples(fields, known, self.institutions) {
                // For fields that grant no rights only the rank of the target counts; some rights represent the others.
                let stands_for_others = match change {
                    Change::Plain => matches!(field, "nickname" | "email"),
                    Change::Right(right, _) => matches!(right, "isSuperuser" | "isAdmin" | "isProjectAdmin"),
                    _ => true,
                };
                if !known.tries_every_field() && !stands_for_others {
                    continue;
                }
                let expected = self.viewer.updates(&known.target, field, change);
                let input = format!("id: \"{}\", {input}, dryRun: true", known.id.0);
                let note = (field == "nickname").then_some((known.id, "update"));
                cells.push(Cell::noted("updateUser", &input, &self.who(known), expected, note));
            }
            // No user has a picture, so removing it changes nothing.
            let input = format!("id: \"{}\", avatar: null", known.id.0);
            let expected = self.viewer.sets_avatar(&known.target);
            cells.push(Cell::change("setUserAvatar", &input, &self.who(known), expected));
            // A forbidden field stays forbidden together with an allowed one.
            let both = self.viewer.updates(&known.target, "externalId", Change::Plain);
            let input = format!("id: \"{}\", nickname: \"A\", externalId: null, dryRun: true", known.id.0);
            cells.push(Cell::change("updateUser", &input, &self.who(known), both));
        }
        for (guest, holds_sites) in &self.guests {
            for (field, value) in
                [("password", "\"nine-velvet-comets-hum\""), ("password", "null"), ("pin", "\"0417\""), ("pin", "null")]
            {
                let expected = self.viewer.updates(&guest.target, field, Change::Plain);
                let expected = self.viewer.credential_outcome(expected, *holds_sites);
                let input = format!("id: \"{}\", {field}: {value}, dryRun: true", guest.id.0);
                cells.push(Cell::change("updateUser", &input, &self.who(guest), expected));
            }
            for (email, sets_credentials) in [(format!("new.{}", guest.email), true), (guest.email.clone(), false)] {
                // An unchanged email address does not change how the user signs in.
                let is_user = self.viewer.user.is_none() || self.viewer.rank() == 0;
                let field = if sets_credentials || is_user { "email" } else { "nickname" };
                let expected = self.viewer.updates(&guest.target, field, Change::Plain);
                let expected =
                    if sets_credentials { self.viewer.credential_outcome(expected, *holds_sites) } else { expected };
                let input = format!("id: \"{}\", email: \"{email}\", dryRun: true", guest.id.0);
                cells.push(Cell::change("updateUser", &input, &self.who(guest), expected));
            }
        }
        let missing = self.open("updateUser").err().unwrap_or(NOT_FOUND);
        let input = format!("id: \"{}\", nickname: \"A\"", Id::new().0);
        cells.push(Cell::change("updateUser", &input, &self.name, missing));
        cells
    }

    /// Creations of users, as dry runs.
    pub fn creations(&self) -> Vec<Cell> {
        let admin = USER.role("ADMIN");
        let mut given = vec![
            (String::new(), USER),
            ("role: USER".to_owned(), USER),
            ("role: ADMIN".to_owned(), admin),
            ("role: LICENSE_ADMIN".to_owned(), USER.role("LICENSE_ADMIN")),
            ("isStaff: true".to_owned(), USER.staff()),
            ("fullSiteAccess: true".to_owned(), USER.everywhere()),
            ("isActive: false".to_owned(), USER.inactive()),
            ("password: \"nine-velvet-comets-hum\", pin: \"0417\"".to_owned(), USER),
            ("role: ADMIN, fullSiteAccess: true".to_owned(), admin.everywhere()),
            ("role: ADMIN, adminRights: { isProjectAdmin: true }".to_owned(), admin.with("isProjectAdmin")),
            ("role: ADMIN, adminRights: { isSuperuser: true }".to_owned(), admin.with("isSuperuser")),
        ];
        for right in RIGHTS {
            given.push((format!("adminRights: {{ {right}: true }}"), USER.with(right)));
            given.push((format!("adminRights: {{ {right}: false }}"), USER));
        }
        given.push(("sendRegistrationEmail: true".to_owned(), USER));
        given.push(("sendRegistrationEmail: false".to_owned(), USER));
        given.push(("pin: \"0417\"".to_owned(), USER));
        let rows: Vec<Cell> = given.iter().filter_map(|(given, user)| self.row(given, user)).collect();
        let cell = |(given, user): (String, UserRights)| {
            let sets_credentials = given.contains("pin") || given.contains("sendRegistrationEmail: true");
            let address = Id::new().0;
            let input = format!(
                "firstName: \"Ada\", lastName: \"Byron\", email: \"{address}@x.example\", dryRun: true, {given}"
            );
            Cell::change("createUser", &input, &self.name, self.viewer.creates(&user, sets_credentials))
        };
        given.into_iter().map(cell).chain(rows).collect()
    }

    /// The creation of the same user by a row of an import, which sets no credentials.
    fn row(&self, given: &str, user: &UserRights) -> Option<Cell> {
        if ["password", "pin", "sendRegistrationEmail"].iter().any(|field| given.contains(field)) {
            return None;
        }
        let address = Id::new().0;
        let row = format!("firstName: \"Ada\", lastName: \"Byron\", email: \"{address}@x.example\", {given}");
        let input = format!("rows: [{{ {row} }}], dryRun: true");
        Some(Cell::change("importUsers", &input, &self.name, self.viewer.creates(user, false)))
    }

    /// Memberships: each change of each joiner in each of the viewer's groups.
    pub fn joinings(&self, world: &World) -> Vec<Cell> {
        let mut cells = Vec::new();
        for GroupCase { id: group, license, own } in &self.groups {
            for Joiner { id: user_id, user, from, to } in &world.joiners {
                // One user of the wrong license is enough.
                if user.license != *license && (from.is_some() || *to != Some("MEMBER")) {
                    continue;
                }
                let joining = Joining { license: *license, own: *own, from: *from, to: *to, user: *user };
                let expected = self.viewer.changes_members(&joining);
                let who =
                    format!("{}, {own:?} in a group of {license}, a {from:?} of {} to {to:?}", self.name, user.license);
                let ids = format!("groupId: \"{}\", userId: \"{}\"", group.0, user_id.0);
                cells.push(match to {
                    Some(to) => Cell::change("setGroupMember", &format!("{ids}, role: {to}"), &who, expected),
                    None => Cell::change("removeGroupMember", &ids, &who, expected),
                });
            }
        }
        cells.push(Cell::change(
            "createGroup",
            "name: \"Ward\"",
            &self.name,
            self.open("createGroup").err().unwrap_or(DONE),
        ));
        let created = self.open("createInstitution").err().unwrap_or(DONE);
        let input = "name: \"Ward\", kind: HOSPITAL, country: \"AU\"";
        cells.push(Cell::change("createInstitution", input, &self.name, created));
        cells
    }

    /// Groups and sites: each is changed and deleted, and access to sites is granted and revoked, to the viewer last.
    pub fn places(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for GroupCase { id: group, license, own } in &self.groups {
            let who = format!("{}, {own:?} in a group of {license}", self.name);
            for (field, more) in [("updateGroup", ", name: \"Other\""), ("deleteGroup", "")] {
                let expected = self.viewer.changes_group(field, *license, *own);
                cells.push(Cell::change(field, &format!("id: \"{}\"{more}", group.0), &who, expected));
            }
        }
        if let Some(own) = self.known.iter().find(|known| known.target.is_self) {
            for GroupCase { id: group, license, own: role } in &self.groups {
                let is_gone = self.viewer.changes_group("deleteGroup", *license, *role) == DONE;
                let expected = if is_gone { NOT_FOUND } else { self.viewer.leaves(*license) };
                let who = format!("{}, {role:?} in a group of {license}, leaves", self.name);
                for _ in 0..2 {
                    let input = format!("groupId: \"{}\", userId: \"{}\"", group.0, own.id.0);
                    cells.push(Cell::change("removeGroupMember", &input, &who, expected));
                }
            }
        }
        let [given, changed] = &self.sites;
        for SiteCase { id: site, license, is_granted } in changed {
            let who = format!("{}, a site of {license}, granted: {is_granted}", self.name);
            for (field, more) in [("updateInstitution", ", city: \"Cork\""), ("deleteInstitution", "")] {
                let expected = self.viewer.changes_site(field, *license, *is_granted);
                cells.push(Cell::change(field, &format!("id: \"{}\"{more}", site.0), &who, expected));
            }
        }
        // Viewers who can delete institutions get an error, because users belong to these.
        for (institution, license) in self.institutions.iter().zip(['A', 'B']) {
            let expected = match self.viewer.changes_site("deleteInstitution", license, false) {
                DONE => "NOT_ALLOWED",
                error_code => error_code,
            };
            cells.push(Cell::change("deleteInstitution", &format!("id: \"{}\"", institution.0), &self.name, expected));
        }
        for known in &self.known {
            for SiteCase { id: site, license, is_granted } in given {
                let who = format!("{}, a site of {license}, granted: {is_granted}", self.who(known));
                for field in ["grantSiteAccess", "grantSiteAccess", "revokeSiteAccess"] {
                    let expected = self.viewer.gives_site(field, &known.target, *license, *is_granted);
                    let input = format!("userId: \"{}\", institutionId: \"{}\"", known.id.0, site.0);
                    cells.push(Cell::change(field, &input, &who, expected));
                }
            }
        }
        cells
    }

    /// Rows of imports, as dry runs: a new user becomes the owner of each group, and each target gets access to each site.
    pub fn imported_relations(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for GroupCase { id: group, license, own } in &self.groups {
            let who = format!("{}, {own:?} in a group of {license}", self.name);
            let names = format!("firstName: \"Ada\", lastName: \"Byron\", email: \"{}@x.example\"", Id::new().0);
            let row = format!("{names}, groups: [{{ group: \"{}\", role: OWNER }}]", group.0);
            let input = format!("rows: [{{ {row} }}], dryRun: true");
            cells.push(Cell::change("importUsers", &input, &who, self.viewer.imports_owner(*license)));
        }
        for known in &self.known {
            for SiteCase { id: site, license, is_granted } in &self.sites[0] {
                let Some(expected) = self.viewer.imports_site(&known.target, *license, *is_granted) else { continue };
                let who = format!("{}, a site of {license}, granted: {is_granted}", self.who(known));
                let row = format!("email: \"{}\", sites: [\"{}\"]", known.email, site.0);
                let input = format!("rows: [{{ {row} }}], dryRun: true");
                cells.push(Cell::change("importUsers", &input, &who, expected));
            }
        }
        cells
    }

    /// Defines, changes and removes an attribute of the viewer's own.
    pub fn definitions(&self) -> Vec<Cell> {
        let name = format!("name: \"{}\"", self.token);
        let open = |field: &str| self.open(field).err().unwrap_or(DONE);
        let removed = self.open("removeAttribute").err().unwrap_or(NOT_FOUND);
        vec![
            Cell::change(
                "defineAttribute",
                &format!("{name}, label: \"A\", kind: DATE"),
                &self.name,
                open("defineAttribute"),
            ),
            Cell::change(
                "defineAttribute",
                &format!("{name}, userEditable: true"),
                &self.name,
                open("defineAttribute"),
            ),
            Cell::change("removeAttribute", &name, &self.name, open("removeAttribute")),
            Cell::change("removeAttribute", &name, &self.name, removed),
        ]
    }

    /// Renamings of both licenses.
    pub fn renamings(&self, world: &World) -> Vec<Cell> {
        let rename = |(id, license): (&Id, char)| {
            let input = format!("id: \"{}\", holder: \"{}\"", id.0, self.token);
            let who = format!("{}, license {license}", self.name);
            Cell::change("renameLicense", &input, &who, self.viewer.renames_license(license))
        };
        world.licenses.iter().zip(['A', 'B']).map(rename).collect()
    }

    pub fn keys(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for role in ["USER", "ADMIN", "LICENSE_ADMIN"] {
            let input = format!("name: \"Weekly\", role: {role}");
            cells.push(Cell::change("createApiKey", &input, &self.name, self.viewer.makes_key(role)));
        }
        for KeyCase { id, license, is_own } in &self.keys {
            let expected = match self.open("revokeApiKey") {
                Err(error_code) => error_code,
                Ok(()) if self.viewer.sees_key(*license, *is_own) => DONE,
                Ok(()) => NOT_FOUND,
            };
            let who = format!("{}, a key of {license}, own {is_own}", self.name);
            cells.push(Cell::change("revokeApiKey", &format!("id: \"{}\"", id.0), &who, expected));
        }
        cells
    }

    /// Invitations of users with access to sites, while the viewer still has the access granted at the beginning.
    pub fn invitations(&self) -> Vec<Cell> {
        let invite = |(guest, holds_sites): &(Known, bool)| {
            let expected = self.viewer.credential_outcome(self.viewer.invites(&guest.target), *holds_sites);
            Cell::change("resendActivation", &format!("id: \"{}\"", guest.id.0), &self.who(guest), expected)
        };
        self.guests.iter().map(invite).collect()
    }

    /// For each target, in this order: unlock, invite, export, forget a device, end a session, set inactive and active, delete.
    pub fn switchings(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for known in &self.known {
            let (who, target, id) = (self.who(known), &known.target, format!("id: \"{}\"", known.id.0));
            cells.push(Cell::change("unlockUser", &id, &who, self.viewer.switches(target, "unlockUser")));
            cells.push(Cell::change("resendActivation", &id, &who, self.viewer.invites(target)));
            cells.push(Cell::change("exportUser", &id, &who, self.viewer.exports(target)));
            if let Some(device) = known.device {
                let input = format!("id: \"{}\"", device.0);
                cells.push(Cell::change("forgetDevice", &input, &who, self.viewer.forgets_device(target)));
            }
            let ending =
                format!("userId: \"{}\", sessionIds: [\"{}\"]", known.id.0, known.session.unwrap_or_default().0);
            cells.push(Cell::change("endSessions", &ending, &who, self.viewer.ends_sessions(target)));
            let expected = self.viewer.switches(target, "setActive");
            for active in [!target.user.is_active, target.user.is_active] {
                let note = Some((known.id, "setActive"));
                cells.push(Cell::noted("setActive", &format!("{id}, active: {active}"), &who, expected, note));
            }
            let (expected, note) = (self.viewer.switches(target, "deleteUser"), Some((known.id, "delete")));
            cells.push(Cell::noted("deleteUser", &id, &who, expected, note));
            if expected == DONE {
                // A deleted user is not found.
                cells.push(Cell::change("deleteUser", &id, &who, NOT_FOUND));
            }
        }
        let fields =
            ["unlockUser", "resendActivation", "exportUser", "setActive", "deleteUser", "endSessions", "forgetDevice"];
        for field in fields {
            let id = Id::new().0;
            let input = match field {
                "endSessions" => format!("userId: \"{id}\""),
                "setActive" => format!("id: \"{id}\", active: false"),
                _ => format!("id: \"{id}\""),
            };
            cells.push(Cell::change(field, &input, &self.name, self.open(field).err().unwrap_or(NOT_FOUND)));
        }
        cells
    }

    /// Mutations of the viewer's own account; signing out is the last.
    pub fn account(&self) -> Vec<Cell> {
        let open = |field: &str| self.open(field).err().unwrap_or(DONE);
        let sign_in = if self.email.is_empty() { "INVALID_CREDENTIALS" } else { DONE };
        let change = format!("currentPassword: \"{PASSWORD}\", newPassword: \"nine-velvet-comets-hum\"");
        let link = format!("token: \"rol_of-nobody\", password: \"{PASSWORD}\"");
        let credentials = format!("login: \"{}\", password: \"{PASSWORD}\"", self.email);
        let (way, expected) = (format!("{}: logout", self.name), open("logout"));
        let address = format!("newEmail: \"{}@new.example\", currentPassword: \"{PASSWORD}\"", Id::new().0);
        // Invalid, because requests for emails are rate-limited.
        let stranger = "firstName: \" \", lastName: \"Moss\", email: \"eve@matrix.example\"";
        vec![
            Cell::change("requestEmailChange", &address, &self.name, open("requestEmailChange")),
            Cell::change("requestPasswordReset", "email: \"nobody\"", &self.name, "INVALID"),
            Cell::change("resetPassword", &link, &self.name, "EXPIRED"),
            Cell::change("confirmEmailChange", "token: \"rol_of-nobody\"", &self.name, "EXPIRED"),
            Cell::change("registerUser", stranger, &self.name, "REQUIRED"),
            Cell::change("login", &credentials, &self.name, sign_in),
            Cell::change("activateAccount", &link, &self.name, "EXPIRED"),
            Cell::change("setPin", "pin: \"0417\"", &self.name, open("setPin")),
            Cell::change("changePassword", &change, &self.name, open("changePassword")),
            Cell::change("endSessions", "includeCurrent: false", &self.name, open("endSessions")),
            Cell::new("logout", " { success }", move |response, summary| {
                summary.expect(|| way, &json!(expected), &json!(response.outcome()));
            }),
        ]
    }
}

/// A value for a field of the input, and what it changes.
pub struct Sample {
    /// The name of the field or, of a custom attribute, the name of the attribute.
    pub field: &'static str,
    /// The field with the value, as it is written in a document.
    pub input: String,
    pub change: Change,
}

impl Sample {
    fn new(field: &'static str, value: &str, change: Change) -> Self {
        Self { field, input: format!("{field}: {value}"), change }
    }
}

/// Values for each field of the input.
pub fn samples(fields: &[String], known: &Known, institutions: [Id; 2]) -> Vec<Sample> {
    fields.iter().flat_map(|field| samples_of_field(field, known, institutions)).collect()
}

fn samples_of_field(field: &str, known: &Known, institutions: [Id; 2]) -> Vec<Sample> {
    let plain = |field: &'static str, value: &str| Sample::new(field, value, Change::Plain);
    match field {
        "password" => ["\"nine-velvet-comets-hum\"", "null"].map(|value| plain("password", value)).into(),
        "pin" => ["\"0417\"", "null"].map(|value| plain("pin", value)).into(),
        "institutionId" => {
            let institution = institutions[usize::from(known.target.user.license == 'B')].0;
            vec![plain("institutionId", &format!("\"{institution}\"")), plain("institutionId", "null")]
        }
        "attributes" => {
            let sample = |(name, value): (&'static str, &str)| Sample {
                field: name,
                input: format!("attributes: [{{ name: \"{name}\", value: {value} }}]"),
                change: Change::Plain,
            };
            [("badge", "\"7\""), ("badge", "null"), ("birthplace", "\"Cork\"")].map(sample).into()
        }
        "externalReferences" => {
            ["[]", "[{ source: \"most\", id: \"1\" }]"].map(|value| plain("externalReferences", value)).into()
        }
        _ => {
            let field = user_field(field).unwrap_or_else(|| panic!("{field} is not in the table of fields"));
            if field.grants_rights {
                return samples_of_rights(field.name);
            }
            // The first value may be the current one.
            let value = field.accepted.get(1).or(field.accepted.first()).map(|accepted| field.literal(&accepted.value));
            // Other tests remove the email address, which some users cannot do without.
            let null = (field.is_optional && field.name != "email").then(|| "null".to_owned());
            null.into_iter().chain(value).map(|value| plain(field.name, &value)).collect()
        }
    }
}

/// Values for a field that grants rights.
fn samples_of_rights(field: &'static str) -> Vec<Sample> {
    let flags = [false, true];
    match field {
        "role" => ["USER", "ADMIN", "LICENSE_ADMIN"].map(|role| Sample::new(field, role, Change::Role(role))).into(),
        "isStaff" => flags.map(|is| Sample::new(field, &is.to_string(), Change::Staff(is))).into(),
        "fullSiteAccess" => flags.map(|is| Sample::new(field, &is.to_string(), Change::Everywhere(is))).into(),
        "adminRights" => {
            let sample = |right: &'static str, is: bool| {
                Sample::new(field, &format!("{{ {right}: {is} }}"), Change::Right(right, is))
            };
            RIGHTS.into_iter().flat_map(|right| flags.map(|is| sample(right, is))).collect()
        }
        other => panic!("{other} grants rights and has no case in the matrix"),
    }
}
