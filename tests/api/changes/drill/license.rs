//! Licenses with users who follow the changes, and what each of them may see.

use std::collections::HashMap;

use roster::scalar::Id;
use serde_json::json;

use super::change::id_of;
use crate::app::PASSWORD;
use crate::process::{ADMIN, Process, Sandbox};

/// The types that subscribers follow, each the next of them.
pub(super) const TYPES: [&[&str]; 2] = [&["USER", "GROUP", "INSTITUTION", "LICENSE"], &["USER"]];
/// The number of subscribers of a license.
const PLACES: usize = 10;
/// The maximum number of subscribers of the first license, except superusers. Nearly all changes are made in it, and
/// withheld from these subscribers one by one.
const PLACES_OF_FIRST: usize = 4;

/// A user who has signed in.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: Id,
    pub(super) token: String,
}

impl User {
    async fn sign_in(server: &Process, login: &str) -> Self {
        let payload = server.login(login, PASSWORD).await;
        let token = payload["token"].as_str().unwrap_or_else(|| panic!("{payload:#}")).to_owned();
        Self { id: id_of(&payload["user"]["id"]), token }
    }
}

/// A license with an administrator, who is a superuser in the first one, and with users of the role `USER`.
pub(super) struct License {
    pub(super) admin: User,
    pub(super) users: Vec<User>,
}

impl License {
    /// Creates a license and its administrator, except the first one, which exists.
    async fn create(sandbox: &Sandbox, server: &Process, index: usize, users: usize) -> Self {
        let (number, email) = (format!("L-{index}"), format!("admin-{index}@example.org"));
        if index > 0 {
            let license = ["license", "create", "--number", &number, "--holder", "Birch Institute"];
            let names = ["--first-name", "Ann", "--last-name", "Birch", "--email", &email];
            let admin = [&["admin", "create", "--password-stdin", "--license-admin", "--license", &number][..], &names];
            for (arguments, input) in [(license.to_vec(), ""), (admin.concat(), PASSWORD)] {
                let output = sandbox.run_with(&arguments, input).await;
                assert_eq!(output.code, 0, "{}", output.err);
            }
        }
        let admin = User::sign_in(server, if index > 0 { &email } else { ADMIN }).await;
        let caller = server.caller(Some(&admin.token));
        let mut license = Self { admin, users: Vec::new() };
        for user in 0..users {
            let email = format!("user-{index}-{user}@example.org");
            let input = json!({
                "firstName": "Bo", "lastName": "Follower", "email": email, "password": PASSWORD,
                "sendRegistrationEmail": false,
            });
            caller.mutate("createUser", "", input).await;
            license.users.push(User::sign_in(server, &email).await);
        }
        license
    }
}

/// How much a viewer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// Everything.
    Superuser,
    /// Everything in their license.
    LicenseAdmin,
    /// In their license, users who are active, and of other users no private fields.
    User,
}

/// A viewer who follows the changes.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) user: User,
    pub(super) rights: Rights,
    pub(super) types: &'static [&'static str],
    /// The index of the license in which the last change that they see is made.
    pub(super) last_in: usize,
}

/// Creates licenses, and viewers for a number of subscribers: two superusers, and in each license but the first an
/// administrator. All others are users, who follow all types and only users in turn.
pub(super) async fn create_all(sandbox: &Sandbox, server: &Process, subscribers: usize) -> (Vec<License>, Vec<Viewer>) {
    let others = subscribers.saturating_sub(TYPES.len());
    let count = others.div_ceil(PLACES).max(2);
    let all_places = (0..).flat_map(|place: usize| (0..count).map(move |index| (index, place)));
    let is_free = |(index, place): &(usize, usize)| *index > 0 || *place < PLACES_OF_FIRST;
    let places: Vec<(usize, usize)> = all_places.filter(is_free).take(others).collect();
    let mut taken: HashMap<usize, usize> = HashMap::new();
    for (index, _) in &places {
        *taken.entry(*index).or_default() += 1;
    }
    let mut licenses = Vec::new();
    for index in 0..count {
        let places = taken.get(&index).copied().unwrap_or_default();
        // One place is the administrator's. The writers need a user everywhere.
        let users = places.saturating_sub(usize::from(index > 0)).div_ceil(TYPES.len()).max(1);
        licenses.push(License::create(sandbox, server, index, users).await);
    }
    let superuser = |types| {
        let user = licenses[0].admin.clone();
        Viewer { user, rights: Rights::Superuser, types, last_in: count - 1 }
    };
    let other = |(index, place): (usize, usize)| {
        let license = &licenses[index];
        let Some(place) = place.checked_sub(usize::from(index > 0)) else {
            let user = license.admin.clone();
            return Viewer { user, rights: Rights::LicenseAdmin, types: TYPES[0], last_in: index };
        };
        let (user, types) = (license.users[place / TYPES.len()].clone(), TYPES[place % TYPES.len()]);
        Viewer { user, rights: Rights::User, types, last_in: index }
    };
    let viewers = TYPES.into_iter().map(superuser).chain(places.into_iter().map(other)).take(subscribers).collect();
    (licenses, viewers)
}
