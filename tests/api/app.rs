//! A server with its own database for each test, and callers that send requests to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::MaybeUndefined::{self, Value as Given};
use chrono::TimeDelta;
use mailparse::MailHeaderMap;
use roster::access::{AuthMethod, SignedIn, Viewer};
use roster::app::App as Application;
use roster::audit::sealer;
use roster::auth::key_ring::KeyRing;
use roster::auth::password::{DEFAULT_MIN_LENGTH, Hasher};
use roster::auth::policy::{Lifetime, SelfServicePolicy, SignInPolicy};
use roster::auth::redirect::{AllowedPrefix, NextUrls};
use roster::auth::server_key::Key;
use roster::cli::admin;
use roster::client::Client;
use roster::db::{DatabaseSettings, DatabaseTimeouts, Db};
use roster::entity::session as stored_session;
use roster::entity::user::{self, AdminRightsInput, Role, UserFields};
use roster::error::Error;
use roster::i18n::language::Language;
use roster::mail::MailQueue;
use roster::mail::transport::{Destination, Transport, sender};
use roster::mail::worker::MailWorker;
use roster::scalar::{Id, now};
use roster::user::create::create;
use roster::user::input::CreateUserInput;
use roster::user::invitation::ActivationEmails;
use roster::{http, license, session};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, oneshot};

use crate::postgres::{self, Postgres};

/// The password of every user who has one.
pub const PASSWORD: &str = "seven-brass-otters-waltz";

pub const LIFETIME: Lifetime = Lifetime { absolute: Duration::from_hours(30 * 24), idle: Duration::from_hours(12) };

pub const POLICY: SignInPolicy = SignInPolicy { lifetime: LIFETIME, max_failures_per_address: 100 };

/// The number of database connections of each server for reading, and on PostgreSQL for writing.
pub const CONNECTIONS: u32 = 4;

/// The public URL of each server, with which its links begin.
pub const PUBLIC_URL: &str = "https://people.example.org/roster/";

/// The time after which something hangs. Whatever runs on a busy machine takes less.
pub const HANGS: Duration = Duration::from_mins(5);

/// The settings of a database for tests, with timeouts that only bound a hang.
pub fn database(url: String, connections: u32) -> DatabaseSettings {
    let timeouts = DatabaseTimeouts { acquire: HANGS, caller: HANGS, statement: HANGS };
    DatabaseSettings { url, read_url: None, connections, timeouts }
}

/// The folder in which the emails of a server arrive.
const MAIL: &str = "mail";

/// The URLs to which each server may redirect users.
pub fn next_urls() -> NextUrls {
    let allowed = [PUBLIC_URL, "https://app.example.org/welcome"];
    NextUrls::new(allowed.map(|url| AllowedPrefix::parse(url).unwrap()).into())
}

/// The server key of each server.
pub const KEY: [u8; 32] = *b"the-key-of-every-test-directory!";

/// A hasher with the server key of each server.
pub fn hasher() -> Hasher {
    Hasher::new(Key::from(KEY), DEFAULT_MIN_LENGTH.into())
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

/// A running server with two licenses. Tests create users by the functions of the product.
pub struct App {
    pub db: Db,
    pub address: SocketAddr,
    pub license: Id,
    pub other_license: Id,
    client: reqwest::Client,
    root: SignedIn,
    mail_worker: MailWorker,
    dir: Arc<tempfile::TempDir>,
    _stop: oneshot::Sender<()>,
}

/// An email that was sent.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub language: String,
    pub text: String,
    pub html: String,
    /// The one-time link in the text, if any.
    pub link: Option<String>,
}

