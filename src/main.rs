//! The command line.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]

use std::fmt;
use std::io::{BufReader, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use roster::account::Administers;
use roster::app::App;
use roster::config::{
    Admin, AdminCreate, AdminLink, Audit, Cli, Command, Demo, Import, Kind, License, LicenseCreate, LogFormat, Settings,
};
use roster::context::Ways;
use roster::db::{self, Db};
use roster::entity::license::LicenseKind;
use roster::entity::link::Purpose;
use roster::license::Terms;
use roster::mail::postman::Postman;
use roster::password::Hasher;
use roster::scalar::Id;
use roster::{account, audit, demo, doctor, import, key, license, link, schema, server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where the file is kept where nothing is said.
const DATA_DIR: &str = "roster-data";
/// Where the demonstration keeps its own.
const DEMO_DIR: &str = "roster-demo";

/// What libraries say at their ordinary level is said in other words here.
const QUIET: &str = "poem=warn,sea_orm_migration=warn,sqlx=warn";

/// With what clap ends the process too.
const WRONG_SETTING: u8 = 2;

/// How long a mail that is being sent may keep a stop waiting; not longer than the last requests may.
const LAST_MAIL: Duration = Duration::from_secs(7);

const ANOTHER_KEY: &str = "the passwords in this database were set with another key; give that one, as ROSTER_KEY or as a \
                           copy of the other instance's key file at --key-file (ROSTER_KEY_FILE)";

/// A setting that cannot be used, and why.
#[derive(Debug)]
struct WrongSetting(String);

impl fmt::Display for WrongSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WrongSetting {}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, settings } = Cli::parse();
    start_log(&settings);
    let done = match command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&settings).await,
        Command::Demo(demo) => serve_demo(&settings, &demo).await,
        Command::Schema => write_schema(),
        Command::Migrate => open(&settings, DATA_DIR).await.map(|_| println!("The tables are up to date.")),
        Command::Import(import) => load(&settings, &import).await,
        Command::Admin(Admin::Create(admin)) => create_admin(&settings, admin).await,
        Command::Admin(Admin::Link(admin)) => link_admin(&settings, &admin).await,
        Command::License(license) => manage_licenses(&settings, license).await,
        Command::Audit(Audit::Verify) => verify(&settings).await,
        Command::Doctor => examine(&settings).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<WrongSetting>() { WRONG_SETTING.into() } else { ExitCode::FAILURE }
        }
    }
}

fn start_log(settings: &Settings) {
    let filter = tracing_subscriber::EnvFilter::new(format!("{QUIET},{}", settings.log));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}

async fn open(settings: &Settings, default_dir: &str) -> anyhow::Result<Db> {
    let database = settings.database(default_dir);
    Db::open(&database).await.map_err(anyhow::Error::from).with_context(|| match &settings.data_dir {
        _ if settings.database_url.is_some() => {
            format!("--database-url {} (DATABASE_URL)", db::without_password(&database.url))
        }
        Some(dir) => format!("--data-dir {} (ROSTER_DATA_DIR)", dir.display()),
        None => format!("--data-dir {default_dir}, the default (ROSTER_DATA_DIR)"),
    })
}

/// Opens the database with the key that its secrets were made with.
async fn open_with_key(settings: &Settings, default_dir: &str) -> anyhow::Result<(Db, Hasher)> {
    let db = open(settings, default_dir).await?;
    let source = settings.key(default_dir);
    // Where a key is known already, a new one would be of no use. It is asked first, because others may start as well.
    let is_known = key::known_to(&db).await?.is_some();
    let key = if is_known { source.find() } else { source.find_or_make().map(Some) };
    match key.map_err(|error| unusable(&source, error))? {
        Some(key) if key::claim(&db, &key).await? => Ok((db, settings.hasher(key))),
        _ => Err(unusable(&source, ANOTHER_KEY).into()),
    }
}

/// Refuses a key that cannot be used, before anything else happens.
fn check_key(settings: &Settings, default_dir: &str) -> anyhow::Result<()> {
    let source = settings.key(default_dir);
    source.find().map_err(|error| unusable(&source, error))?;
    Ok(())
}

fn unusable(source: &key::Source, why: impl fmt::Display) -> WrongSetting {
    WrongSetting(format!("{source}: {why}"))
}

