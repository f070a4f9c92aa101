//! Whether a database holds every acknowledged write, and whether its feed, trail and totals agree with its tables.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use roster::entity::{group, institution, tombstone, user};
use roster::scalar::Id;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use serde_json::Value;

use crate::clients::{Follower, Made};
use crate::durability::incomplete_rows;
use crate::process::{ADMIN, Sandbox};

/// The kind of a deletion that may not have been acknowledged.
pub const DELETING: &str = "DELETING";
/// The kind of a deletion.
pub const DELETED: &str = "DELETED";
/// Part of the warning that the database lacks what was served before.
const OLDER_DATABASE: &str = "does not contain";
/// The position that the writers give to users.
pub const POSITION: &str = "Nurse";

/// The state of a user that the writers change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UserState {
    is_active: bool,
    has_position: bool,
}

/// What the writers create and change: in the tables, or as a client would know it from the changes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Directory {
    users: BTreeMap<String, UserState>,
    groups: BTreeSet<String>,
    institutions: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

impl Directory {
    /// Reads the tables, without the superuser, who is older than the feed.
    async fn of_tables(sandbox: &Sandbox) -> Self {
        let db = sandbox.db().await;
        let columns = [user::Column::Id, user::Column::IsActive, user::Column::Position];
        let users = user::Entity::find().filter(user::Column::Email.ne(ADMIN)).select_only().columns(columns);
        let users = users.into_tuple::<(Id, bool, Option<String>)>().all(db.read()).await.unwrap();
        let groups = group::Entity::find().select_only().column(group::Column::Id);
        let groups = groups.into_tuple::<Id>().all(db.read()).await.unwrap();
        let institutions = institution::Entity::find().select_only().column(institution::Column::Id);
        let institutions = institutions.into_tuple::<Id>().all(db.read()).await.unwrap();
        let deleted = tombstone::Entity::find().select_only().column(tombstone::Column::UserId);
        let deleted = deleted.into_tuple::<Id>().all(db.read()).await.unwrap();
        db.close().await.unwrap();
        let state = |is_active, position: Option<String>| UserState {
            is_active,
            has_position: position.as_deref() == Some(POSITION),
        };
        Self {
            users: users
                .into_iter()
                .map(|(id, active, position)| (id.0.to_string(), state(active, position)))
                .collect(),
            groups: texts(groups),
            institutions: texts(institutions),
            deleted: texts(deleted),
        }
    }

    /// Follows the changes from the first one. A change that cannot be is a fault.
    fn of_changes(changes: &[Value], faults: &mut Vec<String>) -> Self {
        let mut directory = Self::default();
        for change in changes {
            if !directory.follow(change) {
                faults.push(format!("impossible in the feed: {change}"));
            }
        }
        directory
    }

    fn follow(&mut self, change: &Value) -> bool {
        let id = change["nodeId"].as_str().unwrap().to_owned();
        let kinds = (change["type"].as_str().unwrap(), change["kind"].as_str().unwrap());
        match kinds {
            ("USER", "CREATED") => {
                let state = UserState { is_active: true, has_position: false };
                self.users.insert(id, state).is_none()
            }
            ("GROUP", "CREATED") => self.groups.insert(id),
            ("INSTITUTION", "CREATED") => self.institutions.insert(id),
            // The other changes of a user who was deleted later have been erased.
            ("USER", DELETED) => self.deleted.insert(id),
            ("USER", "UPDATED" | "DEACTIVATED") => {
                let Some(state) = self.users.get_mut(&id) else { return false };
                if kinds.1 == "DEACTIVATED" {
                    return std::mem::replace(&mut state.is_active, false);
                }
                let fields = change["changedFields"].as_array().unwrap();
                fields.iter().any(|field| field == "position") && !std::mem::replace(&mut state.has_position, true)
            }
            _ => false,
        }
    }

    /// Whether a write is there. What was done to users who have been deleted since counts as there.
    fn has(&self, kind: &str, id: &str, is_deleting: bool) -> bool {
        let is_deleted = self.deleted.contains(id) && !self.users.contains_key(id);
        match kind {
            DELETING => true,
            DELETED => is_deleted,
            _ if is_deleting && is_deleted => true,
            "UPDATED" => self.users.get(id).is_some_and(|state| state.has_position),
            "DEACTIVATED" => self.users.get(id).is_some_and(|state| !state.is_active),
            _ => self.users.contains_key(id) || self.groups.contains(id) || self.institutions.contains(id),
        }
    }
}

fn texts(ids: Vec<Id>) -> BTreeSet<String> {
    ids.into_iter().map(|id| id.0.to_string()).collect()
}

/// Describes each acknowledged write that is lost, each part of a write that lacks its rest, and each disagreement.
pub async fn find_faults(sandbox: &Sandbox, follower: &Follower, made: &[Made]) -> Vec<String> {
    let mut faults = incomplete_rows(sandbox).await;
    let tables = Directory::of_tables(sandbox).await;
    let deleting: HashSet<&str> = made.iter().filter(|(kind, _)| kind == DELETING).map(|(_, id)| id.as_str()).collect();
    let lost = made.iter().filter(|(kind, id)| !tables.has(kind, id, deleting.contains(id.as_str())));
    faults.extend(lost.map(|(kind, id)| format!("lost: {kind} {id}")));

    let verified = sandbox.run(&["audit", "verify"]).await;
    if verified.code != 0 {
        faults.push(format!("{verified:?}"));
    }
    let examined = sandbox.run(&["doctor"]).await;
    if examined.code != 0 || !examined.out.contains("match the rows") {
        faults.push(format!("{examined:?}"));
    }

    let mut server = sandbox.serve(&[]).await;
    let changes = follower.changes(&server).await;
    let directory = Directory::of_changes(&changes, &mut faults);
    if directory != tables {
        faults.push(format!("the feed differs from the tables: {directory:#?}\n{tables:#?}"));
    }
    server.signal("TERM");
    let code = server.code().await;
    let log = server.err();
    if code != 0 || log.contains("ERROR") || log.contains(OLDER_DATABASE) {
        faults.push(format!("the server ended with {code}\n{log}"));
    }
    faults
}
