//! `roster key`: replaces the server key.

use anyhow::bail;

use super::config::{KeyCommand, Settings};
use super::key_watch::ANSWERED;
use super::open::{DATA_DIR, close, open, other_key, unusable_key};
use super::output::print_line;
use crate::auth::key_ring::ServerKeys;
use crate::auth::key_state::{self, DatabaseKeys, Retirement};
use crate::auth::key_use::{self, KeyUse};
use crate::auth::server_key::{HeldKeys, Key, Source};
use crate::db::Db;
use crate::entity::server_key_report;
use crate::text::counted;

/// The advice if the command cannot write the keys.
const BY_HAND: &str = "add a second key, which `roster key generate` prints, to the setting or file of every server, and run \
                       `roster key rotate` again";

pub async fn manage_keys(settings: &Settings, command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Generate => Ok(print_line!("{}", Key::random()?.to_base64())?),
        KeyCommand::Rotate => rotate(settings).await,
        KeyCommand::Retire(options) => retire(settings, options.force).await,
    }
}

/// The keys that the command has to do with.
struct Keys {
    source: Source,
    held: HeldKeys,
    known: DatabaseKeys,
    used: ServerKeys,
}

impl Keys {
    async fn read(settings: &Settings, db: &Db) -> anyhow::Result<Self> {
        let source = settings.key_source(DATA_DIR);
        let known = DatabaseKeys::read(db.read()).await?;
        if known.current.is_none() {
            bail!("the database has no server key yet; the first start of a server creates one");
        }
        let held = source.find().map_err(|error| unusable_key(&source, error))?;
        let keys = held.and_then(|held| known.select(&held).map(|used| (held, used)));
        let (held, used) = keys.ok_or_else(|| other_key(&source, &known))?;
        Ok(Self { source, held, known, used })
    }

    /// Returns the key that is to become the current one: the one that was announced, another one in the source that was never used,
    /// or a new one, which is added to the file.
    fn next_key(&self) -> anyhow::Result<Key> {
        let announced = self.known.next.as_deref().and_then(|fingerprint| self.held.find(fingerprint));
        let unused = || self.held.all().find(|key| !self.known.has_used(key));
        if let Some(key) = announced.or_else(unused) {
            return Ok(key.clone());
        }
        let key = Key::random()?;
        let added = self.source.replace(&self.held.clone().with(key.clone()));
        added.map_err(|error| unusable_key(&self.source, format!("{error}; {BY_HAND}")))?;
        Ok(key)
    }
}

async fn rotate(settings: &Settings) -> anyhow::Result<()> {
    let db = open(settings, DATA_DIR).await?;
    let keys = Keys::read(settings, &db).await?;
    if let Some(old) = &keys.known.old {
        bail!(
            "the old key {} is not retired yet: run `roster key retire`, which says what still needs it",
            old.fingerprint
        );
    }
    let (current, next) = (keys.used.current(), keys.next_key()?);
    key_state::announce(&db, &next).await?;
    let fingerprint = next.fingerprint_text();
    print_line!("The next key has the fingerprint {fingerprint}. Asking the running servers for it ...")?;
    let servers = ask_servers(&db).await?;
    let lacks = |server: &&server_key_report::Model| !server.held.split(' ').any(|held| held == fingerprint);
    refuse_if_any(
        servers.iter().filter(lacks),
        ["server does not have the next key", "servers do not have the next key"],
        &format!(
            "give them the keys of {}: a server reads its key file again within seconds, and needs a restart if its keys are a \
         setting; then run `roster key rotate` again. Until then, nothing changes",
            keys.source
        ),
    )?;
    ensure_in_source(&keys.source, &fingerprint)?;
    key_state::activate(&db, current, &next).await?;
    close(db).await?;
    let have = counted(servers.len(), "running server has", "running servers have");
    print_line!("New hashes are made with the key {fingerprint}; {have} it.")?;
    print_line!("The old key {} still verifies. Back up the keys: {}.", current.fingerprint_text(), keys.source)?;
    print_line!("`roster doctor` shows what still needs the old key, and `roster key retire` retires it.")?;
    Ok(())
}