async fn serve(settings: &Settings) -> anyhow::Result<()> {
    check_key(settings, DATA_DIR)?;
    let listener = listen(settings).await?;
    let (db, hasher) = open_with_key(settings, DATA_DIR).await?;
    if !account::has_superuser(&db).await? {
        println!("There is no administrator yet. Make the first one, from another terminal or before the next start:");
        let dir = settings.data_dir.as_ref().map(|dir| format!(" --data-dir {}", dir.display())).unwrap_or_default();
        println!("    roster{dir} admin create --email you@example.org --first-name Your --last-name Name");
    }
    run(settings, DATA_DIR, (db, hasher), listener).await
}

async fn listen(settings: &Settings) -> anyhow::Result<TcpListener> {
    TcpListener::bind(settings.listen).await.with_context(|| format!("--listen {} (ROSTER_LISTEN)", settings.listen))
}

async fn run(
    settings: &Settings,
    default_dir: &str,
    (db, hasher): (Db, Hasher),
    listener: TcpListener,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let public_url = settings.public_url(address);
    let registration = registration(settings, &db).await?;
    let ways = Ways { next_urls: settings.next_urls(&public_url), registration };
    let postman = postman(settings, default_dir, &public_url, (db.clone(), &hasher))?;
    // Before anybody can know that the server is there, and stop it.
    let stopped = server::stop_signal()?;
    println!(
        "Roster listens on http://{address}/graphql{}",
        if settings.playground { format!(", playground on http://{address}/") } else { String::new() }
    );
    if settings.mail.smtp_url.is_none() {
        println!("Mails become files in {}.", settings.mail_dir(default_dir).display());
    }
    let app = App::new(db.clone(), settings.rules(), hasher, public_url, ways)?;
    let (stop, no_more) = watch::channel(false);
    let posting = tokio::spawn(postman.run(no_more.clone()));
    let stopped = async move {
        stopped.await;
        stop.send_replace(true);
    };
    tokio::try_join!(server::serve(app, listener, settings.server(), stopped), finish(posting, no_more))?;
    tokio::time::timeout(Duration::from_secs(2), db.close()).await.context("the database took too long to close")??;
    Ok(())
}

/// Lets the mail that is being sent when the server is stopped be finished, while the last requests are.
async fn finish(mut posting: JoinHandle<()>, mut stopped: watch::Receiver<bool>) -> std::io::Result<()> {
    let _ = stopped.wait_for(|stopped| *stopped).await;
    if tokio::time::timeout(LAST_MAIL, &mut posting).await.is_err() {
        tracing::warn!("a mail was still under way when the server stopped; it may be sent twice");
        posting.abort();
    }
    Ok(())
}

/// Who sends the mails.
fn postman(
    settings: &Settings,
    default_dir: &str,
    public_url: &str,
    (db, hasher): (Db, &Hasher),
) -> anyhow::Result<Postman> {
    let sends = settings.mail.smtp_url.is_some();
    if sends && settings.public_url.is_none() && settings.listen.ip().is_unspecified() {
        let why = "--public-url (ROSTER_PUBLIC_URL): needed with --smtp-url, for the links in mails";
        return Err(WrongSetting(why.to_owned()).into());
    }
    let carrier = settings.carrier(default_dir, public_url).map_err(WrongSetting)?;
    let postman = Postman::new(db, hasher.key(), public_url, carrier, settings.mail_takes());
    // Of a demonstration whose mails nobody gets.
    Ok(if default_dir == DEMO_DIR && !sends { postman.who_shows_links() } else { postman })
}

/// The license in which people may register themselves.
async fn registration(settings: &Settings, db: &Db) -> anyhow::Result<Option<Id>> {
    let Some(number) = &settings.registration else { return Ok(None) };
    let license = license::find(db, number).await?;
    let unknown = || WrongSetting(format!("--registration {number} (ROSTER_REGISTRATION): there is no such license"));
    Ok(Some(license.ok_or_else(unknown)?.id))
}

async fn serve_demo(settings: &Settings, demo: &Demo) -> anyhow::Result<()> {
    check_key(settings, DEMO_DIR)?;
    let listener = listen(settings).await?;
    let (db, hasher) = open_with_key(settings, DEMO_DIR).await?;
    let bar = progress(u64::from(demo.users), "{msg} {wide_bar} {human_pos}/{human_len}, {per_sec}, {eta} left");
    bar.set_message("Entering people");
    demo::fill(&db, demo.users, demo.seed, |step| show(&bar, step)).await?;
    bar.finish_and_clear();
    let tokens = demo::sign_in(&db, demo.seed, settings.lifetime()).await?;
    if let Some(file) = &demo.tokens {
        let object: serde_json::Map<_, _> =
            tokens.iter().map(|(kind, token)| ((*kind).to_owned(), token.clone().into())).collect();
        write_secret(file, &serde_json::to_vec_pretty(&object)?)
            .with_context(|| format!("--tokens {}", file.display()))?;
    }
    println!("A hospital group of {} people. Sign in as one of these by its bearer token:", demo.users);
    for (kind, token) in &tokens {
        println!("    {kind:<14} {token}");
    }
    println!("Ask it:");
    let (address, token) = (listener.local_addr()?, tokens.last().map_or("", |(_, token)| token.as_str()));
    println!("    {}", demo::first_request(address, token));
    if settings.playground {
        println!("or sign in to the playground by a click: http://{address}/#token={token}");
    }
    run(settings, DEMO_DIR, (db, hasher), listener).await
}

