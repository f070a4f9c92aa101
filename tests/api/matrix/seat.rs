//! Viewers and their targets.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use chrono::{Days, TimeDelta};
use roster::entity::institution::{InstitutionCore, InstitutionFields, InstitutionKind};
use roster::entity::membership::GroupRole;
use roster::entity::user::{Role, UserFields, UserNames};
use roster::entity::{
    api_key, attribute_definition, device, institution, invitation, license, membership, session, site_access, user,
};
use roster::scalar::{Date, Id, now};
use roster::validation::Validator;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};
use serde_json::{Map, Value, json};

use super::cell::Summary;
use super::oracle::{ATTRIBUTES, Target, USER, UserRights, Viewer};
use crate::app::{App, Caller, PASSWORD};
use crate::crowd;
use crate::user_fields::{USER_FIELDS, UserField, to_user_fields};

/// A target: a user whom mutations change.
#[derive(Clone)]
pub struct Known {
    pub label: String,
    pub target: Target,
    pub id: Id,
    pub username: String,
    pub email: String,
    /// The values of the private fields that inputs set.
    pub private: Map<String, Value>,
    /// A session of the user; `None` for the viewer themselves, whose sessions the test does not know.
    pub session: Option<Id>,
    /// A device of the user.
    pub device: Option<Id>,
}

impl Known {
    /// A text in a private field.
    pub fn private_text(&self, field: &str) -> &str {
        self.private[field].as_str().unwrap()
    }

    /// Whether every field of the user is tried: for one user of each rank, and one for each reason of invisibility.
    pub fn tries_every_field(&self) -> bool {
        ["self", "user", "ADMIN", "LICENSE_ADMIN", "superuser", "inactive user", "user of B", "LICENSE_ADMIN of B"]
            .contains(&self.label.as_str())
    }
}

/// A group to change.
pub struct GroupCase {
    pub id: Id,
    pub license: char,
    /// The viewer's role in the group.
    pub own: Option<&'static str>,
}

/// A site without users.
pub struct SiteCase {
    pub id: Id,
    pub license: char,
    /// Whether the viewer was granted access to the site.
    pub is_granted: bool,
}

/// An API key to revoke.
#[derive(Clone)]
pub struct KeyCase {
    pub id: Id,
    pub license: char,
    /// Whether the key is the viewer's own.
    pub is_own: bool,
}

/// A user who joins and leaves groups, with their current and their new role in every group.
pub struct Joiner {
    pub id: Id,
    pub user: UserRights,
    pub from: Option<&'static str>,
    pub to: Option<&'static str>,
}

/// A viewer with their own targets of every kind, which no other viewer changes.
pub struct ViewerCase<'a> {
    pub name: String,
    pub viewer: Viewer,
    pub caller: Caller<'a>,
    pub email: String,
    /// The last name of the targets, unique to the viewer.
    pub token: String,
    pub known: Vec<Known>,
    /// Users with access to a site, each with whether the viewer has access to it, too.
    pub guests: Vec<(Known, bool)>,
    /// The groups, of license A and of B, that all targets of the license belong to.
    pub shared_groups: [Id; 2],
    /// The institutions, of license A and of B, that all targets of the license belong to.
    pub institutions: [Id; 2],
    /// Groups to change.
    pub groups: Vec<GroupCase>,
    /// Sites without users: first those to grant to the targets, then those to change and delete.
    pub sites: [Vec<SiteCase>; 2],
    /// API keys to revoke: the viewer's own, one of license A, one of license B.
    pub keys: Vec<KeyCase>,
    pub summary: Summary,
}

impl ViewerCase<'_> {
    pub fn who(&self, known: &Known) -> String {
        format!("{} -> {}", self.name, known.label)
    }

    pub fn open(&self, field: &str) -> Result<(), &'static str> {
        self.viewer.opens(field)
    }
}

/// Data that all viewers share.
pub struct World {
    pub licenses: [Id; 2],
    /// Numbers of users in lists: for license A and for all licenses, active users and all users.
    pub totals: [[i64; 2]; 2],
    /// Users who join and leave groups.
    pub joiners: Vec<Joiner>,
    /// A user whom every viewer finds, and who was created after all targets.
    pub last: Id,
}