/// Refuses a next key that its source has no longer, such as if another command has written the file meanwhile: nobody would have it.
fn ensure_in_source(source: &Source, fingerprint: &str) -> anyhow::Result<()> {
    let held = source.find().map_err(|error| unusable_key(source, error))?;
    anyhow::ensure!(
        held.is_some_and(|held| held.find(fingerprint).is_some()),
        "the next key is no longer in {source}: another command has changed it meanwhile. Nothing changed; run `roster key rotate` again"
    );
    Ok(())
}

async fn retire(settings: &Settings, force: bool) -> anyhow::Result<()> {
    let db = open(settings, DATA_DIR).await?;
    let keys = Keys::read(settings, &db).await?;
    let Some(old) = &keys.known.old else { bail!("there is no old key") };
    let current = keys.used.current();
    let uses = key_use::count(db.read(), current, old, None).await?;
    if !force && uses.is_needed() {
        return Err(refusal(&old.fingerprint, &uses));
    }
    print_line!("Asking the running servers whether they still use the key {} ...", old.fingerprint)?;
    let servers = ask_servers(&db).await?;
    let is_late = |server: &&server_key_report::Model| server.used != current.fingerprint_text();
    let advice = "wait until they have read the keys again, or stop them, and run the command again";
    let late = ["server still makes new hashes with the old key", "servers still make new hashes with the old key"];
    refuse_if_any(servers.iter().filter(is_late), late, advice)?;
    let uses = match key_state::retire(&db, current, old, force).await? {
        Retirement::Done(uses) => uses,
        Retirement::Refused(uses) => return Err(refusal(&old.fingerprint, &uses)),
    };
    close(db).await?;
    print_line!("Retired the key {}. Running servers forget it within seconds.", old.fingerprint)?;
    for line in uses.lines() {
        print_line!("Lost: {line}.")?;
    }
    remove_from_source(&keys, &old.fingerprint)
}

/// Removes a retired key from its file. The key is not used any more, whether it is removed or not.
fn remove_from_source(keys: &Keys, retired: &str) -> anyhow::Result<()> {
    // Somebody may have added a key since the command began.
    let held = keys.source.find().ok().flatten();
    let Some(kept) = held.and_then(|held| held.without(&[retired.to_owned()])) else { return Ok(()) };
    match keys.source.replace(&kept) {
        Ok(()) => print_line!("It is removed from {}; remove it from the other servers.", keys.source)?,
        Err(error) => print_line!("Remove it from {}: {error}.", keys.source)?,
    }
    Ok(print_line!("Backups from before need it: keep a copy as long as you keep them.")?)
}

/// Asks the running servers for their keys, and waits until all of them have answered.
async fn ask_servers(db: &Db) -> anyhow::Result<Vec<server_key_report::Model>> {
    key_state::delete_reports(db).await?;
    tokio::time::sleep(ANSWERED).await;
    Ok(key_state::reports(db).await?)
}

/// Refuses to go on if there are servers of which something is true, said of one and of several.
fn refuse_if_any<'a>(
    servers: impl Iterator<Item = &'a server_key_report::Model>,
    [of_one, of_several]: [&str; 2],
    advice: &str,
) -> anyhow::Result<()> {
    let names: Vec<&str> = servers.map(|server| server.name.as_str()).collect();
    let what = counted(names.len(), of_one, of_several);
    anyhow::ensure!(names.is_empty(), "{what} ({}): {advice}", names.join("; "));
    Ok(())
}

fn refusal(fingerprint: &str, uses: &KeyUse) -> anyhow::Error {
    let lines = uses.lines().join("\n  ");
    anyhow::anyhow!(
        "the old key {fingerprint} is still needed for:\n  {lines}\n`roster key retire --force` retires it all the same, and they are lost"
    )
}
