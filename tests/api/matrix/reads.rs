//! Which values of users are visible, on every path to them.

use roster::scalar::Id;
use serde_json::{Value, json};

use super::cell::{Cell, Summary};
use super::oracle::{ATTRIBUTES, Change, DONE, FORBIDDEN, RIGHTS, UNAUTHENTICATED, Viewer};
use super::seat::{KeyCase, Known, SOURCE, ViewerCase, World};
use crate::user_fields::PRIVATE_FIELDS;

impl ViewerCase<'_> {
    /// Every path to a user.
    pub fn reads(&self, world: &World) -> Vec<Cell> {
        let (viewer, name) = (self.viewer, self.name.as_str());
        let mut cells = Vec::new();
        let own = self.known.iter().find(|known| known.target.is_self).cloned();
        let way = format!("{name}: viewer");
        cells.push(Cell::new("viewer", " { ...Seen }", move |response, summary| match own {
            None => summary.expect(|| way, &json!("null"), &json!(response.outcome())),
            Some(own) => check_user(summary, &way, &viewer, &own, Some(&response.value), true),
        }));
        for known in &self.known {
            cells.extend(self.ways_to(known));
        }
        for (field, ids) in [("group", self.shared_groups), ("institution", self.institutions)] {
            for (place, id) in ids.into_iter().enumerate() {
                let license = ['A', 'B'][place];
                cells.push(self.list_cell(field, id, license, false));
            }
        }
        for (license, id) in ['A', 'B'].into_iter().zip(self.shared_groups) {
            cells.push(self.list_cell("group", id, license, true));
        }
        for (license, id) in ['A', 'B'].into_iter().zip(world.licenses) {
            cells.push(Cell::query("license", &format!("(id: \"{}\") {{ id }}", id.0), name, self.shown(license)));
        }
        let missing = Id::new().0;
        for field in ["user", "node", "group", "institution", "license"] {
            let rest =
                if field == "user" { format!("(by: {{ id: \"{missing}\" }})") } else { format!("(id: \"{missing}\")") };
            let expected = if viewer.user.is_none() { UNAUTHENTICATED } else { "null" };
            cells.push(Cell::query(field, &format!("{rest} {{ id }}"), name, expected));
        }
        cells.extend(self.lists(world));
        cells
    }

    pub fn shown(&self, license: char) -> &'static str {
        match self.open("node") {
            Err(error_code) => error_code,
            Ok(()) if self.viewer.reaches(license) => "value",
            Ok(()) => "null",
        }
    }

    pub fn ways_to(&self, known: &Known) -> Vec<Cell> {
        let (viewer, who) = (self.viewer, self.who(known));
        let mut cells = Vec::new();
        let found = match self.open("user") {
            Err(error_code) => error_code,
            Ok(()) if viewer.finds(&known.target) => "value",
            Ok(()) => "null",
        };
        let id = known.id.0;
        for (field, rest) in [
            ("user", format!("(by: {{ id: \"{id}\" }}) {{ ...Seen }}")),
            ("node", format!("(id: \"{id}\") {{ id ...Seen }}")),
        ] {
            let (way, known) = (format!("{}: {field}", self.name), known.clone());
            cells.push(Cell::new(field, &rest, move |response, summary| match response.code.as_deref() {
                Some(code) => summary.expect(|| way, &json!(found), &json!(code)),
                None => check_user(summary, &way, &viewer, &known, Some(&response.value), found == "value"),
            }));
        }
        for (by, value) in [("username", &known.username), ("email", &known.email)] {
            cells.push(Cell::query("user", &format!("(by: {{ {by}: \"{value}\" }}) {{ id }}"), &who, found));
        }
        let by_external_id = match viewer.user.map(|_| viewer.looks_up_private()) {
            None => UNAUTHENTICATED,
            Some(Err(error_code)) => error_code,
            // Only in the viewer's own license: external IDs are unique per license.
            Some(Ok(())) if known.target.user.license == 'A' => "value",
            Some(Ok(())) => "null",
        };
        let rest = format!("(by: {{ externalId: \"{}\" }}) {{ id }}", known.private_text("externalId"));
        cells.push(Cell::query("user", &rest, &who, by_external_id));
        let reference = format!("{{ source: \"{SOURCE}\", id: \"{}\" }}", known.private_text("externalId"));
        let rest = format!("(by: {{ externalReference: {reference} }}) {{ id }}");
        cells.push(Cell::query("user", &rest, &who, by_external_id));
        if let Some(session) = known.session {
            let expected = match self.open("node") {
                Err(error_code) => error_code,
                Ok(()) if viewer.sees_private(&known.target) => "value",
                Ok(()) => "null",
            };
            cells.push(Cell::query(
                "node",
                &format!("(id: \"{}\") {{ id }}", session.0),
                &format!("{who}: a session"),
                expected,
            ));
        }
        cells
    }

    /// The users of a group or an institution. Only groups can include the inactive ones.
    pub fn list_cell(&self, field: &'static str, id: Id, license: char, include_inactive: bool) -> Cell {
        let (viewer, way) = (self.viewer, format!("{}: {field} of {license}, {include_inactive}", self.name));
        let users = if field == "group" { "members" } else { "users" };
        let arguments = if include_inactive { "first: 50, includeInactive: true" } else { "first: 50" };
        let rest = format!("(id: \"{}\") {{ id {users}({arguments}) {{ totalCount nodes {{ ...Seen }} }} }}", id.0);
        let shown = match self.shown(license) {
            "value" if include_inactive && !viewer.lists_inactive() => FORBIDDEN,
            shown => shown,
        };
        let of_license: Vec<Known> = self
            .known
            .iter()
            .filter(|known| known.target.user.license == license && !known.target.is_self)
            .cloned()
            .collect();
        Cell::new(field, &rest, move |response, summary| {
            summary.expect(|| way.clone(), &json!(shown), &json!(response.outcome()));
            if shown == "value" {
                judge_list(summary, &way, &viewer, &of_license, &response.value[users], include_inactive);
            }
        })
    }

    /// Lists, each in a document of its own.
    pub fn lists(&self, world: &World) -> Vec<Cell> {
        let (viewer, name, token) = (self.viewer, self.name.as_str(), &self.token);
        let mut cells = Vec::new();
        let targets: Vec<Known> = self.known.iter().filter(|known| !known.target.is_self).cloned().collect();
        let ids: Vec<String> = self.known.iter().map(|known| known.id.0.to_string()).collect();
        let (way, known, open) = (format!("{name}: nodes"), self.known.clone(), self.open("nodes"));
        cells.push(Cell::new("nodes", &format!("(ids: {}) {{ id ...Seen }}", json!(ids)), move |response, summary| {
            if let Err(error_code) = open {
                return summary.expect(|| way, &json!(error_code), &json!(response.outcome()));
            }
            for (place, known) in known.iter().enumerate() {
                check_user(summary, &way, &viewer, known, response.value.get(place), viewer.finds(&known.target));
            }
        }));
        for include_inactive in [false, true] {
            let goes_too_far = include_inactive && viewer.user.is_some() && !viewer.lists_inactive();
            let open = if goes_too_far { Err(FORBIDDEN) } else { self.open("users") };
            let (way, targets) = (format!("{name}: searchUsers, includeInactive {include_inactive}"), targets.clone());
            let rest = format!(
                "(query: \"{token}\", includeInactive: {include_inactive}, first: 50) {{ totalCount nodes {{ ...Seen }} }}"
            );
            cells.push(Cell::new("searchUsers", &rest, move |response, summary| {
                if let Err(error_code) = open {
                    return summary.expect(|| way, &json!(error_code), &json!(response.outcome()));
                }
                judge_list(summary, &way, &viewer, &targets, &response.value, include_inactive);
            }));
            let totals = world.totals[usize::from(viewer.user.is_some() && viewer.rank() == 3)];
            let total = open.map(|()| json!(totals[usize::from(include_inactive)]));
            let rest = format!("(includeInactive: {include_inactive}) {{ totalCount }}");
            cells.push(Cell::value("users", &rest, name, "/totalCount", total));
        }
        // Private values are not searched.
        for value in self.known[0].private.values().filter_map(Value::as_str) {
            let rest = format!("(query: {}) {{ totalCount }}", json!(value));
            let nothing = self.open("searchUsers").map(|()| json!(0));
            cells.push(Cell::value("searchUsers", &rest, name, "/totalCount", nothing));
        }
        for (field, text) in [("groups", format!("Everybody {token}")), ("institutions", format!("House {token}"))] {
            let total = self.open(field).map(|()| if viewer.rank() == 3 { json!(2) } else { json!(1) });
            let rest = format!("(nameContains: \"{text}\") {{ totalCount nodes {{ id }} }}");
            cells.push(Cell::value(field, &rest, name, "/totalCount", total));
        }
        let defined = self.open("attributeDefinitions").map(|()| json!([ATTRIBUTES[0].0, ATTRIBUTES[1].0]));
        let way = format!("{name}: attributeDefinitions");
        cells.push(Cell::new("attributeDefinitions", " { name }", move |response, summary| {
            let names = response.value.as_array().map(|all| all.iter().map(|one| one["name"].clone()).collect());
            let names = names.map_or_else(|| json!(response.outcome()), Value::Array);
            summary.expect(|| way, &defined.unwrap_or_else(|error_code| json!(error_code)), &names);
        }));
        cells.extend([None, Some('A'), Some('B')].map(|license| self.key_list(world, license)));
        cells.extend(self.known.iter().map(|known| self.trail(known)));
        let nothing_yet = self.open("changes").map(|()| json!({ "changes": [], "hasMore": false }));
        cells.push(Cell::value("changes", "(first: 1) { changes { nodeId } hasMore }", name, "", nothing_yet));
        cells
    }

    /// The `USER_CREATED` event of a user in the audit trail.
    fn trail(&self, known: &Known) -> Cell {
        let (viewer, target) = (self.viewer, known.target);
        let sees_all = viewer.user.is_some() && viewer.rank() >= 1 && viewer.reaches(target.user.license);
        let is_told = sees_all || target.is_self;
        let (way, open) = (format!("{} -> {}: auditEvents", self.name, known.label), self.open("auditEvents"));
        let rest = format!(
            "(filter: {{ subject: \"{}\", action: [USER_CREATED] }}) {{ totalCount nodes {{ changes {{ field after }} }} }}",
            known.id.0
        );
        Cell::new("auditEvents", &rest, move |response, summary| {
            if let Err(error_code) = open {
                return summary.expect(|| way, &json!(error_code), &json!(response.outcome()));
            }
            summary.expect(|| way.clone(), &json!(i32::from(is_told)), &response.value["totalCount"]);
            for change in response.value["nodes"][0]["changes"].as_array().into_iter().flatten() {
                let field = change["field"].as_str().unwrap();
                let is_secret = matches!(field, "password" | "pin");
                let is_right = field.starts_with("adminRights.") && field != "adminRights.isSuperuser";
                let is_shown = !is_secret && (sees_all || (target.is_self && !is_right));
                summary.expect(|| format!("{way}: {field}"), &json!(is_shown), &json!(!change["after"].is_null()));
            }
        })
    }

    /// The API keys of a license; each viewer knows three of them.
    pub fn key_list(&self, world: &World, license: Option<char>) -> Cell {
        let (viewer, keys) = (self.viewer, self.keys.clone());
        let place = |license| world.licenses[usize::from(license == 'B')].0;
        let argument = license.map(|license| format!("(license: \"{}\")", place(license))).unwrap_or_default();
        let (way, open) = (format!("{}: apiKeys{argument}", self.name), self.open("apiKeys"));
        Cell::new("apiKeys", &format!("{argument} {{ id }}"), move |response, summary| {
            if let Err(error_code) = open {
                return summary.expect(|| way, &json!(error_code), &json!(response.outcome()));
            }
            for KeyCase { id, license: of, is_own } in &keys {
                let is_listed = viewer.sees_key(*of, *is_own) && *of == license.unwrap_or('A');
                let listed = response.value.as_array().map(|keys| keys.iter().any(|key| key["id"] == json!(id)));
                let listed = listed.map_or_else(|| json!(response.outcome()), |listed| json!(listed));
                summary.expect(|| format!("{way}: one of {of}, own {is_own}"), &json!(is_listed), &listed);
            }
        })
    }
}