/// A kind of viewer.
pub struct Kind {
    pub name: &'static str,
    pub user: UserRights,
    pub key: Option<Role>,
}

pub fn kinds() -> Vec<Kind> {
    let user = |name, user| Kind { name, user, key: None };
    let key = |name, user, role| Kind { name, user, key: Some(role) };
    let admin = USER.role("ADMIN");
    let license_admin = USER.role("LICENSE_ADMIN");
    let superuser = USER.with("isSuperuser");
    vec![
        user("user", USER),
        user("user with fullSiteAccess", USER.everywhere()),
        user("isStaff", USER.staff()),
        user("isAdmin", USER.with("isAdmin")),
        user("isGroupAdmin", USER.with("isGroupAdmin")),
        user("isAttributesAdmin", USER.with("isAttributesAdmin")),
        user("ADMIN", admin),
        user("ADMIN with fullSiteAccess", admin.everywhere()),
        user("ADMIN with isProjectAdmin", admin.with("isProjectAdmin").with("isResourcesAdmin")),
        user("ADMIN with isAttributesAdmin", admin.with("isAttributesAdmin")),
        user("LICENSE_ADMIN", license_admin),
        user("superuser", superuser),
        user("superuser and LICENSE_ADMIN", license_admin.with("isSuperuser")),
        key("USER key of an ADMIN", admin, Role::User),
        key("USER key of a superuser", superuser, Role::User),
        key("ADMIN key of an isStaff with isGroupAdmin", USER.staff().with("isGroupAdmin"), Role::Admin),
        key("ADMIN key of an ADMIN", admin.with("isTaxonomiesAdmin").with("isAttributesAdmin"), Role::Admin),
        key("ADMIN key of an ADMIN with fullSiteAccess", admin.everywhere(), Role::Admin),
        key("ADMIN key of a LICENSE_ADMIN", license_admin, Role::Admin),
        key("ADMIN key of a superuser", superuser, Role::Admin),
        key("LICENSE_ADMIN key of a LICENSE_ADMIN", license_admin, Role::LicenseAdmin),
        key("LICENSE_ADMIN key of a superuser", superuser, Role::LicenseAdmin),
    ]
}

/// All targets, except the viewers themselves.
pub fn targets() -> Vec<(&'static str, UserRights)> {
    let (admin, license_admin, superuser) = (USER.role("ADMIN"), USER.role("LICENSE_ADMIN"), USER.with("isSuperuser"));
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
        ("LICENSE_ADMIN", license_admin),
        ("superuser", superuser),
        ("inactive user", USER.inactive()),
        ("inactive ADMIN", admin.inactive()),
        ("inactive LICENSE_ADMIN", license_admin.inactive()),
        ("user of B", USER.of('B')),
        ("ADMIN of B", admin.of('B')),
        ("LICENSE_ADMIN of B", license_admin.of('B')),
        ("superuser of B", superuser.of('B')),
        ("inactive user of B", USER.of('B').inactive()),
    ]
}

pub fn key_role(role: Role) -> &'static str {
    match role {
        Role::LicenseAdmin => "LICENSE_ADMIN",
        Role::Admin => "ADMIN",
        Role::User => "USER",
    }
}

pub fn group_role(role: &str) -> GroupRole {
    match role {
        "OWNER" => GroupRole::Owner,
        "MANAGER" => GroupRole::Manager,
        _ => GroupRole::Member,
    }
}

/// The values of a user's private fields that inputs set. Those by which users are found differ between users.
fn private_values(external_id: String, n: usize) -> Map<String, Value> {
    let stored = |field: &UserField| Some((field.name.to_owned(), field.accepted.first()?.stored.clone()));
    let private = USER_FIELDS.iter().filter(|field| field.is_private);
    let mut values: Map<String, Value> = private.filter_map(stored).collect();
    values.insert("mobile".to_owned(), format!("+61 {n:06}").into());
    values.insert("externalId".to_owned(), external_id.into());
    values
}

