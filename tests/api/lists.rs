//! Lists and their pagination.

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roster::entity::membership::GroupRole;
use roster::entity::user::{Role, UserFields};
use roster::entity::{institution, user};
use roster::scalar::Id;
use roster::validation::Validator;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::{Value, json};

use crate::app::{App, Caller};
use crate::crowd;

const PAGE: &str = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } }";

/// A list under a root field, such as `users` or `group(id: "...") { members`.
struct List(String);

impl List {
    fn of(path: &str) -> Self {
        Self(path.to_owned())
    }

    async fn page(&self, caller: &Caller<'_>, arguments: &str, selection: &str) -> Value {
        let data = caller.data(&self.document(arguments, selection), json!({})).await;
        let mut at = &data;
        while at.get("pageInfo").is_none() && at.get("totalCount").is_none() {
            at = at.as_object().unwrap().values().next().unwrap();
        }
        at.clone()
    }

    async fn error_code(&self, caller: &Caller<'_>, arguments: &str) -> String {
        caller.error_code(&self.document(arguments, "pageInfo { hasNextPage }"), json!({})).await
    }

    fn document(&self, arguments: &str, selection: &str) -> String {
        let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
        format!("{{ {}{arguments} {{ {selection} }} {}", self.0, "}".repeat(1 + self.0.matches('{').count()))
    }

    /// Every id in the order of the list, read in pages of a size from the start or from the end.
    async fn read_all(&self, caller: &Caller<'_>, size: usize, forward: bool) -> Vec<String> {
        let (mut ids, mut place) = (Vec::new(), String::new());
        loop {
            let page =
                self.page(caller, &format!("{}: {size}{place}", if forward { "first" } else { "last" }), PAGE).await;
            let edges = page["edges"].as_array().unwrap();
            let part: Vec<String> = edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(
                page["pageInfo"]["startCursor"],
                edges.first().map_or(Value::Null, |edge| edge["cursor"].clone())
            );
            assert_eq!(page["pageInfo"]["endCursor"], edges.last().map_or(Value::Null, |edge| edge["cursor"].clone()));
            let (ahead, behind) = (&page["pageInfo"]["hasNextPage"], &page["pageInfo"]["hasPreviousPage"]);
            let (has_more, has_previous) = if forward { (ahead, behind) } else { (behind, ahead) };
            assert_eq!(*has_previous, json!(!place.is_empty()));
            let cursor = &page["pageInfo"][if forward { "endCursor" } else { "startCursor" }];
            place = format!(", {}: {cursor}", if forward { "after" } else { "before" });
            ids = if forward { [ids, part].concat() } else { [part, ids].concat() };
            if *has_more == json!(false) {
                return ids;
            }
            assert_eq!(edges.len(), size);
        }
    }

    /// Asserts that the list is `expected`, read in both directions in small and in large pages.
    async fn assert_is(&self, caller: &Caller<'_>, expected: &[String]) {
        for size in [1, 7, 100] {
            for forward in [true, false] {
                assert_eq!(
                    self.read_all(caller, size, forward).await,
                    expected,
                    "{} by {size}, forward: {forward}",
                    self.0
                );
            }
        }
    }
}

/// Creates users, many with the same name; returns their ids in the order of the list.
async fn create_namesakes(app: &App, count: usize) -> Vec<String> {
    let names = [
        ("Ann", "Lee"),
        ("Ann", "Lee"),
        ("ann", "LEE"),
        ("Ánn", "Lee"),
        ("Bo", "Lee"),
        ("Ann", "Zhu"),
        ("王", "芳"),
        ("", ""),
    ];
    let users: Vec<user::Model> = (0..count)
        .map(|n| match names[n % names.len()] {
            ("", _) => crowd::model(app.license, &format!("First {n:03}"), "Mid"),
            (first, last) => crowd::model(app.license, first, last),
        })
        .collect();
    let mut order: Vec<(String, String, String)> = users
        .iter()
        .map(|user| (user.last_name_key.clone(), user.first_name_key.clone(), user.id.0.to_string()))
        .collect();
    order.sort();
    crowd::store(app, users).await;
    order.into_iter().map(|(_, _, id)| id).collect()
}

