//! Filters and orders of the list of users, compared page by page with a second implementation in memory.

use async_graphql::MaybeUndefined::{Null, Undefined, Value as Given};
use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use roster::entity::membership::GroupRole;
use roster::entity::user::{self, Column, Gender, Role, UserFields, UserNames, UserType};
use roster::scalar::{Date, Id};
use roster::text::{canonical, canonical_email, fold};
use roster::validation::Validator;
use sea_orm::{ModelTrait, Value as Stored};
use serde_json::{Map, Value, json};

use crate::app::{App, Caller};
use crate::crowd;
use crate::hostile::Rng;
use crate::user_fields::{NAMES, USER_FIELDS, UserField, is_private, to_user_fields};
use crate::user_filter::{COLUMN_FILTERS, ORDERS, RIGHT_FILTERS, sorted_field};

/// A user with their groups and the sites that they may access.
struct TestUser {
    row: user::Model,
    groups: Vec<Id>,
    sites: Vec<Id>,
}

/// The value in the column that a field shows.
fn stored(row: &user::Model, field: &str) -> Stored {
    row.get(Column::of_field(field).unwrap_or_else(|| panic!("{field} is not a column")))
}

impl TestUser {
    fn text(&self, field: &str) -> Option<String> {
        match stored(&self.row, field) {
            Stored::String(text) => text,
            other => panic!("{field} is {other:?}"),
        }
    }

    fn date(&self, field: &str) -> Option<NaiveDate> {
        match stored(&self.row, field) {
            Stored::ChronoDate(date) => date,
            other => panic!("{field} is {other:?}"),
        }
    }

    fn instant(&self, field: &str) -> Option<DateTime<Utc>> {
        match stored(&self.row, field) {
            Stored::ChronoDateTimeUtc(instant) => instant,
            other => panic!("{field} is {other:?}"),
        }
    }
}

/// Users with all kinds of values and with missing values, and their institutions and groups.
struct Directory {
    users: Vec<TestUser>,
    institutions: Vec<Id>,
    groups: Vec<Id>,
}

impl Directory {
    async fn new(app: &App, size: usize) -> Self {
        let license_admin = app.license_admin().await;
        let mut institutions = Vec::new();
        for name in ["North", "South"] {
            let input = json!({ "name": name, "kind": "HOSPITAL", "country": "AU" });
            let created = license_admin.mutate("createInstitution", "institution { id }", input).await;
            institutions.push(Id::parse(created["institution"]["id"].as_str().unwrap()).unwrap());
        }
        let groups = crowd::groups(app, app.license, ["Ward".to_owned(), "Lab".to_owned()]).await;
        let users: Vec<user::Model> = (0..size).map(|n| test_user(app.license, n, &institutions)).collect();
        crowd::store(app, users.clone()).await;
        let mut test_users = Vec::new();
        for (n, row) in users.into_iter().enumerate() {
            let own: Vec<Id> = groups.iter().enumerate().filter(|(k, _)| n % (k + 3) == 0).map(|(_, id)| *id).collect();
            crowd::memberships(app, &[row.id], &own, GroupRole::Member).await;
            let sites: Vec<Id> = if row.full_site_access {
                institutions.clone()
            } else {
                institutions.iter().copied().filter(|_| n % 5 == 1).take(1 + n % 2).collect()
            };
            for institution in sites.iter().filter(|_| !row.full_site_access) {
                let input = json!({ "userId": row.id.0, "institutionId": institution.0 });
                assert_eq!(license_admin.mutate("grantSiteAccess", "", input).await["success"], true);
            }
            test_users.push(TestUser { row, groups: own, sites });
        }
        Self { users: test_users, institutions, groups }
    }

    /// The ids of the users who meet a condition, sorted.
    fn ids(&self, is_match: impl Fn(&TestUser) -> bool) -> Vec<String> {
        let matching = self.users.iter().filter(|user| is_match(user));
        let mut ids: Vec<String> = matching.map(|user| user.row.id.0.to_string()).collect();
        ids.sort();
        ids
    }
}

/// The n-th user's values of the fields that `test_user` does not name: those of the table, and sometimes none.
fn other_fields(n: usize) -> UserFields {
    let fields = USER_FIELDS.iter().filter(|field| !field.grants_rights && !NAMES.contains(&field.name));
    let nth = |field: &UserField| {
        let accepted = field.accepted.get(n % (field.accepted.len() + 1))?;
        Some((field.name.to_owned(), accepted.value.clone()))
    };
    to_user_fields(fields.filter_map(nth).collect())
}