/// The source of the external references of users, whose IDs in it are their external IDs.
pub const SOURCE: &str = "hr";

/// The private fields of a user, with an external reference.
fn private_fields(external_id: String, n: usize) -> UserFields {
    let references = json!([{ "source": SOURCE, "id": external_id }]);
    let mut values = private_values(external_id, n);
    values.insert("externalReferences".to_owned(), references);
    to_user_fields(values)
}

/// The row of a user of the oracle, with values in all private fields.
pub fn row(license: Id, user: &UserRights, first: &str, last: &str, n: usize) -> user::Model {
    let mut row = crowd::model(license, first, last);
    let private = private_fields(format!("QX-{n}"), n);
    let fields = UserFields { username: Given(format!("m{n}")), ..user.with_fields(private) };
    let mut validator = Validator::changing();
    row.apply(UserNames::default(), fields, &mut validator);
    validator.finish().unwrap();
    row.is_active = user.is_active;
    row.last_login = Some(now());
    row
}

pub fn new_session(user_id: Id) -> session::Model {
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

pub fn new_key(user_id: Id, license_id: Id) -> api_key::Model {
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
        document_set: None,
    }
}

pub async fn new_site(app: &App, license: Id, name: String) -> Id {
    let mut new = institution::Model::empty(Id::new(), license);
    let core =
        InstitutionCore { name: Given(name), kind: Given(InstitutionKind::Hospital), country: Given("AU".to_owned()) };
    let mut validator = Validator::creating();
    new.apply(core, InstitutionFields::default(), &mut validator);
    validator.finish().unwrap();
    let id = new.id;
    new.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
    id
}

/// Creates an API key of the caller and returns a caller that uses it.
pub async fn with_key<'a>(caller: &Caller<'a>, role: Role) -> Caller<'a> {
    let input = json!({ "name": "Nightly", "role": key_role(role) });
    let created = caller.mutate("createApiKey", "secret", input).await;
    let token = created["secret"].as_str().unwrap_or_else(|| panic!("{created:#}")).to_owned();
    Caller { token: Some(token), ..caller.clone() }
}

/// Creates and signs in a viewer, with values in all private fields. Viewers have smaller numbers than targets.
pub async fn signed_in<'a>(app: &'a App, license: Id, user: &UserRights, n: usize) -> (Caller<'a>, user::Model) {
    let private = private_fields(format!("V-{n}"), n);
    let fields = UserFields {
        username: Given(format!("v{n}")),
        email: Given(format!("v{n}@matrix.example")),
        ..user.with_fields(private)
    };
    let row = app.create("Viewer", license, fields, Given(PASSWORD.to_owned())).await;
    crowd::attributes(app, &[row.id], license, "Cork").await;
    (app.sign_in(row.clone()).await, row)
}

/// Defines the attributes of the oracle in both licenses.
pub async fn define_attributes(app: &App) {
    for license in [app.license, app.other_license] {
        for (name, user_editable, user_visible) in ATTRIBUTES {
            let blank = attribute_definition::Model::empty(Id::new(), license);
            let name = name.to_owned();
            let new =
                attribute_definition::Model { name: name.clone(), label: name, user_editable, user_visible, ..blank };
            new.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
        }
    }
}