/// Checks the visible fields of a user, if the user is visible at all.
pub fn check_user(
    summary: &mut Summary,
    way: &str,
    viewer: &Viewer,
    known: &Known,
    seen: Option<&Value>,
    is_found: bool,
) {
    let target = &known.target;
    let what = |field: &str| format!("{way} -> {}: {field}", known.label);
    summary.expect(|| what("id"), &json!(is_found), &json!(seen.is_some_and(|seen| !seen.is_null())));
    let Some(seen) = seen.filter(|seen| is_found && !seen.is_null()) else { return };
    let is_shown = viewer.sees_private(target);
    for field in PRIVATE_FIELDS.iter().copied() {
        let expected = match known.private.get(field) {
            _ if !is_shown => json!(null),
            Some(value) => value.clone(),
            // Set by the server, such as the time of the last sign-in.
            None => json!(seen[field].as_str().unwrap_or("a value")),
        };
        summary.expect(|| what(field), &expected, &seen[field]);
    }
    let reference = || json!([{ "source": SOURCE, "id": known.private_text("externalId") }]);
    let references = if is_shown { reference() } else { json!(null) };
    summary.expect(|| what("externalReferences"), &references, &seen["externalReferences"]);
    for (right, held) in RIGHTS.into_iter().zip(target.user.rights) {
        let expected = match () {
            () if viewer.sees_rights(target) => json!(held),
            () if target.is_self => json!(held && right == "isSuperuser"),
            () => json!(null),
        };
        summary.expect(|| what(right), &expected, &seen["adminRights"][right]);
    }
    let sessions = match (is_shown, known.session) {
        (false, _) => json!(null),
        (true, Some(id)) => json!([{ "id": id }]),
        (true, None) => json!(seen["sessions"].as_array().map_or(json!("a session"), |shown| json!(shown))),
    };
    summary.expect(|| what("sessions"), &sessions, &seen["sessions"]);
    // Every target has an invitation; viewers have none.
    let is_shown_invited = viewer.sees_rights(target) && !target.is_self;
    let invitation = if is_shown_invited { json!({ "state": "QUEUED" }) } else { json!(null) };
    summary.expect(|| what("invitation"), &invitation, &seen["invitation"]);
    let attributes = ATTRIBUTES.iter().filter(|(_, _, is_visible)| *is_visible || is_shown);
    let attributes: Vec<Value> = attributes.map(|(name, ..)| json!({ "name": name, "value": "Cork" })).collect();
    summary.expect(|| what("attributes"), &json!(attributes), &seen["attributes"]);
    let can = json!({
        "update": viewer.updates(target, "nickname", Change::Plain) == DONE,
        "setActive": viewer.switches(target, "setActive") == DONE,
        "delete": viewer.switches(target, "deleteUser") == DONE,
        "seePrivate": is_shown,
        "seeAdminRights": viewer.sees_rights(target),
    });
    for (field, expected) in can.as_object().unwrap() {
        summary.expect(|| what(&format!("viewerCan.{field}")), expected, &seen["viewerCan"][field]);
    }
    // `seePrivate` and `seeAdminRights` are compared with the values in the response; the others with later outcomes.
    let shows = json!({
        "seePrivate": PRIVATE_FIELDS.iter().all(|field| !seen[field].is_null()),
        "seeAdminRights": seen["adminRights"].is_object() && (!target.is_self || viewer.rank() > 0),
    });
    for (field, shown) in shows.as_object().unwrap() {
        summary.expect(|| what(&format!("viewerCan.{field} and the response")), shown, &seen["viewerCan"][field]);
    }
    summary.can.insert(known.id, seen["viewerCan"].clone());
}

/// Checks that a page contains the expected targets and no others.
pub fn judge_list(
    summary: &mut Summary,
    way: &str,
    viewer: &Viewer,
    known: &[Known],
    page: &Value,
    include_inactive: bool,
) {
    let nodes = page["nodes"].as_array().cloned().unwrap_or_default();
    let mut total = 0;
    for known in known {
        let user = known.target.user;
        let is_listed = viewer.reaches(user.license) && (user.is_active || include_inactive);
        total += i32::from(is_listed);
        let seen = nodes.iter().find(|node| node["id"] == json!(known.id));
        check_user(summary, way, viewer, known, seen, is_listed);
    }
    summary.expect(|| format!("{way}: totalCount"), &json!(total), &page["totalCount"]);
    summary.expect(|| format!("{way}: number of nodes"), &json!(total), &json!(nodes.len()));
}
