//! A directory of its own for each test, and callers to ask it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::MaybeUndefined::{self, Value as Given};
use chrono::TimeDelta;
use mailparse::MailHeaderMap;
use roster::access::{AuthMethod, SignedIn, Viewer};
use roster::app::App as Application;
use roster::auth::password::{Hasher, SHORTEST};
use roster::auth::policy::{Lifetime, SelfServicePolicy, SignInPolicy};
use roster::auth::redirect::{Allowed, NextUrls};
use roster::auth::server_key::Key;
use roster::cli::admin;
use roster::client::Client;
use roster::db::{DatabaseSettings, Db};
use roster::entity::session as stored_session;
use roster::entity::user::{self, AdminRightsInput, Role, UserFields};
use roster::http;
use roster::i18n::language::Language;
use roster::mail::MailQueue;
use roster::mail::transport::{Destination, Transport, sender};
use roster::mail::worker::MailWorker;
use roster::scalar::{Id, now};
use roster::user::input::CreateUserInput;
use roster::{license, session};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, oneshot};

use crate::postgres::{self, Postgres};

/// The password of everybody who has one.
pub const PASSWORD: &str = "seven-brass-otters-waltz";

pub const LIFETIME: Lifetime = Lifetime { absolute: Duration::from_hours(30 * 24), idle: Duration::from_hours(12) };

pub const RULES: SignInPolicy = SignInPolicy { lifetime: LIFETIME, max_failures_per_address: 100 };

/// How many connections every directory has for reading, and on PostgreSQL for writing.
pub const CONNECTIONS: u32 = 4;

/// Where people reach every directory, as far as its links tell.
pub const PUBLIC_URL: &str = "https://people.example.org/roster/";

/// The folder in which the mails of a directory arrive.
const MAIL: &str = "mail";

/// Where people may be sent on to from every directory.
pub fn next_urls() -> NextUrls {
    let allowed = [PUBLIC_URL, "https://app.example.org/welcome"];
    NextUrls::new(allowed.map(|url| Allowed::parse(url).unwrap()).into())
}

/// The key of every directory.
pub const KEY: [u8; 32] = *b"the-key-of-every-test-directory!";

/// What hashes with the key of every directory.
pub fn hasher() -> Hasher {
    Hasher::new(Key::from(KEY), SHORTEST.into())
}

/// Runs each test once on SQLite and once on PostgreSQL, where it is installed.
macro_rules! on_every_database {
    ($($(#[$attribute:meta])* async fn $name:ident($app:ident: App) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn test($app: App) $body

            #[tokio::test]
            async fn on_sqlite() {
                test($crate::app::App::on_sqlite().await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                if let Some(app) = $crate::app::App::on_postgres().await {
                    test(app).await;
                }
            }
        }
    )*};
}

/// A running directory with two licenses; people are made as a test needs them, by the real verbs.
pub struct App {
    pub db: Db,
    pub address: SocketAddr,
    pub license: Id,
    pub other_license: Id,
    client: reqwest::Client,
    root: SignedIn,
    postman: MailWorker,
    dir: Arc<tempfile::TempDir>,
    _stop: oneshot::Sender<()>,
}

/// A mail that was sent.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub language: String,
    pub text: String,
    pub html: String,
    /// Where it leads, if it leads somewhere.
    pub link: Option<String>,
}

impl Mail {
    /// Reads a mail as it is sent.
    pub fn parse(raw: &[u8]) -> Self {
        let mail = mailparse::parse_mail(raw).unwrap();
        let header = |name: &str| mail.headers.get_first_value(name).unwrap_or_default();
        let [text, html] = mail.subparts.as_slice() else { panic!("two parts, not {}", mail.subparts.len()) };
        let text = text.get_body().unwrap();
        let link = text.split_whitespace().find(|word| word.contains("#rol_")).map(str::to_owned);
        Self {
            to: header("To"),
            subject: header("Subject"),
            language: header("Content-Language"),
            html: html.get_body().unwrap(),
            text,
            link,
        }
    }

    /// What stands behind the `#` of its link.
    pub fn token(&self) -> &str {
        self.link.as_ref().unwrap().split_once('#').unwrap().1
    }
}