/// The n-th user. The values depend only on `n`.
#[expect(clippy::manual_is_multiple_of, reason = "the remainders are compared in one style")]
fn test_user(license: Id, n: usize, institutions: &[Id]) -> user::Model {
    fn of<'a>(values: &[&'a str], n: usize) -> Option<&'a str> {
        values.get(n % (values.len() + 1)).copied()
    }
    let given = |text: Option<&str>| text.map_or(Undefined, |text| Given(text.to_owned()));
    let mut user = user::Model::empty(Id::new(), license);
    let first = ["Ann", "ANN", "Änne", "Zoë", "ß", "O'Hara", "李", "a%b", "a_b", "Émile"][n % 10];
    let last = ["Berg", "berg", "Ångström", "Zuse", "van Dam", "\\Back", "Đinh"][n % 7];
    let names = UserNames { first_name: Given(first.to_owned()), last_name: Given(last.to_owned()) };
    let username = (n % 3 != 0).then(|| format!("{}{n}", ["Käthe", "mike", "x.y"][n % 3]));
    let email = (n % 3 == 0 || n % 4 == 0)
        .then(|| format!("{}{n}@{}", ["Ann", "bob"][n % 2], ["x.example", "MÜNCHEN.example"][n % 2]));
    let fields = UserFields {
        username: username.map_or(Undefined, Given),
        email: email.map_or(Undefined, Given),
        nickname: given(of(&["Nick", "nick", "NÏCK", "Ni_k"], n)),
        position: given(of(&["Nurse", "nurse", "Ärztin", "Doctor", "100% sure"], n)),
        certified_email: given(of(&["legal@PEC.example", "Legal@pec.example", "o@pec.example"], n)),
        phone: given(of(&["+61 2 555", "+61 3 555", "02 ext A"], n)),
        mobile: given(of(&["0400 1", "0400 2"], n)),
        website: given(of(&["https://X.example/a", "http://y.example"], n)),
        orcid_id: given(of(&["0000-0002-1825-0097", "https://orcid.org/0000-0002-1694-233X"], n)),
        external_id: if n % 5 == 0 { Undefined } else { Given(format!("{}{n}", ["EX-", "ex-", "00"][n % 3])) },
        birth_date: if n % 4 == 0 {
            Null
        } else {
            Given(roster::scalar::DateText(format!("19{:02}-0{}-1{}", n % 90 + 10, n % 9 + 1, n % 9)))
        },
        gender: Given([Gender::Male, Gender::Female, Gender::Unknown][n % 3]),
        user_type: Given([UserType::Clinician, UserType::Student][n % 2]),
        institution_id: institutions.get(n % 3).map_or(Undefined, |id| Given(async_graphql::ID(id.0.to_string()))),
        role: Given([Role::User, Role::User, Role::Admin, Role::LicenseAdmin][n % 4]),
        is_staff: Given(n % 6 == 0),
        ..other_fields(n)
    };
    let mut validator = Validator::importing();
    user.apply(names, fields, &mut validator);
    validator.finish().unwrap();
    // None of those to whom a license administrator grants a site, or whom they delete, is a superuser.
    user.is_superuser = n % 30 == 7;
    user.is_admin = n % 4 == 1;
    user.is_project_admin = n % 3 == 1;
    user.is_group_admin = n % 7 == 3;
    user.is_taxonomies_admin = n % 8 == 5;
    user.is_resources_admin = n % 2 == 1;
    user.is_attributes_admin = n % 5 == 4;
    user.is_contact_form_email_receiver = n % 11 == 0;
    user.is_active = n % 9 != 0;
    user.has_activated = n % 2 == 0;
    user.date_joined = instant(n % 4);
    user.modified_at = instant(n % 11);
    user.last_login = (n % 5 != 0).then(|| instant(n % 7));
    user
}

fn instant(n: usize) -> DateTime<Utc> {
    let micros = [0, 1, 500_000, 123_456][n % 4];
    Utc.timestamp_opt(1_750_000_000 + i64::try_from(n).unwrap() / 2, micros * 1_000).unwrap()
}

/// Whether a user meets a filter: a second implementation, for rows in memory.
fn meets(user: &TestUser, filter: &Value) -> bool {
    let all = |filters: &Value| filters.as_array().unwrap().iter().all(|filter| meets(user, filter));
    let any = |filters: &Value| filters.as_array().unwrap().iter().any(|filter| meets(user, filter));
    let of_ids = |ids: &[Id], filter: &Value| {
        let ids: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
        filter.as_object().unwrap().iter().all(|(operator, value)| match operator.as_str() {
            "eq" => ids.iter().any(|id| value == id),
            "in" => ids.iter().any(|id| value.as_array().unwrap().iter().any(|value| value == id)),
            "isNull" => ids.is_empty() == value.as_bool().unwrap(),
            other => panic!("{other}"),
        })
    };
    let row = &user.row;
    filter.as_object().unwrap().iter().all(|(field, value)| match field.as_str() {
        "and" => all(value),
        "or" => any(value),
        "not" => !meets(user, value),
        "id" => of_ids(&[row.id], value),
        "institution" => of_ids(row.institution_id.as_slice(), value),
        "group" => of_ids(&user.groups, value),
        "site" => of_ids(&user.sites, value),
        "adminRights" => value
            .as_object()
            .unwrap()
            .iter()
            .all(|(right, value)| stored(row, &format!("adminRights.{right}")) == Stored::Bool(value.as_bool())),
        field => match stored(row, field) {
            Stored::Bool(flag) => flag == value.as_bool(),
            Stored::String(choice) if value.is_array() => value.as_array().unwrap().contains(&json!(choice)),
            Stored::String(text) => text_meets(field, text.as_deref(), value),
            Stored::ChronoDate(date) => in_range(date.as_ref(), value, |text| Date::parse(text).unwrap().0),
            Stored::ChronoDateTimeUtc(instant) => in_range(instant.as_ref(), value, |text| {
                DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
            }),
            other => panic!("{field} is {other:?}"),
        },
    })
}

