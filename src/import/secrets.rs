//! PINs and pictures of imported users. To hash and to process them takes long, so it is done before a transaction begins.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::draft::Draft;
use super::edits::KeepEdits;
use super::existing::ExistingRows;
use super::importer::Importer;
use super::origin::Fault;
use super::record::AvatarRecord;
use super::users::ImportedUser;
use crate::auth::password::{Imported, is_keyed, is_of_other_key, parse_imported};
use crate::avatar::{self, MAX_FILE_SIZE, Picture};
use crate::entity::external_reference::ExternalReference;
use crate::entity::user;
use crate::error::Error;
use crate::validation::rule;

/// What to do about a picture of which only the URL is known. The server fetches nothing from an address in a file.
const DOWNLOAD: &str = "Pictures are not fetched; download them into one directory, each with the last part of its URL as its \
                        name, and import with --avatar-dir DIR.";
/// The reason why a hash of another key cannot be used.
const OTHER_KEY: &str =
    "This hash was made by Roster with another server key; import with a copy of that key (--key-file).";

/// The result of preparing a draft before its transaction begins.
#[derive(Default)]
pub(super) struct Prepared {
    /// The hash of the PIN to set; empty if nothing is to be written.
    pin_hash: Option<String>,
    avatar: Option<NewAvatar>,
    /// The values that are left out, and why.
    pub(super) notes: Vec<Fault>,
}

/// A picture to set.
pub(super) enum NewAvatar {
    /// A file that is not processed, because nothing is to be written.
    Unprocessed,
    Picture(Picture),
}