/// Creates a viewer of each kind, with its own targets.
pub async fn viewer_cases(app: &App) -> Vec<ViewerCase<'_>> {
    define_attributes(app).await;
    let mut viewer_cases = Vec::new();
    for (n, kind) in kinds().into_iter().enumerate() {
        let (caller, row) = signed_in(app, app.license, &kind.user, n).await;
        let own = Known {
            label: "self".to_owned(),
            target: Target { user: kind.user, is_self: true },
            id: row.id,
            username: format!("v{n}"),
            email: format!("v{n}@matrix.example"),
            private: private_values(format!("V-{n}"), n),
            session: None,
            device: None,
        };
        let caller = match kind.key {
            Some(role) => with_key(&caller, role).await,
            None => caller,
        };
        let viewer = Viewer { user: Some(kind.user), key: kind.key.map(key_role) };
        viewer_cases.push(viewer_case(app, n, kind.name, viewer, caller, Some(own)).await);
    }
    let n = viewer_cases.len();
    let (creator, _) = signed_in(app, app.license, &USER.role("ADMIN"), n).await;
    let demoted = with_key(&creator, Role::Admin).await;
    let id = creator.id();
    app.superuser().await.mutate("updateUser", "", json!({ "id": id, "role": "USER" })).await;
    let own = Known {
        label: "self".to_owned(),
        target: Target { user: USER, is_self: true },
        id: creator.id,
        username: format!("v{n}"),
        email: format!("v{n}@matrix.example"),
        private: private_values(format!("V-{n}"), n),
        session: None,
        device: None,
    };
    let viewer = Viewer { user: Some(USER), key: Some("ADMIN") };
    viewer_cases.push(viewer_case(app, n, "ADMIN key of a former ADMIN", viewer, demoted, Some(own)).await);
    let nobody = Viewer { user: None, key: None };
    viewer_cases.push(viewer_case(app, n + 1, "anonymous", nobody, app.anonymous(), None).await);
    viewer_cases
}

async fn store_devices(app: &App, known: &[Known]) {
    let devices = known.iter().filter_map(|known| Some((known.id, known.device?)));
    let rows = devices.map(|(user_id, id)| {
        let token_hash = id.0.as_bytes().to_vec();
        device::Model { id, user_id, token_hash, last_used_at: now() }.into_active_model().reset_all()
    });
    device::Entity::insert_many(rows).exec_without_returning(app.db.write()).await.unwrap();
}

pub async fn viewer_case<'a>(
    app: &'a App,
    n: usize,
    name: &str,
    viewer: Viewer,
    caller: Caller<'a>,
    own: Option<Known>,
) -> ViewerCase<'a> {
    // Tokens of two viewers differ at several places, so that a search with typos does not match both.
    let token = format!("mt{n:02}rx{n:02}mt{n:02}");
    let licenses = [app.license, app.other_license];
    let institutions = [
        new_site(app, licenses[0], format!("House {token}")).await,
        new_site(app, licenses[1], format!("House {token}")).await,
    ];
    let mut shared_groups = [Id::new(); 2];
    for (place, license) in licenses.into_iter().enumerate() {
        shared_groups[place] = crowd::groups(app, license, [format!("Everybody {token}")]).await[0];
    }
    let (mut known, mut rows) = (Vec::new(), Vec::new());
    for (m, (label, user)) in targets().into_iter().enumerate() {
        let (number, place) = (1_000 + n * 50 + m, usize::from(user.license == 'B'));
        let mut row = row(licenses[place], &user, "Target", &token, number);
        row.institution_id = Some(institutions[place]);
        known.push(Known {
            label: label.to_owned(),
            target: Target { user, is_self: false },
            id: row.id,
            username: format!("m{number}"),
            email: row.email.clone().unwrap(),
            private: private_values(format!("QX-{number}"), number),
            session: Some(Id::new()),
            device: Some(Id::new()),
        });
        rows.push(row);
    }
    crowd::record(app, &rows).await;
    crowd::store(app, rows).await;
    for known in &known {
        let sent = invitation::Model::queued(known.id, Id::new(), now() + TimeDelta::days(14));
        sent.put(app.db.write()).await.unwrap();
    }
    for (place, license) in ['A', 'B'].into_iter().enumerate() {
        let of_license = known.iter().filter(|known| known.target.user.license == license);
        let users: Vec<Id> = of_license.map(|known| known.id).collect();
        crowd::attributes(app, &users, licenses[place], "Cork").await;
    }
    for (place, license) in ['A', 'B'].into_iter().enumerate() {
        let members: Vec<Id> =
            known.iter().filter(|known| known.target.user.license == license).map(|known| known.id).collect();
        crowd::memberships(app, &members, &shared_groups[place..=place], GroupRole::Member).await;
    }
    let sessions = known.iter().map(|known| session::Model { id: known.session.unwrap(), ..new_session(known.id) });
    let rows = sessions.map(|row| row.into_active_model().reset_all());
    session::Entity::insert_many(rows).exec_without_returning(app.db.write()).await.unwrap();

    store_devices(app, &known).await;

    let mut groups = Vec::new();
    let (own_id, is_somebody) = (own.as_ref().map(|own| own.id), own.is_some());
    for (license, own) in
        [('A', Some("OWNER")), ('A', Some("MANAGER")), ('A', Some("MEMBER")), ('A', None), ('B', None)]
    {
        let own = own.filter(|_| is_somebody);
        let id = crowd::groups(app, licenses[usize::from(license == 'B')], [format!("Joined {token}")]).await[0];
        if let (Some(user_id), Some(own)) = (own_id, own) {
            crowd::memberships(app, &[user_id], &[id], group_role(own)).await;
        }
        groups.push(GroupCase { id, license, own });
    }
    let mut sites = [Vec::new(), Vec::new()];
    for sites in &mut sites {
        for (license, is_granted) in [('A', true), ('A', false), ('B', false)] {
            let site = new_site(app, licenses[usize::from(license == 'B')], "Site".to_owned()).await;
            if let Some(user_id) = own_id.filter(|_| is_granted) {
                let grant = site_access::Model { user_id, institution_id: site, granted_at: now() };
                grant.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
            }
            sites.push(SiteCase { id: site, license, is_granted: is_granted && own_id.is_some() });
        }
    }
    let guests = guests(app, n, licenses[0], [(sites[0][0].id, own_id.is_some()), (sites[0][1].id, false)]).await;
    let key_owners = [(own_id, 'A', true), (Some(known[0].id), 'A', false), (Some(known[14].id), 'B', false)];
    let mut keys = Vec::new();
    for (key_owner, license, is_own) in key_owners {
        let Some(key_owner) = key_owner else { continue };
        let key = new_key(key_owner, licenses[usize::from(license == 'B')]);
        keys.push(KeyCase { id: key.id, license, is_own });
        key.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
    }
    let email = own.as_ref().map(|own| own.email.clone()).unwrap_or_default();
    known.extend(own);
    ViewerCase {
        name: name.to_owned(),
        viewer,
        caller,
        email,
        token,
        known,
        guests,
        shared_groups,
        institutions,
        groups,
        sites,
        keys,
        summary: Summary::default(),
    }
}