fn in_range<T: PartialOrd>(stored: Option<&T>, filter: &Value, read: impl Fn(&str) -> T) -> bool {
    filter.as_object().unwrap().iter().all(|(operator, value)| {
        if operator == "isNull" {
            return stored.is_none() == value.as_bool().unwrap();
        }
        let value = read(value.as_str().unwrap());
        stored.is_some_and(|stored| match operator.as_str() {
            "eq" => *stored == value,
            "lt" => *stored < value,
            "lte" => *stored <= value,
            "gt" => *stored > value,
            "gte" => *stored >= value,
            other => panic!("{other}"),
        })
    })
}

/// A text of a field as it is compared: a whole value or a part of one.
fn normalized(field: &str, text: &str, is_whole: bool) -> String {
    match field {
        "email" | "certifiedEmail" if is_whole => canonical_email(text),
        "username" | "email" | "certifiedEmail" => canonical(text),
        "firstName" | "lastName" | "nickname" | "position" => fold(text),
        _ => text.to_ascii_lowercase(),
    }
}

fn text_meets(field: &str, stored: Option<&str>, filter: &Value) -> bool {
    let is_sensitive = filter["caseSensitive"] == json!(true);
    let form =
        |text: &str, is_whole: bool| if is_sensitive { text.to_owned() } else { normalized(field, text, is_whole) };
    filter.as_object().unwrap().iter().all(|(operator, value)| {
        if operator == "isNull" {
            return stored.is_none() == value.as_bool().unwrap();
        }
        if operator == "caseSensitive" {
            return true;
        }
        let Some(stored) = stored else { return false };
        let stored = form(stored, true);
        let whole = |value: &Value| form(value.as_str().unwrap(), true);
        let part = || form(value.as_str().unwrap(), false);
        match operator.as_str() {
            "eq" => stored == whole(value),
            "in" => value.as_array().unwrap().iter().any(|value| stored == whole(value)),
            "lt" => stored < whole(value),
            "lte" => stored <= whole(value),
            "gt" => stored > whole(value),
            "gte" => stored >= whole(value),
            "contains" => stored.contains(&part()),
            "startsWith" => stored.starts_with(&part()),
            "endsWith" => stored.ends_with(&part()),
            other => panic!("{other}"),
        }
    })
}

/// A filter of random fields and operators, with values that some of the users have.
fn random_filter(directory: &Directory, rng: &mut Rng, depth: usize) -> Value {
    let mut filter = Map::new();
    let mut fields = 1 + rng.below(2);
    if depth < 4 && rng.below(3) == 0 {
        let nested = |rng: &mut Rng| random_filter(directory, rng, depth + 1);
        match rng.below(3) {
            0 => filter.insert("and".to_owned(), json!([nested(rng), nested(rng)])),
            1 => filter.insert("or".to_owned(), json!([nested(rng), nested(rng), nested(rng)])),
            _ => filter.insert("not".to_owned(), nested(rng)),
        };
        fields -= 1;
    }
    for _ in 0..fields {
        let user = &directory.users[rng.below(directory.users.len())];
        match rng.below(22) {
            0..10 => {
                let field = *rng.choose(&COLUMN_FILTERS.texts);
                filter.insert(field.to_owned(), random_text(user.text(field).as_deref().unwrap_or("0"), rng));
            }
            10 | 11 => drop(filter.insert((*rng.choose(&COLUMN_FILTERS.flags)).to_owned(), json!(rng.below(2) == 0))),
            12..15 => {
                let choice = rng.choose(&COLUMN_FILTERS.choices);
                let values = if rng.one_in(3) {
                    json!(choice.values[..rng.below(choice.values.len() + 1)])
                } else {
                    json!([user.text(choice.name)])
                };
                filter.insert(choice.name.to_owned(), values);
            }
            15 => drop(filter.insert("institution".to_owned(), random_ids(&directory.institutions, rng))),
            16 => drop(filter.insert("group".to_owned(), random_ids(&directory.groups, rng))),
            20 => drop(filter.insert("site".to_owned(), random_ids(&directory.institutions, rng))),
            21 => {
                let right = *rng.choose(&RIGHT_FILTERS);
                filter.insert("adminRights".to_owned(), json!({ right: rng.one_in(2) }));
            }
            17 => drop(filter.insert("id".to_owned(), json!({ "in": [user.row.id.0, Id::new().0] }))),
            18 => {
                let field = *rng.choose(&COLUMN_FILTERS.dates);
                let day = user.date(field).map_or("1950-01-01".to_owned(), |date| date.to_string());
                filter.insert(field.to_owned(), random_range(&day, rng));
            }
            _ => {
                let field = *rng.choose(&COLUMN_FILTERS.instants);
                let at = user.instant(field).unwrap_or(instant(1)).to_rfc3339();
                filter.insert(field.to_owned(), random_range(&at, rng));
            }
        }
    }
    Value::Object(filter)
}

