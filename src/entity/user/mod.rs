//! Users: the columns, the input fields and their rules. `docs/adding-a-field.md` says what else a new field needs: its privacy,
//! and more if it is an enum, unique, a reference, searched, or an administrator right.

mod derived;
mod kinds;
mod names;
mod privacy;
mod rights;

use async_graphql::{InputObject, MaybeUndefined, SimpleObject};
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::Deserialize;

pub use self::derived::{SEARCH_LINES, SEARCHED_COLUMNS};
pub use self::kinds::{Gender, Role, UserType};
pub use self::names::UserNames;
pub use self::privacy::Privacy;
pub use self::rights::{AdminRights, AdminRightsFilter, AdminRightsInput, RANK_COLUMNS, RIGHTS};
use super::external_reference::{self, ExternalReferenceInput, StoredReferences};
use crate::scalar::{Date, DateText, Id, Instant, Url, now};
use crate::validation::{Validator, rule};

/// A user in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "users")]
#[graphql(name = "User", complex)]
pub struct Model {
    /// The user's ID, a UUID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    #[graphql(skip)]
    pub license_id: Id,
    /// The user's username, which can be used to sign in. It consists of letters, digits and `. @ + - _`. Unique among all
    /// usernames and email addresses, ignoring case.
    pub username: Option<String>,
    #[graphql(skip)]
    pub username_key: Option<String>,
    /// The user's email address, which can also be used to sign in. Unique among all usernames and email addresses, ignoring
    /// case.
    pub email: Option<String>,
    #[graphql(skip)]
    pub email_key: Option<String>,
    /// Whether the user has verified their current email address by using a link that was sent to it.
    pub email_verified: bool,
    /// The user's first name or names.
    pub first_name: String,
    #[graphql(skip)]
    pub first_name_key: String,
    /// The user's last name or names.
    pub last_name: String,
    #[graphql(skip)]
    pub last_name_key: String,
    #[graphql(skip)]
    pub search_key: String,
    /// The user's nickname.
    pub nickname: Option<String>,
    #[graphql(skip)]
    pub nickname_key: Option<String>,
    /// The user's certified (legal) email address.
    pub certified_email: Option<String>,
    #[graphql(skip)]
    pub certified_email_key: Option<String>,
    /// The user's phone number.
    pub phone: Option<String>,
    #[graphql(skip)]
    pub mobile: Option<String>,
    /// The URL of the user's website.
    pub website: Option<Url>,
    #[graphql(skip)]
    pub birth_date: Option<Date>,
    /// The hash of the picture. `None` if the user has no picture. It is a column of this table so that the URL of the picture is
    /// known without reading the picture.
    #[graphql(skip)]
    pub avatar: Option<String>,
    /// The user's gender, as far as it is known.
    pub gender: Gender,
    /// The kind of work that the user does.
    pub user_type: UserType,
    /// The user's position, such as Doctor or Nurse.
    pub position: Option<String>,
    #[graphql(skip)]
    pub position_key: Option<String>,
    /// The URL of the user's Google Scholar page.
    pub google_scholar: Option<Url>,
    /// The user's ORCID iD, bare or as a URL, as it was given.
    pub orcid_id: Option<String>,
    /// The short name of the user's preferred brain atlas.
    pub atlas_preference: Option<String>,
    #[graphql(skip)]
    pub external_id: Option<String>,
    #[graphql(skip)]
    pub external_references: Option<StoredReferences>,
    #[graphql(skip)]
    pub institution_id: Option<Id>,
    /// The user's role in the directory.
    pub role: Role,
    #[graphql(skip)]
    pub role_key: i32,
    /// Whether the user is staff, which gives the rank of an administrator.
    pub is_staff: bool,
    /// Whether the user can sign in. Inactive users are kept, but hidden from users who are not administrators.
    pub is_active: bool,
    /// Whether the user's account has been activated: a password was set with a link or when the account was created.
    pub has_activated: bool,
    /// Whether the user has a PIN.
    pub has_pin: bool,
    /// Whether the user can access the data of every institution of the license. Always `true` for license
    /// administrators.
    pub full_site_access: bool,
    #[graphql(skip)]
    pub is_superuser: bool,
    #[graphql(skip)]
    pub is_admin: bool,
    #[graphql(skip)]
    pub is_project_admin: bool,
    #[graphql(skip)]
    pub is_group_admin: bool,
    #[graphql(skip)]
    pub is_taxonomies_admin: bool,
    #[graphql(skip)]
    pub is_resources_admin: bool,
    #[graphql(skip)]
    pub is_attributes_admin: bool,
    #[graphql(skip)]
    pub is_contact_form_email_receiver: bool,
    /// The date and time when the user joined the directory.
    #[graphql(skip, derived(name = "date_joined", into = "Instant", owned))]
    pub date_joined: DateTime<Utc>,
    /// The date and time of the last change to a field or attribute of the user. Sign-ins and changes to groups and
    /// sites do not count.
    #[graphql(skip, derived(name = "modified_at", into = "Instant", owned))]
    pub modified_at: DateTime<Utc>,
    #[graphql(skip)]
    pub last_login: Option<DateTime<Utc>>,
    /// The user's version, which increases with every change to a field or attribute. Sign-ins and changes to groups
    /// and sites do not count.
    pub version: i32,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::license::Entity", from = "Column::LicenseId", to = "super::license::Column::Id")]
    License,
}

