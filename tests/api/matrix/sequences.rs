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

use super::oracle::{ATTRIBUTES, Change, DONE, Joining, Person, RIGHTS, Target, USER, Viewer};
use super::seat::{define_attributes, new_site};
use crate::app::{App, Caller, LIFETIME};
use crate::hostile::Dice;
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
const REFUSALS: [&str; 2] = ["FORBIDDEN", "UNAUTHENTICATED"];
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
const FAULTS: [&str; 2] = ["NOT_FOUND", "NOT_ALLOWED"];

/// One write.
#[derive(Clone, Debug)]
enum Deed {
    Enter(Person, String),
    Change(Id, &'static str, Change, String),
    Switch(Id, bool),
    Erase(Id),
    Join(Id, Id, Option<&'static str>),
    /// Creates a group.
    Found,
    MakeKey(&'static str),
    Revoke(Id),
    EndSessions(Id),
    Unlock(Id),
    /// Sets a field that a user signs in with: the user, the field and its value.
    LetIn(Id, &'static str, String),
    /// Grants a user access to a site, or revokes it.
    Site(Id, Id, bool),
}

impl Deed {
    fn sets_secret(&self) -> bool {
        matches!(self, Self::LetIn(_, "password" | "pin", _))
    }

    fn field(&self) -> &'static str {
        match self {
            Self::Enter(..) => "createUser",
            Self::Change(..) | Self::LetIn(..) => "updateUser",
            Self::Switch(..) => "setActive",
            Self::Erase(_) => "deleteUser",
            Self::Join(_, _, Some(_)) => "setGroupMember",
            Self::Join(_, _, None) => "removeGroupMember",
            Self::Found => "createGroup",
            Self::MakeKey(_) => "createApiKey",
            Self::Revoke(_) => "revokeApiKey",
            Self::EndSessions(_) => "endSessions",
            Self::Unlock(_) => "unlockUser",
            Self::Site(_, _, true) => "grantSiteAccess",
            Self::Site(_, _, false) => "revokeSiteAccess",
        }
    }

    fn text(&self) -> String {
        let (input, more) = match self {
            Self::Enter(_, given) => {
                let address = Id::new().0;
                (
                    format!("firstName: \"New\", lastName: \"Person\", email: \"{address}@x.example\", {given}"),
                    "user { id }",
                )
            }
            Self::Change(id, _, _, given) => (format!("id: \"{}\", {given}", id.0), ""),
            Self::Switch(id, active) => (format!("id: \"{}\", active: {active}", id.0), "groupsPassedOn { id }"),
            Self::Erase(id) => (format!("id: \"{}\"", id.0), "groupsPassedOn { id }"),
            Self::LetIn(id, field, value) => (format!("id: \"{}\", {field}: \"{value}\"", id.0), ""),
            Self::Site(user, site, _) => (format!("userId: \"{}\", institutionId: \"{}\"", user.0, site.0), ""),
            Self::Revoke(id) | Self::Unlock(id) => (format!("id: \"{}\"", id.0), ""),
            Self::Join(group, user, Some(role)) => {
                (format!("groupId: \"{}\", userId: \"{}\", role: {role}", group.0, user.0), "")
            }
            Self::Join(group, user, None) => (format!("groupId: \"{}\", userId: \"{}\"", group.0, user.0), ""),
            Self::Found => ("name: \"Ward\"".to_owned(), "group { id }"),
            Self::MakeKey(role) => (format!("name: \"Nightly\", role: {role}"), "secret apiKey { id }"),
            Self::EndSessions(id) => (format!("userId: \"{}\"", id.0), ""),
        };
        format!("{}(input: {{ {input} }}) {{ success errors {{ code }} {more} }}", self.field())
    }

    /// The user whom the write is for.
    fn target(&self) -> Option<Id> {
        match self {
            Self::LetIn(id, ..)
            | Self::Site(id, ..)
            | Self::Change(id, ..)
            | Self::Switch(id, _)
            | Self::Erase(id)
            | Self::EndSessions(id)
            | Self::Unlock(id)
            | Self::Join(_, id, _) => Some(*id),
            _ => None,
        }
    }
}

/// An API key.
#[derive(Clone)]
struct Key {
    id: Id,
    maker: Id,
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
    deed: Deed,
    payload: Value,
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
struct Watch<'a> {
    app: &'a App,
    dice: Dice,
    people: HashMap<Id, Person>,
    /// The users in the order of their creation, so that a seed makes the same choices.
    order: Vec<Id>,
    groups: Vec<(Id, char)>,
    /// The number of groups that users join often.
    wards: usize,
    members: HashMap<(Id, Id), &'static str>,
    /// Sites, each with its license.
    sites: Vec<(Id, char)>,
    grants: BTreeSet<(Id, Id)>,
    /// The number of checks that changing how another user signs in gave the actor no rights.
    let_in: usize,
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

/// Reads a number from an environment variable.
fn env_number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |asked| asked.parse().unwrap())
}

async fn count(app: &App, sql: &str) -> i64 {
    let statement = Statement::from_string(app.db.read().get_database_backend(), sql);
    app.db.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn people(app: &App) -> HashMap<Id, Person> {
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
    let person = |row: Row| {
        let role = match row.role {
            Role::LicenseAdmin => "LICENSE_ADMIN",
            Role::Admin => "ADMIN",
            Role::User => "USER",
        };
        let license = if row.license_id == app.license { 'A' } else { 'B' };
        let rights = row.rights.named().map(|(_, held)| held);
        let Row { is_staff, full_site_access, is_active, .. } = row;
        (row.id, Person { license, role, is_staff, full_site_access, rights, is_active })
    };
    rows.into_iter().map(person).collect()
}

impl<'a> Watch<'a> {
    async fn new(app: &'a App, seed: usize) -> Self {
        let (admin, chief) = (USER.role("ADMIN"), USER.role("LICENSE_ADMIN"));
        let mut kinds = vec![USER.with("isSuperuser"); 2];
        kinds.extend([chief, chief, chief, admin, admin.everywhere(), admin.with("isProjectAdmin"), USER.staff()]);
        kinds.extend([USER.with("isAdmin"), USER.with("isGroupAdmin"), USER.with("isGroupAdmin").inactive()]);
        kinds.extend([USER; 10]);
        kinds.extend([chief, chief, admin, USER, USER, USER, USER, USER].map(|person| person.of('B')));
        define_attributes(app).await;
        let mut order = Vec::new();
        for person in kinds {
            let license = if person.license == 'A' { app.license } else { app.other_license };
            let made = app.create("Person", license, person.fields(), Undefined).await;
            order.push(made.id);
            if !person.is_active {
                user::Entity::update_many()
                    .col_expr(user::Column::IsActive, Expr::value(false))
                    .filter(user::Column::Id.eq(made.id))
                    .exec(app.db.write())
                    .await
                    .unwrap();
            }
        }
        let people = people(app).await;
        let mut watch = Self {
            app,
            dice: Dice(seed as u64),
            people,
            order,
            groups: Vec::new(),
            wards: 6,
            members: HashMap::new(),
            sites: Vec::new(),
            grants: BTreeSet::new(),
            let_in: 0,
            keys: Vec::new(),
            tokens: HashMap::new(),
            counts: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        };
        for (n, license) in ['A', 'A', 'A', 'A', 'B', 'B'].into_iter().enumerate() {
            let owner = watch.order[if license == 'A' { 12 + n } else { 21 + n }];
            let answer = watch.ask(&watch.signed_in(owner).await, &[Deed::Found]).await;
            let id = id_at(&answer[0].as_ref().unwrap()["group"]["id"]);
            watch.groups.push((id, license));
            watch.members.insert((id, owner), "OWNER");
        }
        *watch.counts.entry("createGroup").or_default() += 6;
        for license in ['A', 'A', 'A', 'B'] {
            let id = if license == 'A' { app.license } else { app.other_license };
            watch.sites.push((new_site(app, id, "Site".to_owned()).await, license));
        }
        // Two users who belong to almost as many groups as allowed.
        let busy = [watch.order[20], watch.order[21]];
        let many = crowd::groups(app, app.license, (0..198).map(|n| format!("Busy {n}"))).await;
        crowd::memberships(app, &busy, &many, GroupRole::Owner).await;
        watch.members.extend(many.iter().flat_map(|group| busy.map(|user| ((*group, user), "OWNER"))));
        watch.groups.extend(many.into_iter().map(|group| (group, 'A')));
        watch
    }

    /// Signs in a user.
    async fn signed_in(&self, id: Id) -> Actor {
        let row = user::Entity::find_by_id(id).one(self.app.db.read()).await.unwrap().unwrap();
        let token = session::start(&self.app.db, LIFETIME, &Client::default(), row).await.unwrap().token;
        Actor { id, key: None, token }
    }

    /// Sends writes in one document. Returns the payload or the error code of each.
    async fn ask(&self, actor: &Actor, deeds: &[Deed]) -> Vec<Result<Value, String>> {
        let mut query = String::from("mutation {");
        for (place, deed) in deeds.iter().enumerate() {
            write!(query, " a{place}: {}", deed.text()).unwrap();
        }
        query.push_str(" }");
        let caller = Caller { token: Some(actor.token.clone()), id: actor.id, app: self.app };
        let (status, answer) = caller.post(&json!({ "query": query })).await;
        if status == 401 {
            return deeds.iter().map(|_| Err("401".to_owned())).collect();
        }
        assert_eq!(status, 200, "{query}\n{answer:#}");
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        for error in &errors {
            let code = error["extensions"]["code"].as_str().unwrap_or("no code");
            assert!(REFUSALS.contains(&code), "{query}\n{answer:#}");
        }
        let outcome = |place: usize| {
            let alias = format!("a{place}");
            let error = errors.iter().find(|error| error["path"][0] == json!(alias));
            match error {
                Some(error) => Err(error["extensions"]["code"].as_str().unwrap().to_owned()),
                None => Ok(answer["data"][alias].clone()),
            }
        };
        (0..deeds.len()).map(outcome).collect()
    }

    fn somebody(&mut self, near: char) -> Id {
        let is_near = self.dice.below(5) > 0;
        let near: Vec<Id> =
            self.order.iter().filter(|id| !is_near || self.people[*id].license == near).copied().collect();
        *self.dice.choose(&near)
    }

    /// Chooses the next actor, with a session or sometimes an API key.
    async fn actor(&mut self) -> Actor {
        if !self.keys.is_empty() && self.dice.one_in(6) {
            let key = self.dice.choose(&self.keys).clone();
            return Actor { id: key.maker, key: Some(key.role), token: key.secret };
        }
        let active: Vec<Id> = self.order.iter().filter(|id| self.people[*id].is_active).copied().collect();
        // Administrators are chosen more often than their share of the users.
        let mighty: Vec<Id> = active.iter().filter(|id| self.people[*id].rank() > 0).copied().collect();
        let id = if !mighty.is_empty() && self.dice.below(3) > 0 {
            *self.dice.choose(&mighty)
        } else {
            *self.dice.choose(&active)
        };
        if let Some(token) = self.tokens.get(&id).filter(|_| self.dice.below(20) > 0) {
            return Actor { id, key: None, token: token.clone() };
        }
        let actor = self.signed_in(id).await;
        self.tokens.insert(id, actor.token.clone());
        actor
    }

    fn deed(&mut self, actor: &Actor) -> Deed {
        let near = self.people.get(&actor.id).map_or('A', |person| person.license);
        let target = self.somebody(near);
        let role = *self.dice.choose(&["USER", "USER", "ADMIN", "LICENSE_ADMIN"]);
        match self.dice.below(48) {
            0..4 if self.order.len() < 36 => self.entry(role),
            4..7 if self.order.len() > 26 => Deed::Erase(target),
            0..19 => self.change(target, role),
            19..24 => Deed::Switch(target, self.dice.below(3) > 0),
            24..33 => self.joining(target),
            33 if self.dice.one_in(4) => Deed::Found,
            34..36 => Deed::MakeKey(role),
            36 if !self.keys.is_empty() => Deed::Revoke(self.dice.choose(&self.keys).id),
            37 => Deed::Unlock(target),
            40..44 => self.letting_in(target),
            44..48 => {
                let site = self.dice.choose(&self.sites).0;
                Deed::Site(target, site, self.dice.below(3) > 0)
            }
            _ => Deed::EndSessions(target),
        }
    }

    fn letting_in(&mut self, target: Id) -> Deed {
        // Passwords and PINs are rare, because hashing is slow.
        match self.dice.below(12) {
            0 => Deed::LetIn(target, "password", "nine-velvet-comets-hum".to_owned()),
            1 => Deed::LetIn(target, "pin", "0417".to_owned()),
            _ => Deed::LetIn(target, "email", format!("{}@y.example", Id::new().0)),
        }
    }

    fn entry(&mut self, role: &'static str) -> Deed {
        let right = *self.dice.choose(&RIGHTS);
        match self.dice.below(4) {
            0 => Deed::Enter(USER.role(role), format!("role: {role}")),
            1 => Deed::Enter(USER.staff(), "isStaff: true".to_owned()),
            2 => Deed::Enter(USER.with(right), format!("adminRights: {{ {right}: true }}")),
            _ => Deed::Enter(USER, String::new()),
        }
    }

    fn change(&mut self, target: Id, role: &'static str) -> Deed {
        let is = self.dice.one_in(2);
        let right = *self.dice.choose(&RIGHTS);
        match self.dice.below(6) {
            0 => Deed::Change(target, "role", Change::Role(role), format!("role: {role}")),
            1 => Deed::Change(target, "isStaff", Change::Staff(is), format!("isStaff: {is}")),
            2 => Deed::Change(target, "fullSiteAccess", Change::Everywhere(is), format!("fullSiteAccess: {is}")),
            3 => {
                // Few users become superusers.
                let is = is && (right != "isSuperuser" || self.dice.one_in(4));
                Deed::Change(
                    target,
                    "adminRights",
                    Change::Right(right, is),
                    format!("adminRights: {{ {right}: {is} }}"),
                )
            }
            4 if is => Deed::Change(target, "externalId", Change::Plain, "externalId: null".to_owned()),
            4 => {
                let (name, ..) = *self.dice.choose(&ATTRIBUTES);
                let value = *self.dice.choose(&["null", "\"A\"", "\"B\""]);
                let given = format!("attributes: [{{ name: \"{name}\", value: {value} }}]");
                Deed::Change(target, name, Change::Plain, given)
            }
            _ => Deed::Change(target, "nickname", Change::Plain, format!("nickname: \"N{}\"", self.dice.below(3))),
        }
    }

    fn joining(&mut self, target: Id) -> Deed {
        let bound = if self.dice.one_in(3) { self.groups.len() } else { self.wards };
        let group = self.groups[self.dice.below(bound)].0;
        let role = *self.dice.choose(&[None, None, Some("MEMBER"), Some("MANAGER"), Some("OWNER"), Some("OWNER")]);
        Deed::Join(group, target, role)
    }

    /// Runs one sequence: three to five writes, half of the time by two users at once, sometimes with a sign-in, too.
    async fn step(&mut self) {
        let total = 3 + self.dice.below(3);
        let first = self.actor().await;
        let mut actors = vec![first];
        if self.dice.one_in(2) {
            actors.push(self.actor().await);
        }
        let share = total.div_ceil(actors.len());
        let plans: Vec<Vec<Deed>> = actors
            .iter()
            .map(|actor| {
                let mut plan: Vec<Deed> = (0..share).map(|_| self.deed(actor)).collect();
                // A document can set at most one secret.
                let mut sets_secret = false;
                plan.retain(|deed| !deed.sets_secret() || !std::mem::replace(&mut sets_secret, true));
                plan
            })
            .collect();
        let entering = if self.dice.one_in(5) { Some(self.somebody('A')) } else { None };
        let enter = async {
            let Some(id) = entering else { return };
            let row = user::Entity::find_by_id(id).one(self.app.db.read()).await.unwrap();
            let Some(row) = row else { return };
            // Fails if the user is inactive by now.
            let _ = session::start(&self.app.db, LIFETIME, &Client::default(), row).await;
        };
        let asks = join_all(actors.iter().zip(&plans).map(|(actor, plan)| self.ask(actor, plan)));
        let (answers, ()) = tokio::join!(asks, enter);

        let mut done = Vec::new();
        for (actor, (plan, answers)) in plans.into_iter().zip(answers).enumerate() {
            for (deed, answer) in plan.into_iter().zip(answers) {
                let outcome = match answer {
                    Err(code) => {
                        if code == "401" && actors[actor].key.is_none() {
                            self.tokens.remove(&actors[actor].id);
                        }
                        code
                    }
                    Ok(payload) if payload["success"] == json!(true) => {
                        done.push(Done { actor, deed: deed.clone(), payload });
                        DONE.to_owned()
                    }
                    Ok(payload) => {
                        let code = payload["errors"][0]["code"].as_str().unwrap_or("no code").to_owned();
                        assert!(FAULTS.contains(&code.as_str()), "{deed:?}: {payload:#}");
                        code
                    }
                };
                *self.outcomes.entry(format!("{} {outcome}", deed.field())).or_default() += 1;
            }
        }
        if !done.is_empty() {
            self.check_step(&actors, &done).await;
        }
    }

    /// Compares the successful writes with the rules, and the database with the writes.
    async fn check_step(&mut self, actors: &[Actor], done: &[Done]) {
        let after = people(self.app).await;
        if let ([actor], [Done { deed: Deed::LetIn(target, ..), .. }]) = (actors, done) {
            self.check_no_gain(actor.id, *target);
            self.let_in += 1;
        }
        for done_now in done {
            let is_right = self.was_right(actors, done, done_now);
            let actor = &actors[done_now.actor];
            assert!(
                is_right,
                "the rules forbid {:?} by {:?} with the key {:?} for {:?}",
                done_now.deed,
                self.people.get(&actor.id),
                actor.key,
                done_now.deed.target().and_then(|id| self.people.get(&id)),
            );
        }
        for (id, now) in &after {
            let states = self.states(*id, done);
            assert!(states.contains(now), "{} is {now:?}, which no write made of {:?}", id.0, self.people.get(id));
        }
        for id in self.people.keys().filter(|id| !after.contains_key(*id)) {
            let is_erased = done.iter().any(|done| matches!(done.deed, Deed::Erase(erased) if erased == *id));
            assert!(is_erased, "user {} is missing, but no write deleted them", id.0);
        }
        self.update_model(actors, done, after).await;
    }

    /// Checks that an actor who can sign in as another user gains no rights by it.
    fn check_no_gain(&self, actor: Id, as_whom: Id) {
        let may = |who: Id| Viewer { person: Some(self.people[&who]), key: None };
        let (own, lent) = (may(actor), may(as_whom));
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
        for (id, person) in self.people.iter().filter(|(id, _)| **id != actor && **id != as_whom) {
            let target = Target { person: *person, is_self: false };
            for (field, change) in changes.clone() {
                let gains = lent.updates(&target, field, change) == DONE && own.updates(&target, field, change) != DONE;
                assert!(!gains, "{actor:?} gains {field} {change:?} of {id:?} as {as_whom:?}");
            }
            for field in ["setActive", "deleteUser", "unlockUser"] {
                assert!(lent.switches(&target, field) != DONE || own.switches(&target, field) == DONE, "{field}");
            }
            for (site, license) in &self.sites {
                let gives = |viewer: &Viewer, who: Id| {
                    viewer.gives_site("grantSiteAccess", &target, *license, self.grants.contains(&(who, *site))) == DONE
                };
                assert!(!gives(&lent, as_whom) || gives(&own, actor), "{actor:?} gains {site:?} as {as_whom:?}");
            }
        }
    }

    /// Returns every state that a user can have had during the step: with any of the changes, or none.
    fn states(&self, id: Id, done: &[Done]) -> Vec<Person> {
        let mut states: Vec<Person> = self.people.get(&id).copied().into_iter().collect();
        for done in done {
            if let Deed::Enter(person, _) = &done.deed
                && id_at(&done.payload["user"]["id"]) == id
            {
                // The license is the actor's, which is not known here.
                states.extend(['A', 'B'].map(|license| with_sites(person.of(license))));
            }
        }
        // Twice, so that changes apply in either order.
        for done in done.iter().chain(done) {
            let next: Vec<Person> = match &done.deed {
                Deed::Change(target, _, change, _) if *target == id => {
                    states.iter().map(|state| with_sites(change.of(state))).collect()
                }
                Deed::Switch(target, is_active) if *target == id => {
                    states.iter().map(|state| Person { is_active: *is_active, ..*state }).collect()
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
        let own: Vec<Person> = match actors.len() {
            1 => vec![self.people[&actor.id]],
            _ => self.states(actor.id, done),
        };
        let target = done_now.deed.target();
        let targets = target.map(|id| self.states(id, done)).unwrap_or_default();
        own.iter().filter(|person| person.is_active).any(|person| {
            let viewer = Viewer { person: Some(*person), key: actor.key };
            let to = |judge: &dyn Fn(&Target) -> &'static str| {
                let is_self = target == Some(actor.id);
                targets.iter().any(|person| judge(&Target { person: *person, is_self }) == DONE)
            };
            match &done_now.deed {
                Deed::Enter(new, _) => viewer.creates(new, false) == DONE,
                Deed::Change(_, field, change, _) => to(&|target| viewer.updates(target, field, *change)),
                Deed::Switch(..) => to(&|target| viewer.switches(target, "setActive")),
                Deed::Erase(_) => to(&|target| viewer.switches(target, "deleteUser")),
                Deed::Unlock(_) => to(&|target| viewer.switches(target, "unlockUser")),
                Deed::EndSessions(_) => to(&|target| viewer.ends_sessions(target)),
                Deed::Join(group, user, role) => {
                    self.may_join((&viewer, actor.id), (*group, *user, *role), &targets, (actors, done))
                }
                Deed::Found => viewer.opens("createGroup").is_ok(),
                Deed::LetIn(id, field, _) => {
                    to(&|target| viewer.updates(target, field, Change::Plain))
                        && viewer.lets_in(DONE, self.may_hold_sites(actor.id, *id, done)) == DONE
                }
                Deed::Site(_, site, _) => {
                    let license = self.sites.iter().find(|(id, _)| id == site).unwrap().1;
                    let is_granted = self.may_hold(actor.id, *site, done);
                    to(&|target| viewer.gives_site(done_now.deed.field(), target, license, is_granted))
                }
                Deed::MakeKey(role) => viewer.makes_key(role) == DONE,
                Deed::Revoke(id) => {
                    let key = self.keys.iter().find(|key| key.id == *id);
                    key.is_some_and(|key| {
                        viewer.opens("revokeApiKey").is_ok() && viewer.sees_key(key.license, key.maker == actor.id)
                    })
                }
            }
        })
    }

    /// Whether a user can have had access to a site during the step.
    fn may_hold(&self, id: Id, site: Id, done: &[Done]) -> bool {
        let is_given = |done: &Done| matches!(done.deed, Deed::Site(user, given, true) if (user, given) == (id, site));
        self.grants.contains(&(id, site)) || done.iter().any(is_given)
    }

    /// Whether a user can have had access, during the step, to every site that another user kept access to.
    fn may_hold_sites(&self, id: Id, of: Id, done: &[Done]) -> bool {
        let is_taken = |site: Id| {
            done.iter().any(|done| matches!(done.deed, Deed::Site(user, taken, false) if (user, taken) == (of, site)))
        };
        let mut held = self.grants.iter().filter(|(user, site)| *user == of && !is_taken(*site));
        held.all(|(_, site)| self.may_hold(id, *site, done))
    }

    fn may_join(
        &self,
        (viewer, actor): (&Viewer, Id),
        (group, user, to): (Id, Id, Option<&'static str>),
        targets: &[Person],
        (actors, done): (&[Actor], &[Done]),
    ) -> bool {
        let license = self.groups.iter().find(|(id, _)| *id == group).unwrap().1;
        if user == actor && to.is_none() {
            return viewer.leaves(license) == DONE;
        }
        let is_passed_on = done.iter().any(|done| match &done.deed {
            Deed::Join(left, user, None) => *left == group && *user == actors[done.actor].id,
            _ => passed_on(done).contains(&group),
        });
        let roles = |of: Id| {
            let mut roles = vec![self.members.get(&(group, of)).copied()];
            roles.extend(done.iter().filter_map(|done| match &done.deed {
                Deed::Join(joined, user, role) if *joined == group && *user == of => Some(*role),
                _ => None,
            }));
            if is_passed_on {
                roles.push(Some("OWNER"));
            }
            roles
        };
        let (owns, froms) = (roles(actor), roles(user));
        let allowed = |own: Option<&'static str>, from: Option<&'static str>, person: &Person| {
            viewer.changes_members(&Joining { license, own, from, to, person: *person }) == DONE
        };
        owns.iter().any(|own| froms.iter().any(|from| targets.iter().any(|person| allowed(*own, *from, person))))
    }

    /// Updates the expected state from the database.
    async fn update_model(&mut self, actors: &[Actor], done: &[Done], after: HashMap<Id, Person>) {
        let mut joined = BTreeSet::new();
        for done in done {
            let actor = &actors[done.actor];
            joined.extend(passed_on(done));
            match &done.deed {
                Deed::Enter(..) => self.order.push(id_at(&done.payload["user"]["id"])),
                Deed::Join(group, ..) => {
                    joined.insert(*group);
                }
                Deed::Found => {
                    let id = id_at(&done.payload["group"]["id"]);
                    self.groups.push((id, self.people[&actor.id].license));
                    self.members.insert((id, actor.id), "OWNER");
                }
                Deed::MakeKey(role) => self.keys.push(Key {
                    id: id_at(&done.payload["apiKey"]["id"]),
                    maker: actor.id,
                    role,
                    license: self.people[&actor.id].license,
                    secret: done.payload["secret"].as_str().unwrap().to_owned(),
                }),
                Deed::Revoke(id) => self.keys.retain(|key| key.id != *id),
                _ => {}
            }
            *self.counts.entry(done.deed.field()).or_default() += 1;
        }
        let rows = site_access::Entity::find().all(self.app.db.read()).await.unwrap();
        let grants: BTreeSet<(Id, Id)> = rows.into_iter().map(|row| (row.user_id, row.institution_id)).collect();
        for (user, site) in grants.symmetric_difference(&self.grants).filter(|(user, _)| after.contains_key(user)) {
            let is = grants.contains(&(*user, *site));
            let by = done.iter().any(
                |done| matches!(done.deed, Deed::Site(of, which, given) if (of, which, given) == (*user, *site, is)),
            );
            assert!(by, "access of {user:?} to {site:?} is now {is}, but no write changed it");
        }
        self.grants = grants;
        self.people = after;
        self.order.retain(|id| self.people.contains_key(id));
        // Keys of deactivated and deleted users stay for a while, so that requests use them.
        if self.keys.len() > 60 {
            let gone = |key: &Key| !self.people.get(&key.maker).is_some_and(|person| person.is_active);
            self.keys.retain(|key| !gone(key));
        }
        let rows = membership::Entity::find()
            .filter(membership::Column::GroupId.is_in(joined.iter().copied()))
            .all(self.app.db.read())
            .await
            .unwrap();
        self.members.retain(|(group, user), _| !joined.contains(group) && self.people.contains_key(user));
        self.members.extend(rows.into_iter().map(|row| ((row.group_id, row.user_id), name_of(row.role))));
    }

    /// Checks the invariants of the database.
    async fn check_invariants(&self) {
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
        let sql = "SELECT action, actor_id, api_key_id, subject_id, changes FROM audit_events ORDER BY seq";
        let statement = Statement::from_string(self.app.db.read().get_database_backend(), sql);
        let (mut out, mut revoked, mut known) = (BTreeSet::new(), BTreeSet::new(), HashMap::<Id, Person>::new());
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
                let person = known.get(&actor).filter(|_| self.people.contains_key(&actor));
                let is_right =
                    person.is_none_or(|person| person.rank() > 0 || !OF_ADMINISTRATORS.contains(&action.as_str()));
                assert!(is_right, "{action} by {actor:?}, who is only {person:?}");
            }
            match action.as_str() {
                "USER_DEACTIVATED" | "USER_DELETED" => _ = out.insert(subject),
                "USER_ACTIVATED" => _ = out.remove(&subject),
                "API_KEY_REVOKED" => _ = revoked.insert(subject),
                "USER_CREATED" | "USER_UPDATED" => {
                    let person = known.entry(subject).or_insert(USER);
                    let changes: Option<String> = row.try_get("", "changes").unwrap();
                    let changes: Vec<Value> = serde_json::from_str(changes.as_deref().unwrap_or("[]")).unwrap();
                    for change in changes {
                        let (field, after) = (change["field"].as_str().unwrap(), &change["after"]);
                        match field.strip_prefix("adminRights.") {
                            Some(right) => person
                                .set_right(RIGHTS.iter().find(|name| **name == right).unwrap(), *after == json!(true)),
                            None if field == "isStaff" => person.is_staff = *after == json!(true),
                            None if field == "role" => {
                                let role = after.as_str().unwrap();
                                person.role =
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
        let mut told: HashMap<(Id, Id), String> = HashMap::new();
        for row in self.app.db.read().query_all_raw(statement).await.unwrap() {
            let (action, group): (String, Id) =
                (row.try_get("", "action").unwrap(), row.try_get("", "subject_id").unwrap());
            if action == "GROUP_DELETED" {
                told.retain(|(of, _), _| *of != group);
                continue;
            }
            if action == "GROUP_CREATED" {
                told.insert((group, row.try_get("", "actor_id").unwrap()), "OWNER".to_owned());
                continue;
            }
            let changes: String = row.try_get("", "changes").unwrap();
            let changes: Value = serde_json::from_str(&changes).unwrap();
            let of = |field: &str| {
                changes.as_array().unwrap().iter().find(|change| change["field"] == json!(field)).unwrap().clone()
            };
            let (user, role) = (of("userId"), of("role"));
            let id = id_at(if user["after"].is_null() { &user["before"] } else { &user["after"] });
            let was = told.get(&(group, id)).cloned();
            let place = self.groups.iter().position(|(known, _)| *known == group);
            let is_busy = place.is_some_and(|place| WITHOUT_EVENTS.contains(&place));
            assert!(is_busy || json!(was) == role["before"], "{group:?} {id:?}: {was:?}, event: {role}");
            match role["after"].as_str() {
                Some(role) => told.insert((group, id), role.to_owned()),
                None => told.remove(&(group, id)),
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
                assert_eq!(told.get(&(*group, *id)), stored.get(&(*group, *id)), "{id:?} in {group:?}");
            }
        }
    }
}

/// The groups that a write passed on to another owner.
fn passed_on(done: &Done) -> Vec<Id> {
    done.payload["groupsPassedOn"].as_array().into_iter().flatten().map(|group| id_at(&group["id"])).collect()
}

/// Adds full site access for license administrators, who always have it.
fn with_sites(person: Person) -> Person {
    Person { full_site_access: person.full_site_access || person.role == "LICENSE_ADMIN", ..person }
}

fn id_at(value: &Value) -> Id {
    Id::parse(value.as_str().unwrap_or_else(|| panic!("{value} is not an id"))).unwrap()
}

/// Sends one mutation by each of two callers at the same time. Returns the error codes.
async fn post_both(one: &Caller<'_>, other: &Caller<'_>, mutations: [String; 2]) -> [Option<String>; 2] {
    let [first, second] =
        mutations.map(|text| json!({ "query": format!("mutation {{ {text} {{ success errors {{ code }} }} }}") }));
    let answers = tokio::join!(one.post(&first), other.post(&second));
    [answers.0, answers.1].map(|(status, answer)| {
        if status == 401 {
            return Some("401".to_owned());
        }
        let error = answer["errors"].get(0).map(|error| &error["extensions"]["code"]);
        let fault = || {
            answer["data"]
                .as_object()
                .and_then(|data| data.values().next()?["errors"].get(0).map(|error| &error["code"]))
        };
        let code = error.or_else(fault).map(|code| code.as_str().unwrap_or("no code").to_owned());
        let known = ["FORBIDDEN", "UNAUTHENTICATED", "NOT_FOUND", "NOT_ALLOWED"];
        assert!(code.as_ref().is_none_or(|code| known.contains(&code.as_str())), "{answer:#}");
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
        let seed = env_number("ROSTER_TEST_SEED", SEED) + usize::from(app.db.is_postgres());
        let sequences = env_number("ROSTER_TEST_SEQUENCES", SEQUENCES);
        let mut watch = Watch::new(&app, seed).await;
        let database = if app.db.is_postgres() { "PostgreSQL" } else { "SQLite" };
        println!("sequences on {database} from the seed {seed}");
        for sequence in 0..sequences {
            watch.step().await;
            if sequence % LOOK_EVERY == 0 {
                watch.check_invariants().await;
            }
        }
        watch.check_invariants().await;
        watch.check_events().await;
        watch.check_actors().await;
        assert!(watch.let_in > sequences / 500, "only {} checks of changed credentials", watch.let_in);
        words::check(&app).await;
        let done = watch.counts.values().sum::<i64>();
        let asked = watch.outcomes.values().sum::<usize>();
        println!("{sequences} sequences on {database}: {asked} asked for, {done} done, {:.1?}", began.elapsed());
        println!("{:#?}", watch.outcomes);
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
        let ward = root.change("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
        for round in 0..60 {
            let (admin, user) = (app.admin().await, app.user().await);
            root.change("setGroupMember", "", json!({ "groupId": ward, "userId": user.id(), "role": "MEMBER" })).await;
            let (deed, erased) = match round % 3 {
                0 => ("createGroup(input: { name: \"New\" })".to_owned(), admin.id()),
                1 => (format!("setGroupMember(input: {{ groupId: {ward}, userId: \"{}\", role: OWNER }})", user.id()), user.id()),
                _ => (format!("removeGroupMember(input: {{ groupId: {ward}, userId: \"{}\" }})", user.id()), user.id()),
            };
            let codes = post_both(&root, &admin, [removal(2, &erased, ""), deed]).await;
            assert!(codes[0].is_none() || round % 3 == 0, "round {round}: {codes:?}");
        }
    }
}