async fn create_site(app: &App, license: Id, name: &str) -> institution::Model {
    let mut new = institution::Model::empty(Id::new(), license);
    let core = institution::InstitutionCore {
        name: Given(name.to_owned()),
        kind: Given(institution::InstitutionKind::Hospital),
        country: Given("AU".to_owned()),
    };
    new.apply(core, institution::InstitutionFields::default(), &mut Validator::creating());
    institution::Entity::insert(new.clone().into_active_model().reset_all())
        .exec_without_returning(app.db.write())
        .await
        .unwrap();
    new
}

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

on_every_database! {
    async fn pages_have_fifty_entries_by_default_and_at_most_a_hundred(app: App) {
        let user = app.user().await;
        create_namesakes(&app, 120).await;
        let users = List::of("users");
        for (arguments, size) in [("", 50), ("first: 1", 1), ("first: 100", 100), ("last: 100", 100), ("last: 3", 3)] {
            let page = users.page(&user, arguments, PAGE).await;
            assert_eq!(page["edges"].as_array().unwrap().len(), size, "{arguments}");
        }
        let page = users.page(&user, "first: 5", "totalCount nodes { id } edges { node { id } }").await;
        assert_eq!(page["totalCount"], json!(122));
        let nodes: Vec<&Value> = page["edges"].as_array().unwrap().iter().map(|edge| &edge["node"]).collect();
        assert_eq!(page["nodes"].as_array().unwrap().iter().collect::<Vec<_>>(), nodes);
    }

    async fn variables_for_page_sizes_may_be_omitted(app: App) {
        create_namesakes(&app, 3).await;
        let user = app.user().await;
        let query = "query ($first: Int, $last: Int, $of: Int = 2) { users(first: $first, last: $last) { nodes { ...F } } groups(first: $of) { nodes { ...F } } institutions(last: $last) { totalCount } }
            fragment F on Node { id ... on Group { members(first: $first) { totalCount } } }";
        let data = user.data(query, json!({})).await;
        assert_eq!(data["users"]["nodes"].as_array().unwrap().len(), 5);
        assert_eq!(user.data(query, json!({ "first": 2 })).await["users"]["nodes"].as_array().unwrap().len(), 2);
        assert_eq!(user.error_code(query, json!({ "first": 2, "last": 2 })).await, "BAD_USER_INPUT");
        let required = "query ($first: Int!) { users(first: $first) { totalCount } }";
        assert!(user.execute(required, json!({})).await["errors"].is_array());
    }

    async fn invalid_page_sizes_are_rejected(app: App) {
        let user = app.user().await;
        let group = user.mutate("createGroup", "group { id }", json!({ "name": "A" })).await["group"]["id"].clone();
        let site = create_site(&app, app.license, "A").await.id.0;
        let lists = ["users", "groups", "institutions", &format!("group(id: {group}) {{ members"), &format!("institution(id: \"{site}\") {{ users")];
        for list in lists.map(List::of) {
            for arguments in ["first: 0", "first: -1", "first: 101", "first: 2147483647", "first: 2147483648", "first: -2147483649", "last: 0", "last: 101",
                "first: 1, last: 1", "first: \"1\"", "first: 1.5"] {
                assert_eq!(list.error_code(&user, arguments).await, "BAD_USER_INPUT", "{}: {arguments}", list.0);
            }
        }
        for arguments in ["first: 0", "first: 101"] {
            let search = format!("{{ searchUsers(query: \"a\", {arguments}) {{ totalCount }} }}");
            assert_eq!(user.error_code(&search, json!({})).await, "BAD_USER_INPUT");
        }
    }

    async fn users_with_equal_names_are_listed_once_in_both_directions(app: App) {
        let user = app.sign_in(app.create("Aa", app.license, UserFields::default(), Undefined).await).await;
        let namesakes = create_namesakes(&app, 113).await;
        let users = List::of("users");
        let all = users.read_all(&user, 100, true).await;
        users.assert_is(&user, &all).await;
        let others = ["Aa Tester", "Root Alder"].len();
        assert_eq!(all.len(), namesakes.len() + others);
        let crowd: Vec<String> = all.into_iter().filter(|id| namesakes.contains(id)).collect();
        assert_eq!(crowd, namesakes, "sorted by last name, first name and id");
    }

    async fn every_member_is_listed_once_in_both_directions(app: App) {
        let owner = app.user().await;
        let group = owner.mutate("createGroup", "group { id }", json!({ "name": "A" })).await["group"]["id"].as_str().unwrap().to_owned();
        let users = create_namesakes(&app, 113).await;
        crowd::memberships(&app, &users.iter().map(|user| id(user)).collect::<Vec<_>>(), &[id(&group)], GroupRole::Member).await;
        let list = List(format!("group(id: \"{group}\") {{ members"));
        let handed_on = json!({ "groupId": group, "userId": users[0], "role": "OWNER" });
        assert_eq!(owner.mutate("setGroupMember", "", handed_on).await["success"], json!(true));
        owner.mutate("removeGroupMember", "", json!({ "groupId": group, "userId": owner.id() })).await;
        list.assert_is(&owner, &users).await;
        assert_eq!(list.page(&owner, "first: 1", "totalCount").await["totalCount"], json!(113));
    }

    async fn every_user_of_an_institution_is_listed_once_in_both_directions(app: App) {
        let user = app.user().await;
        let site = create_site(&app, app.license, "A").await.id;
        let users = create_namesakes(&app, 113).await;
        let belong = user::Entity::update_many().col_expr(user::Column::InstitutionId, Expr::value(site));
        belong.filter(user::Column::Id.is_in(users.iter().map(|listed| id(listed)))).exec(app.db.write()).await.unwrap();
        let list = List(format!("institution(id: \"{}\") {{ users", site.0));
        list.assert_is(&user, &users).await;
        assert_eq!(list.page(&user, "last: 1", "totalCount").await["totalCount"], json!(113));
    }

    async fn every_group_and_institution_is_listed_once_in_both_directions(app: App) {
        let user = app.user().await;
        crowd::groups(&app, app.license, (0..60).map(|n| format!("Ward {}", n % 7))).await;
        for n in 0..20 {
            create_site(&app, app.license, &format!("House {}", n % 3)).await;
        }
        for (list, count) in [(List::of("groups"), 60), (List::of("institutions"), 20)] {
            let all = list.read_all(&user, 100, true).await;
            assert_eq!(all.len(), count);
            list.assert_is(&user, &all).await;
        }
    }

    async fn pages_do_not_shift_when_users_are_added_or_deactivated(app: App) {
        let user = app.user().await;
        let namesakes = create_namesakes(&app, 40).await;
        let users = List::of("users");
        let page = users.page(&user, "first: 20", PAGE).await;
        let end = page["pageInfo"]["endCursor"].clone();
        let before = users.page(&user, &format!("first: 100, after: {end}"), PAGE).await["edges"].clone();
        crowd::users(&app, &[("A", "AAA")]).await;
        let last = page["edges"][19]["node"]["id"].as_str().unwrap();
        app.license_admin().await.mutate("setActive", "", json!({ "id": last, "active": false })).await;
        assert_eq!(users.page(&user, &format!("first: 100, after: {end}"), PAGE).await["edges"].as_array().unwrap().len(), before.as_array().unwrap().len() + 1, "only the administrator was added");
        assert!(namesakes.contains(&last.to_owned()));
    }

    async fn the_range_between_two_cursors_is_paged_from_either_end(app: App) {
        let user = app.user().await;
        create_namesakes(&app, 30).await;
        let users = List::of("users");
        let all = users.page(&user, "first: 30", PAGE).await;
        let (after, before) = (&all["edges"][4]["cursor"], &all["edges"][15]["cursor"]);
        for (size, expected) in [("first: 100", 5..15), ("first: 3", 5..8), ("last: 3", 12..15)] {
            let page = users.page(&user, &format!("{size}, after: {after}, before: {before}"), PAGE).await;
            assert_eq!(page["edges"].as_array().unwrap()[..], all["edges"].as_array().unwrap()[expected], "{size}");
        }
        let nothing = users.page(&user, &format!("first: 5, after: {before}, before: {after}"), PAGE).await;
        assert_eq!(nothing["edges"], json!([]));
        assert_eq!(nothing["pageInfo"]["startCursor"], Value::Null);
    }

    async fn cursors_of_other_lists_are_rejected(app: App) {
        let (user, stranger, root, admin) = (app.user().await, app.other_license_user().await, app.superuser().await, app.admin().await);
        let groups = crowd::groups(&app, app.license, ["A".to_owned(), "B".to_owned()]).await;
        crowd::memberships(&app, &[user.id], &groups, GroupRole::Member).await;
        let members = groups.iter().map(|group| List(format!("group(id: \"{}\") {{ members", group.0))).collect::<Vec<_>>();
        let (users, all_groups) = (List::of("users"), List::of("groups"));
        let of_users = users.page(&user, "first: 1", PAGE).await["pageInfo"]["endCursor"].clone();
        let of_groups = all_groups.page(&user, "first: 1", PAGE).await["pageInfo"]["endCursor"].clone();
        let of_members = members[0].page(&user, "first: 1", PAGE).await["pageInfo"]["endCursor"].clone();
        let of_search = user.data("{ searchUsers(query: \"tester\", first: 1) { pageInfo { endCursor } } }", json!({})).await["searchUsers"]["pageInfo"]["endCursor"].clone();
        let of_search = format!("after: {of_search}");
        let with_inactive = admin.data("{ users(first: 1, includeInactive: true) { pageInfo { endCursor } } }", json!({})).await["users"]["pageInfo"]["endCursor"].clone();
        let named = user.data("{ groups(first: 1, nameContains: \"a\") { pageInfo { endCursor } } }", json!({})).await["groups"]["pageInfo"]["endCursor"].clone();
        let refused = [
            (&users, &user, format!("after: {of_groups}")), (&users, &user, format!("after: {of_members}")), (&users, &user, of_search.clone()),
            (&users, &admin, format!("after: {with_inactive}")), (&users, &user, format!("before: {of_groups}")),
            (&users, &stranger, format!("after: {of_users}")), (&users, &root, format!("after: {of_users}")),
            (&members[1], &user, format!("after: {of_members}")), (&members[0], &user, format!("after: {of_users}")),
            (&all_groups, &user, format!("after: {named}")), (&all_groups, &user, format!("after: {of_users}")),
        ];
        for (list, caller, arguments) in refused {
            assert_eq!(list.error_code(caller, &arguments).await, "BAD_USER_INPUT", "{}: {arguments}", list.0);
        }
        assert_eq!(user.error_code(&format!("{{ searchUsers(query: \"test\", {of_search}) {{ totalCount }} }}"), json!({})).await, "BAD_USER_INPUT");
        assert_eq!(user.error_code(&format!("{{ searchUsers(query: \"tester\", after: {of_users}) {{ totalCount }} }}"), json!({})).await, "BAD_USER_INPUT");
        user.data(&format!("{{ searchUsers(query: \" TESTER \", {of_search}) {{ totalCount }} }}"), json!({})).await;
        admin.data(&format!("{{ users(after: {of_users}) {{ totalCount }} }}"), json!({})).await;
    }

    async fn damaged_cursors_are_rejected(app: App) {
        let user = app.user().await;
        let users = List::of("users");
        let good = users.page(&user, "first: 1", PAGE).await["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
        let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
        let (code, place) = bytes.split_at(12);
        let forged = |position: &str| URL_SAFE_NO_PAD.encode([code, position.as_bytes()].concat());
        let id = Id::new().0;
        let mut damaged = vec![
            String::new(), "x".to_owned(), "😀".to_owned(), good.chars().skip(1).collect(), good.chars().take(good.len() - 1).collect(), format!("{good}="), format!("{good}A"), good.to_lowercase(),
            forged("[]"), forged("null"), forged(&format!("[\"a\",\"b\",\"{id}\"]")), forged(&format!("[1,2,\"{id}\"]")), "A".repeat(10_000),
            URL_SAFE_NO_PAD.encode(code), URL_SAFE_NO_PAD.encode(place),
        ];
        damaged.extend((0..bytes.len()).map(|at| {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            URL_SAFE_NO_PAD.encode(changed)
        }));
        for cursor in damaged {
            for argument in ["after", "before"] {
                let document = format!("query ($cursor: String) {{ users({argument}: $cursor) {{ nodes {{ id }} }} }}");
                assert_eq!(user.error_code(&document, json!({ "cursor": cursor })).await, "BAD_USER_INPUT", "{cursor}");
            }
        }
        users.page(&user, &format!("first: 1, after: \"{good}\""), PAGE).await;
    }

    async fn cursors_reveal_no_private_fields(app: App) {
        let user = app.user().await;
        let hidden = UserFields { external_id: Given("secret-77".to_owned()), email: Given("hidden@x.example".to_owned()), ..UserFields::default() };
        app.create("Hidden", app.license, hidden, Undefined).await;
        for edge in List::of("users").page(&user, "", PAGE).await["edges"].as_array().unwrap() {
            let bytes = URL_SAFE_NO_PAD.decode(edge["cursor"].as_str().unwrap()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("secret-77"));
        }
    }

    async fn inactive_users_are_listed_only_for_administrators_on_request(app: App) {
        let (user, admin) = (app.user().await, app.admin().await);
        let gone = app.create("Gone", app.license, UserFields::default(), Undefined).await;
        admin.mutate("setActive", "", json!({ "id": gone.id.0, "active": false })).await;
        let count = |data: Value| data["users"]["totalCount"].as_i64().unwrap();
        let active = "{ users { totalCount nodes { id } } }";
        let all = "{ users(includeInactive: true) { totalCount nodes { id isActive } } }";
        assert_eq!(count(user.data(active, json!({})).await), 3);
        assert_eq!(count(admin.data(active, json!({})).await), 3);
        let data = admin.data(all, json!({})).await;
        assert!(data["users"]["nodes"].as_array().unwrap().contains(&json!({ "id": gone.id.0, "isActive": false })));
        assert_eq!(count(data), 4);
        assert_eq!(user.error_code(all, json!({})).await, "FORBIDDEN");
        assert_eq!(user.error_code("{ searchUsers(query: \"gone\", includeInactive: true) { totalCount } }", json!({})).await, "FORBIDDEN");
        let search = |inactive: bool| format!("{{ searchUsers(query: \"gone\", includeInactive: {inactive}) {{ totalCount }} }}");
        assert_eq!(admin.data(&search(false), json!({})).await["searchUsers"]["totalCount"], json!(0));
        assert_eq!(admin.data(&search(true), json!({})).await["searchUsers"]["totalCount"], json!(1));
    }

    async fn filtered_lists_are_counted_up_to_a_maximum(app: App) {
        let user = app.user().await;
        let mut names = vec![("Ann", "Moss"); 10_000];
        names.push(("Ann", "Lee"));
        crowd::users(&app, &names).await;
        let total = async |filter: Value| {
            let document = "query ($filter: UserFilter) { users(filter: $filter, first: 1) { totalCountIsExact totalCount } }";
            let users = user.data(document, json!({ "filter": filter })).await["users"].clone();
            (users["totalCount"].as_i64().unwrap(), users["totalCountIsExact"].as_bool().unwrap())
        };
        let all = total(Value::Null).await;
        assert!(all.0 > 10_001 && all.1, "{all:?}");
        assert_eq!(total(json!({ "firstName": { "eq": "Ann" } })).await, (10_000, false));
        assert_eq!(total(json!({ "firstName": { "eq": "Ann" }, "lastName": { "eq": "Moss" } })).await, (10_000, true));
        assert_eq!(total(json!({ "firstName": { "eq": "Ann" }, "lastName": { "eq": "Lee" } })).await, (1, true));
        let found = user.data("{ searchUsers(query: \"moss\", first: 1) { totalCount totalCountIsExact } }", json!({})).await;
        assert_eq!(found["searchUsers"], json!({ "totalCount": 10_000, "totalCountIsExact": true }));
    }

    async fn groups_with_a_part_of_a_name_are_counted_up_to_a_maximum(app: App) {
        let user = app.user().await;
        for thousand in 0..11 {
            crowd::groups(&app, app.license, (0..1_000).map(|n| format!("Ward {thousand}-{n}"))).await;
        }
        for (part, total, is_exact) in [(Value::Null, 11_000, true), (json!("ward"), 10_000, false), (json!("-99"), 121, true)] {
            let document = "query ($part: String) { groups(nameContains: $part, first: 1) { totalCount totalCountIsExact } }";
            let groups = user.data(document, json!({ "part": part })).await["groups"].clone();
            assert_eq!(groups, json!({ "totalCount": total, "totalCountIsExact": is_exact }), "{part}");
        }
    }

    async fn lists_show_one_license_except_to_superusers(app: App) {
        let (user, stranger, root) = (app.user().await, app.other_license_user().await, app.superuser().await);
        crowd::groups(&app, app.other_license, ["There".to_owned()]).await;
        create_site(&app, app.other_license, "There").await;
        let totals = "{ users { totalCount nodes { license { number } } } groups { totalCount } institutions { totalCount } }";
        let own = user.data(totals, json!({})).await;
        assert_eq!((&own["users"]["totalCount"], &own["groups"]["totalCount"], &own["institutions"]["totalCount"]), (&json!(3), &json!(0), &json!(0)));
        assert!(own["users"]["nodes"].as_array().unwrap().iter().all(|user| user["license"]["number"] == json!("A-1")));
        let theirs = stranger.data(totals, json!({})).await;
        assert_eq!(theirs["users"], json!({ "totalCount": 1, "nodes": [{ "license": { "number": "B-2" } }] }));
        let all = root.data(totals, json!({})).await;
        assert_eq!((&all["users"]["totalCount"], &all["groups"]["totalCount"], &all["institutions"]["totalCount"]), (&json!(4), &json!(1), &json!(1)));
    }

    async fn name_contains_matches_literally_and_ignores_case_and_accents(app: App) {
        let user = app.user().await;
        let names = ["100% Ward", "A_B", "A\\B", "AxB", "Ångström Team", "Σίσυφος", "\"Quoted\" *", "O'Neil"];
        crowd::groups(&app, app.license, names.map(str::to_owned)).await;
        for name in names {
            create_site(&app, app.license, name).await;
        }
        let cases = [("%", vec!["100% Ward"]), ("a_b", vec!["A_B"]), ("\\", vec!["A\\B"]), ("angstrom", vec!["Ångström Team"]), ("ÅNGSTRÖM T", vec!["Ångström Team"]),
            ("σισυφοσ", vec!["Σίσυφος"]), ("\" *", vec!["\"Quoted\" *"]), ("'", vec!["O'Neil"]), ("zz", vec![]), ("%%", vec![])];
        for (part, expected) in cases {
            for list in ["groups", "institutions"] {
                let document = format!("query ($part: String) {{ {list}(nameContains: $part) {{ totalCount nodes {{ name }} }} }}");
                let data = user.data(&document, json!({ "part": part })).await;
                let found: Vec<&str> = data[list]["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
                assert_eq!(found, expected, "{list}: {part}");
                assert_eq!(data[list]["totalCount"], json!(expected.len()));
            }
        }
        for list in ["groups", "institutions"] {
            let document = format!("query ($part: String) {{ {list}(nameContains: $part) {{ totalCount }} }}");
            assert_eq!(user.error_code(&document, json!({ "part": "é".repeat(201) })).await, "BAD_USER_INPUT");
            for everything in [Value::Null, json!(""), json!(" ")] {
                assert_eq!(user.data(&document, json!({ "part": everything })).await[list]["totalCount"], json!(8));
            }
        }
    }

    async fn administrators_can_page_through_inactive_users(app: App) {
        let license_admin = app.user_with("Chief", UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() }).await;
        let users = create_namesakes(&app, 30).await;
        let gone: Vec<Id> = users.iter().step_by(3).map(|user| id(user)).collect();
        let deactivate = user::Entity::update_many().col_expr(user::Column::IsActive, Expr::value(false));
        deactivate.filter(user::Column::Id.is_in(gone)).exec(app.db.write()).await.unwrap();
        let mut ids: Vec<String> = Vec::new();
        let mut after = Value::Null;
        loop {
            let document = "query ($after: String) { users(first: 7, after: $after, includeInactive: true) { nodes { id } pageInfo { hasNextPage endCursor } } }";
            let page = license_admin.data(document, json!({ "after": after })).await["users"].clone();
            ids.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()));
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == json!(false) {
                break;
            }
        }
        assert_eq!(ids.into_iter().filter(|id| users.contains(id)).collect::<Vec<_>>(), users);
    }

    async fn administrators_can_page_through_the_inactive_members_of_a_group(app: App) {
        let (user, admin, chief, root) = (app.user().await, app.admin().await, app.license_admin().await, app.superuser().await);
        let users = create_namesakes(&app, 30).await;
        let group = crowd::groups(&app, app.license, ["Ward".to_owned()]).await[0];
        crowd::memberships(&app, &users.iter().map(|user| id(user)).collect::<Vec<_>>(), &[group], GroupRole::Manager).await;
        let gone: Vec<Id> = users.iter().step_by(3).map(|user| id(user)).collect();
        let deactivate = user::Entity::update_many().col_expr(user::Column::IsActive, Expr::value(false));
        deactivate.filter(user::Column::Id.is_in(gone)).exec(app.db.write()).await.unwrap();
        let list = List(format!("group(id: \"{}\") {{ members", group.0));
        for caller in [&admin, &chief, &root] {
            let mut ids: Vec<String> = Vec::new();
            let mut rest = "includeInactive: true, first: 7".to_owned();
            loop {
                let selection = "totalCount totalCountIsExact pageInfo { hasNextPage endCursor } edges { role node { id } }";
                let page = list.page(caller, &rest, selection).await;
                assert_eq!((&page["totalCount"], &page["totalCountIsExact"]), (&json!(30), &json!(true)));
                let edges = page["edges"].as_array().unwrap();
                assert!(edges.iter().all(|edge| edge["role"] == "MANAGER"));
                ids.extend(edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()));
                let after = format!("first: 7, after: {}", page["pageInfo"]["endCursor"]);
                assert_eq!(list.error_code(caller, &after).await, "BAD_USER_INPUT", "a cursor of another list");
                if page["pageInfo"]["hasNextPage"] == json!(false) {
                    break;
                }
                rest = format!("includeInactive: true, {after}");
            }
            assert_eq!(ids, users);
            assert_eq!(list.page(caller, "first: 1", "totalCount").await["totalCount"], json!(20));
        }
        assert_eq!(list.page(&user, "includeInactive: false", "totalCount").await["totalCount"], json!(20));
        assert_eq!(list.error_code(&user, "includeInactive: true").await, "FORBIDDEN");
    }
}