impl App {
    /// On a SQLite file of its own.
    pub async fn on_sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("roster.db").display());
        let db = Db::open(&DatabaseSettings { url, connections: CONNECTIONS }).await.unwrap();
        Self::serve(db, Arc::new(dir)).await
    }

    /// On a PostgreSQL database of its own; none where PostgreSQL is not installed.
    pub async fn on_postgres() -> Option<Self> {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let server = postgres::server()?;
        let template = TEMPLATE.get_or_init(|| migrated(server)).await;
        let url = server.fresh_database_from(template).await;
        let db = Db::open(&DatabaseSettings { url, connections: CONNECTIONS }).await.unwrap();
        Some(Self::serve(db, Arc::new(tempfile::tempdir().unwrap())).await)
    }

    /// On a PostgreSQL database of its own with settings, each as `name = value`.
    pub async fn on_postgres_with(settings: &[&str]) -> Option<Self> {
        let url = postgres::server()?.fresh_database().await;
        let name = url.rsplit('/').next().unwrap();
        let db = Db::open(&DatabaseSettings { url: url.clone(), connections: 1 }).await.unwrap();
        for setting in settings {
            db.write().execute_unprepared(&format!("ALTER DATABASE {name} SET {setting}")).await.unwrap();
        }
        db.close().await.unwrap();
        let db = Db::open(&DatabaseSettings { url, connections: CONNECTIONS }).await.unwrap();
        Some(Self::serve(db, Arc::new(tempfile::tempdir().unwrap())).await)
    }

    async fn serve(db: Db, dir: Arc<tempfile::TempDir>) -> Self {
        let license = license::create_first(&db, Id::new(), "A-1", "Alder Hospital").await.unwrap().id;
        let other_license = license::create_first(&db, Id::new(), "B-2", "Birch Institute").await.unwrap().id;
        let names = ("Root".to_owned(), "Alder".to_owned());
        let password = PASSWORD.to_owned();
        let email = "root@alder.example.org".to_owned();
        let place = (license, admin::Administers::Everything);
        let root = admin::create_administrator(&db, &hasher(), place, names, email, Some(password)).await.unwrap().0;
        let root = SignedIn::new(&(&root).into(), AuthMethod::Session(Id::new()), None);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let settings = http::ServerSettings {
            max_connections: 200,
            max_connections_per_address: 200,
            trusted_proxies: Vec::new(),
            request_deadline: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(1),
            playground: true,
        };
        let stopped = async {
            let _ = stopped.await;
        };
        let ways = SelfServicePolicy { next_urls: next_urls(), registration: Some(license) };
        let app = Application::new(db.clone(), RULES, hasher(), PUBLIC_URL.to_owned(), ways).unwrap();
        tokio::spawn(http::serve(app, listener, settings, stopped));
        let sender = sender("Roster <roster@people.example.org>").unwrap();
        let carrier = Transport::new(sender, Destination::Folder(dir.path().join(MAIL)));
        let postman = MailWorker::new(db.clone(), &Key::from(KEY), PUBLIC_URL, carrier, TimeDelta::minutes(1));
        let client = reqwest::Client::new();
        Self { db, address, license, other_license, client, root, postman, dir, _stop: stop }
    }

    /// The folder of its files.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Nobody.
    pub fn anonymous(&self) -> Caller<'_> {
        Caller { app: self, id: Id::new(), token: None }
    }

    /// Somebody who may do everything.
    pub async fn superuser(&self) -> Caller<'_> {
        let rights = AdminRightsInput { is_superuser: Given(true), ..AdminRightsInput::default() };
        self.person("Super", UserFields { admin_rights: Given(rights), ..UserFields::default() }).await
    }

    /// Somebody who administers the first license.
    pub async fn license_admin(&self) -> Caller<'_> {
        self.person("Chief", UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() }).await
    }

    /// An administrator of the first license, without access to every site.
    pub async fn admin(&self) -> Caller<'_> {
        self.person("Admin", UserFields { role: Given(Role::Admin), ..UserFields::default() }).await
    }

    /// Somebody of the first license.
    pub async fn user(&self) -> Caller<'_> {
        self.person("User", UserFields::default()).await
    }

    /// Somebody of the other license.
    pub async fn stranger(&self) -> Caller<'_> {
        let user = self.create("Stranger", self.other_license, UserFields::default(), MaybeUndefined::Undefined).await;
        self.sign_in(user).await
    }

    /// Somebody of the first license as described, signed in.
    pub async fn person(&self, name: &str, fields: UserFields) -> Caller<'_> {
        let user = self.create(name, self.license, fields, MaybeUndefined::Undefined).await;
        self.sign_in(user).await
    }

    /// Somebody of a license as described, not signed in. Without an address one is made up.
    pub async fn create(
        &self,
        name: &str,
        license: Id,
        mut fields: UserFields,
        password: MaybeUndefined<String>,
    ) -> user::Model {
        if fields.email.is_undefined() && fields.username.is_undefined() {
            fields.email = Given(format!("{}@example.org", Id::new().0));
        }
        let ways = SelfServicePolicy { next_urls: next_urls(), registration: None };
        let key = Key::from(KEY);
        let desk = MailQueue { key: &key, language: Language::English };
        let input = CreateUserInput {
            first_name: name.to_owned(),
            last_name: "Tester".to_owned(),
            password,
            pin: MaybeUndefined::Undefined,
            is_active: MaybeUndefined::Undefined,
            fields,
            attributes: MaybeUndefined::Undefined,
            send_registration_email: Given(false),
            registration_email_next_url: MaybeUndefined::Undefined,
            dry_run: false,
        };
        // Only for as long as it takes, so that no test meets it.
        let session = self.session_of_root();
        let id = session.id;
        let root =
            Viewer::SignedIn(SignedIn { means: AuthMethod::Session(id), license_id: license, ..self.root.clone() });
        session.into_active_model().reset_all().insert(self.db.write()).await.unwrap();
        let made = roster::user::create(&self.db, &hasher(), &root, (desk, &ways), input).await.unwrap().unwrap();
        stored_session::Entity::delete_by_id(id).exec(self.db.write()).await.unwrap();
        made
    }

    fn session_of_root(&self) -> stored_session::Model {
        let (id, now) = (Id::new(), now());
        stored_session::Model {
            id,
            user_id: self.root.user_id,
            token_hash: id.0.as_bytes().to_vec(),
            created_at: now,
            last_seen_at: now,
            expires_at: now + TimeDelta::hours(1),
            user_agent: None,
            ip_address: None,
        }
    }

    /// Sends the mails that wait.
    pub async fn send_mail(&self) {
        self.postman.send_all().await.unwrap();
    }

    /// Sends the mails that wait, and gives back those that were sent since the last time, oldest first.
    pub async fn mails(&self) -> Vec<Mail> {
        self.send_mail().await;
        let Ok(entries) = std::fs::read_dir(self.dir.path().join(MAIL)) else { return Vec::new() };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let read = |file: &std::path::PathBuf| {
            let mail = Mail::parse(&std::fs::read(file).unwrap());
            std::fs::remove_file(file).unwrap();
            mail
        };
        files.iter().map(read).collect()
    }

    /// From now on no mail can be sent.
    pub fn break_mail(&self) {
        let folder = self.dir.path().join(MAIL);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::write(folder, "a file where the folder should be").unwrap();
    }

    /// From now on mails can be sent again.
    pub fn mend_mail(&self) {
        std::fs::remove_file(self.dir.path().join(MAIL)).unwrap();
    }

    /// A session for a person.
    pub async fn sign_in(&self, user: user::Model) -> Caller<'_> {
        let id = user.id;
        let opened = session::start(&self.db, LIFETIME, &Client::default(), user).await.unwrap();
        Caller { app: self, id, token: Some(opened.token) }
    }
}