impl Importer<'_> {
    /// Hashes the PINs and processes the pictures of drafts, except those that users have already.
    pub(super) async fn prepare_secrets(&self, drafts: &mut [Draft]) -> Result<(), Error> {
        let has_secrets = |draft: &Draft| {
            let record = &draft.record;
            record.pin.is_some() || record.pin_hash.is_some() || record.avatar.is_some()
        };
        if !drafts.iter().any(has_secrets) {
            return Ok(());
        }
        let existing =
            ExistingRows::read(self.db, self.license_id, drafts, self.options.channel, KeepEdits::None).await?;
        for draft in drafts.iter_mut() {
            if !has_secrets(draft) {
                continue;
            }
            let old = existing.find(draft, self.license_id);
            if old.is_none_or(|old| !old.has_pin) {
                self.prepare_pin(draft).await?;
            }
            if let Some(avatar) = draft.record.avatar.take() {
                let old_hash = old.and_then(|old| old.avatar.as_deref());
                self.prepare_avatar(draft, &avatar, old_hash).await?;
            }
        }
        Ok(())
    }

    async fn prepare_pin(&self, draft: &mut Draft) -> Result<(), Error> {
        let hasher = self.options.hasher.as_ref();
        let prepared = &mut draft.prepared;
        match (&draft.record.pin_hash, &draft.record.pin, hasher) {
            (Some(hash), ..) if !is_keyed(hash) || parse_imported(hash).is_err() => {
                prepared.notes.push(Fault::new("pinHash", "This is not the hash of a PIN that Roster exported."));
            }
            (Some(hash), _, Some(hasher)) if is_of_other_key(hash, &hasher.keys()) => {
                prepared.notes.push(Fault::new("pinHash", OTHER_KEY));
            }
            (Some(hash), ..) => prepared.pin_hash = Some(hash.clone()),
            (None, Some(pin), Some(hasher)) if rule::pin(pin).is_ok() => {
                let hash = if self.write { hasher.hash(pin.clone(), None).await? } else { String::new() };
                prepared.pin_hash = Some(hash);
            }
            _ => {}
        }
        Ok(())
    }

    async fn prepare_avatar(
        &self,
        draft: &mut Draft,
        avatar: &AvatarRecord,
        old_hash: Option<&str>,
    ) -> Result<(), Error> {
        let file = match self.read_avatar(avatar) {
            Ok(file) => file,
            Err(message) => {
                // The file of another system is valid without the picture.
                let faults = if avatar.url.is_some() { &mut draft.prepared.notes } else { &mut draft.faults };
                faults.push(Fault::new("avatar", message));
                return Ok(());
            }
        };
        if old_hash == Some(avatar::hash_of(&file).as_str()) {
            return Ok(());
        }
        if !self.write {
            draft.prepared.avatar = Some(NewAvatar::Unprocessed);
            return Ok(());
        }
        match self.images.restore("avatar", file).await {
            Ok(picture) if old_hash == Some(picture.hash().as_str()) => {}
            Ok(picture) => draft.prepared.avatar = Some(NewAvatar::Picture(picture)),
            Err(Error::Rejected(errors)) => draft.prepared.notes.extend(errors.into_iter().map(Fault::from)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn read_avatar(&self, avatar: &AvatarRecord) -> Result<Vec<u8>, String> {
        let file = match (&avatar.content, &avatar.file, &avatar.url) {
            (Some(content), None, None) => {
                STANDARD.decode(content.trim()).map_err(|_| "The content must be in base64.".to_owned())?
            }
            (None, Some(file), None) => self.read_avatar_file(file)?,
            (None, None, Some(url)) => self.read_downloaded(url)?,
            _ => return Err("Must have one of content, file and url.".to_owned()),
        };
        if file.len() > MAX_FILE_SIZE { Err("Must be at most 2 MB.".to_owned()) } else { Ok(file) }
    }

    /// Reads the file that was downloaded from a URL or copied from a path.
    fn read_downloaded(&self, url: &str) -> Result<Vec<u8>, String> {
        if self.options.avatar_dir.is_none() {
            return Err(DOWNLOAD.to_owned());
        }
        let path = url.split(['?', '#']).next().unwrap_or(url);
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        self.read_avatar_file(name).map_err(|error| format!("{error} {DOWNLOAD}"))
    }

    fn read_avatar_file(&self, name: &str) -> Result<Vec<u8>, String> {
        let dir = self.options.avatar_dir.as_ref().ok_or("--avatar-dir must name the directory of the files.")?;
        if name.contains(['/', '\\']) || matches!(name, "" | "." | "..") {
            return Err("The file must be a name without a directory.".to_owned());
        }
        let read = || {
            let mut content = Vec::new();
            let file = std::fs::File::open(dir.join(name))?;
            file.take(MAX_FILE_SIZE as u64 + 1).read_to_end(&mut content)?;
            Ok::<_, std::io::Error>(content)
        };
        read().map_err(|error| format!("The file cannot be read: {error}."))
    }

    /// Hashes the external IDs and references of drafts.
    pub(super) fn hash_references(&self, drafts: &mut [Draft]) {
        let Some(hasher) = &self.options.hasher else { return };
        for draft in drafts {
            let references = draft.references.iter().map(ExternalReference::text);
            let texts = references.chain(draft.user.external_id.clone());
            draft.reference_hashes =
                texts.flat_map(|text| hasher.hashes_of_reference(self.license_id, &text)).collect();
        }
    }

    /// Removes a password hash that was made with another server key.
    pub(super) fn check_password_key(&self, draft: &mut Draft) {
        let Some(hasher) = &self.options.hasher else { return };
        if draft.password.as_ref().is_some_and(|password| is_of_other_key(&password.hash, &hasher.keys())) {
            draft.password = None;
            draft.password_error = Some(Fault::new("passwordHash", OTHER_KEY));
        }
    }
}

impl Prepared {
    /// Sets the PIN and the picture of a user who was `old` before. Returns the hash of the PIN, and the picture.
    pub(super) fn apply(self, old: Option<&user::Model>, row: &mut user::Model) -> (Option<String>, Option<NewAvatar>) {
        let pin_hash = self.pin_hash.filter(|_| old.is_none_or(|old| !old.has_pin));
        row.has_pin |= pin_hash.is_some();
        if let Some(NewAvatar::Picture(picture)) = &self.avatar {
            row.avatar = Some(picture.hash());
        }
        (pin_hash, self.avatar)
    }
}

impl ImportedUser {
    /// Leaves out the password of the file if the user has the same one, or has set or used one here.
    pub(super) fn keep_own_password(&mut self, stored: Option<&str>) {
        let is_new = |password: &Imported| stored.is_none_or(|stored| stored != password.hash && !is_keyed(stored));
        self.password = self.password.take().filter(is_new);
    }
}
