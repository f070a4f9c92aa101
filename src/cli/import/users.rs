//! Imports users: each record is validated against the rules, the previous lines of the file and the database.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::record::UserRecord;
use super::{BadLine, Importer};
use crate::access::{is_active_license_admin, is_active_superuser, is_same_license, of_license};
use crate::attribute_values::{self, AttributeChanges, Definitions, Values};
use crate::auth::password::{self, Imported};
use crate::db::conditions::one_of;
use crate::entity::membership::{self, MAX_GROUPS_OF_A_USER};
use crate::entity::{credential, site_access, tombstone, user};
use crate::error::{Error, ErrorCode};
use crate::scalar::{Id, now};
use crate::validation::Validator;
use crate::{login, text};

/// The unique values in the file so far, and the users that they belong to.
#[derive(Default)]
pub struct SeenKeys {
    ids: HashSet<(&'static str, Id)>,
    values: HashMap<String, Id>,
}

impl SeenKeys {
    /// Returns whether another user of the file has the value already; otherwise reserves it for this one.
    fn taken(&mut self, kind: &str, value: Option<&str>, id: Id) -> bool {
        value.is_some_and(|value| *self.values.entry(format!("{kind} {value}")).or_insert(id) != id)
    }
}

/// A user after the import, with related rows.
pub(super) struct ImportedUser {
    pub(super) row: user::Model,
    pub(super) old: Option<user::Model>,
    pub(super) password: Option<Imported>,
    pub(super) memberships: Vec<membership::Model>,
    pub(super) grants: Vec<site_access::Model>,
    pub(super) profile: AttributeChanges,
}

/// The rows of the database that the users of a chunk refer to or may conflict with.
#[derive(Default)]
pub(super) struct ExistingRows {
    people: Vec<user::Model>,
    by_id: HashMap<Id, usize>,
    by_external_id: HashMap<String, usize>,
    by_email: HashMap<String, usize>,
    by_username: HashMap<String, usize>,
    /// The owners of usernames and email addresses.
    logins: HashMap<String, Id>,
    memberships: HashMap<(Id, Id), membership::Model>,
    grants: HashSet<(Id, Id)>,
    pub(super) passwords: HashMap<Id, String>,
    definitions: Definitions,
    values: BTreeMap<Id, Values>,
    /// Erased users. An older file that has their ids must not bring them back.
    erased: HashSet<Id>,
}

impl Importer<'_> {
    #[expect(clippy::disallowed_methods, reason = "the command line has no actor")]
    pub(super) async fn take_people(&mut self, records: Vec<(u64, UserRecord)>) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let records: Vec<_> =
            records.into_iter().map(|(number, record)| (number, self.draft(&record), record)).collect();
        // Records are compared with the database and written in the same transaction, so that it cannot change in between.
        let transaction = if self.write { Some(self.db.begin().await?) } else { None };
        // Users are locked before definitions, as everywhere.
        let mut known = match &transaction {
            Some(transaction) => self.known(transaction, &records).await?,
            None => self.known(self.db.read(), &records).await?,
        };
        known.definitions = match &transaction {
            Some(transaction) => attribute_values::hold_all(transaction, self.license_id).await?,
            None => attribute_values::definitions(self.db.read(), self.license_id).await?,
        };
        let mut people = Vec::with_capacity(records.len());
        for (number, draft, record) in records {
            let (password, fault) = read_password(record.password_hash.as_deref());
            match (self.person(known.find(&record, &draft), record, password, &known), fault) {
                (Ok(person), fault) => {
                    people.push(person);
                    self.tally.without_password.extend(fault.map(|fault| BadLine::new(number, [fault])));
                }
                (Err(error), fault) => self.reject_with(number, error, fault)?,
            }
        }
        self.write_people(transaction, people, &known).await?;
        if self.write {
            // Later chunks find them in the database.
            self.seen.values.clear();
        }
        Ok(())
    }

    /// Reads the rows of the users that the records identify or may conflict with.
    async fn known(
        &self,
        db: &impl ConnectionTrait,
        records: &[(u64, user::Model, UserRecord)],
    ) -> Result<ExistingRows, Error> {
        let drafts = || records.iter().map(|(_, draft, _)| draft);
        let ids = records.iter().filter_map(|(_, _, record)| record.id);
        let external_ids = drafts().filter_map(|draft| draft.external_id.as_deref());
        let emails = drafts().filter_map(|draft| draft.email.as_deref()).flat_map(forms);
        let usernames = drafts().filter_map(|draft| draft.username.as_deref()).flat_map(forms);
        let of_license = of_license(user::Column::LicenseId, self.license_id);
        let conditions = [
            Condition::all().add(one_of(db.get_database_backend(), user::Column::Id, ids)),
            Condition::all().add(user::Column::ExternalId.is_in(external_ids)).add(of_license),
            Condition::all().add(user::Column::EmailKey.is_in(emails)),
            Condition::all().add(user::Column::UsernameKey.is_in(usernames)),
        ];
        let keys = drafts().flat_map(|draft| [&draft.username_key, &draft.email_key]).flatten().cloned().collect();
        let mut known = ExistingRows::default();
        // One statement per key, so that each uses its index.
        for condition in conditions {
            let people = user::Entity::find().filter(condition).order_by_asc(user::Column::Id).lock_exclusive();
            for person in people.all(db).await? {
                known.add(person, self.license_id);
            }
        }
        known.logins = login::holders(db, keys).await?;
        let ids = records.iter().filter_map(|(_, _, record)| record.id);
        let of_ids = one_of(db.get_database_backend(), tombstone::Column::UserId, ids);
        known.erased =
            tombstone::Entity::find().filter(of_ids).all(db).await?.into_iter().map(|row| row.user_id).collect();
        let ids = || known.people.iter().map(|person| person.id);
        let of_people = one_of(db.get_database_backend(), membership::Column::UserId, ids());
        let memberships = membership::Entity::find().filter(of_people).all(db).await?;
        let of_people = one_of(db.get_database_backend(), site_access::Column::UserId, ids());
        let grants = site_access::Entity::find().filter(of_people).all(db).await?;
        let of_people = one_of(db.get_database_backend(), credential::Column::UserId, ids());
        let passwords = credential::Entity::find().filter(of_people).all(db).await?;
        if records.iter().any(|(_, _, record)| !record.attributes.is_empty()) {
            known.values = attribute_values::values(db, ids()).await?;
        }
        known.memberships = memberships.into_iter().map(|row| ((row.user_id, row.group_id), row)).collect();
        known.grants = grants.into_iter().map(|row| (row.user_id, row.institution_id)).collect();
        known.passwords = passwords.into_iter().map(|row| (row.user_id, row.password_hash)).collect();
        Ok(known)
    }

    /// Returns the user of a record, complete enough to be identified.
    fn draft(&self, record: &UserRecord) -> user::Model {
        let mut draft = user::Model::empty(record.id.unwrap_or_default(), self.license_id);
        draft.apply(record.names.clone(), record.fields.clone(), &mut Validator::creating());
        draft
    }

    fn person(
        &mut self,
        old: Option<user::Model>,
        record: UserRecord,
        password: Option<Imported>,
        known: &ExistingRows,
    ) -> Result<ImportedUser, Error> {
        let mut form = if old.is_some() { Validator::changing() } else { Validator::importing() };
        if old.as_ref().is_some_and(|old| !is_same_license(old.license_id, self.license_id)) {
            return Err(Error::rejected("id", ErrorCode::Taken, "This id is taken."));
        }
        if record.id.is_some_and(|id| known.erased.contains(&id)) {
            return Err(Error::rejected("id", ErrorCode::NotAllowed, "The user with this id was erased."));
        }
        let mut row = old.clone().unwrap_or_else(|| user::Model::empty(record.id.unwrap_or_default(), self.license_id));
        row.apply(record.names, record.fields, &mut form);
        form.value("isActive", record.is_active, &mut row.is_active);
        let loses = |rules: fn(&user::Model) -> bool| old.as_ref().is_some_and(|old| rules(old) && !rules(&row));
        if loses(is_active_superuser) || loses(is_active_license_admin) {
            let message =
                "An import cannot demote or deactivate a superuser or a license administrator; use the API instead.";
            form.fault("role", ErrorCode::NotAllowed, message);
        }
        row.email_verified &= old.as_ref().is_none_or(|old| old.email_key == row.email_key);
        match record.date_joined.map(|joined| joined.trunc_subsecs(6)) {
            Some(joined) if is_storable(joined) => row.date_joined = joined,
            Some(_) => form.fault("dateJoined", ErrorCode::Invalid, "Must be in the years 1900 to 9999."),
            None => {}
        }
        match record.institution.as_deref().map(|reference| self.institutions.find_by_any(reference)) {
            Some(Ok(id)) => row.institution_id = Some(id),
            Some(Err(message)) => form.fault("institution", ErrorCode::NotFound, message),
            None if row.institution_id.is_some_and(|id| !self.institutions.ids.contains(&id)) => {
                form.fault("institutionId", ErrorCode::NotFound, "There is no such institution.");
            }
            None => {}
        }
        row.has_activated |= record.has_activated || password.is_some();
        let misspelt = form.has_fault_of("username") || form.has_fault_of("email");
        if row.username.is_none() && row.email.is_none() && !misspelt {
            form.fault("email", ErrorCode::Required, "A username or an email address is required.");
        }
        let memberships = self.memberships(&row, &record.groups, known, &mut form);
        let grants = self.grants(&row, &record.sites, known, &mut form);
        let mut profile = AttributeChanges::of(known.values.get(&row.id).cloned().unwrap_or_default());
        profile.apply(&attribute_values::of_record(record.attributes), &known.definitions, &mut form);
        if old.is_none() {
            profile.require(&known.definitions, &mut form);
        }
        self.collect_conflicts(&row, old.as_ref(), known, &mut form);
        self.note_seen(row.id, "user", &mut form);
        form.finish()?;
        Ok(ImportedUser { row, old, password, memberships, grants, profile })
    }

    /// Returns the memberships that are new or change.
    fn memberships(
        &self,
        person: &user::Model,
        references: &[super::record::GroupReference],
        known: &ExistingRows,
        form: &mut Validator,
    ) -> Vec<membership::Model> {
        let mut groups: HashSet<Id> =
            known.memberships.keys().filter(|key| key.0 == person.id).map(|key| key.1).collect();
        let (mut changed, mut last) = (Vec::new(), HashSet::new());
        // The last of several roles in one group counts.
        for reference in references.iter().rev() {
            match self.groups.find(&reference.group) {
                Err(message) => form.fault("groups", ErrorCode::NotFound, message),
                Ok(group_id) if !last.insert(group_id) => {}
                Ok(group_id) => {
                    let old = known.memberships.get(&(person.id, group_id));
                    groups.insert(group_id);
                    if old.is_none_or(|old| old.role != reference.role) {
                        let joined_at = old.map_or(person.date_joined, |old| old.joined_at);
                        changed.push(membership::Model {
                            user_id: person.id,
                            group_id,
                            role: reference.role,
                            joined_at,
                        });
                    }
                }
            }
        }
        if groups.len() as u64 > MAX_GROUPS_OF_A_USER {
            form.fault(
                "groups",
                ErrorCode::NotAllowed,
                format!("A user belongs to at most {MAX_GROUPS_OF_A_USER} groups."),
            );
        }
        changed
    }

    /// Returns the access to sites that is new. Existing access is kept, even if the file does not list it.
    fn grants(
        &self,
        person: &user::Model,
        references: &[String],
        known: &ExistingRows,
        form: &mut Validator,
    ) -> Vec<site_access::Model> {
        let (mut new, mut named) = (Vec::new(), HashSet::new());
        for reference in references {
            match self.institutions.find_by_any(reference) {
                Err(message) => form.fault("sites", ErrorCode::NotFound, message),
                Ok(id) if named.insert(id) && !known.grants.contains(&(person.id, id)) => {
                    new.push(site_access::Model { user_id: person.id, institution_id: id, granted_at: now() });
                }
                Ok(_) => {}
            }
        }
        new
    }

    pub(super) fn note_seen(&mut self, id: Id, what: &'static str, form: &mut Validator) {
        if !self.seen.ids.insert((what, id)) {
            form.fault("id", ErrorCode::Taken, format!("An earlier line of the file is about the same {what}."));
        }
    }

    fn collect_conflicts(
        &mut self,
        row: &user::Model,
        old: Option<&user::Model>,
        known: &ExistingRows,
        form: &mut Validator,
    ) {
        let other = |found: Option<&user::Model>| found.is_some_and(|found| found.id != row.id);
        let mut is_taken = |key: fn(&user::Model) -> Option<&str>| {
            let changed = key(row).filter(|_| old.is_none_or(|old| key(old) != key(row)));
            let is_held = changed.and_then(|key| known.logins.get(key)).is_some_and(|holder_id| *holder_id != row.id);
            is_held || self.seen.taken("login", changed, row.id)
        };
        if is_taken(|person| person.email_key.as_deref()) {
            form.fault("email", ErrorCode::Taken, "This email address is taken.");
        }
        if is_taken(|person| person.username_key.as_deref()) {
            form.fault("username", ErrorCode::Taken, "This username is taken.");
        }
        let external_id = row.external_id.as_deref();
        if other(known.at(&known.by_external_id, external_id)) || self.seen.taken("externalId", external_id, row.id) {
            form.fault("externalId", ErrorCode::Taken, "This external id is taken.");
        }
    }
}

