//! Every action by every kind of viewer to every kind of target, field by field, against an oracle that says the rules a
//! second time; and what must hold whatever is written in whatever order.

mod oracle;
mod sequences;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Instant;

use async_graphql::MaybeUndefined::Value as Given;
use chrono::Days;
use futures_util::{StreamExt, stream};
use roster::access::ROOT_FIELDS;
use roster::entity::institution::{InstitutionCore, InstitutionFields, InstitutionKind};
use roster::entity::membership::GroupRole;
use roster::entity::user::{Names, Privacy, Role, UserFields};
use roster::entity::{api_key, institution, license, membership, session, user};
use roster::form::Form;
use roster::scalar::{Date, DateText, Id, now};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, Iterable, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use self::oracle::{Change, DONE, FORBIDDEN, Joining, NOT_FOUND, PRIVATE, Person, RIGHTS, Target, USER, Viewer};
use crate::app::{App, Caller, PASSWORD};
use crate::crowd;
use crate::definition::{Definition, innermost};

/// So many root fields may stand in one document.
const ROOTS: usize = 10;

/// What is asked of a person whoever asks.
const SEEN: &str = "fragment Seen on User { id mobile birthDate externalId lastLogin sessions { id } \
    adminRights { isSuperuser isAdmin isProjectAdmin isGroupAdmin isTaxonomiesAdmin isResourcesAdmin isAttributesAdmin isContactFormEmailReceiver } \
    viewerCan { update setActive delete seePrivate seeAdminRights } }";

/// The root fields of which an error takes the whole answer along.
const NEVER_NULL: [&str; 6] = ["nodes", "users", "searchUsers", "groups", "institutions", "apiKeys"];
/// The mutations of which a request may have one.
const CREDENTIALS: [&str; 3] = ["login", "changePassword", "setPin"];

/// What came of all cells so far.
#[derive(Default)]
struct Tally {
    cells: usize,
    wrong: Vec<String>,
    /// The root fields that were asked for.
    fields: BTreeSet<&'static str>,
    /// `viewerCan` of each person, as it was shown.
    can: HashMap<Id, Value>,
    /// What really came of an action on a person.
    outcomes: HashMap<(Id, &'static str), String>,
}

impl Tally {
    fn expect(&mut self, what: impl FnOnce() -> String, expected: &Value, actual: &Value) {
        self.cells += 1;
        if expected != actual {
            self.wrong.push(format!("{}: {actual} where {expected} is right", what()));
        }
    }

    fn add(&mut self, other: Self) {
        self.cells += other.cells;
        self.wrong.extend(other.wrong);
        self.fields.extend(other.fields);
    }
}

/// What a root field answered.
struct Answer {
    status: u16,
    code: Option<String>,
    value: Value,
}

impl Answer {
    /// `done`, `null`, `value`, or the code of what went wrong.
    fn outcome(&self) -> String {
        if self.status == 401 {
            return "401".to_owned();
        }
        match (&self.code, &self.value) {
            (Some(code), _) => code.clone(),
            (None, Value::Null) => "null".to_owned(),
            (None, value) => match value.get("success").and_then(Value::as_bool) {
                None => "value".to_owned(),
                Some(true) => DONE.to_owned(),
                Some(false) => value["errors"][0]["code"].as_str().unwrap_or("no code").to_owned(),
            },
        }
    }
}

type Judge = Box<dyn FnOnce(&Answer, &mut Tally) + Send>;

/// One root field, and what is to be found of its answer.
struct Cell {
    field: &'static str,
    text: String,
    judge: Judge,
}

impl Cell {
    fn new(field: &'static str, rest: &str, judge: impl FnOnce(&Answer, &mut Tally) + Send + 'static) -> Self {
        Self { field, text: format!("{field}{rest}"), judge: Box::new(judge) }
    }

    /// A mutation of one input, of which one outcome is right.
    fn change(field: &'static str, input: &str, who: &str, expected: &'static str) -> Self {
        Self::noted(field, input, who, expected, None)
    }