impl Mail {
    /// Parses an email as it is sent.
    pub fn parse(raw: &[u8]) -> Self {
        let mail = mailparse::parse_mail(raw).unwrap();
        let header = |name: &str| mail.headers.get_first_value(name).unwrap_or_default();
        let [text, html] = mail.subparts.as_slice() else { panic!("expected two parts, got {}", mail.subparts.len()) };
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

    /// The token of the link: the part after its `#`.
    pub fn token(&self) -> &str {
        self.link.as_ref().unwrap().split_once('#').unwrap().1
    }
}

impl App {
    /// Starts a server with its own SQLite file.
    pub async fn on_sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("roster.db").display());
        let db = Db::open(&database(url, CONNECTIONS)).await.unwrap();
        Self::serve(db, Arc::new(dir)).await
    }

    /// Starts a server with its own PostgreSQL database. `None` if PostgreSQL is not installed.
    pub async fn on_postgres() -> Option<Self> {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let server = postgres::server()?;
        let template = TEMPLATE.get_or_init(|| migrated(server)).await;
        let url = postgres::maybe_pooled(server.fresh_database_from(template).await);
        let db = Db::open(&database(url, CONNECTIONS)).await.unwrap();
        Some(Self::serve(db, Arc::new(tempfile::tempdir().unwrap())).await)
    }

    /// Starts a server with its own PostgreSQL database and database settings, each as `name = value`.
    pub async fn on_postgres_with(settings: &[&str]) -> Option<Self> {
        let url = postgres::server()?.fresh_database().await;
        let name = url.rsplit('/').next().unwrap();
        let db = Db::open(&database(url.clone(), 1)).await.unwrap();
        for setting in settings {
            db.write().execute_unprepared(&format!("ALTER DATABASE {name} SET {setting}")).await.unwrap();
        }
        db.close().await.unwrap();
        let db = Db::open(&database(url, CONNECTIONS)).await.unwrap();
        Some(Self::serve(db, Arc::new(tempfile::tempdir().unwrap())).await)
    }

    async fn serve(db: Db, dir: Arc<tempfile::TempDir>) -> Self {
        let license = license::create_first(&db, Id::new(), "A-1", "Alder Hospital").await.unwrap().id;
        let other_license = license::create_first(&db, Id::new(), "B-2", "Birch Institute").await.unwrap().id;
        let root = admin::NewAdministrator {
            license_id: license,
            rights: admin::AdministratorRights::Superuser,
            first_name: "Root".to_owned(),
            last_name: "Alder".to_owned(),
            email: "root@alder.example.org".to_owned(),
            password: Some(PASSWORD.to_owned()),
        };
        let root = admin::create_administrator(&db, &hasher(), root).await.unwrap().0;
        let root = SignedIn::new(&(&root).into(), AuthMethod::Session(Id::new()), None);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let settings = http::ServerSettings {
            max_connections: 200,
            max_connections_per_address: 200,
            trusted_proxies: Vec::new(),
            allowed_origins: next_urls().origins().collect(),
            request_deadline: HANGS,
            shutdown_grace: Duration::from_secs(1),
            subscriptions: http::SubscriptionTimeouts {
                init: HANGS,
                write: HANGS,
                ping: HANGS,
                ..http::SubscriptionTimeouts::default()
            },
            playground: true,
            documents: http::DocumentPolicy::Any,
            tls: None,
            requires_https: false,
            metrics: http::HttpMetrics::default(),
            traces: roster::trace::Recorder::default(),
        };
        let stopped = async {
            let _ = stopped.await;
        };
        let self_service = SelfServicePolicy {
            next_urls: next_urls(),
            sign_in_url: Some("./".to_owned()),
            registration: Some(license),
        };
        let app = Application::new(db.clone(), POLICY, hasher(), PUBLIC_URL.to_owned(), self_service).unwrap();
        tokio::spawn(http::serve(app, listener, settings, stopped));
        let sender = sender("Roster <roster@people.example.org>").unwrap();
        let transport = Transport::new(sender, Destination::Folder(dir.path().join(MAIL)));
        let mail_worker =
            MailWorker::new(db.clone(), Key::from(KEY).into(), PUBLIC_URL, transport, TimeDelta::minutes(1));
        let client = reqwest::Client::new();
        Self { db, address, license, other_license, client, root, mail_worker, dir, _stop: stop }
    }

    /// The data directory of the server.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A caller without a token.
    pub fn anonymous(&self) -> Caller<'_> {
        Caller { app: self, id: Id::new(), token: None }
    }

    /// A superuser of the first license.
    pub async fn superuser(&self) -> Caller<'_> {
        let rights = AdminRightsInput { is_superuser: Given(true), ..AdminRightsInput::default() };
        self.user_with("Super", UserFields { admin_rights: Given(rights), ..UserFields::default() }).await
    }

    /// A license administrator of the first license.
    pub async fn license_admin(&self) -> Caller<'_> {
        self.user_with("Chief", UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() }).await
    }

    /// An administrator of the first license, without access to every site.
    pub async fn admin(&self) -> Caller<'_> {
        self.user_with("Admin", UserFields { role: Given(Role::Admin), ..UserFields::default() }).await
    }

    /// A user of the first license.
    pub async fn user(&self) -> Caller<'_> {
        self.user_with("User", UserFields::default()).await
    }

    /// A user of the other license.
    pub async fn other_license_user(&self) -> Caller<'_> {
        let user = self.create("Stranger", self.other_license, UserFields::default(), MaybeUndefined::Undefined).await;
        self.sign_in(user).await
    }

    /// Creates a user of the first license with these fields, and signs them in.
    pub async fn user_with(&self, name: &str, fields: UserFields) -> Caller<'_> {
        let user = self.create(name, self.license, fields, MaybeUndefined::Undefined).await;
        self.sign_in(user).await
    }

    /// Creates a user of a license with these fields, not signed in. The email address is generated if `fields` has
    /// neither an email address nor a username.
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
        let self_service = SelfServicePolicy { next_urls: next_urls(), sign_in_url: None, registration: None };
        let keys = KeyRing::from(Key::from(KEY));
        let mail_queue = MailQueue { keys: &keys, language: Language::English };
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
        // The session exists only during the call, so that no test sees it.
        let session = self.root_session();
        let id = session.id;
        let root = Viewer::SignedIn(SignedIn {
            auth_method: AuthMethod::Session(id),
            license_id: license,
            ..self.root.clone()
        });
        session.into_active_model().reset_all().insert(self.db.write()).await.unwrap();
        let emails = ActivationEmails { queue: mail_queue, policy: &self_service };
        let user = create(&self.db, &hasher(), &root, emails, input).await.unwrap().unwrap();
        stored_session::Entity::delete_by_id(id).exec(self.db.write()).await.unwrap();
        user
    }

    fn root_session(&self) -> stored_session::Model {
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

    /// Seals the events that are committed, for a test that reads the table of events. This server has no sealer beside it.
    pub async fn seal(&self) {
        sealer::seal_committed(&self.db).await.unwrap();
    }

    /// Sends the queued emails.
    pub async fn send_mail(&self) {
        self.mail_worker.send_all().await.unwrap();
    }

    /// Sends the queued emails, until one of them cannot be handled.
    pub async fn try_to_send_mail(&self) -> Result<(), Error> {
        self.mail_worker.send_all().await
    }

    /// Sends the queued emails; returns those sent since the last call, oldest first.
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

    /// Makes sending emails fail from now on.
    pub fn break_mail(&self) {
        let folder = self.dir.path().join(MAIL);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::write(folder, "a file where the folder should be").unwrap();
    }

    /// Makes sending emails work again.
    pub fn mend_mail(&self) {
        std::fs::remove_file(self.dir.path().join(MAIL)).unwrap();
    }

    /// Starts a session of a user.
    pub async fn sign_in(&self, user: user::Model) -> Caller<'_> {
        let id = user.id;
        let opened = session::start(&self.db, LIFETIME, &Client::default(), &user).await.unwrap();
        Caller { app: self, id, token: Some(opened.token) }
    }
}