pub fn random_text(value: &str, rng: &mut Rng) -> Value {
    let letters: Vec<char> = value.chars().collect();
    let (from, to) = (rng.below(letters.len()), 1 + rng.below(letters.len()));
    let part: String = letters[from.min(to - 1)..from.max(to)].iter().collect();
    let cased = match rng.below(3) {
        0 => value.to_uppercase(),
        1 => value.to_lowercase(),
        _ => value.to_owned(),
    };
    let mut filter = match rng.below(10) {
        0 => json!({ "eq": cased }),
        1 => json!({ "in": [cased, "nobody"] }),
        2 => json!({ "contains": part }),
        3 => json!({ "startsWith": letters.iter().take(to).collect::<String>() }),
        4 => json!({ "endsWith": letters.iter().skip(from).collect::<String>() }),
        5 => json!({ "isNull": rng.below(2) == 0 }),
        6 => json!({ "lt": cased }),
        7 => json!({ "lte": cased }),
        8 => json!({ "gt": cased }),
        _ => json!({ "gte": cased, "contains": part }),
    };
    if rng.below(3) == 0 {
        filter["caseSensitive"] = json!(true);
    }
    filter
}

fn random_ids(ids: &[Id], rng: &mut Rng) -> Value {
    let id = ids[rng.below(ids.len())].0;
    match rng.below(4) {
        0 => json!({ "eq": id }),
        1 => json!({ "in": ids.iter().map(|id| id.0).collect::<Vec<_>>() }),
        2 => json!({ "in": [] }),
        _ => json!({ "isNull": rng.below(2) == 0 }),
    }
}

fn random_range(value: &str, rng: &mut Rng) -> Value {
    match rng.below(6) {
        0 => json!({ "eq": value }),
        1 => json!({ "lt": value }),
        2 => json!({ "lte": value }),
        3 => json!({ "gt": value }),
        4 => json!({ "gte": value, "lte": value }),
        _ => json!({ "isNull": rng.below(2) == 0 }),
    }
}

/// The ids of the users that a filter finds, in the order of the list, in one page of 100.
async fn found(caller: &Caller<'_>, directory: &Directory, filter: &Value) -> Vec<String> {
    let query = "query ($filter: UserFilter) {
        users(filter: $filter, includeInactive: true, first: 100) { totalCount nodes { id } }
    }";
    let users = caller.data(query, json!({ "filter": filter })).await["users"].clone();
    let nodes = users["nodes"].as_array().unwrap();
    assert_eq!(users["totalCount"], json!(nodes.len()), "{filter}");
    let ids = nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned());
    let test_users = directory.ids(|_| true);
    ids.filter(|id| test_users.contains(id)).collect()
}

/// A value by which users are sorted: a second implementation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sorted {
    Text(String),
    Number(i32),
    Date(NaiveDate),
    Instant(DateTime<Utc>),
}

/// The value by which a value of `UserOrderField` sorts a user.
fn sorted_by(row: &user::Model, order: &str) -> Option<Sorted> {
    let field = sorted_field(order);
    if field == "role" {
        return Some(Sorted::Number(match row.role {
            Role::User => 0,
            Role::Admin => 1,
            Role::LicenseAdmin => 2,
        }));
    }
    match stored(row, &field) {
        Stored::String(text) => text.map(|text| Sorted::Text(normalized(&field, &text, true))),
        Stored::Int(number) => number.map(Sorted::Number),
        Stored::Bool(flag) => flag.map(|flag| Sorted::Number(i32::from(flag))),
        Stored::ChronoDate(date) => date.map(Sorted::Date),
        Stored::ChronoDateTimeUtc(instant) => instant.map(Sorted::Instant),
        other => panic!("{field} is {other:?}"),
    }
}