impl ActiveModelBehavior for ActiveModel {}

/// The fields of a user in an input, besides the names.
#[derive(Clone, Debug, Default, InputObject, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UserFields {
    /// The username, used to sign in. At most 30 characters: letters, digits and `. @ + - _`. Unique among the usernames and
    /// email addresses of all licenses, ignoring case (`TAKEN` otherwise). A user must have a username or an email address.
    pub username: MaybeUndefined<String>,
    /// The user's email address. At most 250 characters. Unique among the usernames and email addresses of all licenses,
    /// ignoring case (`TAKEN` otherwise). A user must have a username or an email address.
    pub email: MaybeUndefined<String>,
    /// The user's nickname. At most 50 characters.
    pub nickname: MaybeUndefined<String>,
    /// The user's certified (legal) email address. At most 255 characters.
    pub certified_email: MaybeUndefined<String>,
    /// The user's phone number. At most 20 characters, at least one of which is a digit.
    pub phone: MaybeUndefined<String>,
    /// The user's mobile phone number. At most 20 characters, at least one of which is a digit. Visible only to the user
    /// and administrators.
    pub mobile: MaybeUndefined<String>,
    /// The user's date of birth, from 1900-01-01 to today. Visible only to the user and administrators.
    pub birth_date: MaybeUndefined<DateText>,
    /// The user's gender. Defaults to `UNKNOWN` for a new user.
    pub gender: MaybeUndefined<Gender>,
    /// The kind of work that the user does. Defaults to `STUDENT` for a new user.
    pub user_type: MaybeUndefined<UserType>,
    /// The user's position, such as Doctor or Nurse. At most 100 characters.
    pub position: MaybeUndefined<String>,
    /// The `http` or `https` URL of the user's website. At most 200 characters. Without a scheme, `http://` is added.
    pub website: MaybeUndefined<String>,
    /// The `http` or `https` URL of the user's Google Scholar page. At most 200 characters. Without a scheme, `http://`
    /// is added.
    pub google_scholar: MaybeUndefined<String>,
    /// The user's ORCID iD, bare or as a URL. At most 100 characters. Its checksum is verified.
    pub orcid_id: MaybeUndefined<String>,
    /// The short name of the user's preferred brain atlas. At most 7 characters.
    pub atlas_preference: MaybeUndefined<String>,
    /// The user's ID in another system. At most 250 characters. Unique within the license (`TAKEN` otherwise). Visible
    /// only to the user and administrators.
    pub external_id: MaybeUndefined<String>,
    /// The user's IDs in other systems, each with its source. At most 20, one for each source. Each is unique within
    /// the license (`TAKEN` otherwise). For an existing user, sources that are not listed keep their IDs, and an empty
    /// list removes all. Visible only to the user and administrators.
    pub external_references: MaybeUndefined<Vec<ExternalReferenceInput>>,
    /// The ID of the user's institution. The institution must belong to the same license as the user (`NOT_FOUND`
    /// otherwise).
    pub institution_id: MaybeUndefined<async_graphql::ID>,
    /// The user's role, which determines their rights in the directory. Defaults to `USER` for a new user.
    pub role: MaybeUndefined<Role>,
    /// Whether the user is staff, which gives the rank of an administrator. Defaults to `false` for a new user.
    pub is_staff: MaybeUndefined<bool>,
    /// Whether the user can access the data of every institution of the license. Defaults to `false` for a new user.
    /// Always `true` for license administrators. Other administrators can grant it only if they have it.
    pub full_site_access: MaybeUndefined<bool>,
    /// The user's administrator rights. License administrators can grant every right except `isSuperuser`. Other
    /// administrators can grant `isAdmin`, `isGroupAdmin` and the rights that they hold.
    pub admin_rights: MaybeUndefined<AdminRightsInput>,
}

