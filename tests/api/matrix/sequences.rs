//! Random writes by random users, two at a time: the invariants hold after any sequence of writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Instant;

use async_graphql::MaybeUndefined::Undefined;
use futures_util::future::join_all;
use roster::client::Client;
use roster::entity::membership::GroupRole;
use roster::entity::user::{Role, UserFields};
use roster::entity::{membership, session as sessions, site_access, user};
use roster::scalar::Id;
use roster::{license, session};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Statement};
use serde_json::{Value, json};

use super::oracle::{ATTRIBUTES, Change, DONE, Joining, RIGHTS, Target, USER, UserRights, Viewer};
use super::seat::{define_attributes, new_site};
use crate::app::{App, Caller, LIFETIME};
use crate::hostile::Rng;
use crate::process::env_or;
use crate::{crowd, words};

/// The number of sequences on each database. The environment variable `ROSTER_TEST_SEQUENCES` overrides it.
const SEQUENCES: usize = 5_000;
/// The number of sequences between two checks of the invariants.
const LOOK_EVERY: usize = 50;
/// The seed of the random generator: the same seed makes the same choices, but concurrent requests interleave freely.
/// The environment variable `ROSTER_TEST_SEED` overrides it.
const SEED: usize = 20_261_122;

/// The indexes of the groups that were created without audit events.
const WITHOUT_EVENTS: std::ops::Range<usize> = 6..204;

/// The codes that top-level errors of these requests can have; any other is a bug.
const ERROR_CODES: [&str; 2] = ["FORBIDDEN", "UNAUTHENTICATED"];
/// The audit events that only administrators cause.
const OF_ADMINISTRATORS: [&str; 7] = [
    "USER_DEACTIVATED",
    "USER_ACTIVATED",
    "USER_DELETED",
    "USER_UNLOCKED",
    "API_KEY_CREATED",
    "API_KEY_REVOKED",
    "SITE_ACCESS_GRANTED",
];

/// The codes that validation errors of these requests can have.
const PAYLOAD_CODES: [&str; 2] = ["NOT_FOUND", "NOT_ALLOWED"];

/// One write.
#[derive(Clone, Debug)]
enum Mutation {
    Create(UserRights, String),
    Change(Id, &'static str, Change, String),
    SetActive(Id, bool),
    Delete(Id),
    SetMember(Id, Id, Option<&'static str>),
    /// Creates a group.
    CreateGroup,
    CreateApiKey(&'static str),
    RevokeApiKey(Id),
    EndSessions(Id),
    Unlock(Id),
    /// Sets a field that a user signs in with: the user, the field and its value.
    SetCredential(Id, &'static str, String),
    /// Grants a user access to a site, or revokes it.
    SetSiteAccess(Id, Id, bool),
}

impl Mutation {
    fn sets_secret(&self) -> bool {
        matches!(self, Self::SetCredential(_, "password" | "pin", _))
    }

    fn field(&self) -> &'static str {
        match self {
            Self::Create(..) => "createUser",
            Self::Change(..) | Self::SetCredential(..) => "updateUser",
            Self::SetActive(..) => "setActive",
            Self::Delete(_) => "deleteUser",
            Self::SetMember(_, _, Some(_)) => "setGroupMember",
            Self::SetMember(_, _, None) => "removeGroupMember",
            Self::CreateGroup => "createGroup",
            Self::CreateApiKey(_) => "createApiKey",
            Self::RevokeApiKey(_) => "revokeApiKey",
            Self::EndSessions(_) => "endSessions",
            Self::Unlock(_) => "unlockUser",
            Self::SetSiteAccess(_, _, true) => "grantSiteAccess",
            Self::SetSiteAccess(_, _, false) => "revokeSiteAccess",
        }
    }

    fn text(&self) -> String {
        let (input, more) = match self {
            Self::Create(_, given) => {
                let address = Id::new().0;
                (
                    format!("firstName: \"New\", lastName: \"Person\", email: \"{address}@x.example\", {given}"),
                    "user { id }",
                )
            }
            Self::Change(id, _, _, given) => (format!("id: \"{}\", {given}", id.0), ""),
            Self::SetActive(id, active) => (format!("id: \"{}\", active: {active}", id.0), "groupsPassedOn { id }"),
            Self::Delete(id) => (format!("id: \"{}\"", id.0), "groupsPassedOn { id }"),
            Self::SetCredential(id, field, value) => (format!("id: \"{}\", {field}: \"{value}\"", id.0), ""),
            Self::SetSiteAccess(user, site, _) => {
                (format!("userId: \"{}\", institutionId: \"{}\"", user.0, site.0), "")
            }
            Self::RevokeApiKey(id) | Self::Unlock(id) => (format!("id: \"{}\"", id.0), ""),
            Self::SetMember(group, user, Some(role)) => {
                (format!("groupId: \"{}\", userId: \"{}\", role: {role}", group.0, user.0), "")
            }
            Self::SetMember(group, user, None) => (format!("groupId: \"{}\", userId: \"{}\"", group.0, user.0), ""),
            Self::CreateGroup => ("name: \"Ward\"".to_owned(), "group { id }"),
            Self::CreateApiKey(role) => (format!("name: \"Nightly\", role: {role}"), "secret apiKey { id }"),
            Self::EndSessions(id) => (format!("userId: \"{}\"", id.0), ""),
        };
        format!("{}(input: {{ {input} }}) {{ success errors {{ code }} {more} }}", self.field())
    }

    /// The user whom the write is for.
    fn target(&self) -> Option<Id> {
        match self {
            Self::SetCredential(id, ..)
            | Self::SetSiteAccess(id, ..)
            | Self::Change(id, ..)
            | Self::SetActive(id, _)
            | Self::Delete(id)
            | Self::EndSessions(id)
            | Self::Unlock(id)
            | Self::SetMember(_, id, _) => Some(*id),
            _ => None,
        }
    }
}

/// An API key.
#[derive(Clone)]
struct Key {
    id: Id,
    creator: Id,
    role: &'static str,
    license: char,
    secret: String,
}

/// The maker of a request.
#[derive(Clone)]
struct Actor {
    id: Id,
    key: Option<&'static str>,
    token: String,
}

/// A successful write and its actor.
struct Done {
    actor: usize,
    mutation: Mutation,
    payload: Value,
}

/// The actors of a step and their successful writes.
#[derive(Clone, Copy)]
struct Step<'a> {
    actors: &'a [Actor],
    done: &'a [Done],
}

/// A change of a user's role in a group. `None` removes the user from the group.
#[derive(Clone, Copy)]
struct MembershipChange {
    group: Id,
    user: Id,
    to: Option<&'static str>,
}

/// The columns of a user that determine their rights.
#[derive(FromQueryResult)]
struct Row {
    id: Id,
    license_id: Id,
    role: Role,
    is_staff: bool,
    full_site_access: bool,
    is_active: bool,
    #[sea_orm(nested)]
    rights: user::AdminRights,
}

/// The expected state of the directory.
struct ExpectedState<'a> {
    app: &'a App,
    rng: Rng,
    users: HashMap<Id, UserRights>,
    /// The users in the order of their creation, so that a seed makes the same choices.
    order: Vec<Id>,
    groups: Vec<(Id, char)>,
    /// The number of groups that users join often.
    popular_groups: usize,
    members: HashMap<(Id, Id), &'static str>,
    /// Sites, each with its license.
    sites: Vec<(Id, char)>,
    grants: BTreeSet<(Id, Id)>,
    /// The number of checks that changing how another user signs in gave the actor no rights.
    credential_checks: usize,
    keys: Vec<Key>,
    tokens: HashMap<Id, String>,
    /// The number of successful writes by mutation.
    counts: BTreeMap<&'static str, i64>,
    outcomes: BTreeMap<String, usize>,
}

fn name_of(role: GroupRole) -> &'static str {
    match role {
        GroupRole::Owner => "OWNER",
        GroupRole::Manager => "MANAGER",
        GroupRole::Member => "MEMBER",
    }
}

