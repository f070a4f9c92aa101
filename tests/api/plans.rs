//! What the common queries cost the database: an index for each, and no table read from end to end.

use std::sync::{Arc, Mutex};

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::app::{App, Caller};

/// The texts of the statements that this thread sends.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<String>>>);

impl Sent {
    fn listen(&self) -> DefaultGuard {
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()));
        // Other threads may have found that nobody listens, which is remembered.
        tracing::callsite::rebuild_interest_cache();
        guard
    }
}

impl<S: tracing::Subscriber> Layer<S> for Sent {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "roster::sql" {
            event.record(&mut self.clone());
        }
    }
}

impl Visit for Sent {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sql" {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// The plans of the statements that a query sends, each step a line.
async fn plans(caller: &Caller<'_>, query: &str) -> Vec<String> {
    let sent = Sent::default();
    let listening = sent.listen();
    caller.data(query, json!({})).await;
    drop(listening);
    let statements = sent.0.lock().unwrap().clone();
    assert!(!statements.is_empty(), "no statement was seen");
    let mut steps = Vec::new();
    for sql in statements {
        let explain = Statement::from_string(DatabaseBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
        for row in caller.app.db.write().query_all_raw(explain).await.unwrap() {
            steps.push(row.try_get::<String>("", "detail").unwrap());
        }
    }
    steps
}

#[tokio::test]
async fn no_common_query_reads_a_table_from_end_to_end() {
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
        "{ groups { nodes { id } } institutions { nodes { id } } }".to_owned(),
        "{ users { nodes { id attributes { name } } } attributeDefinitions { name } }".to_owned(),
        "{ auditEvents { nodes { id actor { id } subject { id } apiKey { id } } } }".to_owned(),
        format!("{{ auditEvents(filter: {{ subject: \"{}\" }}) {{ nodes {{ id }} }} }}", caller.id()),
        format!("{{ node(id: \"{}\") {{ id }} }}", caller.id()),
        format!("mutation {{ updateUser(input: {{ id: \"{}\", phone: \"none\" }}) {{ success }} }}", caller.id()),
    ];
    for query in queries {
        for step in plans(&caller, &query).await {
            assert!(!step.starts_with("SCAN") || step.contains("VIRTUAL TABLE"), "{query}\n{step}");
        }
    }
}

#[tokio::test]
async fn a_page_of_people_is_read_in_the_order_of_an_index() {
    let app = App::on_sqlite().await;
    let caller = app.admin().await;
    let steps = plans(&caller, "{ users { nodes { id } } }").await;
    assert!(steps.iter().any(|step| step.contains("users_of_license_by_name")), "{steps:#?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:#?}");
}

#[tokio::test]
async fn events_are_read_from_the_newest_by_the_index_that_finds_fewest() {
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