impl Model {
    /// Returns a user of a license without names and with the default of every other field.
    #[must_use]
    pub fn empty(id: Id, license_id: Id) -> Self {
        let now = now();
        Self { id, license_id, is_active: true, date_joined: now, modified_at: now, version: 1, ..Self::default() }
    }

    /// Applies the given values to the row. Adds errors to `validator`.
    pub fn apply(&mut self, names: UserNames, fields: UserFields, validator: &mut Validator) {
        let before = self.clone();
        validator.required("firstName", names.first_name, &mut self.first_name, rule::text(50));
        validator.required("lastName", names.last_name, &mut self.last_name, rule::text(50));
        validator.text("username", fields.username, &mut self.username, rule::username);
        validator.text("email", fields.email, &mut self.email, rule::email(rule::MAX_EMAIL_LENGTH));
        validator.text("nickname", fields.nickname, &mut self.nickname, rule::text(50));
        validator.text("certifiedEmail", fields.certified_email, &mut self.certified_email, rule::email(255));
        validator.text("phone", fields.phone, &mut self.phone, rule::phone);
        validator.text("mobile", fields.mobile, &mut self.mobile, rule::phone);
        validator.optional("birthDate", fields.birth_date, &mut self.birth_date, |date| rule::birth_date(&date));
        validator.value("gender", fields.gender, &mut self.gender);
        validator.value("userType", fields.user_type, &mut self.user_type);
        validator.text("position", fields.position, &mut self.position, rule::text(100));
        validator.text("website", fields.website, &mut self.website, rule::web_address);
        validator.text("googleScholar", fields.google_scholar, &mut self.google_scholar, rule::web_address);
        validator.text("orcidId", fields.orcid_id, &mut self.orcid_id, rule::orcid);
        validator.text("atlasPreference", fields.atlas_preference, &mut self.atlas_preference, rule::text(7));
        validator.text("externalId", fields.external_id, &mut self.external_id, rule::text(250));
        external_reference::apply(fields.external_references, &mut self.external_references, validator);
        validator.optional("institutionId", fields.institution_id, &mut self.institution_id, |id| rule::id(&id));
        validator.value("role", fields.role, &mut self.role);
        // Site access that the former role included ends with that role.
        self.full_site_access &= !before.role.includes_every_site() || self.role.includes_every_site();
        validator.value("isStaff", fields.is_staff, &mut self.is_staff);
        validator.value("fullSiteAccess", fields.full_site_access, &mut self.full_site_access);
        self.apply_rights(fields.admin_rights, validator);
        self.update_derived_since(&before);
    }
}