fn compare(a: &user::Model, b: &user::Model, order: &[Value]) -> std::cmp::Ordering {
    for key in order {
        let field = key["field"].as_str().unwrap();
        let (x, y) = (sorted_by(a, field), sorted_by(b, field));
        let nulls_first = key["nulls"] == "FIRST";
        let ordering = match (&x, &y) {
            (None, None) => std::cmp::Ordering::Equal,
            (None, Some(_)) => {
                if nulls_first {
                    std::cmp::Ordering::Less
                } else {
                    std::cmp::Ordering::Greater
                }
            }
            (Some(_), None) => {
                if nulls_first {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Less
                }
            }
            (Some(x), Some(y)) => {
                if key["direction"] == "DESC" {
                    y.cmp(x)
                } else {
                    x.cmp(y)
                }
            }
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    let last = order.last().unwrap();
    let of_names = |row: &user::Model| (fold(&row.last_name), fold(&row.first_name));
    let names = ["FIRST_NAME", "LAST_NAME", "ROLE", "POSITION"].contains(&last["field"].as_str().unwrap());
    let ties = if names { of_names(a).cmp(&of_names(b)) } else { std::cmp::Ordering::Equal };
    let ties = ties.then(a.id.cmp(&b.id));
    if last["direction"] == "DESC" { ties.reverse() } else { ties }
}

/// The ids of the list, collected in pages of a size.
async fn walked(caller: &Caller<'_>, filter: &Value, order: &[Value], size: usize, forward: bool) -> Vec<String> {
    let query = "query ($filter: UserFilter, $order: [UserOrder!], $first: Int, $last: Int, $after: String, $before: String) {
        users(filter: $filter, orderBy: $order, includeInactive: true, first: $first, last: $last, after: $after, before: $before) {
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { id }
        }
    }";
    let (mut ids, mut place) = (Vec::new(), Value::Null);
    loop {
        let variables = if forward {
            json!({ "filter": filter, "order": order, "first": size, "after": place })
        } else {
            json!({ "filter": filter, "order": order, "last": size, "before": place })
        };
        let users = caller.data(query, variables).await["users"].clone();
        let part: Vec<String> =
            users["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect();
        ids = if forward { [ids, part].concat() } else { [part, ids].concat() };
        let (more, next) = if forward { ("hasNextPage", "endCursor") } else { ("hasPreviousPage", "startCursor") };
        if users["pageInfo"][more] == json!(false) {
            return ids;
        }
        place = users["pageInfo"][next].clone();
    }
}

on_every_database! {
    async fn each_operator_finds_the_matching_users(app: App) {
        let directory = Directory::new(&app, 60).await;
        let license_admin = app.license_admin().await;
        let id = directory.users[7].row.id.0;
        let group = directory.groups[0].0;
        let cases = [
            json!({}), json!({ "and": [] }), json!({ "or": [] }), json!({ "not": {} }),
            json!({ "firstName": { "eq": "änne" } }), json!({ "firstName": { "eq": "änne", "caseSensitive": true } }),
            json!({ "firstName": { "contains": "%" } }), json!({ "firstName": { "contains": "_" } }), json!({ "lastName": { "contains": "\\" } }),
            json!({ "firstName": { "eq": "SS" } }), json!({ "firstName": { "contains": "" } }), json!({ "lastName": { "startsWith": "ang" } }),
            json!({ "username": { "eq": "MIKE1" } }), json!({ "username": { "contains": "KÄTHE" } }), json!({ "username": { "contains": "kathe" } }),
            json!({ "email": { "eq": "BOB3@xn--mnchen-3ya.example" } }), json!({ "email": { "endsWith": "@X.EXAMPLE" } }), json!({ "email": { "isNull": true } }),
            json!({ "certifiedEmail": { "in": ["LEGAL@pec.example"] } }), json!({ "certifiedEmail": { "contains": "pec.ex", "caseSensitive": true } }),
            json!({ "nickname": { "eq": "nick" } }), json!({ "nickname": { "contains": "_" } }), json!({ "nickname": { "in": [] } }),
            json!({ "position": { "isNull": false, "lt": "m" } }), json!({ "position": { "startsWith": "100%" } }), json!({ "not": { "position": { "eq": "nurse" } } }),
            json!({ "phone": { "startsWith": "+61" } }), json!({ "phone": { "eq": "02 EXT a" } }), json!({ "mobile": { "endsWith": "1" } }),
            json!({ "externalId": { "eq": "EX-4" } }), json!({ "externalId": { "eq": "ex-4", "caseSensitive": true } }), json!({ "externalId": { "startsWith": "00" } }),
            json!({ "orcidId": { "eq": "0000-0002-1825-0097" } }), json!({ "website": { "contains": "x.example" } }),
            json!({ "isActive": false }), json!({ "isStaff": true, "hasActivated": true }), json!({ "role": ["ADMIN"] }), json!({ "role": [] }),
            json!({ "adminRights": {} }), json!({ "adminRights": { "isSuperuser": true } }), json!({ "adminRights": { "isAdmin": false, "isGroupAdmin": true } }),
            json!({ "not": { "adminRights": { "isAdmin": true, "isResourcesAdmin": true } } }),
            json!({ "userType": ["STUDENT"], "gender": ["MALE", "UNKNOWN"] }), json!({ "birthDate": { "gte": "1950-01-01", "lt": "1960-01-01" } }), json!({ "birthDate": { "isNull": true } }),
            json!({ "dateJoined": { "gt": instant(1).to_rfc3339() } }), json!({ "modifiedAt": { "eq": instant(3).to_rfc3339() } }), json!({ "lastLogin": { "isNull": true } }),
            json!({ "dateJoined": { "lt": "2025-06-15T15:06:40.0000015Z" } }), json!({ "dateJoined": { "gte": "2025-06-15T15:06:40.0000015Z" } }), json!({ "dateJoined": { "eq": "2025-06-15T15:06:40.0000015Z" } }),
            json!({ "id": { "eq": id } }), json!({ "id": { "isNull": true } }), json!({ "institution": { "eq": directory.institutions[0].0 } }), json!({ "institution": { "isNull": true } }),
            json!({ "group": { "eq": group } }), json!({ "group": { "isNull": true } }), json!({ "not": { "group": { "in": [group] } } }),
            json!({ "site": { "eq": directory.institutions[1].0 } }), json!({ "site": { "isNull": true } }), json!({ "site": { "in": [] } }),
            json!({ "not": { "or": [{ "role": ["USER"] }, { "and": [{ "isStaff": true }, { "not": { "nickname": { "isNull": true } } }] }] } }),
        ];
        for filter in cases {
            let mut ids = found(&license_admin, &directory, &filter).await;
            ids.sort();
            assert_eq!(ids, directory.ids(|user| meets(user, &filter)), "{filter}");
        }
    }

    async fn text_is_compared_by_the_rules_of_each_script(app: App) {
        let user = app.user().await;
        let names = [("राम", "O’Shea"), ("रमा", "Groẞ–Feld"), ("रीमा", "کریمی"), ("रोमी", "كريمي"), ("ปิติ", "ضحى ٤٢"), ("ปุตุ", "スズキ"), ("が", "張"), ("か", "Kaʻahumanu")];
        crowd::users(&app, &names).await;
        for (filter, expected) in [
            (json!({ "firstName": { "eq": "राम" } }), &["राम"][..]), (json!({ "firstName": { "in": ["रीमा", "ปิติ"] } }), &["रीमा", "ปิติ"]), (json!({ "firstName": { "startsWith": "र" } }), &["राम", "रमा", "रीमा", "रोमी"]),
            (json!({ "firstName": { "endsWith": "ी" } }), &["रोमी"]), (json!({ "firstName": { "contains": "ीम" } }), &["रीमा"]), (json!({ "firstName": { "eq": "か" } }), &["か"]), (json!({ "firstName": { "eq": "ガ" } }), &["が"]),
            (json!({ "lastName": { "eq": "O'Shea" } }), &["राम"]), (json!({ "lastName": { "eq": "OʼSHEA" } }), &["राम"]), (json!({ "lastName": { "startsWith": "o`" } }), &["राम"]), (json!({ "lastName": { "eq": "O'Shea", "caseSensitive": true } }), &[]),
            (json!({ "lastName": { "eq": "Groß-Feld" } }), &["रमा"]), (json!({ "lastName": { "eq": "GROSS-FELD" } }), &["रमा"]), (json!({ "lastName": { "contains": "ß−f" } }), &["रमा"]),
            (json!({ "lastName": { "eq": "کریمی" } }), &["रीमा", "रोमी"]), (json!({ "lastName": { "eq": "كريمى" } }), &["रीमा", "रोमी"]), (json!({ "lastName": { "in": ["ضحي 42"] } }), &["ปิติ"]),
            (json!({ "lastName": { "eq": "すずき" } }), &["ปุตุ"]), (json!({ "lastName": { "contains": "ｽﾞ" } }), &["ปุตุ"]), (json!({ "lastName": { "eq": "张" } }), &["が"]), (json!({ "lastName": { "eq": "ka'ahumanu" } }), &["か"]),
        ] {
            let data = user.data("query ($filter: UserFilter) { users(filter: $filter) { nodes { firstName } } }", json!({ "filter": filter })).await;
            let nodes = data["users"]["nodes"].as_array().unwrap();
            let found: std::collections::BTreeSet<&str> = nodes.iter().map(|node| node["firstName"].as_str().unwrap()).collect();
            assert_eq!(found, expected.iter().copied().collect(), "{filter}");
        }
    }

    async fn random_filters_find_the_matching_users(app: App) {
        let directory = Directory::new(&app, 60).await;
        let license_admin = app.license_admin().await;
        let mut rng = Rng(20_261_122);
        let mut some = 0;
        for _ in 0..400 {
            let filter = random_filter(&directory, &mut rng, 0);
            let mut ids = found(&license_admin, &directory, &filter).await;
            ids.sort();
            some += usize::from(!ids.is_empty() && ids.len() < directory.users.len());
            assert_eq!(ids, directory.ids(|user| meets(user, &filter)), "{filter:#}");
        }
        assert!(some > 200, "only {some} filters matched some of the users but not all");
    }

    async fn any_order_can_be_paged_in_both_directions_with_any_page_size(app: App) {
        let directory = Directory::new(&app, 45).await;
        let license_admin = app.license_admin().await;
        let filter = json!({ "lastName": { "in": ["Berg", "Ångström", "Zuse", "van Dam", "\\Back", "Đinh"] } });
        let mut rng = Rng(7);
        let mut orders: Vec<Vec<Value>> = Vec::new();
        for field in ORDERS.iter() {
            for direction in ["ASC", "DESC"] {
                orders.extend(["FIRST", "LAST"].map(|nulls| vec![json!({ "field": field, "direction": direction, "nulls": nulls })]));
            }
        }
        for _ in 0..30 {
            let mut fields = ORDERS.to_vec();
            let keys = (0..2 + rng.below(3)).map(|_| fields.swap_remove(rng.below(fields.len())));
            let keys: Vec<Value> = keys.collect::<Vec<_>>().into_iter().map(|field| {
                json!({ "field": field, "direction": *rng.choose(&["ASC", "DESC"]), "nulls": *rng.choose(&["FIRST", "LAST"]) })
            }).collect();
            orders.push(keys);
        }
        for order in orders {
            let mut users: Vec<&user::Model> = directory.users.iter().map(|user| &user.row).collect();
            users.sort_by(|a, b| compare(a, b, &order));
            let expected: Vec<String> = users.iter().map(|user| user.id.0.to_string()).collect();
            for (size, forward) in [(100, true), (3 + rng.below(9), true), (3 + rng.below(9), false)] {
                assert_eq!(walked(&license_admin, &filter, &order, size, forward).await, expected, "{order:?} by {size}, forward: {forward}");
            }
        }
    }

    async fn paging_returns_each_user_once_while_users_are_added_and_deleted(app: App) {
        let directory = Directory::new(&app, 40).await;
        let license_admin = app.license_admin().await;
        let order = vec![json!({ "field": "POSITION", "direction": "DESC" })];
        let filter = json!({ "hasActivated": true });
        let before = walked(&license_admin, &filter, &order, 100, true).await;
        let query = "query ($filter: UserFilter, $order: [UserOrder!], $after: String) {
            users(filter: $filter, orderBy: $order, includeInactive: true, first: 2, after: $after) { pageInfo { hasNextPage endCursor } nodes { id } }
        }";
        let (mut seen, mut place, mut gone) = (Vec::new(), Value::Null, Vec::new());
        for n in 0.. {
            let users = license_admin.data(query, json!({ "filter": filter, "order": order, "after": place })).await["users"].clone();
            seen.extend(users["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()));
            if users["pageInfo"]["hasNextPage"] == json!(false) {
                break;
            }
            place = users["pageInfo"]["endCursor"].clone();
            // The user at the cursor is deleted, and others are added before and after the cursor.
            let last = seen.last().unwrap().clone();
            assert_eq!(license_admin.mutate("deleteUser", "", json!({ "id": last })).await["success"], true);
            gone.push(last);
            let mut added = vec![test_user(app.license, 200 + 2 * n, &[]), test_user(app.license, 201 + 2 * n, &[])];
            for user in &mut added {
                user.has_activated = false;
            }
            crowd::store(&app, added).await;
        }
        assert_eq!(seen, before);
        assert_eq!(walked(&license_admin, &filter, &order, 100, true).await.len(), before.len() - gone.len());
        assert_eq!(directory.users.len(), 40);
    }

    async fn filters_over_a_limit_are_rejected_with_every_error(app: App) {
        let admin = app.admin().await;
        let query = "query ($filter: UserFilter, $order: [UserOrder!]) { users(filter: $filter, orderBy: $order) { nodes { id } } }";
        let nested = |depth: usize| (1..depth).fold(json!({ "isStaff": true }), |inner, _| json!({ "not": inner }));
        let wide = |width: usize| json!({ "or": (vec![json!({ "isStaff": true }); width]) });
        let long = "x".repeat(251);
        for good in [nested(5), wide(50), json!({ "username": { "in": (vec!["x"; 100]) } }), json!({ "username": { "eq": "x".repeat(250) } }), Value::Null] {
            admin.data(query, json!({ "filter": good })).await;
        }
        let bad = [
            (nested(6), "filter.not.not.not.not.not: must be nested at most 5 levels deep."),
            (wide(51), "filter: must contain at most 50 comparisons."),
            (json!({ "and": (vec![json!({}); 101]) }), "filter: must contain at most 100 filters."),
            (json!({ "username": { "in": (vec!["x"; 101]) } }), "filter.username.in: must contain at most 100 values."),
            (json!({ "id": { "in": (vec![Id::new().0; 101]) } }), "filter.id.in: must contain at most 100 values."),
            (json!({ "role": (vec!["USER"; 101]) }), "filter.role: must contain at most 100 values."),
            (json!({ "or": [{ "firstName": { "startsWith": long } }] }), "filter.or.0.firstName.startsWith: must be at most 250 characters."),
            (json!({ "group": { "eq": "7" }, "lastName": { "in": [long] } }), "filter.lastName.in: must be at most 250 characters. filter.group.eq: must be a valid ID (a UUID)."),
            (json!({ "dateJoined": { "lt": "+20000-01-01T00:00:00Z" } }), "filter.dateJoined: must be a time from the year 1 to the year 9999."),
        ];
        for (filter, message) in bad {
            let response = admin.execute(query, json!({ "filter": filter })).await;
            assert_eq!(response["errors"][0]["message"], message, "{response:#}");
            assert_eq!(response["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
        }
        // Ten filters with eleven conditions each, and an input with very many nested objects.
        let ten: Vec<String> = (0..10).map(|n| format!("f{n}: users(filter: $filter) {{ totalCount }}")).collect();
        let document = format!("query ($filter: UserFilter) {{ {} }}", ten.join(" "));
        let response = admin.execute(&document, json!({ "filter": wide(11) })).await;
        let all_rejected = response["errors"].as_array().unwrap().iter().all(|error| error["message"] == "filter: the filters of a request must contain at most 100 conditions in total.");
        assert!(all_rejected, "{response:#}");
        let unfolding = (0..4).fold(json!({}), |inner, _| json!({ "and": (vec![inner; 11]) }));
        let (status, response) = admin.post(&json!({ "query": query, "variables": { "filter": unfolding } })).await;
        assert_eq!((status, &response["errors"][0]["message"]), (400, &json!("The body: must contain at most 4000 objects")));
        let literal = format!("{{ users(filter: {{ and: [{}] }}) {{ totalCount }} }}", "{}".repeat(5_000));
        assert_eq!(admin.error_code(&literal, json!({})).await, "BAD_USER_INPUT");
        let twice = json!([{ "field": "ROLE" }, { "field": "EMAIL" }, { "field": "ROLE", "direction": "DESC" }]);
        let response = admin.execute(query, json!({ "order": twice })).await;
        assert_eq!(response["errors"][0]["message"], "orderBy.2.field: each field can be given only once.");
    }

    async fn users_cannot_filter_or_sort_by_private_fields_of_others(app: App) {
        let (user, admin) = (app.user().await, app.admin().await);
        let query = "query ($filter: UserFilter, $order: [UserOrder!]) { users(filter: $filter, orderBy: $order) { totalCount } }";
        let search = "query ($filter: UserFilter) { searchUsers(query: \"tester\", filter: $filter) { totalCount } }";
        let compared = [&COLUMN_FILTERS.texts, &COLUMN_FILTERS.dates, &COLUMN_FILTERS.instants].into_iter().flatten();
        for field in compared.copied().filter(|field| is_private(field)) {
            for filter in [
                json!({ field: { "isNull": false } }),
                json!({ "or": [{ "isStaff": true }, { "not": { field: {} } }] }),
                json!({ "and": [{ "and": [{ "not": { field: { "isNull": true } } }] }] }),
            ] {
                for query in [query, search] {
                    assert_eq!(user.error_code(query, json!({ "filter": filter })).await, "FORBIDDEN", "{filter}");
                    admin.data(query, json!({ "filter": filter })).await;
                }
            }
        }
        let rights = RIGHT_FILTERS.iter().map(|right| json!({ "adminRights": { *right: true } }));
        for filter in rights.chain([json!({ "adminRights": {} }), json!({ "not": { "or": [{ "adminRights": { "isAdmin": false } }] } })]) {
            for query in [query, search] {
                assert_eq!(user.error_code(query, json!({ "filter": filter })).await, "FORBIDDEN", "{filter}");
                admin.data(query, json!({ "filter": filter })).await;
            }
        }
        for field in ORDERS.iter() {
            let first = if *field == "LAST_NAME" { "FIRST_NAME" } else { "LAST_NAME" };
            let order = json!([{ "field": first }, { "field": field }]);
            admin.data(query, json!({ "order": order })).await;
            if is_private(&sorted_field(field)) {
                assert_eq!(user.error_code(query, json!({ "order": order })).await, "FORBIDDEN", "{field}");
            } else {
                user.data(query, json!({ "order": [{ "field": field }] })).await;
            }
        }
    }

    async fn a_cursor_belongs_to_its_filter_order_and_license(app: App) {
        let (user, stranger, root) = (app.user().await, app.other_license_user().await, app.superuser().await);
        let query = "query ($filter: UserFilter, $order: [UserOrder!], $after: String) {
            users(filter: $filter, orderBy: $order, after: $after, first: 1) { pageInfo { endCursor } }
        }";
        let filter = json!({ "isStaff": false });
        let order = json!([{ "field": "FIRST_NAME", "direction": "DESC" }]);
        let page = user.data(query, json!({ "filter": filter, "order": order })).await;
        let after = page["users"]["pageInfo"]["endCursor"].clone();
        user.data(query, json!({ "filter": filter, "order": order, "after": after })).await;
        let others = [
            json!({ "order": order, "after": after }),
            json!({ "filter": filter, "after": after }),
            json!({ "filter": { "isStaff": true }, "order": order, "after": after }),
            json!({ "filter": filter, "order": [{ "field": "FIRST_NAME" }], "after": after }),
            json!({ "filter": filter, "order": [{ "field": "FIRST_NAME", "direction": "DESC" }, { "field": "ROLE" }], "after": after }),
        ];
        for variables in others {
            assert_eq!(user.error_code(query, variables.clone()).await, "BAD_USER_INPUT", "{variables}");
        }
        for other in [&stranger, &root] {
            let variables = json!({ "filter": filter, "order": order, "after": after });
            assert_eq!(other.error_code(query, variables).await, "BAD_USER_INPUT");
        }
    }

    async fn an_invalid_time_is_rejected_with_an_example_of_a_valid_one(app: App) {
        let license_admin = app.license_admin().await;
        for text in ["2020-01-01", "2019-03-01 10:00:00", "yesterday", "", "2019-02-30T10:00:00Z"] {
            for (query, variables) in [
                ("query ($t: DateTime) { users(filter: { dateJoined: { gte: $t } }) { totalCount } }".to_owned(), json!({ "t": text })),
                (format!("{{ users(filter: {{ lastLogin: {{ lt: \"{text}\" }} }}) {{ totalCount }} }}"), json!({})),
                ("query ($f: AuditFilter) { auditEvents(filter: $f) { totalCount } }".to_owned(), json!({ "f": { "since": text } })),
                ("mutation ($t: DateTime) { createApiKey(input: { name: \"A\", expiresAt: $t }) { success } }".to_owned(), json!({ "t": text })),
            ] {
                let response = license_admin.execute(&query, variables).await;
                let error = &response["errors"][0];
                let message = error["message"].as_str().unwrap();
                assert!(message.contains("expected a date, a time and its offset from UTC, such as \"2019-03-01T10:00:00+02:00\""), "{message}");
                assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
            }
        }
        license_admin.data("{ users(filter: { dateJoined: { gte: \"2019-03-01 10:00:00+02:00\" } }) { totalCount } }", json!({})).await;
    }

    async fn a_search_is_narrowed_by_a_filter(app: App) {
        let directory = Directory::new(&app, 60).await;
        let license_admin = app.license_admin().await;
        let filter = json!({ "role": ["ADMIN"], "not": { "nickname": { "isNull": true } } });
        let query = "query ($filter: UserFilter) { searchUsers(query: \"berg\", filter: $filter, includeInactive: true) { nodes { id } totalCount } }";
        let data = license_admin.data(query, json!({ "filter": filter })).await;
        let mut ids: Vec<&str> = data["searchUsers"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        let is_berg = |user: &TestUser| fold(&user.row.last_name) == "berg";
        assert_eq!(ids, directory.ids(|user| is_berg(user) && meets(user, &filter)));
        assert!(!ids.is_empty());
    }
}
