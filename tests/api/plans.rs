//! Query plans of common queries: each uses an index, and none scans a whole table.

use std::sync::{Arc, LazyLock, Mutex};

use roster::entity::membership::GroupRole;
use roster::entity::user::{self, Role};
use roster::scalar::Id;
use sea_orm::{ConnectionTrait, DatabaseBackend, IdenStatic, Iterable, Statement};
use serde_json::{Value, json};
use tracing::Dispatch;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::app::{App, Caller};
use crate::crowd;

/// The SQL texts of the statements that this thread sends.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<String>>>);

impl Sent {
    fn listen(&self) -> DefaultGuard {
        // With a single subscriber, tracing caches whether an event is enabled by asking the thread that reaches it
        // first, which may have no subscriber. With this one, there are always two.
        static ANOTHER: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(tracing_subscriber::registry().with(Sent::default())));
        LazyLock::force(&ANOTHER);
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }
}

impl<S: tracing::Subscriber> Layer<S> for Sent {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if matches!(event.metadata().target(), "roster::sql" | "sqlx::postgres::notice") {
            event.record(&mut self.clone());
        }
    }
}

impl Visit for Sent {
    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "sql" | "message") {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// The SQL texts of a query's statements, and on PostgreSQL the plans that it reports.
async fn statements(caller: &Caller<'_>, query: &str) -> Vec<String> {
    let sent = Sent::default();
    let listening = sent.listen();
    caller.data(query, json!({})).await;
    drop(listening);
    let statements = sent.0.lock().unwrap().clone();
    assert!(!statements.is_empty(), "no statement was recorded");
    statements
}

/// The plans of a query's statements, one line for each step.
async fn plans(caller: &Caller<'_>, query: &str) -> Vec<String> {
    explain(caller, &statements(caller, query).await).await
}

/// The plans of statements of SQLite, one line for each step.
async fn explain(caller: &Caller<'_>, statements: &[String]) -> Vec<String> {
    let mut steps = Vec::new();
    // Writes are sent together with the next statement.
    for sql in statements.iter().flat_map(|sql| sql.split("; ")) {
        let explain = Statement::from_string(DatabaseBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
        for row in caller.app.db.write().query_all_raw(explain).await.unwrap() {
            steps.push(row.try_get::<String>("", "detail").unwrap());
        }
    }
    steps
}

#[tokio::test]
async fn no_common_query_scans_a_whole_table() {
    let app = App::on_sqlite().await;
    let caller = app.admin().await;
    let cursor = caller.data("{ users(first: 1) { pageInfo { endCursor } } }", json!({})).await;
    let cursor = cursor["users"]["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let queries = [
        format!(
            "{{ users(first: 50, after: \"{cursor}\") {{ nodes {{ id institution {{ name }} groups {{ name }} license {{ name }} }} }} }}"
        ),
        format!("{{ users(last: 50, before: \"{cursor}\") {{ nodes {{ id }} }} }}"),
        "{ users { nodes { id } } }".to_owned(),
        "{ users(includeInactive: true) { nodes { id sessions { id } } } }".to_owned(),
        "{ searchUsers(query: \"adm test\") { nodes { id } } }".to_owned(),
        "{ user(by: { username: \"nobody\" }) { id } }".to_owned(),
        "{ user(by: { email: \"nobody@example.org\" }) { id } }".to_owned(),
        "{ user(by: { externalId: \"1\" }) { id } }".to_owned(),
        "{ user(by: { externalReference: { source: \"hr\", id: \"1\" } }) { id } }".to_owned(),
        "{ resolveUsers(keys: [\"a\", \"b\", \"c\"]) { status user { id } } }".to_owned(),
        "{ resolveUsers(keys: [\"a\", \"b\", \"c\"], source: \"hr\") { status user { id } } }".to_owned(),
        "{ users(filter: { externalReference: { source: \"hr\", id: \"1\" } }) { nodes { id } } }".to_owned(),
        format!(
            "{{ users(filter: {{ site: {{ eq: \"{}\" }} }}) {{ nodes {{ id attributes {{ name }} sites {{ nodes {{ id }} }} }} }} }}",
            caller.id()
        ),
        "{ groups { nodes { id } } institutions { nodes { id } } }".to_owned(),
        "{ users { nodes { id attributes { name } } } attributeDefinitions { name } }".to_owned(),
        "{ auditEvents { nodes { id actor { id } subject { id } apiKey { id } } } }".to_owned(),
        format!("{{ auditEvents(filter: {{ subject: \"{}\" }}) {{ nodes {{ id }} }} }}", caller.id()),
        format!("{{ node(id: \"{}\") {{ id }} }}", caller.id()),
        format!("mutation {{ updateUser(input: {{ id: \"{}\", phone: \"none\" }}) {{ success }} }}", caller.id()),
    ];
    for query in queries {
        for step in plans(&caller, &query).await {
            assert!(!step.starts_with("SCAN") || is_candidate_scan(&step), "{query}\n{step}");
        }
    }
}

#[tokio::test]
async fn writes_find_their_rows_by_indexes() {
    let app = App::on_sqlite().await;
    let (admin, user) = (app.license_admin().await, app.user().await);
    let group = admin.mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
    let id = user.id();
    let mutations = [
        r#"createUser(input: { firstName: "Ann", lastName: "Lee", email: "ann@x.example" }) { success }"#.to_owned(),
        format!(r#"updateUser(input: {{ id: "{id}", position: "Nurse" }}) {{ success }}"#),
        format!(r#"updateUser(input: {{ id: "{id}", lastName: "Leeson", email: "leeson@x.example" }}) {{ success }}"#),
        format!(r#"setGroupMember(input: {{ groupId: {group}, userId: "{id}", role: MEMBER }}) {{ success }}"#),
        r#"login(input: { login: "leeson@x.example", password: "wrong" }) { success }"#.to_owned(),
    ];
    for mutation in mutations {
        for step in plans(&admin, &format!("mutation {{ {mutation} }}")).await {
            let is_of_few_rows = step == "SCAN audit_head"
                || step.starts_with("SCAN json_each")
                || step.contains("CONSTANT ROW")
                || step.contains("VALUES CLAUSE");
            assert!(!step.starts_with("SCAN") || is_of_few_rows, "{mutation}\n{step}");
        }
    }
}

/// Queries that need the indexes which no list of [`LISTS`] uses.
const OTHER_QUERIES: [&str; 6] = [
    "{ viewer { id groups { id } sessions { id } } }",
    "{ user(by: { username: \"nobody\" }) { id } }",
    "{ user(by: { email: \"nobody@example.org\" }) { id } }",
    "{ user(by: { externalId: \"1\" }) { id } }",
    "{ institutions { nodes { users { nodes { id } } } } }",
    "mutation { logout { success } }",
];

#[tokio::test]
async fn each_index_of_users_serves_a_query() {
    let app = App::on_sqlite().await;
    let (license_admin, superuser) = (app.license_admin().await, app.superuser().await);
    // The superuser sees every license.
    let mut steps = plans(&superuser, "{ users { nodes { id } } }").await;
    for (list, _) in LISTS {
        steps.extend(plans(&license_admin, &asked(list, &license_admin.id(), &license_admin.id())).await);
    }
    for query in OTHER_QUERIES {
        steps.extend(plans(&license_admin, query).await);
    }
    let indexes = "SELECT name FROM sqlite_master WHERE type = 'index' \
                   AND tbl_name IN ('users', 'logins', 'credentials', 'memberships', 'sessions')";
    let indexes = Statement::from_string(DatabaseBackend::Sqlite, indexes);
    let indexes = app.db.read().query_all_raw(indexes).await.unwrap();
    let indexes: Vec<String> = indexes.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    assert!(indexes.len() > 18, "{indexes:#?}");
    let is_used = |index: &String| steps.iter().any(|step| step.split_whitespace().any(|word| word == index));
    let unused: Vec<&String> = indexes.iter().filter(|index| !is_used(index)).collect();
    assert!(unused.is_empty(), "each write pays for {unused:?}\n{steps:#?}");
}

#[tokio::test]
async fn totals_of_lists_without_a_filter_read_no_rows() {
    let app = App::on_sqlite().await;
    let (user, admin, root) = (app.user().await, app.license_admin().await, app.superuser().await);
    admin.mutate("createGroup", "", json!({ "name": "Ward" })).await;
    admin.mutate("createInstitution", "", json!({ "name": "House", "kind": "HOSPITAL", "country": "AU" })).await;
    let queries = [
        (&user, "{ users { totalCount totalCountIsExact } }", 1),
        (&admin, "{ users(includeInactive: true) { totalCount } }", 1),
        (&root, "{ users { totalCount } auditEvents { totalCount } }", 2),
        (&admin, "{ auditEvents { totalCount } }", 1),
        (&user, "{ groups { totalCount nodes { members { totalCount } } } }", 2),
        (&user, "{ institutions { totalCount nodes { users { totalCount } } } }", 2),
    ];
    for (caller, query, count) in queries {
        let sent = statements(caller, query).await;
        assert!(!sent.iter().any(|sql| sql.contains("COUNT(")), "{query}\n{sent:#?}");
        let totals: Vec<String> = sent.into_iter().filter(|sql| sql.contains("SUM(total)")).collect();
        assert_eq!(totals.len(), count, "{query}\n{totals:#?}");
        let steps = explain(caller, &totals).await;
        let is_of_totals =
            |step: &String| step.starts_with("SEARCH list_totals USING PRIMARY KEY") || step.contains("TEMP B-TREE");
        assert!(steps.iter().all(is_of_totals), "{query}\n{steps:#?}");
    }
}

#[tokio::test]
async fn a_page_of_users_is_read_in_index_order() {
    let app = App::on_sqlite().await;
    let caller = app.admin().await;
    let steps = plans(&caller, "{ users { nodes { id } } }").await;
    assert!(steps.iter().any(|step| step.contains("users_of_license_by_name")), "{steps:#?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:#?}");
}

#[tokio::test]
async fn audit_events_are_read_from_the_newest_by_the_most_selective_index() {
    let app = App::on_sqlite().await;
    let (user, admin) = (app.user().await, app.admin().await);
    let id = user.id();
    let cases = [
        (&admin, String::new(), "audit_events_of_license"),
        (&admin, format!("(filter: {{ subject: \"{id}\" }})"), "audit_events_of_subject"),
        (&admin, format!("(filter: {{ actor: \"{id}\" }})"), "audit_events_of_actor"),
        (&user, String::new(), "audit_events_of_subject"),
    ];
    for (caller, arguments, index) in cases {
        let steps = plans(caller, &format!("{{ auditEvents{arguments} {{ nodes {{ id }} }} }}")).await;
        assert!(steps.iter().any(|step| step.contains(index)), "{arguments}: {steps:#?}");
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{arguments}: {steps:#?}");
    }
}

#[tokio::test]
async fn changes_are_read_in_order_by_the_index_of_their_license() {
    let app = App::on_sqlite().await;
    let (user, admin) = (app.user().await, app.license_admin().await);
    let position = user.data("{ changes { position } }", json!({})).await["changes"]["position"].clone();
    admin.mutate("createGroup", "", json!({ "name": "Ward" })).await;
    let query = format!("{{ changes(after: {position}) {{ position changes {{ nodeId node {{ id }} }} }} }}");
    let steps = plans(&user, &query).await;
    let by_index = steps.iter().filter(|step| step.contains("audit_events_of_license")).count();
    assert_eq!(by_index, 2, "the last event and the events after the position: {steps:#?}");
    assert!(steps.iter().any(|step| step.contains("SEARCH audit_events USING INTEGER PRIMARY KEY")), "{steps:#?}");
    for step in steps {
        // The events that the index has found, whose lengths are added up in their order.
        let is_candidate_scan = is_candidate_scan(&step) || step.starts_with("SCAN (subquery");
        let is_expected = !step.contains("TEMP B-TREE") && (!step.starts_with("SCAN") || is_candidate_scan);
        assert!(is_expected, "{step}");
    }
}

/// The number of users in the database for the most common lists.
const CROWD: usize = 100_000;

/// Whether a step scans the rows that the parts of a statement have found, which are always few.
fn is_candidate_scan(step: &str) -> bool {
    step == "SCAN found"
}

/// The most common lists, and the index by which SQLite, without statistics, finds the rows.
const LISTS: [(&str, &str); 25] = [
    ("users", "users_of_license_by_name"),
    ("users(last: 50)", "users_of_license_by_name"),
    ("users(includeInactive: true)", "users_of_license_by_name"),
    ("users(orderBy: [{ field: LAST_NAME }, { field: FIRST_NAME }])", "users_of_license_by_name"),
    ("users(orderBy: { field: FIRST_NAME, direction: DESC })", "users_of_license_by_first_name"),
    ("users(orderBy: { field: USERNAME })", "users_of_license_by_username"),
    ("users(orderBy: { field: EMAIL, direction: DESC })", "users_of_license_by_email"),
    ("users(orderBy: { field: ROLE, direction: DESC })", "users_of_license_by_role"),
    ("users(orderBy: { field: POSITION, nulls: FIRST })", "users_of_license_by_position"),
    ("users(orderBy: { field: DATE_JOINED, direction: DESC })", "users_of_license_by_date_joined"),
    ("users(orderBy: { field: MODIFIED_AT, direction: DESC })", "users_of_license_by_modified_at"),
    ("users(orderBy: { field: LAST_LOGIN, direction: DESC })", "users_of_license_by_last_login"),
    ("users(orderBy: { field: LAST_LOGIN, nulls: FIRST }, last: 10)", "users_of_license_by_last_login"),
    (
        "users(filter: { modifiedAt: { gt: \"2025-01-01T00:00:00Z\" } }, orderBy: { field: MODIFIED_AT })",
        "users_of_license_by_modified_at",
    ),
    ("users(filter: { institution: { eq: \"INSTITUTION\" } })", "users_of_institution_by_name"),
    ("users(filter: { group: { eq: \"GROUP\" } })", "memberships_of_group"),
    ("users(filter: { role: [ADMIN] })", "users_of_license_by_role"),
    ("users(filter: { position: { eq: \"nurse 7\" } })", "users_of_license_by_position"),
    ("users(filter: { lastName: { startsWith: \"Berg77\" } })", "users_of_license_by_name"),
    ("users(filter: { username: { in: [\"u7-7\", \"u8-8\"] } })", "username_key=?"),
    ("users(filter: { email: { eq: \"Nobody@example.org\" } })", "email_key=?"),
    ("users(filter: { externalId: { eq: \"X7-7\" } })", "users_by_external_id"),
    ("users(filter: { email: { contains: \"e77-777\" } })", "sqlite_autoindex_users_1"),
    (
        "users(orderBy: { field: USERNAME }, filter: { or: [{ username: { contains: \"u77-777\" } }, \
         { lastName: { contains: \"u77-777\" } }] })",
        "MULTI-INDEX OR",
    ),
    ("resolveUsers(keys: [\"e7-7\", \"X8-8\", \"u9-9\"])", "MULTI-INDEX OR"),
];

/// A license with very many users, copied from a few by one statement.
async fn crowd_of_a_license(app: &App) -> (String, String) {
    let license_admin = app.license_admin().await;
    let mut created = Vec::new();
    for (mutation, kind, input) in [
        ("createInstitution", "institution", json!({ "name": "House", "kind": "HOSPITAL", "country": "AU" })),
        ("createGroup", "group", json!({ "name": "Ward" })),
    ] {
        let payload = license_admin.mutate(mutation, &format!("{kind} {{ id }}"), input).await;
        created.push(payload[kind]["id"].as_str().unwrap().to_owned());
    }
    let [institution, group] = <[String; 2]>::try_from(created).unwrap();
    let users: Vec<user::Model> = (0..100)
        .map(|n| {
            let mut user = crowd::model(app.license, "Ann", &format!("Berg{n}"));
            user.username = Some(format!("u{n}"));
            user.email = Some(format!("e{n}"));
            user.external_id = Some(format!("X{n}"));
            user.position = (n % 3 > 0).then(|| format!("Nurse {n}"));
            user.role = if n == 7 { Role::Admin } else { Role::User };
            user.institution_id = Id::parse(&institution).filter(|_| n == 11);
            user.update_derived();
            user
        })
        .collect();
    let ids = crowd::store(app, users).await;
    crowd::memberships(app, &ids[..20], &[Id::parse(&group).unwrap()], GroupRole::Member).await;
    let (patience, end) = if app.db.is_postgres() {
        ("SET statement_timeout = 0; ", "; ANALYZE; RESET statement_timeout")
    } else {
        ("", "")
    };
    let multiply = format!("{patience}{}{end}", copy_users_sql(app.db.is_postgres()));
    app.db.write().execute_unprepared(&multiply).await.unwrap();
    (institution, group)
}

/// Copies every user many times under other names.
fn copy_users_sql(postgres: bool) -> String {
    let more = CROWD / 100;
    let line_break = if postgres { "chr(10)" } else { "char(10)" };
    let (series, id, later) = if postgres {
        (format!("generate_series(1, {more}) AS more(n)"), "gen_random_uuid()", "date_joined + n * interval '1 minute'")
    } else {
        let series = format!(
            "(WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < {more}) SELECT n FROM more)"
        );
        (series, "randomblob(16)", "strftime('%Y-%m-%dT%H:%M:%S+00:00', 1700000000 + 60 * n, 'unixepoch')")
    };
    let value = |column: user::Column| match column {
        user::Column::Id => id.to_owned(),
        user::Column::Username
        | user::Column::UsernameKey
        | user::Column::Email
        | user::Column::EmailKey
        | user::Column::ExternalId => {
            format!("{} || '-' || n", column.as_str())
        }
        user::Column::LastNameKey | user::Column::FirstNameKey => format!("{} || n", column.as_str()),
        user::Column::SearchKey => {
            let lines = [
                "username || '-' || n",
                "first_name_key || n",
                "last_name_key || n",
                "email || '-' || n",
                "''",
                "''",
                "''",
            ];
            lines.join(&format!(" || {line_break} || "))
        }
        user::Column::DateJoined | user::Column::ModifiedAt => later.to_owned(),
        user::Column::LastLogin => format!("CASE WHEN n % 2 = 0 THEN {later} END"),
        other => other.as_str().to_owned(),
    };
    let names: Vec<&str> = user::Column::iter().map(|column| column.as_str()).collect();
    let values: Vec<String> = user::Column::iter().map(value).collect();
    format!(
        "INSERT INTO users ({}) SELECT {} FROM users CROSS JOIN {series} WHERE users.external_id IS NOT NULL",
        names.join(", "),
        values.join(", ")
    )
}

/// Loads the search index, before statements are recorded. Without optimizations, that may take longer than a request may.
async fn load_search_index(caller: &Caller<'_>) {
    while caller.execute("{ searchUsers(query: \"nobody\") { totalCount } }", json!({})).await.get("errors").is_some() {
    }
}

fn asked(list: &str, institution: &str, group: &str) -> String {
    let list = list.replace("INSTITUTION", institution).replace("GROUP", group);
    let selection = if list.starts_with("resolveUsers") { "user { id }" } else { "nodes { id }" };
    format!("{{ {list} {{ {selection} }} }}")
}

#[tokio::test]
async fn sqlite_uses_an_index_for_common_lists_of_a_hundred_thousand_users() {
    let app = App::on_sqlite().await;
    let (institution, group) = crowd_of_a_license(&app).await;
    let license_admin = app.license_admin().await;
    load_search_index(&license_admin).await;
    for (list, index) in LISTS {
        let steps = plans(&license_admin, &asked(list, &institution, &group)).await;
        assert!(steps.iter().any(|step| step.contains(index)), "{list}\n{steps:#?}");
        // For a list in two parts, one page of each is sorted again.
        let pages = steps.iter().filter(|step| *step == "SCAN rows").count();
        let scans = steps.iter().filter(|step| step.starts_with("SCAN") && !is_candidate_scan(step)).count();
        let sorts = steps.iter().filter(|step| step.contains("TEMP B-TREE")).count();
        assert_eq!(scans, pages, "{list}\n{steps:#?}");
        // SQLite takes it for one row, but any number of users may have no username.
        let of_null = "SEARCH users USING INDEX sqlite_autoindex_users_2 (username_key=?)";
        assert!(!list.contains("USERNAME") || !steps.iter().any(|step| step == of_null), "{list}\n{steps:#?}");
        assert!(!index.starts_with("users_of_license") || sorts <= pages, "{list}\n{steps:#?}");
    }
}

/// Makes PostgreSQL report the plan of each statement with the number of rows of each step.
const EXPLAIN: [&str; 6] = [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_analyze = on",
    "auto_explain.log_timing = off",
    "auto_explain.log_format = 'json'",
    "auto_explain.log_level = 'notice'",
];

/// The most rows of users that a list of fifty may read.
const MAX_SEEN: f64 = 2_500.0;

/// The number of rows of users that the steps of a plan read.
fn user_rows_read(plan: &Value) -> f64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let seen = number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let own = if plan["Relation Name"] == "users" { seen * number("Actual Loops") } else { 0.0 };
    let below = plan["Plans"].as_array().into_iter().flatten().map(user_rows_read);
    own + below.sum::<f64>()
}

#[tokio::test]
async fn postgres_reads_few_of_a_hundred_thousand_users_for_common_lists() {
    let Some(app) = App::on_postgres_with(&EXPLAIN).await else { return };
    let (institution, group) = crowd_of_a_license(&app).await;
    let license_admin = app.license_admin().await;
    load_search_index(&license_admin).await;
    let totals = ["users(first: 1)", "users(first: 1, includeInactive: true)"];
    let totals = totals.map(|list| (list, format!("{{ {list} {{ totalCount }} }}")));
    let lists = LISTS.map(|(list, _)| (list, asked(list, &institution, &group)));
    for (list, document) in lists.into_iter().chain(totals) {
        let messages = statements(&license_admin, &document).await;
        let plans = messages.iter().filter_map(|text| serde_json::from_str::<Value>(text.split_once("plan:")?.1).ok());
        let seen: Vec<f64> = plans.map(|messages| user_rows_read(&messages["Plan"])).collect();
        assert!(!seen.is_empty(), "no plan was reported");
        println!("{list}: {seen:?}");
        assert!(seen.iter().sum::<f64>() < MAX_SEEN, "{list}: {seen:?}\n{messages:#?}");
    }
}