impl ExistingRows {
    fn add(&mut self, person: user::Model, license_id: Id) {
        if self.by_id.contains_key(&person.id) {
            return;
        }
        let place = self.people.len();
        self.by_id.insert(person.id, place);
        if is_same_license(person.license_id, license_id) {
            self.by_external_id.extend(person.external_id.clone().map(|id| (id, place)));
        }
        self.by_email.extend(person.email_key.clone().map(|key| (key, place)));
        self.by_username.extend(person.username_key.clone().map(|key| (key, place)));
        self.people.push(person);
    }

    fn at(&self, places: &HashMap<String, usize>, key: Option<&str>) -> Option<&user::Model> {
        self.people.get(*places.get(key?)?)
    }

    /// Returns the user that a record identifies: by id, then by external id, and if it has neither, by email address or
    /// username.
    fn find(&self, record: &UserRecord, draft: &user::Model) -> Option<user::Model> {
        let by_id = record.id.and_then(|id| self.people.get(*self.by_id.get(&id)?));
        let by_external_id = || self.at(&self.by_external_id, draft.external_id.as_deref());
        let by_login = || {
            let nameless = record.id.is_none() && draft.external_id.is_none();
            let of =
                |places, login: Option<&str>| forms(login?).into_iter().find_map(|form| self.at(places, Some(&form)));
            let found = of(&self.by_email, draft.email.as_deref());
            let found = found.or_else(|| of(&self.by_username, draft.username.as_deref()));
            found.filter(|_| nameless)
        };
        by_id.or_else(by_external_id).or_else(by_login).cloned()
    }
}

/// Returns the keys that a login may have, the former ones first: if the logins of two users have become one, each is identified
/// by its own.
fn forms(login: &str) -> [String; 3] {
    let [username, email] = text::former_logins(login);
    [username, email, text::canonical_login(login)]
}

/// Returns the password of a record, or the reason why its hash cannot be used.
fn read_password(hash: Option<&str>) -> (Option<Imported>, Option<String>) {
    match hash.map(password::read_imported) {
        None => (None, None),
        Some(Ok(password)) => (password, None),
        Some(Err(fault)) => (None, Some(format!("passwordHash: {fault}"))),
    }
}

/// Returns whether both databases can store an instant: PostgreSQL rejects years of five digits, and SQLite would sort them
/// wrongly.
fn is_storable(instant: DateTime<Utc>) -> bool {
    (1900..=9999).contains(&instant.year())
}