/// Writes a file that only its owner can read.
fn write_secret(path: &std::path::Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // It may have been there before, open to everybody.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(content)
}

fn write_schema() -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(schema::sdl().as_bytes())?)
}

async fn load(settings: &Settings, import: &Import) -> anyhow::Result<()> {
    let open_file = || std::fs::File::open(&import.file).with_context(|| import.file.display().to_string());
    let size = open_file()?.metadata()?.len();
    check_key(settings, DATA_DIR)?;
    let (db, _) = open_with_key(settings, DATA_DIR).await?;
    let license = async || license::the_one(&db, import.license.as_deref(), "This organisation").await;
    // The license that a first import makes is made once its file is known to be good.
    let is_first = import.license.is_none() && license::list(&db).await?.is_empty();
    let license_id = if is_first { Id::new() } else { license().await?.id };

    let bar = progress(size, "{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
    bar.set_message("Checking");
    let checked = import::check(&db, license_id, BufReader::new(open_file()?), |done| bar.set_position(done)).await?;
    if import.dry_run || !checked.bad.is_empty() {
        bar.finish_and_clear();
        return report(&checked, "would be");
    }
    bar.set_message("Writing");
    let loaded =
        import::load(&db, license().await?.id, BufReader::new(open_file()?), |done| bar.set_position(done)).await?;
    bar.finish_and_clear();
    db.survey().await?;
    db.close().await?;
    report(&loaded, "were")
}

fn report(tally: &import::Tally, were: &str) -> anyhow::Result<()> {
    for line in &tally.bad {
        for fault in &line.faults {
            eprintln!("line {}: {fault}", line.number);
        }
    }
    if tally.bad.is_empty() {
        println!("{} {were} created, {} changed, {} unchanged.", tally.created, tally.changed, tally.unchanged);
        return Ok(());
    }
    anyhow::bail!("{} bad lines; nothing was written.", tally.bad.len())
}

/// Shows how far the entering of people is: by the bar, or in the log where nobody looks at a bar.
fn show(bar: &ProgressBar, step: demo::Progress) {
    const LOGGED_EVERY: u64 = 50_000;
    match step {
        demo::Progress::Entered(done) => {
            if bar.is_hidden() && done / LOGGED_EVERY > bar.position() / LOGGED_EVERY {
                let left = indicatif::HumanDuration(bar.eta());
                tracing::info!("{done} people entered, {:.0} a second, {left} left", bar.per_sec());
            }
            bar.set_position(done);
        }
        demo::Progress::Indexing => {
            bar.set_message("Making indexes");
            tracing::info!("everybody is entered; making the indexes");
        }
    }
}

fn progress(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

async fn create_admin(settings: &Settings, admin: AdminCreate) -> anyhow::Result<()> {
    check_key(settings, DATA_DIR)?;
    let (db, hasher) = open_with_key(settings, DATA_DIR).await?;
    let license = license::the_one(&db, admin.license.as_deref(), &admin.holder).await?;
    let password = if admin.password_stdin { Some(read_password()?) } else { None };
    let names = (admin.first_name, admin.last_name);
    let (administers, what) = if admin.license_admin {
        (Administers::License, format!("administers license {}", license.number))
    } else {
        (Administers::Everything, "may do everything".to_owned())
    };
    let place = (license.id, administers);
    let (user, token) = account::create_administrator(&db, &hasher, place, names, admin.email, password).await?;
    db.close().await?;
    println!("{} now {what}, and signs in with {}.", user.name(), user.email.unwrap_or_default());
    if let Some(token) = token {
        show_link(settings, &token);
    }
    Ok(())
}

async fn link_admin(settings: &Settings, admin: &AdminLink) -> anyhow::Result<()> {
    let db = open(settings, DATA_DIR).await?;
    let token = account::new_link(&db, &admin.email).await?;
    db.close().await?;
    show_link(settings, &token);
    Ok(())
}

fn show_link(settings: &Settings, token: &str) {
    println!("The password is set by this link, once, within 14 days, while the server runs:");
    println!("    {}", link::url(&settings.public_url(settings.listen), Purpose::Activation, None, token));
}

fn read_password() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn manage_licenses(settings: &Settings, license: License) -> anyhow::Result<()> {
    let db = open(settings, DATA_DIR).await?;
    let said = match license {
        License::Create(LicenseCreate { number, holder, kind, starts_on, expires_on }) => {
            let kind = match kind {
                Kind::Commercial => LicenseKind::Commercial,
                Kind::Private => LicenseKind::Private,
            };
            license::report::made(&license::enter(&db, Terms { number, holder, kind, starts_on, expires_on }).await?)
        }
        License::Extend(extend) => {
            license::report::extended(&license::extend(&db, &extend.number, extend.expires_on).await?)
        }
        License::List => license::report::table(license::list_with_people(&db).await?),
    };
    db.close().await?;
    println!("{said}");
    Ok(())
}

async fn verify(settings: &Settings) -> anyhow::Result<()> {
    let database = settings.database(DATA_DIR);
    if let Some(file) = db::missing_file(&database.url) {
        anyhow::bail!("there is no {}", file.display());
    }
    let at = || db::without_password(&database.url);
    let db = Db::connect(&database).await.map_err(anyhow::Error::from).with_context(at)?;
    let pending = db.pending_migrations().await?;
    anyhow::ensure!(pending == 0, "the tables are not up to date: {pending} migrations are pending");
    let verdict = audit::verify::verify(&db).await?;
    db.close().await?;
    if verdict.found > 0 {
        verdict.faults.iter().for_each(|fault| eprintln!("{fault}"));
        anyhow::bail!("the audit trail is not as it was written; faults: {}", verdict.found);
    }
    match verdict.events {
        0 => println!("There are no events."),
        events => println!("{events} events, unbroken; the last one's hash is {}", verdict.hash),
    }
    Ok(())
}

fn examine_mail(settings: &Settings) {
    let mail = &settings.mail;
    match &mail.smtp_url {
        Some(relay) => println!("mail                  {relay}, {} s each", mail.smtp_seconds),
        None => println!("mail                  files in {}", settings.mail_dir(DATA_DIR).display()),
    }
    if let Some(authority) = &mail.smtp_ca {
        println!("mail authority        {}", authority.file().display());
    }
    println!("mail from             {}", settings.mail_from(&settings.public_url(settings.listen)));
    println!("next URLs             {}", settings.next_urls(&settings.public_url(settings.listen)));
    println!("registration          {}", settings.registration.as_deref().unwrap_or("nobody may"));
}

async fn examine(settings: &Settings) -> anyhow::Result<()> {
    println!("listen                {}", settings.listen);
    println!("playground            {}", settings.playground);
    println!("max connections       {}", settings.max_connections);
    let proxies: Vec<String> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
    println!("trusted proxies       {}", if proxies.is_empty() { "none".to_owned() } else { proxies.join(", ") });
    println!("request deadline      {} s", settings.request_seconds);
    println!("sessions              {} days, {} hours without use", settings.session_days, settings.session_idle_hours);
    println!("password length       {}", settings.password_length);
    examine_mail(settings);
    let database = settings.database(DATA_DIR);
    println!("data directory        {}", settings.data_dir.as_deref().unwrap_or(DATA_DIR.as_ref()).display());
    let source = settings.key(DATA_DIR);
    let key = source.find();
    match &key {
        Ok(Some(_)) => println!("key                   {source}"),
        Ok(None) => println!("key                   {source}; there is none yet, the first start makes it"),
        Err(error) => println!("key                   {source}: {error}"),
    }
    println!("log                   {}", settings.log);
    println!("database connections  {}", settings.database_connections);
    println!("database              {}", db::without_password(&database.url));
    if db::missing_file(&database.url).is_some() {
        println!("There is no file yet; the first start makes it.");
        println!("migrations            {} pending", db::migrations());
        return Ok(());
    }
    let db = Db::connect(&database).await?;
    for (name, value) in doctor::parameters(&db).await? {
        println!("{name:<21} {value}");
    }
    let pending = db.pending_migrations().await?;
    println!("migrations            {pending} pending");
    if let (Ok(Some(key)), 0) = (key, pending) {
        let fits = match key::known_to(&db).await? {
            Some(known) if known == key.fingerprint() => "this one",
            Some(_) => "another one",
            None => "none yet",
        };
        println!("key of the database   {fits}");
    }
    Ok(())
}