/// A client that sends requests to the server, as a user or anonymously.
#[derive(Clone)]
pub struct Caller<'a> {
    pub app: &'a App,
    pub id: Id,
    pub token: Option<String>,
}

impl Caller<'_> {
    /// The id of the user as the API represents it.
    pub fn id(&self) -> String {
        self.id.0.to_string()
    }

    /// Sends a request body; returns the HTTP status and the response.
    pub async fn post(&self, body: &Value) -> (u16, Value) {
        let mut request = self.app.client.post(format!("{}/graphql", self.app.url())).json(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// Sends a document with variables; returns the response, with or without errors.
    pub async fn execute(&self, query: &str, variables: Value) -> Value {
        self.post(&json!({ "query": query, "variables": variables })).await.1
    }

    /// Sends a document with variables; returns the data of the response, which must have no errors.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let response = self.execute(query, variables).await;
        assert!(response.get("errors").is_none(), "{query}\n{response:#}");
        response.get("data").cloned().unwrap()
    }

    /// Sends a document with variables; returns the code of the first error of the response, which must have one.
    pub async fn error_code(&self, query: &str, variables: Value) -> String {
        let response = self.execute(query, variables).await;
        let code = response.pointer("/errors/0/extensions/code").and_then(Value::as_str);
        code.unwrap_or_else(|| panic!("{query}\n{response:#}")).to_owned()
    }

    /// Sends a mutation; returns its payload. There must be no top-level errors. `selection` is selected in addition to
    /// `success`, `message` and `errors`.
    pub async fn mutate(&self, mutation: &str, selection: &str, input: Value) -> Value {
        let data = self.data(&document(mutation, selection), json!({ "input": input })).await;
        data.get(mutation).cloned().unwrap()
    }

    /// Sends a mutation that must be rejected with a top-level error; returns the code of the error.
    pub async fn mutation_error_code(&self, mutation: &str, input: Value) -> String {
        self.error_code(&document(mutation, ""), json!({ "input": input })).await
    }

    /// Sends a mutation that must fail; returns the errors of its payload, each as `CODE path.to.field`, sorted.
    pub async fn payload_errors(&self, mutation: &str, input: Value) -> Vec<String> {
        let payload = self.mutate(mutation, "", input).await;
        assert_eq!(payload.get("success"), Some(&json!(false)), "{payload:#}");
        payload_errors(&payload)
    }
}

/// The errors of a payload, each as `CODE path.to.field`, sorted.
pub fn payload_errors(payload: &Value) -> Vec<String> {
    let errors = payload.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |error: &Value| {
        let path: Vec<&str> = error["path"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
        format!("{} {}", error["code"].as_str().unwrap(), path.join("."))
    };
    let mut texts: Vec<String> = errors.iter().map(text).collect();
    texts.sort();
    texts
}

/// The name of the input type of a mutation.
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
    Db::open(&database(url.clone(), 1)).await.unwrap().close().await.unwrap();
    url.rsplit('/').next().unwrap().to_owned()
}