    /// The same; what came of it is noted as an action on a person.
    fn noted(
        field: &'static str,
        input: &str,
        who: &str,
        expected: &'static str,
        note: Option<(Id, &'static str)>,
    ) -> Self {
        let what = format!("{who}: {field}({input})");
        let rest = format!("(input: {{ {input} }}) {{ success errors {{ code }} }}");
        Self::new(field, &rest, move |answer, tally| {
            let outcome = answer.outcome();
            tally.expect(|| what, &json!(expected), &json!(outcome));
            if let Some(note) = note {
                tally.outcomes.insert(note, outcome);
            }
        })
    }

    /// A query, of which one outcome is right.
    fn query(field: &'static str, rest: &str, who: &str, expected: &'static str) -> Self {
        let what = format!("{who}: {field}{rest}");
        Self::new(field, rest, move |answer, tally| tally.expect(|| what, &json!(expected), &json!(answer.outcome())))
    }

    /// A query, of which the value in one place is right, unless it is refused.
    fn value(
        field: &'static str,
        rest: &str,
        who: &str,
        place: &'static str,
        expected: Result<Value, &'static str>,
    ) -> Self {
        let what = format!("{who}: {field}{rest}");
        Self::new(field, rest, move |answer, tally| match expected {
            Ok(expected) => {
                let actual = answer.value.pointer(place).cloned().unwrap_or_else(|| json!(answer.outcome()));
                tally.expect(|| what, &expected, &actual);
            }
            Err(refused) => tally.expect(|| what, &json!(refused), &json!(answer.outcome())),
        })
    }

    fn stands_alone(&self) -> bool {
        NEVER_NULL.contains(&self.field) || CREDENTIALS.contains(&self.field)
    }
}

/// Asks for cells in as few documents as there may be, in their order.
async fn run(caller: &Caller<'_>, is_mutation: bool, cells: Vec<Cell>, tally: &mut Tally) {
    let mut document: Vec<Cell> = Vec::new();
    for cell in cells {
        let breaks = document.len() == ROOTS || cell.stands_alone() || document.iter().any(Cell::stands_alone);
        if breaks && !document.is_empty() {
            ask(caller, is_mutation, std::mem::take(&mut document), tally).await;
        }
        document.push(cell);
    }
    if !document.is_empty() {
        ask(caller, is_mutation, document, tally).await;
    }
}

async fn ask(caller: &Caller<'_>, is_mutation: bool, cells: Vec<Cell>, tally: &mut Tally) {
    let mut query = String::from(if is_mutation { "mutation {" } else { "{" });
    for (place, cell) in cells.iter().enumerate() {
        write!(query, " a{place}: {}", cell.text).unwrap();
    }
    query.push_str(" }");
    if query.contains("...Seen") {
        query.push_str(SEEN);
    }
    let (status, answer) = caller.post(&json!({ "query": query })).await;
    for (place, cell) in cells.into_iter().enumerate() {
        let alias = format!("a{place}");
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        let error = errors.iter().find(|error| error["path"].get(0).is_none_or(|path| *path == json!(alias)));
        let code = error.map(|error| error["extensions"]["code"].as_str().unwrap_or("no code").to_owned());
        tally.fields.insert(cell.field);
        (cell.judge)(&Answer { status, code, value: answer["data"][&alias].clone() }, tally);
    }
}

/// A person to whom things are done.
#[derive(Clone)]
struct Known {
    label: String,
    target: Target,
    id: Id,
    username: String,
    email: String,
    external_id: String,
    mobile: String,
    /// A session of the person's; none of one's own, which is known by asking.
    session: Option<Id>,
}

impl Known {
    /// Whether every field of the person is tried: of each rank, and of each reason why somebody is out of reach, one is.
    fn is_asked_all(&self) -> bool {
        ["self", "user", "ADMIN", "LICENSE_ADMIN", "superuser", "inactive user", "user of B", "LICENSE_ADMIN of B"]
            .contains(&self.label.as_str())
    }
}

/// Somebody who asks, with targets of every kind that nobody else touches.
struct Seat<'a> {
    name: String,
    viewer: Viewer,
    caller: Caller<'a>,
    email: String,
    /// The last name of the targets.
    token: String,
    known: Vec<Known>,
    /// A group and an institution of license A, and of B, that all targets of the license belong to.
    everybody: [Id; 2],
    houses: [Id; 2],
    /// Groups to be changed, each with its license and what the viewer is in it.
    groups: Vec<(Id, char, Option<&'static str>)>,
    /// API keys to be revoked: the viewer's own, one of license A, one of license B.
    keys: Vec<(Id, char, bool)>,
    tally: Tally,
}

/// What is the same for all seats.
struct World {
    licenses: [Id; 2],
    /// People who are counted in lists: of license A, and of all; active ones, and all.
    totals: [[i64; 2]; 2],
    /// People who join and leave groups, each with what they are in every group, and are to be.
    joiners: Vec<(Id, Person, Option<&'static str>, Option<&'static str>)>,
}

/// Who asks.
struct Kind {
    name: &'static str,
    person: Person,
    key: Option<Role>,
}

fn kinds() -> Vec<Kind> {
    let person = |name, person| Kind { name, person, key: None };
    let key = |name, person, role| Kind { name, person, key: Some(role) };
    let admin = USER.role("ADMIN");
    let chief = USER.role("LICENSE_ADMIN");
    let superuser = USER.with("isSuperuser");
    vec![
        person("user", USER),
        person("user with fullSiteAccess", USER.everywhere()),
        person("isStaff", USER.staff()),
        person("isAdmin", USER.with("isAdmin")),
        person("isGroupAdmin", USER.with("isGroupAdmin")),
        person("isAttributesAdmin", USER.with("isAttributesAdmin")),
        person("ADMIN", admin),
        person("ADMIN with fullSiteAccess", admin.everywhere()),
        person("ADMIN with isProjectAdmin", admin.with("isProjectAdmin").with("isResourcesAdmin")),
        person("LICENSE_ADMIN", chief),
        person("superuser", superuser),
        person("superuser and LICENSE_ADMIN", chief.with("isSuperuser")),
        key("USER key of an ADMIN", admin, Role::User),
        key("USER key of a superuser", superuser, Role::User),
        key("ADMIN key of an isStaff with isGroupAdmin", USER.staff().with("isGroupAdmin"), Role::Admin),
        key("ADMIN key of an ADMIN", admin.with("isTaxonomiesAdmin"), Role::Admin),
        key("ADMIN key of an ADMIN with fullSiteAccess", admin.everywhere(), Role::Admin),
        key("ADMIN key of a LICENSE_ADMIN", chief, Role::Admin),
        key("ADMIN key of a superuser", superuser, Role::Admin),
        key("LICENSE_ADMIN key of a LICENSE_ADMIN", chief, Role::LicenseAdmin),
        key("LICENSE_ADMIN key of a superuser", superuser, Role::LicenseAdmin),
    ]
}

/// To whom things are done, beside the viewer himself.
fn targets() -> Vec<(&'static str, Person)> {
    let (admin, chief, superuser) = (USER.role("ADMIN"), USER.role("LICENSE_ADMIN"), USER.with("isSuperuser"));
    vec![
        ("user", USER),
        ("user with fullSiteAccess", USER.everywhere()),
        ("isGroupAdmin", USER.with("isGroupAdmin")),
        ("isAttributesAdmin", USER.with("isAttributesAdmin")),
        ("isStaff", USER.staff()),
        ("isAdmin", USER.with("isAdmin")),
        ("ADMIN", admin),
        ("ADMIN with isProjectAdmin", admin.with("isProjectAdmin")),
        ("ADMIN with fullSiteAccess", admin.everywhere()),
        ("LICENSE_ADMIN", chief),
        ("superuser", superuser),
        ("inactive user", USER.inactive()),
        ("inactive ADMIN", admin.inactive()),
        ("inactive LICENSE_ADMIN", chief.inactive()),
        ("user of B", USER.of('B')),
        ("ADMIN of B", admin.of('B')),
        ("LICENSE_ADMIN of B", chief.of('B')),
        ("superuser of B", superuser.of('B')),
        ("inactive user of B", USER.of('B').inactive()),
    ]
}

fn key_role(role: Role) -> &'static str {
    match role {
        Role::LicenseAdmin => "LICENSE_ADMIN",
        Role::Admin => "ADMIN",
        Role::User => "USER",
    }
}

fn group_role(role: &str) -> GroupRole {
    match role {
        "OWNER" => GroupRole::Owner,
        "MANAGER" => GroupRole::Manager,
        _ => GroupRole::Member,
    }
}

/// A person as the oracle has it, with values in all private fields.
fn row(license: Id, person: &Person, first: &str, last: &str, n: usize) -> user::Model {
    let mut row = crowd::model(license, first, last);
    let fields = UserFields {
        username: Given(format!("m{n}")),
        mobile: Given(format!("+61 {n:06}")),
        birth_date: Given(DateText("1980-07-08".to_owned())),
        external_id: Given(format!("E-{n}")),
        ..person.fields()
    };
    let mut form = Form::changing();
    row.lay_over(Names::default(), fields, &mut form);
    form.finish().unwrap();
    row.is_active = person.is_active;
    row.last_login = Some(now());
    row
}

fn new_session(user_id: Id) -> session::Model {
    session::Model {
        id: Id::new(),
        user_id,
        token_hash: Id::new().0.as_bytes().to_vec(),
        created_at: now(),
        last_seen_at: now(),
        expires_at: now() + chrono::TimeDelta::days(1),
        user_agent: None,
        ip_address: None,
    }
}

fn new_key(user_id: Id, license_id: Id) -> api_key::Model {
    api_key::Model {
        id: Id::new(),
        user_id,
        license_id,
        name: "Nightly".to_owned(),
        role: Role::User,
        prefix: "rok_00000".to_owned(),
        token_hash: Id::new().0.as_bytes().to_vec(),
        created_at: now(),
        last_used_at: None,
        expires_at: None,
    }
}

async fn house(app: &App, license: Id, name: String) -> Id {
    let mut new = institution::Model::blank(Id::new(), license);
    let core = InstitutionCore {
        name: Given(name),
        kind: Given(InstitutionKind::Hospital),
        country: Given("AU".to_owned()),
    };
    let mut form = Form::creating();
    new.lay_over(core, InstitutionFields::default(), &mut form);
    form.finish().unwrap();
    let id = new.id;
    new.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
    id
}

/// Whoever asks by a key makes it himself.
async fn with_key<'a>(caller: &Caller<'a>, role: Role) -> Caller<'a> {
    let input = json!({ "name": "Nightly", "role": key_role(role) });
    let made = caller.change("createApiKey", "secret", input).await;
    let token = made["secret"].as_str().unwrap_or_else(|| panic!("{made:#}")).to_owned();
    Caller { token: Some(token), ..caller.clone() }
}