/// Somebody who asks the directory over HTTP.
#[derive(Clone)]
pub struct Caller<'a> {
    pub app: &'a App,
    pub id: Id,
    pub token: Option<String>,
}

impl Caller<'_> {
    /// The id as the API has it.
    pub fn id(&self) -> String {
        self.id.0.to_string()
    }

    /// The answer to a document with variables, and its HTTP status.
    pub async fn post(&self, body: &Value) -> (u16, Value) {
        let mut request = self.app.client.post(format!("{}/graphql", self.app.url())).json(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// The answer to a document with variables, whatever it is.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        self.post(&json!({ "query": query, "variables": variables })).await.1
    }

    /// The data of an answer that must have no errors.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let answer = self.ask(query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
        answer.get("data").cloned().unwrap()
    }

    /// The code of the first error of an answer that must have one.
    pub async fn refused(&self, query: &str, variables: Value) -> String {
        let answer = self.ask(query, variables).await;
        let code = answer.pointer("/errors/0/extensions/code").and_then(Value::as_str);
        code.unwrap_or_else(|| panic!("{query}\n{answer:#}")).to_owned()
    }

    /// The payload of a mutation with one argument `input`, which must come without top-level errors. `selection` is
    /// what to select beside success, message and errors.
    pub async fn change(&self, mutation: &str, selection: &str, input: Value) -> Value {
        let data = self.data(&document(mutation, selection), json!({ "input": input })).await;
        data.get(mutation).cloned().unwrap()
    }

    /// The code of the top-level error with which a mutation is refused.
    pub async fn change_refused(&self, mutation: &str, input: Value) -> String {
        self.refused(&document(mutation, ""), json!({ "input": input })).await
    }

    /// The faults of a mutation's payload, each as `CODE path.to.field`, sorted.
    pub async fn faults(&self, mutation: &str, input: Value) -> Vec<String> {
        let payload = self.change(mutation, "", input).await;
        assert_eq!(payload.get("success"), Some(&json!(false)), "{payload:#}");
        faults_of(&payload)
    }
}

/// The faults of a payload, each as `CODE path.to.field`, sorted.
pub fn faults_of(payload: &Value) -> Vec<String> {
    let errors = payload.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |error: &Value| {
        let path: Vec<&str> = error["path"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
        format!("{} {}", error["code"].as_str().unwrap(), path.join("."))
    };
    let mut faults: Vec<String> = errors.iter().map(text).collect();
    faults.sort();
    faults
}

/// The type of the input of a mutation.
pub fn input_of(mutation: &str) -> String {
    if ["grantSiteAccess", "revokeSiteAccess"].contains(&mutation) {
        return "SiteAccessInput".to_owned();
    }
    let mut input = format!("{mutation}Input");
    input.get_mut(..1).unwrap().make_ascii_uppercase();
    input
}

fn document(mutation: &str, selection: &str) -> String {
    let input = input_of(mutation);
    format!(
        "mutation ($input: {input}!) {{ {mutation}(input: $input) {{ success message errors {{ code path message }} {selection} }} }}"
    )
}

async fn migrated(server: &Postgres) -> String {
    let url = server.fresh_database().await;
    Db::open(&DatabaseSettings { url: url.clone(), connections: 1 }).await.unwrap().close().await.unwrap();
    url.rsplit('/').next().unwrap().to_owned()
}