/// Creates a user and an administrator with access to each of two sites, and whether the viewer has access, too.
async fn guests(app: &App, n: usize, license: Id, sites: [(Id, bool); 2]) -> Vec<(Known, bool)> {
    let mut guests = Vec::new();
    for (m, (site, is_held)) in sites.into_iter().enumerate() {
        for (k, user) in [USER, USER.role("ADMIN")].into_iter().enumerate() {
            let number = 1_000 + n * 50 + 30 + 2 * m + k;
            let row = row(license, &user, "Guest", "Guest", number);
            let guest = Known {
                label: format!("{} with access to a site, shared with the viewer: {is_held}", user.role),
                target: Target { user, is_self: false },
                id: row.id,
                username: format!("m{number}"),
                email: row.email.clone().unwrap(),
                private: private_values(format!("QX-{number}"), number),
                session: None,
                device: None,
            };
            let grant = site_access::Model { user_id: row.id, institution_id: site, granted_at: now() };
            crowd::store(app, vec![row]).await;
            grant.into_active_model().reset_all().insert(app.db.write()).await.unwrap();
            guests.push((guest, is_held));
        }
    }
    guests
}

pub async fn world(app: &App, viewer_cases: &[ViewerCase<'_>]) -> World {
    let licenses = [app.license, app.other_license];
    let mut joiners = Vec::new();
    let mut rows = Vec::new();
    let roles = [None, Some("MEMBER"), Some("MANAGER"), Some("OWNER")];
    let mut number = 5_000;
    for (license, id) in [('A', app.license), ('B', app.other_license)] {
        for from in roles {
            for to in roles {
                number += 1;
                let user = USER.of(license);
                let row = row(id, &user, "Joiner", "Joiner", number);
                joiners.push(Joiner { id: row.id, user, from, to });
                rows.push(row);
            }
        }
    }
    let hidden = row(app.license, &USER.inactive(), "Joiner", "Hidden", number + 1);
    joiners.push(Joiner { id: hidden.id, user: USER.inactive(), from: None, to: Some("MEMBER") });
    rows.push(hidden);
    crowd::store(app, rows).await;
    let mut memberships = Vec::new();
    for GroupCase { id: group_id, license, .. } in viewer_cases.iter().flat_map(|viewer_case| &viewer_case.groups) {
        let of_license = joiners.iter().filter(|joiner| joiner.user.license == *license);
        memberships.extend(of_license.filter_map(|joiner| {
            let role = group_role(joiner.from?);
            Some(membership::Model { user_id: joiner.id, group_id: *group_id, role, joined_at: now() })
        }));
    }
    let rows: Vec<_> = memberships.into_iter().map(|row| row.into_active_model().reset_all()).collect();
    for some in rows.chunks(1_000) {
        membership::Entity::insert_many(some.to_vec()).exec_without_returning(app.db.write()).await.unwrap();
    }
    let last = app.create("Last", app.license, UserFields::default(), Undefined).await.id;

    let count = async |license: Option<Id>, only_active: bool| {
        let mut users = user::Entity::find();
        if let Some(license) = license {
            users = users.filter(user::Column::LicenseId.eq(license));
        }
        if only_active {
            users = users.filter(user::Column::IsActive.eq(true));
        }
        i64::try_from(users.count(app.db.read()).await.unwrap()).unwrap()
    };
    let of_license = [count(Some(app.license), true).await, count(Some(app.license), false).await];
    let totals = [of_license, [count(None, true).await, count(None, false).await]];
    World { licenses, totals, joiners, last }
}

/// Callers whose tokens are no longer valid, or never were.
pub async fn rejected_callers(app: &App) -> Vec<(&'static str, Caller<'_>)> {
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
    let kinds = [
        ("user", USER),
        ("ADMIN", USER.role("ADMIN")),
        ("LICENSE_ADMIN", USER.role("LICENSE_ADMIN")),
        ("superuser", USER.with("isSuperuser")),
    ];
    let mut number = 100;
    for (name, user) in kinds {
        number += 1;
        let (caller, row) = signed_in(app, expired_id, &user, number).await;
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
    for (name, user) in kinds {
        number += 1;
        let (caller, row) = signed_in(app, app.license, &user, number).await;
        if name != "user" {
            nobodies.push(("a key of an inactive user", with_key(&caller, Role::User).await));
        }
        nobodies.push(("an inactive user", caller));
        // With SQL, so that session and key still exist.
        user::Entity::update_many()
            .col_expr(user::Column::IsActive, Expr::value(false))
            .filter(user::Column::Id.eq(row.id))
            .exec(app.db.write())
            .await
            .unwrap();
    }
    let (caller, row) = signed_in(app, app.license, &USER.role("ADMIN"), 200).await;
    let key = with_key(&caller, Role::Admin).await;
    let superuser = app.superuser().await;
    superuser.mutate("setActive", "", json!({ "id": row.id.0, "active": false })).await;
    superuser.mutate("setActive", "", json!({ "id": row.id.0, "active": true })).await;
    nobodies.extend([("a reactivated user", caller), ("a key of a reactivated user", key)]);
    let (caller, row) = signed_in(app, app.license, &USER.role("ADMIN"), 201).await;
    let key = with_key(&caller, Role::Admin).await;
    superuser.mutate("deleteUser", "", json!({ "id": row.id.0 })).await;
    nobodies.extend([("a deleted user", caller), ("a key of a deleted user", key)]);
    let (caller, _) = signed_in(app, app.license, &USER.role("ADMIN"), 202).await;
    let key = with_key(&caller, Role::Admin).await;
    api_key::Entity::update_many()
        .col_expr(api_key::Column::ExpiresAt, Expr::value(now()))
        .filter(api_key::Column::UserId.eq(caller.id))
        .exec(app.db.write())
        .await
        .unwrap();
    nobodies.push(("an expired key", key));
    let invented =
        Caller { token: Some("ros_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()), ..app.anonymous() };
    nobodies.push(("an unknown token", invented));
    nobodies
}
