//! Unique values of users in an import: who else has them.

use super::Channel;
use super::existing::ExistingRows;
use super::importer::Importer;
use super::origin::Fault;
use super::place::Place;
use super::record::UserRecord;
use super::seen::Claim;
use crate::access::is_same_license;
use crate::entity::{external_reference, user};
use crate::error::ErrorCode;
use crate::scalar::Id;
use crate::validation::Validator;

/// Returns the key by which a login of a user is compared.
type KeyOf = fn(&user::Model) -> Option<&str>;

impl Importer<'_> {
    /// Adds an error for each unique value that another user has.
    pub(super) fn collect_conflicts(
        &mut self,
        row: &mut user::Model,
        old: Option<&user::Model>,
        place: Place,
        existing: &ExistingRows,
        validator: &mut Validator,
    ) {
        let claim = Claim { user_id: row.id, place, chunk: self.chunk };
        let logins: [(&str, &str, KeyOf); 2] = [
            ("email", "email address", |user| user.email_key.as_deref()),
            ("username", "username", |user| user.username_key.as_deref()),
        ];
        for (field, name, key) in logins {
            let changed = key(row).filter(|_| old.is_none_or(|old| key(old) != key(row)));
            let holder = changed.and_then(|key| existing.logins.get(key)).filter(|holder| **holder != row.id);
            let earlier = self.seen.claim_login(changed, claim);
            let holder = holder.map(|id| self.describe(*id, existing));
            if let Some(holder) = holder.or_else(|| self.describe_row(earlier)) {
                let message = format!("This {name} is taken by {holder}.");
                if self.leave_out_login(field, row, old) {
                    self.left_out.push(Fault::new(field, message));
                } else {
                    validator.add_error(field, ErrorCode::Taken, message);
                }
            }
        }
        let holder = existing.with_external_id(row.external_id.as_deref()).filter(|holder| holder.id != row.id);
        let earlier = self.seen.claim_external_id(row, claim);
        let holder = holder.map(|user| self.describe(user.id, existing));
        if let Some(holder) = holder.or_else(|| self.describe_row(earlier)) {
            validator.add_error("externalId", ErrorCode::Taken, format!("This external ID is taken by {holder}."));
        }
        for reference in external_reference::list(row.external_references.as_ref()) {
            let holder = existing.with_reference(&reference).filter(|holder| holder.id != row.id);
            let earlier = self.seen.claim_reference(&reference, claim);
            let holder = holder.map(|user| self.describe(user.id, existing));
            if let Some(holder) = holder.or_else(|| self.describe_row(earlier)) {
                let message = format!("The reference {} is taken by {holder}.", reference.text());
                validator.add_error(external_reference::FIELD, ErrorCode::Taken, message);
            }
        }
    }

    /// Describes the holder of a value. Of users in other licenses nothing is told.
    fn describe(&self, id: Id, existing: &ExistingRows) -> String {
        match existing.with_id(id) {
            Some(user) if !is_same_license(user.license_id, self.license_id) => "a user of another license".to_owned(),
            Some(user) => format!("{} {} ({})", user.first_name, user.last_name, user.id.0),
            // A request must not learn the ids of users in other licenses.
            None if self.options.channel == Channel::Request => "another user".to_owned(),
            None => format!("the user {}", id.0),
        }
    }

    fn describe_row(&self, place: Option<Place>) -> Option<String> {
        place.map(|place| self.options.channel.name_of_row(place, &self.options.files))
    }
}

/// Rejects a record that an external ID assigns to another person: if its username and its email address are both other ones, the id
/// is probably that of another system.
pub(super) fn check_identity(
    record: &UserRecord,
    old: &user::Model,
    row: &user::Model,
    channel: Channel,
    validator: &mut Validator,
) {
    let is_by_id = record.id.is_some_and(|id| id == old.id);
    let differs = |old: Option<&str>, new: Option<&str>| old.zip(new).is_some_and(|(old, new)| old != new);
    let username = differs(old.username_key.as_deref(), row.username_key.as_deref());
    let email = differs(old.email_key.as_deref(), row.email_key.as_deref());
    if !is_by_id && username && email {
        let advice = match channel {
            Channel::File => "If the ids are those of another system, name it with --source.",
            Channel::Request => "If it is the same user, change one of them with `updateUser` first.",
        };
        let message = format!(
            "This external ID belongs to {} {} ({}), whose username and email address are both different. {advice}",
            old.first_name, old.last_name, old.id.0
        );
        let has_external_id = record.fields.external_id.is_value();
        let field = if has_external_id { "externalId" } else { external_reference::FIELD };
        validator.add_error(field, ErrorCode::NotAllowed, message);
    }
}