/// Somebody who is signed in, with values in all private fields; numbers of people who ask are below those of targets.
async fn signed_in<'a>(app: &'a App, license: Id, person: &Person, n: usize) -> (Caller<'a>, user::Model) {
    let fields = UserFields {
        username: Given(format!("v{n}")),
        email: Given(format!("v{n}@matrix.example")),
        mobile: Given(format!("+61 {n:06}")),
        birth_date: Given(DateText("1980-07-08".to_owned())),
        external_id: Given(format!("V-{n}")),
        ..person.fields()
    };
    let row = app.create("Viewer", license, fields, Given(PASSWORD.to_owned())).await;
    (app.sign_in(row.clone()).await, row)
}

/// A seat of each kind, with its own targets.
async fn seats(app: &App) -> Vec<Seat<'_>> {
    let mut seats = Vec::new();
    for (n, kind) in kinds().into_iter().enumerate() {
        let (caller, row) = signed_in(app, app.license, &kind.person, n).await;
        let own = Known {
            label: "self".to_owned(),
            target: Target { person: kind.person, is_self: true },
            id: row.id,
            username: format!("v{n}"),
            email: format!("v{n}@matrix.example"),
            external_id: format!("V-{n}"),
            mobile: format!("+61 {n:06}"),
            session: None,
        };
        let caller = match kind.key {
            Some(role) => with_key(&caller, role).await,
            None => caller,
        };
        let viewer = Viewer { person: Some(kind.person), key: kind.key.map(key_role) };
        seats.push(seat(app, n, kind.name, viewer, caller, Some(own)).await);
    }
    let n = seats.len();
    let (maker, _) = signed_in(app, app.license, &USER.role("ADMIN"), n).await;
    let demoted = with_key(&maker, Role::Admin).await;
    let id = maker.id();
    app.superuser().await.change("updateUser", "", json!({ "id": id, "role": "USER" })).await;
    let own = Known {
        label: "self".to_owned(),
        target: Target { person: USER, is_self: true },
        id: maker.id,
        username: format!("v{n}"),
        email: format!("v{n}@matrix.example"),
        external_id: format!("V-{n}"),
        mobile: format!("+61 {n:06}"),
        session: None,
    };
    let viewer = Viewer { person: Some(USER), key: Some("ADMIN") };
    seats.push(seat(app, n, "ADMIN key of who is a USER since", viewer, demoted, Some(own)).await);
    let nobody = Viewer { person: None, key: None };
    seats.push(seat(app, n + 1, "anonymous", nobody, app.anonymous(), None).await);
    seats
}

async fn seat<'a>(
    app: &'a App,
    n: usize,
    name: &str,
    viewer: Viewer,
    caller: Caller<'a>,
    own: Option<Known>,
) -> Seat<'a> {
    let token = format!("mtrx{n:02}");
    let licenses = [app.license, app.other_license];
    let houses = [house(app, licenses[0], format!("House {token}")).await, house(app, licenses[1], format!("House {token}")).await];
    let mut everybody = [Id::new(); 2];
    for (place, license) in licenses.into_iter().enumerate() {
        everybody[place] = crowd::groups(app, license, [format!("Everybody {token}")]).await[0];
    }
    let (mut known, mut rows) = (Vec::new(), Vec::new());
    for (m, (label, person)) in targets().into_iter().enumerate() {
        let (number, place) = (1_000 + n * 50 + m, usize::from(person.license == 'B'));
        let mut row = row(licenses[place], &person, "Target", &token, number);
        row.institution_id = Some(houses[place]);
        known.push(Known {
            label: label.to_owned(),
            target: Target { person, is_self: false },
            id: row.id,
            username: format!("m{number}"),
            email: row.email.clone().unwrap(),
            external_id: format!("E-{number}"),
            mobile: format!("+61 {number:06}"),
            session: Some(Id::new()),
        });
        rows.push(row);
    }
    crowd::store(app, rows).await;
    for (place, license) in ['A', 'B'].into_iter().enumerate() {
        let members: Vec<Id> =
            known.iter().filter(|known| known.target.person.license == license).map(|known| known.id).collect();
        crowd::memberships(app, &members, &everybody[place..=place], GroupRole::Member).await;
    }
    let sessions = known.iter().map(|known| session::Model { id: known.session.unwrap(), ..new_session(known.id) });
    let rows = sessions.map(|row| row.into_active_model().reset_all());
    session::Entity::insert_many(rows).exec_without_returning(app.db.write()).await.unwrap();

    let mut groups = Vec::new();
    let (own_id, is_somebody) = (own.as_ref().map(|own| own.id), own.is_some());
    for (license, own) in [('A', Some("OWNER")), ('A', Some("MANAGER")), ('A', Some("MEMBER")), ('A', None), ('B', None)] {
        let own = own.filter(|_| is_somebody);
        let id = crowd::groups(app, licenses[usize::from(license == 'B')], [format!("Joined {token}")]).await[0];
        if let (Some(user_id), Some(own)) = (own_id, own) {
            crowd::memberships(app, &[user_id], &[id], group_role(own)).await;
        }
        groups.push((id, license, own));
    }
    let keepers = [(own_id, 'A', true), (Some(known[0].id), 'A', false), (Some(known[14].id), 'B', false)];
    let mut keys = Vec::new();
    for (keeper, license, is_own) in keepers {
        let Some(keeper) = keeper else { continue };
        let key = new_key(keeper, licenses[usize::from(license == 'B')]);
        keys.push((key.id, license, is_own));
        key.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
    }
    let email = own.as_ref().map(|own| own.email.clone()).unwrap_or_default();
    known.extend(own);
    Seat {
        name: name.to_owned(),
        viewer,
        caller,
        email,
        token,
        known,
        everybody,
        houses,
        groups,
        keys,
        tally: Tally::default(),
    }
}