async fn count(app: &App, sql: &str) -> i64 {
    let statement = Statement::from_string(app.db.read().get_database_backend(), sql);
    app.db.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn users(app: &App) -> HashMap<Id, UserRights> {
    let mut columns = vec![
        user::Column::Id,
        user::Column::LicenseId,
        user::Column::Role,
        user::Column::IsStaff,
        user::Column::FullSiteAccess,
        user::Column::IsActive,
    ];
    columns.extend(user::RIGHTS);
    let select = user::Entity::find().select_only().columns(columns).into_model::<Row>();
    let rows = select.all(app.db.read()).await.unwrap();
    let user = |row: Row| {
        let role = match row.role {
            Role::LicenseAdmin => "LICENSE_ADMIN",
            Role::Admin => "ADMIN",
            Role::User => "USER",
        };
        let license = if row.license_id == app.license { 'A' } else { 'B' };
        let rights = row.rights.named().map(|(_, held)| held);
        let Row { is_staff, full_site_access, is_active, .. } = row;
        (row.id, UserRights { license, role, is_staff, full_site_access, rights, is_active })
    };
    rows.into_iter().map(user).collect()
}

impl<'a> ExpectedState<'a> {
    async fn new(app: &'a App, seed: usize) -> Self {
        let (admin, license_admin) = (USER.role("ADMIN"), USER.role("LICENSE_ADMIN"));
        let mut kinds = vec![USER.with("isSuperuser"); 2];
        kinds.extend([
            license_admin,
            license_admin,
            license_admin,
            admin,
            admin.everywhere(),
            admin.with("isProjectAdmin"),
            USER.staff(),
        ]);
        kinds.extend([USER.with("isAdmin"), USER.with("isGroupAdmin"), USER.with("isGroupAdmin").inactive()]);
        kinds.extend([USER; 10]);
        kinds.extend([license_admin, license_admin, admin, USER, USER, USER, USER, USER].map(|user| user.of('B')));
        define_attributes(app).await;
        let mut order = Vec::new();
        for user in kinds {
            let license = if user.license == 'A' { app.license } else { app.other_license };
            let created = app.create("Person", license, user.fields(), Undefined).await;
            order.push(created.id);
            if !user.is_active {
                user::Entity::update_many()
                    .col_expr(user::Column::IsActive, Expr::value(false))
                    .filter(user::Column::Id.eq(created.id))
                    .exec(app.db.write())
                    .await
                    .unwrap();
            }
        }
        let users = users(app).await;
        let mut state = Self {
            app,
            rng: Rng(seed as u64),
            users,
            order,
            groups: Vec::new(),
            popular_groups: 6,
            members: HashMap::new(),
            sites: Vec::new(),
            grants: BTreeSet::new(),
            credential_checks: 0,
            keys: Vec::new(),
            tokens: HashMap::new(),
            counts: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        };
        for (n, license) in ['A', 'A', 'A', 'A', 'B', 'B'].into_iter().enumerate() {
            let owner = state.order[if license == 'A' { 12 + n } else { 21 + n }];
            let response = state.execute(&state.signed_in(owner).await, &[Mutation::CreateGroup]).await;
            let id = id_at(&response[0].as_ref().unwrap()["group"]["id"]);
            state.groups.push((id, license));
            state.members.insert((id, owner), "OWNER");
        }
        *state.counts.entry("createGroup").or_default() += 6;
        for license in ['A', 'A', 'A', 'B'] {
            let id = if license == 'A' { app.license } else { app.other_license };
            state.sites.push((new_site(app, id, "Site".to_owned()).await, license));
        }
        // Two users who belong to almost as many groups as allowed.
        let busy = [state.order[20], state.order[21]];
        let many = crowd::groups(app, app.license, (0..198).map(|n| format!("Busy {n}"))).await;
        crowd::memberships(app, &busy, &many, GroupRole::Owner).await;
        state.members.extend(many.iter().flat_map(|group| busy.map(|user| ((*group, user), "OWNER"))));
        state.groups.extend(many.into_iter().map(|group| (group, 'A')));
        state
    }

    /// Signs in a user.
    async fn signed_in(&self, id: Id) -> Actor {
        let row = user::Entity::find_by_id(id).one(self.app.db.read()).await.unwrap().unwrap();
        let token = session::start(&self.app.db, LIFETIME, &Client::default(), &row).await.unwrap().token;
        Actor { id, key: None, token }
    }

    /// Sends writes in one document. Returns the payload or the error code of each.
    async fn execute(&self, actor: &Actor, mutations: &[Mutation]) -> Vec<Result<Value, String>> {
        let mut query = String::from("mutation {");
        for (place, mutation) in mutations.iter().enumerate() {
            write!(query, " a{place}: {}", mutation.text()).unwrap();
        }
        query.push_str(" }");
        let caller = Caller { token: Some(actor.token.clone()), id: actor.id, app: self.app };
        let (status, response) = caller.post(&json!({ "query": query })).await;
        if status == 401 {
            return mutations.iter().map(|_| Err("401".to_owned())).collect();
        }
        assert_eq!(status, 200, "{query}\n{response:#}");
        let errors = response["errors"].as_array().cloned().unwrap_or_default();
        for error in &errors {
            let code = error["extensions"]["code"].as_str().unwrap_or("no code");
            assert!(ERROR_CODES.contains(&code), "{query}\n{response:#}");
        }
        let outcome = |place: usize| {
            let alias = format!("a{place}");
            let error = errors.iter().find(|error| error["path"][0] == json!(alias));
            match error {
                Some(error) => Err(error["extensions"]["code"].as_str().unwrap().to_owned()),
                None => Ok(response["data"][alias].clone()),
            }
        };
        (0..mutations.len()).map(outcome).collect()
    }

    fn any_user(&mut self, near: char) -> Id {
        let is_near = self.rng.below(5) > 0;
        let near: Vec<Id> =
            self.order.iter().filter(|id| !is_near || self.users[*id].license == near).copied().collect();
        *self.rng.choose(&near)
    }

    /// Chooses the next actor, with a session or sometimes an API key.
    async fn actor(&mut self) -> Actor {
        if !self.keys.is_empty() && self.rng.one_in(6) {
            let key = self.rng.choose(&self.keys).clone();
            return Actor { id: key.creator, key: Some(key.role), token: key.secret };
        }
        let active: Vec<Id> = self.order.iter().filter(|id| self.users[*id].is_active).copied().collect();
        // Administrators are chosen more often than their share of the users.
        let administrators: Vec<Id> = active.iter().filter(|id| self.users[*id].rank() > 0).copied().collect();
        let id = if !administrators.is_empty() && self.rng.below(3) > 0 {
            *self.rng.choose(&administrators)
        } else {
            *self.rng.choose(&active)
        };
        if let Some(token) = self.tokens.get(&id).filter(|_| self.rng.below(20) > 0) {
            return Actor { id, key: None, token: token.clone() };
        }
        let actor = self.signed_in(id).await;
        self.tokens.insert(id, actor.token.clone());
        actor
    }

    fn mutation(&mut self, actor: &Actor) -> Mutation {
        let near = self.users.get(&actor.id).map_or('A', |user| user.license);
        let target = self.any_user(near);
        let role = *self.rng.choose(&["USER", "USER", "ADMIN", "LICENSE_ADMIN"]);
        match self.rng.below(48) {
            0..4 if self.order.len() < 36 => self.creation(role),
            4..7 if self.order.len() > 26 => Mutation::Delete(target),
            0..19 => self.change(target, role),
            19..24 => Mutation::SetActive(target, self.rng.below(3) > 0),
            24..33 => self.membership_change(target),
            33 if self.rng.one_in(4) => Mutation::CreateGroup,
            34..36 => Mutation::CreateApiKey(role),
            36 if !self.keys.is_empty() => Mutation::RevokeApiKey(self.rng.choose(&self.keys).id),
            37 => Mutation::Unlock(target),
            40..44 => self.set_credential(target),
            44..48 => {
                let site = self.rng.choose(&self.sites).0;
                Mutation::SetSiteAccess(target, site, self.rng.below(3) > 0)
            }
            _ => Mutation::EndSessions(target),
        }
    }

    fn set_credential(&mut self, target: Id) -> Mutation {
        // Passwords and PINs are rare, because hashing is slow.
        match self.rng.below(12) {
            0 => Mutation::SetCredential(target, "password", "nine-velvet-comets-hum".to_owned()),
            1 => Mutation::SetCredential(target, "pin", "0417".to_owned()),
            _ => Mutation::SetCredential(target, "email", format!("{}@y.example", Id::new().0)),
        }
    }

    fn creation(&mut self, role: &'static str) -> Mutation {
        let right = *self.rng.choose(&RIGHTS);
        match self.rng.below(4) {
            0 => Mutation::Create(USER.role(role), format!("role: {role}")),
            1 => Mutation::Create(USER.staff(), "isStaff: true".to_owned()),
            2 => Mutation::Create(USER.with(right), format!("adminRights: {{ {right}: true }}")),
            _ => Mutation::Create(USER, String::new()),
        }
    }

    fn change(&mut self, target: Id, role: &'static str) -> Mutation {
        let is = self.rng.one_in(2);
        let right = *self.rng.choose(&RIGHTS);
        match self.rng.below(6) {
            0 => Mutation::Change(target, "role", Change::Role(role), format!("role: {role}")),
            1 => Mutation::Change(target, "isStaff", Change::Staff(is), format!("isStaff: {is}")),
            2 => Mutation::Change(target, "fullSiteAccess", Change::Everywhere(is), format!("fullSiteAccess: {is}")),
            3 => {
                // Few users become superusers.
                let is = is && (right != "isSuperuser" || self.rng.one_in(4));
                Mutation::Change(
                    target,
                    "adminRights",
                    Change::Right(right, is),
                    format!("adminRights: {{ {right}: {is} }}"),
                )
            }
            4 if is => Mutation::Change(target, "externalId", Change::Plain, "externalId: null".to_owned()),
            4 => {
                let (name, ..) = *self.rng.choose(&ATTRIBUTES);
                let value = *self.rng.choose(&["null", "\"A\"", "\"B\""]);
                let given = format!("attributes: [{{ name: \"{name}\", value: {value} }}]");
                Mutation::Change(target, name, Change::Plain, given)
            }
            _ => Mutation::Change(target, "nickname", Change::Plain, format!("nickname: \"N{}\"", self.rng.below(3))),
        }
    }

    fn membership_change(&mut self, target: Id) -> Mutation {
        let bound = if self.rng.one_in(3) { self.groups.len() } else { self.popular_groups };
        let group = self.groups[self.rng.below(bound)].0;
        let role = *self.rng.choose(&[None, None, Some("MEMBER"), Some("MANAGER"), Some("OWNER"), Some("OWNER")]);
        Mutation::SetMember(group, target, role)
    }

    /// Runs one sequence: three to five writes, half of the time by two users at once, sometimes with a sign-in, too.
    async fn step(&mut self) {
        let total = 3 + self.rng.below(3);
        let first = self.actor().await;
        let mut actors = vec![first];
        if self.rng.one_in(2) {
            actors.push(self.actor().await);
        }
        let share = total.div_ceil(actors.len());
        let plans: Vec<Vec<Mutation>> = actors
            .iter()
            .map(|actor| {
                let mut plan: Vec<Mutation> = (0..share).map(|_| self.mutation(actor)).collect();
                // A document can set at most one secret.
                let mut sets_secret = false;
                plan.retain(|mutation| !mutation.sets_secret() || !std::mem::replace(&mut sets_secret, true));
                plan
            })
            .collect();
        let signing_in = if self.rng.one_in(5) { Some(self.any_user('A')) } else { None };
        let sign_in = async {
            let Some(id) = signing_in else { return };
            let row = user::Entity::find_by_id(id).one(self.app.db.read()).await.unwrap();
            let Some(row) = row else { return };
            // Fails if the user is inactive by now.
            let _ = session::start(&self.app.db, LIFETIME, &Client::default(), &row).await;
        };
        let operations = join_all(actors.iter().zip(&plans).map(|(actor, plan)| self.execute(actor, plan)));
        let (responses, ()) = tokio::join!(operations, sign_in);

        let mut done = Vec::new();
        for (actor, (plan, responses)) in plans.into_iter().zip(responses).enumerate() {
            for (mutation, response) in plan.into_iter().zip(responses) {
                let outcome = match response {
                    Err(code) => {
                        if code == "401" && actors[actor].key.is_none() {
                            self.tokens.remove(&actors[actor].id);
                        }
                        code
                    }
                    Ok(payload) if payload["success"] == json!(true) => {
                        done.push(Done { actor, mutation: mutation.clone(), payload });
                        DONE.to_owned()
                    }
                    Ok(payload) => {
                        let code = payload["errors"][0]["code"].as_str().unwrap_or("no code").to_owned();
                        assert!(PAYLOAD_CODES.contains(&code.as_str()), "{mutation:?}: {payload:#}");
                        code
                    }
                };
                *self.outcomes.entry(format!("{} {outcome}", mutation.field())).or_default() += 1;
            }
        }
        if !done.is_empty() {
            self.check_step(&actors, &done).await;
        }
    }

    /// Compares the successful writes with the rules, and the database with the writes.
    async fn check_step(&mut self, actors: &[Actor], done: &[Done]) {
        let after = users(self.app).await;
        if let ([actor], [Done { mutation: Mutation::SetCredential(target, ..), .. }]) = (actors, done) {
            self.check_no_gain(actor.id, *target);
            self.credential_checks += 1;
        }
        for done_now in done {
            let is_right = self.was_right(actors, done, done_now);
            let actor = &actors[done_now.actor];
            assert!(
                is_right,
                "the rules forbid {:?} by {:?} with the key {:?} for {:?}",
                done_now.mutation,
                self.users.get(&actor.id),
                actor.key,
                done_now.mutation.target().and_then(|id| self.users.get(&id)),
            );
        }
        for (id, now) in &after {
            let states = self.states(*id, done);
            assert!(states.contains(now), "{} is {now:?}, which no write made of {:?}", id.0, self.users.get(id));
        }
        for id in self.users.keys().filter(|id| !after.contains_key(*id)) {
            let is_erased = done.iter().any(|done| matches!(done.mutation, Mutation::Delete(erased) if erased == *id));
            assert!(is_erased, "user {} is missing, but no write deleted them", id.0);
        }
        self.update_model(actors, done, after).await;
    }

    /// Checks that an actor who can sign in as another user gains no rights by it.
    fn check_no_gain(&self, actor: Id, other: Id) {
        let may = |who: Id| Viewer { user: Some(self.users[&who]), key: None };
        let (own, others_rights) = (may(actor), may(other));
        let changes = [
            ("externalId", Change::Plain),
            ("password", Change::Plain),
            ("role", Change::Role("USER")),
            ("role", Change::Role("ADMIN")),
            ("role", Change::Role("LICENSE_ADMIN")),
            ("isStaff", Change::Staff(true)),
            ("fullSiteAccess", Change::Everywhere(true)),
        ];
        let changes = changes.into_iter().chain(RIGHTS.map(|right| ("adminRights", Change::Right(right, true))));
        for (id, user) in self.users.iter().filter(|(id, _)| **id != actor && **id != other) {
            let target = Target { user: *user, is_self: false };
            for (field, change) in changes.clone() {
                let gains = others_rights.updates(&target, field, change) == DONE
                    && own.updates(&target, field, change) != DONE;
                assert!(!gains, "{actor:?} gains {field} {change:?} of {id:?} as {other:?}");
            }
            for field in ["setActive", "deleteUser", "unlockUser"] {
                assert!(
                    others_rights.switches(&target, field) != DONE || own.switches(&target, field) == DONE,
                    "{field}"
                );
            }
            for (site, license) in &self.sites {
                let gives = |viewer: &Viewer, who: Id| {
                    viewer.gives_site("grantSiteAccess", &target, *license, self.grants.contains(&(who, *site))) == DONE
                };
                assert!(!gives(&others_rights, other) || gives(&own, actor), "{actor:?} gains {site:?} as {other:?}");
            }
        }
    }

    /// Returns every state that a user can have had during the step: with any of the changes, or none.
    fn states(&self, id: Id, done: &[Done]) -> Vec<UserRights> {
        let mut states: Vec<UserRights> = self.users.get(&id).copied().into_iter().collect();
        for done in done {
            if let Mutation::Create(user, _) = &done.mutation
                && id_at(&done.payload["user"]["id"]) == id
            {
                // The license is the actor's, which is not known here.
                states.extend(['A', 'B'].map(|license| with_sites(user.of(license))));
            }
        }
        // Twice, so that changes apply in either order.
        for done in done.iter().chain(done) {
            let next: Vec<UserRights> = match &done.mutation {
                Mutation::Change(target, _, change, _) if *target == id => {
                    states.iter().map(|state| with_sites(change.of(state))).collect()
                }
                Mutation::SetActive(target, is_active) if *target == id => {
                    states.iter().map(|state| UserRights { is_active: *is_active, ..*state }).collect()
                }
                _ => continue,
            };
            for state in next {
                if !states.contains(&state) {
                    states.push(state);
                }
            }
        }
        states
    }

    /// Whether the rules allow a write in any of the states of its actor and its target.
    fn was_right(&self, actors: &[Actor], done: &[Done], done_now: &Done) -> bool {
        let actor = &actors[done_now.actor];
        // Without a concurrent actor, the actor's state is the one before the step.
        let own: Vec<UserRights> = match actors.len() {
            1 => vec![self.users[&actor.id]],
            _ => self.states(actor.id, done),
        };
        let target = done_now.mutation.target();
        let targets = target.map(|id| self.states(id, done)).unwrap_or_default();
        own.iter().filter(|user| user.is_active).any(|user| {
            let viewer = Viewer { user: Some(*user), key: actor.key };
            let to = |judge: &dyn Fn(&Target) -> &'static str| {
                let is_self = target == Some(actor.id);
                targets.iter().any(|user| judge(&Target { user: *user, is_self }) == DONE)
            };
            match &done_now.mutation {
                Mutation::Create(new, _) => viewer.creates(new, false) == DONE,
                Mutation::Change(_, field, change, _) => to(&|target| viewer.updates(target, field, *change)),
                Mutation::SetActive(..) => to(&|target| viewer.switches(target, "setActive")),
                Mutation::Delete(_) => to(&|target| viewer.switches(target, "deleteUser")),
                Mutation::Unlock(_) => to(&|target| viewer.switches(target, "unlockUser")),
                Mutation::EndSessions(_) => to(&|target| viewer.ends_sessions(target)),
                Mutation::SetMember(group, user_id, role) => {
                    let change = MembershipChange { group: *group, user: *user_id, to: *role };
                    self.may_join(&viewer, actor.id, &change, &targets, &Step { actors, done })
                }
                Mutation::CreateGroup => viewer.opens("createGroup").is_ok(),
                Mutation::SetCredential(id, field, _) => {
                    to(&|target| viewer.updates(target, field, Change::Plain))
                        && viewer.credential_outcome(DONE, self.may_hold_sites(actor.id, *id, done)) == DONE
                }
                Mutation::SetSiteAccess(_, site, _) => {
                    let license = self.sites.iter().find(|(id, _)| id == site).unwrap().1;
                    let is_granted = self.may_hold(actor.id, *site, done);
                    to(&|target| viewer.gives_site(done_now.mutation.field(), target, license, is_granted))
                }
                Mutation::CreateApiKey(role) => viewer.makes_key(role) == DONE,
                Mutation::RevokeApiKey(id) => {
                    let key = self.keys.iter().find(|key| key.id == *id);
                    key.is_some_and(|key| {
                        viewer.opens("revokeApiKey").is_ok() && viewer.sees_key(key.license, key.creator == actor.id)
                    })
                }
            }
        })
    }

    /// Whether a user can have had access to a site during the step.
    fn may_hold(&self, id: Id, site: Id, done: &[Done]) -> bool {
        let is_given = |done: &Done| matches!(done.mutation, Mutation::SetSiteAccess(user, given, true) if (user, given) == (id, site));
        self.grants.contains(&(id, site)) || done.iter().any(is_given)
    }

    /// Whether a user can have had access, during the step, to every site that another user kept access to.
    fn may_hold_sites(&self, id: Id, of: Id, done: &[Done]) -> bool {
        let is_taken = |site: Id| {
            done.iter().any(|done| matches!(done.mutation, Mutation::SetSiteAccess(user, taken, false) if (user, taken) == (of, site)))
        };
        let mut held = self.grants.iter().filter(|(user, site)| *user == of && !is_taken(*site));
        held.all(|(_, site)| self.may_hold(id, *site, done))
    }

    /// Whether the rules allow a change of a group's members in any of the states of the actor and the user.
    fn may_join(
        &self,
        viewer: &Viewer,
        actor: Id,
        change: &MembershipChange,
        targets: &[UserRights],
        step: &Step<'_>,
    ) -> bool {
        let (MembershipChange { group, user: user_id, to }, Step { actors, done }) = (*change, *step);
        let license = self.groups.iter().find(|(id, _)| *id == group).unwrap().1;
        if user_id == actor && to.is_none() {
            return viewer.leaves(license) == DONE;
        }
        let is_passed_on = done.iter().any(|done| match &done.mutation {
            Mutation::SetMember(left, user_id, None) => *left == group && *user_id == actors[done.actor].id,
            _ => passed_on(done).contains(&group),
        });
        let roles = |of: Id| {
            let mut roles = vec![self.members.get(&(group, of)).copied()];
            roles.extend(done.iter().filter_map(|done| match &done.mutation {
                Mutation::SetMember(joined, user_id, role) if *joined == group && *user_id == of => Some(*role),
                _ => None,
            }));
            if is_passed_on {
                roles.push(Some("OWNER"));
            }
            roles
        };
        let (owns, froms) = (roles(actor), roles(user_id));
        let allowed = |own: Option<&'static str>, from: Option<&'static str>, user: &UserRights| {
            viewer.changes_members(&Joining { license, own, from, to, user: *user }) == DONE
        };
        owns.iter().any(|own| froms.iter().any(|from| targets.iter().any(|user| allowed(*own, *from, user))))
    }

    /// Updates the expected state from the database.
    async fn update_model(&mut self, actors: &[Actor], done: &[Done], after: HashMap<Id, UserRights>) {
        let mut joined = BTreeSet::new();
        for done in done {
            let actor = &actors[done.actor];
            joined.extend(passed_on(done));
            match &done.mutation {
                Mutation::Create(..) => self.order.push(id_at(&done.payload["user"]["id"])),
                Mutation::SetMember(group, ..) => {
                    joined.insert(*group);
                }
                Mutation::CreateGroup => {
                    let id = id_at(&done.payload["group"]["id"]);
                    self.groups.push((id, self.users[&actor.id].license));
                    self.members.insert((id, actor.id), "OWNER");
                }
                Mutation::CreateApiKey(role) => self.keys.push(Key {
                    id: id_at(&done.payload["apiKey"]["id"]),
                    creator: actor.id,
                    role,
                    license: self.users[&actor.id].license,
                    secret: done.payload["secret"].as_str().unwrap().to_owned(),
                }),
                Mutation::RevokeApiKey(id) => self.keys.retain(|key| key.id != *id),
                _ => {}
            }
            *self.counts.entry(done.mutation.field()).or_default() += 1;
        }
        let rows = site_access::Entity::find().all(self.app.db.read()).await.unwrap();
        let grants: BTreeSet<(Id, Id)> = rows.into_iter().map(|row| (row.user_id, row.institution_id)).collect();
        for (user, site) in grants.symmetric_difference(&self.grants).filter(|(user, _)| after.contains_key(user)) {
            let is = grants.contains(&(*user, *site));
            let by = done.iter().any(
                |done| matches!(done.mutation, Mutation::SetSiteAccess(of, which, given) if (of, which, given) == (*user, *site, is)),
            );
            assert!(by, "access of {user:?} to {site:?} is now {is}, but no write changed it");
        }
        self.grants = grants;
        self.users = after;
        self.order.retain(|id| self.users.contains_key(id));
        // Keys of deactivated and deleted users stay for a while, so that requests use them.
        if self.keys.len() > 60 {
            let gone = |key: &Key| !self.users.get(&key.creator).is_some_and(|user| user.is_active);
            self.keys.retain(|key| !gone(key));
        }
        let rows = membership::Entity::find()
            .filter(membership::Column::GroupId.is_in(joined.iter().copied()))
            .all(self.app.db.read())
            .await
            .unwrap();
        self.members.retain(|(group, user), _| !joined.contains(group) && self.users.contains_key(user));
        self.members.extend(rows.into_iter().map(|row| ((row.group_id, row.user_id), name_of(row.role))));
    }

    /// Checks the invariants of the database.
    async fn check_invariants(&self) {
        self.app.seal().await;
        let none = [
            (
                "sessions of inactive users",
                "SELECT COUNT(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE NOT u.is_active",
            ),
            (
                "API keys of inactive users",
                "SELECT COUNT(*) FROM api_keys k JOIN users u ON u.id = k.user_id WHERE NOT u.is_active",
            ),
            (
                "devices of inactive users",
                "SELECT COUNT(*) FROM devices d JOIN users u ON u.id = d.user_id WHERE NOT u.is_active",
            ),
            (
                "API keys without a user in their license",
                "SELECT COUNT(*) FROM api_keys k WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = k.user_id AND u.license_id = k.license_id)",
            ),
            (
                "groups without an owner",
                "SELECT COUNT(*) FROM groups g WHERE NOT EXISTS (SELECT 1 FROM memberships m WHERE m.group_id = g.id AND m.role = 'OWNER')",
            ),
            (
                "memberships across licenses",
                "SELECT COUNT(*) FROM memberships m JOIN users u ON u.id = m.user_id JOIN groups g ON g.id = m.group_id WHERE u.license_id <> g.license_id",
            ),
            (
                "users with more than 20 sessions",
                "SELECT COUNT(*) FROM (SELECT user_id FROM sessions GROUP BY user_id HAVING COUNT(*) > 20) AS many",
            ),
            (
                "users with more than 200 groups",
                "SELECT COUNT(*) FROM (SELECT user_id FROM memberships GROUP BY user_id HAVING COUNT(*) > 200) AS many",
            ),
            (
                "licenses with more than 100 keys",
                "SELECT COUNT(*) FROM (SELECT license_id FROM api_keys GROUP BY license_id HAVING COUNT(*) > 100) AS many",
            ),
            (
                "license administrators without full site access",
                "SELECT COUNT(*) FROM users WHERE role = 'LICENSE_ADMIN' AND NOT full_site_access",
            ),
            (
                "licenses without an administrator",
                "SELECT COUNT(*) FROM licenses l WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.license_id = l.id AND u.role = 'LICENSE_ADMIN' AND u.is_active)",
            ),
            (
                "deleted users that still exist, or have no event",
                "SELECT COUNT(*) FROM tombstones t WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = t.user_id) \
                 OR 1 <> (SELECT COUNT(*) FROM audit_events e WHERE e.subject_id = t.user_id AND e.action = 'USER_DELETED')",
            ),
            (
                "attributes across licenses",
                "SELECT COUNT(*) FROM attribute_values v JOIN users u ON u.id = v.user_id \
                 JOIN attribute_definitions d ON d.id = v.definition_id WHERE u.license_id <> d.license_id",
            ),
            (
                "gaps in the audit trail",
                "SELECT COUNT(*) FROM audit_head h WHERE h.seq <> (SELECT COUNT(*) FROM audit_events)",
            ),
        ];
        for (what, sql) in none {
            assert_eq!(count(self.app, sql).await, 0, "{what}");
        }
        assert!(count(self.app, "SELECT COUNT(*) FROM users WHERE is_superuser AND is_active").await > 0, "superusers");
    }

    /// Checks in the audit trail, in the order of commits, that no actor had lost their access or the necessary rank.
    async fn check_actors(&self) {
        self.app.seal().await;
        let sql = "SELECT action, actor_id, api_key_id, subject_id, changes FROM audit_events ORDER BY seq";
        let statement = Statement::from_string(self.app.db.read().get_database_backend(), sql);
        let (mut out, mut revoked, mut known) = (BTreeSet::new(), BTreeSet::new(), HashMap::<Id, UserRights>::new());
        for row in self.app.db.read().query_all_raw(statement).await.unwrap() {
            let action: String = row.try_get("", "action").unwrap();
            let (actor, key): (Option<Id>, Option<Id>) =
                (row.try_get("", "actor_id").unwrap(), row.try_get("", "api_key_id").unwrap());
            let subject: Id = row.try_get("", "subject_id").unwrap();
            if let Some(actor) = actor {
                assert!(!out.contains(&actor), "{action} by {actor:?}, who was deactivated or deleted");
                assert!(
                    key.is_none_or(|key| !revoked.contains(&key)),
                    "{action} by the API key {key:?}, which was revoked"
                );
                // The trail no longer contains the roles of deleted users.
                let user = known.get(&actor).filter(|_| self.users.contains_key(&actor));
                let is_right = user.is_none_or(|user| user.rank() > 0 || !OF_ADMINISTRATORS.contains(&action.as_str()));
                assert!(is_right, "{action} by {actor:?}, who is only {user:?}");
            }
            match action.as_str() {
                "USER_DEACTIVATED" | "USER_DELETED" => _ = out.insert(subject),
                "USER_ACTIVATED" => _ = out.remove(&subject),
                "API_KEY_REVOKED" => _ = revoked.insert(subject),
                "USER_CREATED" | "USER_UPDATED" => {
                    let user = known.entry(subject).or_insert(USER);
                    let changes: Option<String> = row.try_get("", "changes").unwrap();
                    let changes: Vec<Value> = serde_json::from_str(changes.as_deref().unwrap_or("[]")).unwrap();
                    for change in changes {
                        let (field, after) = (change["field"].as_str().unwrap(), &change["after"]);
                        match field.strip_prefix("adminRights.") {
                            Some(right) => user
                                .set_right(RIGHTS.iter().find(|name| **name == right).unwrap(), *after == json!(true)),
                            None if field == "isStaff" => user.is_staff = *after == json!(true),
                            None if field == "role" => {
                                let role = after.as_str().unwrap();
                                user.role =
                                    ["USER", "ADMIN", "LICENSE_ADMIN"].into_iter().find(|name| *name == role).unwrap();
                            }
                            None => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Checks that each successful write has exactly one event, and that there are no other events.
    async fn check_events(&self) {
        self.app.seal().await;
        let versions = "SELECT COUNT(*) FROM users u WHERE u.version - 1 <> (SELECT COUNT(*) FROM audit_events e \
            WHERE e.subject_id = u.id AND e.action IN ('USER_UPDATED', 'USER_ACTIVATED', 'USER_DEACTIVATED'))";
        assert_eq!(count(self.app, versions).await, 0, "users with more or fewer events than changes");
        for (field, action) in [
            ("createUser", "USER_CREATED"),
            ("deleteUser", "USER_DELETED"),
            ("createGroup", "GROUP_CREATED"),
            ("createApiKey", "API_KEY_CREATED"),
            ("revokeApiKey", "API_KEY_REVOKED"),
        ] {
            let events = count(
                self.app,
                &format!("SELECT COUNT(*) FROM audit_events WHERE action = '{action}' AND request_id IS NOT NULL"),
            )
            .await;
            assert_eq!(events, self.counts.get(field).copied().unwrap_or_default(), "{action}");
        }
        let sql =
            "SELECT action, actor_id, subject_id, changes FROM audit_events WHERE action LIKE 'GROUP%' ORDER BY seq";
        let statement = Statement::from_string(self.app.db.read().get_database_backend(), sql);
        let mut recorded: HashMap<(Id, Id), String> = HashMap::new();
        for row in self.app.db.read().query_all_raw(statement).await.unwrap() {
            let (action, group): (String, Id) =
                (row.try_get("", "action").unwrap(), row.try_get("", "subject_id").unwrap());
            if action == "GROUP_DELETED" {
                recorded.retain(|(of, _), _| *of != group);
                continue;
            }
            if action == "GROUP_CREATED" {
                recorded.insert((group, row.try_get("", "actor_id").unwrap()), "OWNER".to_owned());
                continue;
            }
            let changes: String = row.try_get("", "changes").unwrap();
            let changes: Value = serde_json::from_str(&changes).unwrap();
            let of = |field: &str| {
                changes.as_array().unwrap().iter().find(|change| change["field"] == json!(field)).unwrap().clone()
            };
            let (user, role) = (of("userId"), of("role"));
            let id = id_at(if user["after"].is_null() { &user["before"] } else { &user["after"] });
            let was = recorded.get(&(group, id)).cloned();
            let place = self.groups.iter().position(|(known, _)| *known == group);
            let is_busy = place.is_some_and(|place| WITHOUT_EVENTS.contains(&place));
            assert!(is_busy || json!(was) == role["before"], "{group:?} {id:?}: {was:?}, event: {role}");
            match role["after"].as_str() {
                Some(role) => recorded.insert((group, id), role.to_owned()),
                None => recorded.remove(&(group, id)),
            };
        }
        let rows = membership::Entity::find().all(self.app.db.read()).await.unwrap();
        let stored: HashMap<(Id, Id), String> =
            rows.into_iter().map(|row| ((row.group_id, row.user_id), name_of(row.role).to_owned())).collect();
        for (place, (group, _)) in self.groups.iter().enumerate() {
            if WITHOUT_EVENTS.contains(&place) {
                continue;
            }
            for id in &self.order {
                assert_eq!(recorded.get(&(*group, *id)), stored.get(&(*group, *id)), "{id:?} in {group:?}");
            }
        }
    }
}

/// The groups that a write passed on to another owner.
fn passed_on(done: &Done) -> Vec<Id> {
    done.payload["groupsPassedOn"].as_array().into_iter().flatten().map(|group| id_at(&group["id"])).collect()
}

/// Adds full site access for license administrators, who always have it.
fn with_sites(user: UserRights) -> UserRights {
    UserRights { full_site_access: user.full_site_access || user.role == "LICENSE_ADMIN", ..user }
}

fn id_at(value: &Value) -> Id {
    Id::parse(value.as_str().unwrap_or_else(|| panic!("{value} is not an id"))).unwrap()
}

/// Sends one mutation by each of two callers at the same time. Returns the error codes.
async fn post_both(one: &Caller<'_>, other: &Caller<'_>, mutations: [String; 2]) -> [Option<String>; 2] {
    let [first, second] =
        mutations.map(|text| json!({ "query": format!("mutation {{ {text} {{ success errors {{ code }} }} }}") }));
    let responses = tokio::join!(one.post(&first), other.post(&second));
    [responses.0, responses.1].map(|(status, response)| {
        if status == 401 {
            return Some("401".to_owned());
        }
        let error = response["errors"].get(0).map(|error| &error["extensions"]["code"]);
        let payload_code = || {
            response["data"]
                .as_object()
                .and_then(|data| data.values().next()?["errors"].get(0).map(|error| &error["code"]))
        };
        let code = error.or_else(payload_code).map(|code| code.as_str().unwrap_or("no code").to_owned());
        let known = ["FORBIDDEN", "UNAUTHENTICATED", "NOT_FOUND", "NOT_ALLOWED"];
        assert!(code.as_ref().is_none_or(|code| known.contains(&code.as_str())), "{response:#}");
        code
    })
}

/// A mutation that demotes, deactivates or deletes a user.
fn removal(kind: usize, id: &str, demotion: &str) -> String {
    match kind {
        0 => format!("updateUser(input: {{ id: \"{id}\", {demotion} }})"),
        1 => format!("setActive(input: {{ id: \"{id}\", active: false }})"),
        _ => format!("deleteUser(input: {{ id: \"{id}\" }})"),
    }
}

on_every_database! {
    async fn random_sequences_of_writes_break_no_rule(app: App) {
        let began = Instant::now();
        if !app.db.is_postgres() {
            // This test does not check durability.
            app.db.write().execute_unprepared("PRAGMA synchronous = OFF").await.unwrap();
        }
        // Different seeds for the two databases give twice as many sequences.
        let seed = env_or("ROSTER_TEST_SEED", SEED) + usize::from(app.db.is_postgres());
        let sequences = env_or("ROSTER_TEST_SEQUENCES", SEQUENCES);
        let mut state = ExpectedState::new(&app, seed).await;
        let database = if app.db.is_postgres() { "PostgreSQL" } else { "SQLite" };
        println!("sequences on {database} from the seed {seed}");
        for sequence in 0..sequences {
            state.step().await;
            if sequence % LOOK_EVERY == 0 {
                state.check_invariants().await;
            }
        }
        state.check_invariants().await;
        state.check_events().await;
        state.check_actors().await;
        // How many there are depends on how the requests interleave.
        assert!(state.credential_checks > 0, "no changed credentials were checked");
        words::check(&app).await;
        let done = state.counts.values().sum::<i64>();
        let requested = state.outcomes.values().sum::<usize>();
        println!("{sequences} sequences on {database}: {requested} requested, {done} successful, {:.1?}", began.elapsed());
        println!("{:#?}", state.outcomes);
    }

    async fn two_license_administrators_cannot_both_remove_each_other_at_once(app: App) {
        for round in 0..50 {
            let license = license::create_first(&app.db, Id::new(), &format!("R-{round}"), "Rowan").await.unwrap().id;
            let fields = || UserFields { ..USER.role("LICENSE_ADMIN").fields() };
            let one = app.sign_in(app.create("One", license, fields(), Undefined).await).await;
            let other = app.sign_in(app.create("Other", license, fields(), Undefined).await).await;
            let kinds = [round % 3, round / 3 % 3];
            let mutations = [removal(kinds[0], &other.id(), "role: USER"), removal(kinds[1], &one.id(), "role: USER")];
            let codes = post_both(&one, &other, mutations).await;
            let left = "SELECT COUNT(*) FROM users u WHERE u.role = 'LICENSE_ADMIN' AND u.is_active AND u.first_name IN ('One', 'Other')";
            assert_eq!(count(&app, left).await, i64::try_from(round + 1).unwrap(), "round {round}: {codes:?}");
        }
    }

    async fn two_superusers_cannot_both_remove_each_other_at_once(app: App) {
        for round in 0..50 {
            user::Entity::update_many()
                .col_expr(user::Column::IsActive, Expr::value(true))
                .filter(user::Column::IsSuperuser.eq(true))
                .exec(app.db.write())
                .await
                .unwrap();
            let (one, other) = (app.superuser().await, app.superuser().await);
            user::Entity::update_many()
                .col_expr(user::Column::IsActive, Expr::value(false))
                .filter(user::Column::IsSuperuser.eq(true))
                .filter(user::Column::Id.is_not_in([one.id, other.id]))
                .exec(app.db.write())
                .await
                .unwrap();
            let demotion = "adminRights: { isSuperuser: false }";
            let kinds = [round % 3, round / 3 % 3];
            let mutations = [removal(kinds[0], &other.id(), demotion), removal(kinds[1], &one.id(), demotion)];
            let codes = post_both(&one, &other, mutations).await;
            let left = count(&app, "SELECT COUNT(*) FROM users WHERE is_superuser AND is_active").await;
            assert_eq!(left, 1, "round {round}: {codes:?}");
        }
    }

    async fn api_keys_created_during_deactivation_or_deletion_do_not_survive(app: App) {
        let root = app.superuser().await;
        for round in 0..50 {
            let admin = app.admin().await;
            let key = "createApiKey(input: { name: \"Nightly\" })".to_owned();
            let codes = post_both(&root, &admin, [removal(1 + round % 2, &admin.id(), ""), key]).await;
            assert_eq!(codes[0], None);
            let keys = count(&app, "SELECT COUNT(*) FROM api_keys").await;
            assert_eq!(keys, 0, "round {round}: {codes:?}");
            let mine = sessions::Entity::find().filter(sessions::Column::UserId.eq(admin.id)).one(app.db.read()).await.unwrap();
            assert_eq!(mine, None);
        }
    }

    async fn deleting_a_user_during_a_mutation_causes_only_known_errors(app: App) {
        let root = app.superuser().await;
        let ward = root.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
        for round in 0..60 {
            let (admin, user) = (app.admin().await, app.user().await);
            root.mutate("setGroupMember", "", json!({ "groupId": ward, "userId": user.id(), "role": "MEMBER" })).await;
            let (mutation, erased) = match round % 3 {
                0 => ("createGroup(input: { name: \"New\" })".to_owned(), admin.id()),
                1 => (format!("setGroupMember(input: {{ groupId: {ward}, userId: \"{}\", role: OWNER }})", user.id()), user.id()),
                _ => (format!("removeGroupMember(input: {{ groupId: {ward}, userId: \"{}\" }})", user.id()), user.id()),
            };
            let codes = post_both(&root, &admin, [removal(2, &erased, ""), mutation]).await;
            assert!(codes[0].is_none() || round % 3 == 0, "round {round}: {codes:?}");
        }
    }
}
