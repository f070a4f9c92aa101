//! The trial of a backup that was restored to a temporary place: a new user signs in, with the server key that the backup needs.

use anyhow::ensure;

use super::admin::{AdministratorRights, NewAdministrator, create_administrator};
use super::config::Settings;
use super::open::{DATA_DIR, keys_with};
use crate::auth::key_ring::ServerKeys;
use crate::auth::key_state::DatabaseKeys;
use crate::auth::password::Hasher;
use crate::auth::policy::SelfServicePolicy;
use crate::auth::server_key::{HeldKeys, Key};
use crate::client::Client;
use crate::db::Db;
use crate::license::{self, NewLicense};
use crate::scalar::Id;
use crate::session::sign_in::Authenticator;
use crate::session::{TokenAuthenticator, TokenUse};

/// The result of a trial that did not fail.
pub(super) enum Trial {
    Passed,
    /// The server key of the backup is not here; the text says which one it is, and where it was looked for.
    WithoutKey(String),
}

/// Creates a license with a user in a restored database, and signs the user in.
///
/// # Errors
/// That this cannot be done.
pub(super) async fn try_out(settings: &Settings, db: &Db) -> anyhow::Result<Trial> {
    let known = DatabaseKeys::read(db.read()).await?;
    let Some(keys) = find_keys(settings, &known)? else {
        let source = settings.key_source(DATA_DIR);
        return Ok(Trial::WithoutKey(format!("it needs {}, which is not in {source}", keys_with(&known.needed()))));
    };
    sign_in(settings, db, &settings.hasher(keys)).await?;
    Ok(Trial::Passed)
}

/// Returns the server keys with which the secrets of the database were made; those of a database without secrets are random.
fn find_keys(settings: &Settings, known: &DatabaseKeys) -> anyhow::Result<Option<ServerKeys>> {
    if known.current.is_none() {
        return Ok(known.select(&HeldKeys::from(Key::random()?)));
    }
    let held = settings.key_source(DATA_DIR).find().ok().flatten();
    Ok(held.and_then(|held| known.select(&held)))
}

async fn sign_in(settings: &Settings, db: &Db, hasher: &Hasher) -> anyhow::Result<()> {
    // Whatever the database contains, it is new.
    let name = format!("verification-{}", Id::new().0.simple());
    let (email, password) = (format!("{name}@example.org"), Key::random()?.to_base64() + &Key::random()?.to_base64());
    let license = license::create(db, NewLicense::first(&name, "Verification of a backup")).await?;
    let administrator = NewAdministrator {
        license_id: license.id,
        rights: AdministratorRights::License,
        first_name: "Backup".to_owned(),
        last_name: "Verification".to_owned(),
        email: email.clone(),
        password: Some(password.clone()),
    };
    let (user, _) = create_administrator(db, hasher, administrator).await?;
    let (policy, client) = (settings.sign_in_policy(), Client::default());
    let next_urls = settings.next_urls(&settings.public_url(&settings.listen));
    let self_service = SelfServicePolicy { next_urls, sign_in_url: None, registration: None };
    let authenticator = Authenticator { db, hasher, policy, client: &client, self_service: &self_service };
    let session = Box::pin(authenticator.sign_in_with_password(&email, password, None)).await?;
    let tokens = TokenAuthenticator::new(db, policy.lifetime);
    let viewer = tokens.authenticate(&session.token, TokenUse::OpenConnection, None).await?;
    ensure!(viewer.user_id == user.id, "the session is that of another user");
    Ok(())
}