async fn world(app: &App, seats: &[Seat<'_>]) -> World {
    let licenses = [app.license, app.other_license];
    let mut joiners = Vec::new();
    let mut rows = Vec::new();
    let roles = [None, Some("MEMBER"), Some("MANAGER"), Some("OWNER")];
    let mut number = 5_000;
    for (license, id) in [('A', app.license), ('B', app.other_license)] {
        for from in roles {
            for to in roles {
                number += 1;
                let person = USER.of(license);
                let row = row(id, &person, "Joiner", "Joiner", number);
                joiners.push((row.id, person, from, to));
                rows.push(row);
            }
        }
    }
    let hidden = row(app.license, &USER.inactive(), "Joiner", "Hidden", number + 1);
    joiners.push((hidden.id, USER.inactive(), None, Some("MEMBER")));
    rows.push(hidden);
    crowd::store(app, rows).await;
    let mut memberships = Vec::new();
    for (group_id, license, _) in seats.iter().flat_map(|seat| &seat.groups) {
        let of_license = joiners.iter().filter(|(_, person, _, _)| person.license == *license);
        memberships.extend(of_license.filter_map(|(user_id, _, from, _)| {
            let role = group_role((*from)?);
            Some(membership::Model { user_id: *user_id, group_id: *group_id, role, joined_at: now() })
        }));
    }
    let rows: Vec<_> = memberships.into_iter().map(|row| row.into_active_model().reset_all()).collect();
    for some in rows.chunks(1_000) {
        membership::Entity::insert_many(some.to_vec()).exec_without_returning(app.db.write()).await.unwrap();
    }

    let count = async |license: Option<Id>, only_active: bool| {
        let mut people = user::Entity::find();
        if let Some(license) = license {
            people = people.filter(user::Column::LicenseId.eq(license));
        }
        if only_active {
            people = people.filter(user::Column::IsActive.eq(true));
        }
        i64::try_from(people.count(app.db.read()).await.unwrap()).unwrap()
    };
    let of_license = [count(Some(app.license), true).await, count(Some(app.license), false).await];
    let totals = [of_license, [count(None, true).await, count(None, false).await]];
    World { licenses, totals, joiners }
}

/// What is shown of a person, field by field, where the person is to be seen at all.
fn judge_person(tally: &mut Tally, way: &str, viewer: &Viewer, known: &Known, seen: Option<&Value>, is_found: bool) {
    let target = &known.target;
    let what = |field: &str| format!("{way} -> {}: {field}", known.label);
    tally.expect(|| what("id"), &json!(is_found), &json!(seen.is_some_and(|seen| !seen.is_null())));
    let Some(seen) = seen.filter(|seen| is_found && !seen.is_null()) else { return };
    let is_shown = viewer.sees_private(target);
    for field in PRIVATE {
        let expected = match field {
            _ if !is_shown => json!(null),
            "mobile" => json!(known.mobile),
            "birthDate" => json!("1980-07-08"),
            "externalId" => json!(known.external_id),
            "lastLogin" => json!(seen["lastLogin"].as_str().unwrap_or("a value")),
            other => panic!("{other} is private and has no case in the matrix"),
        };
        tally.expect(|| what(field), &expected, &seen[field]);
    }
    for (right, held) in RIGHTS.into_iter().zip(target.person.rights) {
        let expected = match () {
            () if viewer.sees_rights(target) => json!(held),
            () if target.is_self => json!(held && right == "isSuperuser"),
            () => json!(null),
        };
        tally.expect(|| what(right), &expected, &seen["adminRights"][right]);
    }
    let sessions = match (is_shown, known.session) {
        (false, _) => json!(null),
        (true, Some(id)) => json!([{ "id": id }]),
        (true, None) => json!(seen["sessions"].as_array().map_or(json!("a session"), |shown| json!(shown))),
    };
    tally.expect(|| what("sessions"), &sessions, &seen["sessions"]);
    let can = json!({
        "update": viewer.updates(target, "nickname", Change::Plain) == DONE,
        "setActive": viewer.switches(target, "setActive") == DONE,
        "delete": viewer.switches(target, "deleteUser") == DONE,
        "seePrivate": is_shown,
        "seeAdminRights": viewer.sees_rights(target),
    });
    for (field, expected) in can.as_object().unwrap() {
        tally.expect(|| what(&format!("viewerCan.{field}")), expected, &seen["viewerCan"][field]);
    }
    // That it may be seen is compared with what was seen; the rest with what comes of it.
    let shows = json!({
        "seePrivate": PRIVATE.iter().all(|field| !seen[field].is_null()),
        "seeAdminRights": seen["adminRights"].is_object() && (!target.is_self || viewer.rank() > 0),
    });
    for (field, shown) in shows.as_object().unwrap() {
        tally.expect(|| what(&format!("viewerCan.{field} and what is shown")), shown, &seen["viewerCan"][field]);
    }
    tally.can.insert(known.id, seen["viewerCan"].clone());
}

impl Seat<'_> {
    fn who(&self, known: &Known) -> String {
        format!("{} -> {}", self.name, known.label)
    }

    fn open(&self, field: &str) -> Result<(), &'static str> {
        self.viewer.opens(field)
    }

    /// Every way that leads to a person.
    fn reads(&self, world: &World) -> Vec<Cell> {
        let (viewer, name) = (self.viewer, self.name.as_str());
        let mut cells = Vec::new();
        let own = self.known.iter().find(|known| known.target.is_self).cloned();
        let way = format!("{name}: viewer");
        cells.push(Cell::new("viewer", " { ...Seen }", move |answer, tally| match own {
            None => tally.expect(|| way, &json!("null"), &json!(answer.outcome())),
            Some(own) => judge_person(tally, &way, &viewer, &own, Some(&answer.value), true),
        }));
        for known in &self.known {
            cells.extend(self.ways_to(known));
        }
        for (field, ids) in [("group", self.everybody), ("institution", self.houses)] {
            for (place, id) in ids.into_iter().enumerate() {
                let license = ['A', 'B'][place];
                cells.push(self.list_cell(field, id, license));
            }
        }
        for (license, id) in ['A', 'B'].into_iter().zip(world.licenses) {
            cells.push(Cell::query("license", &format!("(id: \"{}\") {{ id }}", id.0), name, self.shown(license)));
        }
        let missing = Id::new().0;
        for field in ["user", "node", "group", "institution", "license"] {
            let rest = if field == "user" { format!("(by: {{ id: \"{missing}\" }})") } else { format!("(id: \"{missing}\")") };
            let expected = if viewer.person.is_none() { oracle::UNAUTHENTICATED } else { "null" };
            cells.push(Cell::query(field, &format!("{rest} {{ id }}"), name, expected));
        }
        cells.extend(self.lists(world));
        cells
    }

    fn shown(&self, license: char) -> &'static str {
        match self.open("node") {
            Err(refused) => refused,
            Ok(()) if self.viewer.reaches(license) => "value",
            Ok(()) => "null",
        }
    }

    fn ways_to(&self, known: &Known) -> Vec<Cell> {
        let (viewer, who) = (self.viewer, self.who(known));
        let mut cells = Vec::new();
        let found = match self.open("user") {
            Err(refused) => refused,
            Ok(()) if viewer.finds(&known.target) => "value",
            Ok(()) => "null",
        };
        let id = known.id.0;
        for (field, rest) in [
            ("user", format!("(by: {{ id: \"{id}\" }}) {{ ...Seen }}")),
            ("node", format!("(id: \"{id}\") {{ id ...Seen }}")),
        ] {
            let (way, known) = (format!("{}: {field}", self.name), known.clone());
            cells.push(Cell::new(field, &rest, move |answer, tally| match answer.code.as_deref() {
                Some(code) => tally.expect(|| way, &json!(found), &json!(code)),
                None => judge_person(tally, &way, &viewer, &known, Some(&answer.value), found == "value"),
            }));
        }
        for (by, value) in [("username", &known.username), ("email", &known.email)] {
            cells.push(Cell::query("user", &format!("(by: {{ {by}: \"{value}\" }}) {{ id }}"), &who, found));
        }
        let by_external_id = match viewer.person.map(|_| viewer.looks_up_private()) {
            None => oracle::UNAUTHENTICATED,
            Some(Err(refused)) => refused,
            // Of the viewer's own license, for it is unique there only.
            Some(Ok(())) if known.target.person.license == 'A' => "value",
            Some(Ok(())) => "null",
        };
        let rest = format!("(by: {{ externalId: \"{}\" }}) {{ id }}", known.external_id);
        cells.push(Cell::query("user", &rest, &who, by_external_id));
        if let Some(session) = known.session {
            let expected = match self.open("node") {
                Err(refused) => refused,
                Ok(()) if viewer.sees_private(&known.target) => "value",
                Ok(()) => "null",
            };
            cells.push(Cell::query("node", &format!("(id: \"{}\") {{ id }}", session.0), &format!("{who}: a session"), expected));
        }
        cells
    }

    /// The people of a group or an institution.
    fn list_cell(&self, field: &'static str, id: Id, license: char) -> Cell {
        let (viewer, way) = (self.viewer, format!("{}: {field} of {license}", self.name));
        let people = if field == "group" { "members" } else { "users" };
        let rest = format!("(id: \"{}\") {{ id {people}(first: 50) {{ totalCount nodes {{ ...Seen }} }} }}", id.0);
        let shown = self.shown(license);
        let of_license: Vec<Known> =
            self.known.iter().filter(|known| known.target.person.license == license && !known.target.is_self).cloned().collect();
        Cell::new(field, &rest, move |answer, tally| {
            tally.expect(|| way.clone(), &json!(shown), &json!(answer.outcome()));
            if shown == "value" {
                judge_list(tally, &way, &viewer, &of_license, &answer.value[people], false);
            }
        })
    }

    /// Lists, each alone in its document.
    fn lists(&self, world: &World) -> Vec<Cell> {
        let (viewer, name, token) = (self.viewer, self.name.as_str(), &self.token);
        let mut cells = Vec::new();
        let targets: Vec<Known> = self.known.iter().filter(|known| !known.target.is_self).cloned().collect();
        let ids: Vec<String> = self.known.iter().map(|known| known.id.0.to_string()).collect();
        let (way, known, open) = (format!("{name}: nodes"), self.known.clone(), self.open("nodes"));
        cells.push(Cell::new("nodes", &format!("(ids: {}) {{ id ...Seen }}", json!(ids)), move |answer, tally| {
            if let Err(refused) = open {
                return tally.expect(|| way, &json!(refused), &json!(answer.outcome()));
            }
            for (place, known) in known.iter().enumerate() {
                judge_person(tally, &way, &viewer, known, answer.value.get(place), viewer.finds(&known.target));
            }
        }));
        for include_inactive in [false, true] {
            let open = self.open("users").and_then(|()| match include_inactive && !viewer.lists_inactive() {
                true => Err(FORBIDDEN),
                false => Ok(()),
            });
            let (way, targets) = (format!("{name}: searchUsers, includeInactive {include_inactive}"), targets.clone());
            let rest = format!("(query: \"{token}\", includeInactive: {include_inactive}, first: 50) {{ totalCount nodes {{ ...Seen }} }}");
            cells.push(Cell::new("searchUsers", &rest, move |answer, tally| {
                if let Err(refused) = open {
                    return tally.expect(|| way, &json!(refused), &json!(answer.outcome()));
                }
                judge_list(tally, &way, &viewer, &targets, &answer.value, include_inactive);
            }));
            let totals = world.totals[usize::from(viewer.person.is_some() && viewer.rank() == 3)];
            let total = open.map(|()| json!(totals[usize::from(include_inactive)]));
            let rest = format!("(includeInactive: {include_inactive}) {{ totalCount }}");
            cells.push(Cell::value("users", &rest, name, "/totalCount", total));
        }
        // What is private is not searched.
        let private = [&self.known[0].mobile, &self.known[0].external_id, "1980-07-08"];
        for value in private {
            let rest = format!("(query: \"{value}\") {{ totalCount }}");
            let nothing = self.open("searchUsers").map(|()| json!(0));
            cells.push(Cell::value("searchUsers", &rest, name, "/totalCount", nothing));
        }
        for (field, text) in [("groups", format!("Everybody {token}")), ("institutions", format!("House {token}"))] {
            let total = self.open(field).map(|()| if viewer.rank() == 3 { json!(2) } else { json!(1) });
            let rest = format!("(nameContains: \"{text}\") {{ totalCount nodes {{ id }} }}");
            cells.push(Cell::value(field, &rest, name, "/totalCount", total));
        }
        cells.extend([None, Some('A'), Some('B')].map(|license| self.key_list(world, license)));
        cells
    }

    /// The keys of a license, of which each seat knows three.
    fn key_list(&self, world: &World, license: Option<char>) -> Cell {
        let (viewer, keys) = (self.viewer, self.keys.clone());
        let place = |license| world.licenses[usize::from(license == 'B')].0;
        let argument = license.map(|license| format!("(license: \"{}\")", place(license))).unwrap_or_default();
        let (way, open) = (format!("{}: apiKeys{argument}", self.name), self.open("apiKeys"));
        Cell::new("apiKeys", &format!("{argument} {{ id }}"), move |answer, tally| {
            if let Err(refused) = open {
                return tally.expect(|| way, &json!(refused), &json!(answer.outcome()));
            }
            for (id, of, is_own) in &keys {
                let is_listed = viewer.sees_key(*of, *is_own) && *of == license.unwrap_or('A');
                let listed = answer.value.as_array().map(|keys| keys.iter().any(|key| key["id"] == json!(id)));
                let listed = listed.map_or_else(|| json!(answer.outcome()), |listed| json!(listed));
                tally.expect(|| format!("{way}: one of {of}, own {is_own}"), &json!(is_listed), &listed);
            }
        })
    }

    /// Every field of a change, each alone, tried out.
    fn changes(&self, fields: &[String]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for known in &self.known {
            for (field, given, change) in samples(fields, known, self.houses) {
                // What gives no rights goes by the rank of the target alone; of the rights some stand for the others.
                let stands_for_others = match change {
                    Change::Plain => matches!(field, "nickname" | "email"),
                    Change::Right(right, _) => matches!(right, "isSuperuser" | "isAdmin" | "isProjectAdmin"),
                    _ => true,
                };
                if !known.is_asked_all() && !stands_for_others {
                    continue;
                }
                let expected = self.viewer.updates(&known.target, field, change);
                let input = format!("id: \"{}\", {given}, dryRun: true", known.id.0);
                let note = (field == "nickname").then_some((known.id, "update"));
                cells.push(Cell::noted("updateUser", &input, &self.who(known), expected, note));
            }
            // What is refused stays refused in good company.
            let both = self.viewer.updates(&known.target, "externalId", Change::Plain);
            let input = format!("id: \"{}\", nickname: \"A\", externalId: null, dryRun: true", known.id.0);
            cells.push(Cell::change("updateUser", &input, &self.who(known), both));
        }
        let missing = self.open("updateUser").err().unwrap_or(NOT_FOUND);
        let input = format!("id: \"{}\", nickname: \"A\"", Id::new().0);
        cells.push(Cell::change("updateUser", &input, &self.name, missing));
        cells
    }

    /// People as they may be entered, tried out.
    fn creations(&self) -> Vec<Cell> {
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
        let cell = |(given, person): (String, Person)| {
            let address = Id::new().0;
            let input = format!("firstName: \"Ada\", lastName: \"Byron\", email: \"{address}@x.example\", dryRun: true, {given}");
            Cell::change("createUser", &input, &self.name, self.viewer.creates(&person))
        };
        given.into_iter().map(cell).collect()
    }

    /// Who belongs to which group: each change of each joiner in each of the seat's groups.
    fn joinings(&self, world: &World) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (group, license, own) in &self.groups {
            for (user, person, from, to) in &world.joiners {
                // Of people of the wrong license one is enough.
                if person.license != *license && (from.is_some() || *to != Some("MEMBER")) {
                    continue;
                }
                let joining = Joining { license: *license, own: *own, from: *from, to: *to, person: *person };
                let expected = self.viewer.changes_members(&joining);
                let who = format!("{}, {own:?} in a group of {license}, a {from:?} of {} to {to:?}", self.name, person.license);
                let ids = format!("groupId: \"{}\", userId: \"{}\"", group.0, user.0);
                cells.push(match to {
                    Some(to) => Cell::change("setGroupMember", &format!("{ids}, role: {to}"), &who, expected),
                    None => Cell::change("removeGroupMember", &ids, &who, expected),
                });
            }
        }
        cells.push(Cell::change("createGroup", "name: \"Ward\"", &self.name, self.open("createGroup").err().unwrap_or(DONE)));
        let entered = self.open("createInstitution").err().unwrap_or(DONE);
        let input = "name: \"Ward\", kind: HOSPITAL, country: \"AU\"";
        cells.push(Cell::change("createInstitution", input, &self.name, entered));
        cells
    }

    fn keys(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for role in ["USER", "ADMIN", "LICENSE_ADMIN"] {
            let input = format!("name: \"Weekly\", role: {role}");
            cells.push(Cell::change("createApiKey", &input, &self.name, self.viewer.makes_key(role)));
        }
        for (id, license, is_own) in &self.keys {
            let expected = match self.open("revokeApiKey") {
                Err(refused) => refused,
                Ok(()) if self.viewer.sees_key(*license, *is_own) => DONE,
                Ok(()) => NOT_FOUND,
            };
            let who = format!("{}, a key of {license}, own {is_own}", self.name);
            cells.push(Cell::change("revokeApiKey", &format!("id: \"{}\"", id.0), &who, expected));
        }
        cells
    }

    /// Unlocking, ending sessions, deactivating and back, erasing: of each target, in this order.
    fn switchings(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for known in &self.known {
            let (who, target, id) = (self.who(known), &known.target, format!("id: \"{}\"", known.id.0));
            cells.push(Cell::change("unlockUser", &id, &who, self.viewer.switches(target, "unlockUser")));
            let ending = format!("userId: \"{}\", sessionIds: [\"{}\"]", known.id.0, known.session.unwrap_or_default().0);
            cells.push(Cell::change("endSessions", &ending, &who, self.viewer.ends_sessions(target)));
            let expected = self.viewer.switches(target, "setActive");
            for active in [!target.person.is_active, target.person.is_active] {
                let note = Some((known.id, "setActive"));
                cells.push(Cell::noted("setActive", &format!("{id}, active: {active}"), &who, expected, note));
            }
            let (expected, note) = (self.viewer.switches(target, "deleteUser"), Some((known.id, "delete")));
            cells.push(Cell::noted("deleteUser", &id, &who, expected, note));
            if expected == DONE {
                // Whom nobody has any more is not found, and nothing else.
                cells.push(Cell::change("deleteUser", &id, &who, NOT_FOUND));
            }
        }
        for field in ["unlockUser", "setActive", "deleteUser", "endSessions"] {
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

    /// What everybody does with his own account, and ends it by signing out.
    fn account(&self) -> Vec<Cell> {
        let open = |field: &str| self.open(field).err().unwrap_or(DONE);
        let sign_in = if self.email.is_empty() { "INVALID_CREDENTIALS" } else { DONE };
        let change = format!("currentPassword: \"{PASSWORD}\", newPassword: \"nine-velvet-comets-hum\"");
        let credentials = format!("login: \"{}\", password: \"{PASSWORD}\"", self.email);
        let (way, expected) = (format!("{}: logout", self.name), open("logout"));
        vec![
            Cell::change("login", &credentials, &self.name, sign_in),
            Cell::change("setPin", "pin: \"0417\"", &self.name, open("setPin")),
            Cell::change("changePassword", &change, &self.name, open("changePassword")),
            Cell::change("endSessions", "includeCurrent: false", &self.name, open("endSessions")),
            Cell::new("logout", " { success }", move |answer, tally| {
                tally.expect(|| way, &json!(expected), &json!(answer.outcome()));
            }),
        ]
    }

    async fn read(&mut self, world: &World) {
        let cells = self.reads(world);
        run(&self.caller, false, cells, &mut self.tally).await;
    }

    /// Everything that can be tried out without a change.
    async fn try_out(&mut self, fields: &[String]) {
        let mut cells = self.changes(fields);
        cells.extend(self.creations());
        run(&self.caller, true, cells, &mut self.tally).await;
    }

    async fn write(&mut self, world: &World) {
        let mut cells = self.joinings(world);
        cells.extend(self.keys());
        cells.extend(self.switchings());
        cells.extend(self.account());
        run(&self.caller, true, cells, &mut self.tally).await;
        self.keep_promises();
    }

    /// What `viewerCan` promised, compared with what came of it.
    fn keep_promises(&mut self) {
        for known in &self.known {
            let Some(can) = self.tally.can.remove(&known.id) else { continue };
            for (action, field) in [("update", "update"), ("setActive", "setActive"), ("delete", "delete")] {
                let outcome = self.tally.outcomes.get(&(known.id, action)).map(String::as_str);
                let what = format!("{} -> {}: viewerCan.{field} and {outcome:?}", self.name, known.label);
                self.tally.expect(|| what, &json!(outcome == Some(DONE)), &can[field]);
            }
        }
    }
}

/// A page of the targets that are in it, and of no others.
fn judge_list(tally: &mut Tally, way: &str, viewer: &Viewer, known: &[Known], page: &Value, include_inactive: bool) {
    let nodes = page["nodes"].as_array().cloned().unwrap_or_default();
    let mut total = 0;
    for known in known {
        let person = known.target.person;
        let is_listed = viewer.reaches(person.license) && (person.is_active || include_inactive);
        total += i32::from(is_listed);
        let seen = nodes.iter().find(|node| node["id"] == json!(known.id));
        judge_person(tally, way, viewer, known, seen, is_listed);
    }
    tally.expect(|| format!("{way}: totalCount"), &json!(total), &page["totalCount"]);
    tally.expect(|| format!("{way}: how many are shown"), &json!(total), &json!(nodes.len()));
}

/// Each field of the input with values to give, and what they change.
fn samples(fields: &[String], known: &Known, houses: [Id; 2]) -> Vec<(&'static str, String, Change)> {
    let mut samples = Vec::new();
    for field in fields {
        let plain: &[(&'static str, String)] = &match field.as_str() {
            "firstName" => vec![("firstName", "\"Ann\"".to_owned())],
            "lastName" => vec![("lastName", "\"Other\"".to_owned())],
            "nickname" => vec![("nickname", "null".to_owned()), ("nickname", "\"Annie\"".to_owned())],
            "position" => vec![("position", "\"Nurse\"".to_owned())],
            "phone" => vec![("phone", "\"+61 2 5550\"".to_owned())],
            "mobile" => vec![("mobile", "\"+61 2 5551\"".to_owned()), ("mobile", "null".to_owned())],
            "birthDate" => vec![("birthDate", "\"1981-07-08\"".to_owned())],
            "gender" => vec![("gender", "FEMALE".to_owned())],
            "website" => vec![("website", "\"https://a.example\"".to_owned())],
            "googleScholar" => vec![("googleScholar", "\"https://b.example\"".to_owned())],
            "orcidId" => vec![("orcidId", "\"0000-0002-1825-0097\"".to_owned())],
            "atlasPreference" => vec![("atlasPreference", "\"WHS\"".to_owned())],
            "certifiedEmail" => vec![("certifiedEmail", "\"a@pec.example\"".to_owned())],
            "username" => vec![("username", format!("\"n{}\"", known.username)), ("username", "null".to_owned())],
            "email" => vec![("email", format!("\"new.{}\"", known.email))],
            "password" => vec![("password", "\"nine-velvet-comets-hum\"".to_owned()), ("password", "null".to_owned())],
            "pin" => vec![("pin", "\"0417\"".to_owned()), ("pin", "null".to_owned())],
            "userType" => vec![("userType", "CLINICIAN".to_owned())],
            "externalId" => vec![("externalId", format!("\"N-{}\"", known.username)), ("externalId", "null".to_owned())],
            "institutionId" => {
                let house = houses[usize::from(known.target.person.license == 'B')].0;
                vec![("institutionId", format!("\"{house}\"")), ("institutionId", "null".to_owned())]
            }
            "role" | "isStaff" | "fullSiteAccess" | "adminRights" => vec![],
            other => panic!("updateUser takes {other}, which has no case in the matrix"),
        };
        samples.extend(plain.iter().map(|(field, value)| (*field, format!("{field}: {value}"), Change::Plain)));
        match field.as_str() {
            "role" => samples.extend(["USER", "ADMIN", "LICENSE_ADMIN"].map(|role| ("role", format!("role: {role}"), Change::Role(role)))),
            "isStaff" => samples.extend([false, true].map(|is| ("isStaff", format!("isStaff: {is}"), Change::Staff(is)))),
            "fullSiteAccess" => {
                let sample = |is| ("fullSiteAccess", format!("fullSiteAccess: {is}"), Change::Everywhere(is));
                samples.extend([false, true].map(sample));
            }
            "adminRights" => samples.extend(RIGHTS.into_iter().flat_map(|right| {
                [false, true].map(|is| ("adminRights", format!("adminRights: {{ {right}: {is} }}"), Change::Right(right, is)))
            })),
            _ => {}
        }
    }
    samples
}

/// Callers whose tokens are of no use any more, or never were.
async fn nobodies(app: &App) -> Vec<(&'static str, Caller<'_>)> {
    let expired = license::Model {
        id: Id::new(),
        number: "C-3".to_owned(),
        kind: license::LicenseKind::Commercial,
        holder: "Cedar House".to_owned(),
        starts_on: Date::today(),
        expires_on: None,
    };
    let expired_id = expired.id;
    expired.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
    let mut nobodies = Vec::new();
    let kinds = [("user", USER), ("ADMIN", USER.role("ADMIN")), ("LICENSE_ADMIN", USER.role("LICENSE_ADMIN")), ("superuser", USER.with("isSuperuser"))];
    let mut number = 100;
    for (name, person) in kinds {
        number += 1;
        let (caller, row) = signed_in(app, expired_id, &person, number).await;
        if name != "user" {
            nobodies.push(("a key of an expired license", with_key(&caller, Role::User).await));
        }
        nobodies.push(("an expired license", caller));
        assert_eq!(row.license_id, expired_id);
    }
    let yesterday = Date(Date::today().0.checked_sub_days(Days::new(1)).unwrap());
    license::Entity::update_many()
        .col_expr(license::Column::ExpiresOn, Expr::value(yesterday))
        .filter(license::Column::Id.eq(expired_id))
        .exec(app.db.write())
        .await
        .unwrap();
    for (name, person) in kinds {
        number += 1;
        let (caller, row) = signed_in(app, app.license, &person, number).await;
        if name != "user" {
            nobodies.push(("a key of who is inactive", with_key(&caller, Role::User).await));
        }
        nobodies.push(("somebody inactive", caller));
        // By SQL, so that session and key are still there.
        user::Entity::update_many()
            .col_expr(user::Column::IsActive, Expr::value(false))
            .filter(user::Column::Id.eq(row.id))
            .exec(app.db.write())
            .await
            .unwrap();
    }
    let (caller, row) = signed_in(app, app.license, &USER.role("ADMIN"), 200).await;
    let key = with_key(&caller, Role::Admin).await;
    let chief = app.superuser().await;
    chief.change("setActive", "", json!({ "id": row.id.0, "active": false })).await;
    chief.change("setActive", "", json!({ "id": row.id.0, "active": true })).await;
    nobodies.extend([("who was inactive for a moment", caller), ("a key of who was inactive for a moment", key)]);
    let (caller, row) = signed_in(app, app.license, &USER.role("ADMIN"), 201).await;
    let key = with_key(&caller, Role::Admin).await;
    chief.change("deleteUser", "", json!({ "id": row.id.0 })).await;
    nobodies.extend([("somebody erased", caller), ("a key of somebody erased", key)]);
    let (caller, _) = signed_in(app, app.license, &USER.role("ADMIN"), 202).await;
    let key = with_key(&caller, Role::Admin).await;
    api_key::Entity::update_many()
        .col_expr(api_key::Column::ExpiresAt, Expr::value(now()))
        .filter(api_key::Column::UserId.eq(caller.id))
        .exec(app.db.write())
        .await
        .unwrap();
    nobodies.push(("a key that has run out", key));
    let invented = Caller { token: Some("ros_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()), ..app.anonymous() };
    nobodies.push(("a token that is nobody's", invented));
    nobodies
}

/// Whose token is of no use is nobody to every root field, and signs in only where he still may.
async fn judge_nobodies(app: &App, tally: &mut Tally) {
    let target = app.user().await;
    let asks = Definition::of_roster().asks(1, &|_, _| Some(target.id()));
    let nobodies = nobodies(app).await;
    for (name, caller) in &nobodies {
        for ask in &asks {
            let (status, answer) = caller.post(&json!({ "query": ask.query, "variables": ask.variables })).await;
            tally.expect(|| format!("{name}: {}", ask.field), &json!(401), &json!(status));
            let code = &answer["errors"][0]["extensions"]["code"];
            tally.expect(|| format!("{name}: {}", ask.field), &json!(oracle::UNAUTHENTICATED), code);
        }
    }
    let never = UserFields { username: Given("never".to_owned()), ..UserFields::default() };
    app.create("Never", app.license, never, async_graphql::MaybeUndefined::Undefined).await;
    for (login, password, expected) in [
        ("never", PASSWORD, "INVALID_CREDENTIALS"),
        ("v101", PASSWORD, "INACTIVE"),
        ("v104", PASSWORD, "INACTIVE"),
        ("v101", "wrong-velvet-comets-hum", "INVALID_CREDENTIALS"),
        ("v105", PASSWORD, "INACTIVE"),
        ("v108", PASSWORD, "INACTIVE"),
        ("v105", "wrong-velvet-comets-hum", "INVALID_CREDENTIALS"),
        ("v200", PASSWORD, DONE),
        ("v201", PASSWORD, "INVALID_CREDENTIALS"),
    ] {
        let input = format!("login: \"{login}\", password: \"{password}\"");
        run(&app.anonymous(), true, vec![Cell::change("login", &input, login, expected)], tally).await;
    }
}

/// The names of the fields of a type, as the server tells them.
async fn fields_of(app: &App, of: &str, kind: &str) -> Vec<String> {
    let query = format!("{{ __type(name: \"{of}\") {{ {kind} {{ name }} }} }}");
    let told = app.anonymous().data(&query, json!({})).await;
    let fields = told["__type"][kind].as_array().unwrap_or_else(|| panic!("{of} has no {kind}")).clone();
    fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
}

/// Nothing is served that the matrix does not know.
async fn is_complete(app: &App, fields: &BTreeSet<&'static str>) {
    let mut served = fields_of(app, "Query", "fields").await;
    served.extend(fields_of(app, "Mutation", "fields").await);
    for field in served.iter().map(String::as_str).chain(ROOT_FIELDS.iter().map(|(field, _)| *field)) {
        assert!(fields.contains(field), "the root field {field} has no case in the matrix");
    }
    for field in fields {
        assert!(served.iter().any(|served| served == field), "the matrix asks for {field}, which is not served");
    }
    for (of, known) in [
        ("UserBy", &["id", "username", "email", "externalId"][..]),
        ("AdminRightsInput", &RIGHTS[..]),
        ("SetActiveInput", &["id", "active", "reason"][..]),
    ] {
        for field in fields_of(app, of, "inputFields").await {
            assert!(known.contains(&field.as_str()), "{field} of {of} has no case in the matrix");
        }
    }
    let definition = Definition::of_roster();
    let known = ["includeInactive", "query", "first", "after", "last", "before"];
    for field in definition.fields("Query").into_iter().filter(|field| innermost(&field.ty.node).contains("User")) {
        for argument in &field.arguments {
            let name = argument.node.name.node.as_str();
            let is_known = known.contains(&name) || field.name.node == "user";
            assert!(is_known, "{}({name}:) finds people, and has no case in the matrix", field.name.node);
        }
    }
    for column in user::Column::iter() {
        let field = column.field();
        match column.privacy() {
            Privacy::Private => assert!(PRIVATE.contains(&field.as_str()), "{field} is private and has no case"),
            Privacy::Right => {
                let is_known = RIGHTS.iter().any(|right| field == format!("adminRights.{right}"));
                assert!(is_known, "{field} is a right and has no case in the matrix");
            }
            Privacy::Open | Privacy::Internal => {
                assert!(!PRIVATE.contains(&field.as_str()), "{field} is to be private");
            }
        }
    }
}

on_every_database! {
    async fn every_viewer_may_do_to_every_target_what_the_rules_say(app: App) {
        let began = Instant::now();
        let mut seats = seats(&app).await;
        let mut tally = Tally::default();
        judge_nobodies(&app, &mut tally).await;
        let world = world(&app, &seats).await;
        let mut fields = fields_of(&app, "UpdateUserInput", "inputFields").await;
        fields.retain(|field| !["id", "expectedVersion", "dryRun"].contains(&field.as_str()));
        let prepared = began.elapsed();
        stream::iter(&mut seats).for_each_concurrent(4, |seat| seat.read(&world)).await;
        let read = began.elapsed();
        stream::iter(&mut seats).for_each_concurrent(4, |seat| seat.try_out(&fields)).await;
        let tried = began.elapsed();
        stream::iter(&mut seats).for_each_concurrent(4, |seat| seat.write(&world)).await;
        for seat in seats {
            tally.add(seat.tally);
        }
        is_complete(&app, &tally.fields).await;
        let database = if app.db.is_postgres() { "PostgreSQL" } else { "SQLite" };
        println!(
            "the matrix on {database}: {} cells, {} wrong, {:.1?} (prepared {prepared:.1?}, read {:.1?}, tried out {:.1?})",
            tally.cells, tally.wrong.len(), began.elapsed(), read - prepared, tried - read,
        );
        let first: Vec<&String> = tally.wrong.iter().take(60).collect();
        assert!(first.is_empty(), "{} of {} cells are wrong: {first:#?}", tally.wrong.len(), tally.cells);
        assert!(tally.cells >= 5_000, "{} cells", tally.cells);
    }
}
