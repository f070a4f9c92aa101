//! Users: the columns, the viewers that may see each, the input fields and their rules. A new field is added here.

mod rights;

use async_graphql::{Enum, InputObject, MaybeUndefined, SimpleObject};
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{IdenStatic, Iterable};
use serde::Deserialize;

pub use self::rights::{AdminRights, AdminRightsInput};
use crate::error::ErrorCode;
use crate::scalar::{Date, DateText, Id, Url, now};
use crate::text;
use crate::validation::{Validator, rule};

/// A user's gender, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Gender {
    /// Male; `M` in MOST.
    Male,
    /// Female; `F` in MOST.
    Female,
    /// Unknown or not stated; `U` in MOST.
    Unknown,
}

/// The kind of work that a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UserType {
    /// Administrative staff; `AD` in MOST.
    Administrative,
    /// Technical staff; `TE` in MOST.
    Technician,
    /// Clinical staff; `CL` in MOST.
    Clinician,
    /// Students and all other users; `ST` in MOST.
    Student,
}

/// A role, which determines what a user may do in the directory of the license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Enum, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// An administrator of everything in the license.
    LicenseAdmin,
    /// An administrator of users, groups and sites, up to their own rank.
    Admin,
    /// A user who can see the directory and edit their own profile.
    User,
}

impl Role {
    /// Returns whether the role includes access to every site of the license.
    #[must_use]
    pub fn reaches_every_site(self) -> bool {
        self == Self::LicenseAdmin
    }

    /// Returns the position of the role in the order of roles. The lowest is 0.
    #[must_use]
    pub fn place(self) -> i32 {
        match self {
            Self::User => 0,
            Self::Admin => 1,
            Self::LicenseAdmin => 2,
        }
    }
}

/// A user in the directory.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
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
    /// Whether the user has shown that email sent to their address arrives.
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
    /// A telephone number.
    pub phone: Option<String>,
    #[graphql(skip)]
    pub mobile: Option<String>,
    /// The URL of the user's own web page.
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
    /// The short name of the brain atlas that the user prefers.
    pub atlas_preference: Option<String>,
    #[graphql(skip)]
    pub external_id: Option<String>,
    #[graphql(skip)]
    pub institution_id: Option<Id>,
    /// The user's role in the directory.
    pub role: Role,
    #[graphql(skip)]
    pub role_key: i32,
    /// Whether the user is staff, which gives the rank of an administrator.
    pub is_staff: bool,
    /// Whether the user can sign in. Inactive users are kept, but hidden.
    pub is_active: bool,
    /// Whether the user's account has been activated: a password was set by its activation link or when the account was
    /// created.
    pub has_activated: bool,
    /// Whether a PIN is set.
    pub has_pin: bool,
    /// Whether the user can access the data of every institution of the license. Always true for license administrators.
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
    pub date_joined: DateTime<Utc>,
    /// The date and time of the last change to a field or attribute of the user. Changes to groups and sites do not count.
    pub modified_at: DateTime<Utc>,
    #[graphql(skip)]
    pub last_login: Option<DateTime<Utc>>,
    /// The user's version, which increases with every change to a field or attribute. Changes to groups and sites do not count.
    pub version: i32,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::license::Entity", from = "Column::LicenseId", to = "super::license::Column::Id")]
    License,
}

impl ActiveModelBehavior for ActiveModel {}

/// The privacy of a column. [`crate::access`] decides which viewers a level includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Visible to every viewer that can see the user.
    Open,
    /// Visible to the user and to administrators.
    Private,
    /// Visible to administrators, as one of the administrator rights.
    Right,
    /// Visible to nobody: not a field, but a column by which users are found or sorted.
    Internal,
}

impl Column {
    #[must_use]
    pub const fn privacy(self) -> Privacy {
        match self {
            Self::Id
            | Self::Username
            | Self::Email
            | Self::EmailVerified
            | Self::FirstName
            | Self::LastName
            | Self::Nickname
            | Self::CertifiedEmail
            | Self::Phone
            | Self::Website
            | Self::Avatar
            | Self::Gender
            | Self::UserType
            | Self::Position
            | Self::GoogleScholar
            | Self::OrcidId
            | Self::AtlasPreference
            | Self::InstitutionId
            | Self::Role
            | Self::IsStaff
            | Self::IsActive
            | Self::HasActivated
            | Self::HasPin
            | Self::FullSiteAccess
            | Self::DateJoined
            | Self::ModifiedAt
            | Self::Version => Privacy::Open,
            Self::Mobile | Self::BirthDate | Self::ExternalId | Self::LastLogin => Privacy::Private,
            Self::IsSuperuser
            | Self::IsAdmin
            | Self::IsProjectAdmin
            | Self::IsGroupAdmin
            | Self::IsTaxonomiesAdmin
            | Self::IsResourcesAdmin
            | Self::IsAttributesAdmin
            | Self::IsContactFormEmailReceiver => Privacy::Right,
            Self::LicenseId
            | Self::UsernameKey
            | Self::EmailKey
            | Self::FirstNameKey
            | Self::LastNameKey
            | Self::SearchKey
            | Self::NicknameKey
            | Self::CertifiedEmailKey
            | Self::PositionKey
            | Self::RoleKey => Privacy::Internal,
        }
    }

    /// Returns the GraphQL field that shows the column, such as `birthDate` or `adminRights.isAdmin`.
    #[must_use]
    pub fn field(self) -> String {
        let name = text::camel(self.as_str());
        if self.privacy() == Privacy::Right { format!("adminRights.{name}") } else { name }
    }

    /// Returns the column that a GraphQL field shows. `None` if the field is not a column.
    #[must_use]
    pub fn of_field(field: &str) -> Option<Self> {
        Self::iter().find(|column| column.field() == field)
    }
}

/// The columns of [`AdminRights`].
pub const RIGHTS: [Column; 8] = [
    Column::IsSuperuser,
    Column::IsAdmin,
    Column::IsProjectAdmin,
    Column::IsGroupAdmin,
    Column::IsTaxonomiesAdmin,
    Column::IsResourcesAdmin,
    Column::IsAttributesAdmin,
    Column::IsContactFormEmailReceiver,
];

/// The columns that are searched for words.
pub const SEARCHED: [Column; 5] =
    [Column::Username, Column::FirstName, Column::LastName, Column::Email, Column::CertifiedEmail];

/// The column that each line of a search key is made of: the searched columns, then the first and last names in alternative
/// spellings, separated by tabs.
pub const SEARCH_LINES: [Column; 7] = [
    Column::Username,
    Column::FirstName,
    Column::LastName,
    Column::Email,
    Column::CertifiedEmail,
    Column::FirstName,
    Column::LastName,
];

/// The columns that determine a user's rank.
pub const OF_RANK: [Column; 4] = [Column::Role, Column::IsStaff, Column::IsSuperuser, Column::IsAdmin];

/// The first and last name in an input.
#[derive(Clone, Debug, Default)]
pub struct UserNames {
    pub first_name: MaybeUndefined<String>,
    pub last_name: MaybeUndefined<String>,
}

/// The fields of a user in an input, besides the names.
#[derive(Clone, Debug, Default, InputObject, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UserFields {
    /// The username, used to sign in. Letters, digits and `. @ + - _`. At most 30 characters. Unique among the usernames and
    /// email addresses of all licenses, ignoring case. `TAKEN` if it is another user's username or email address.
    pub username: MaybeUndefined<String>,
    /// The user's email address. At most 250 characters. Unique among the usernames and email addresses of all licenses,
    /// ignoring case. `TAKEN` if it is another user's username or email address. A user must have a username or an email
    /// address.
    pub email: MaybeUndefined<String>,
    /// The user's nickname. At most 50 characters.
    pub nickname: MaybeUndefined<String>,
    /// The user's legal (certified) email address. At most 255 characters.
    pub certified_email: MaybeUndefined<String>,
    /// The telephone number. At most 20 characters.
    pub phone: MaybeUndefined<String>,
    /// The user's mobile telephone number. At most 20 characters. Private.
    pub mobile: MaybeUndefined<String>,
    /// The user's date of birth, from 1900-01-01 to today. Private.
    pub birth_date: MaybeUndefined<DateText>,
    /// The user's gender. Defaults to `UNKNOWN` for a new user.
    pub gender: MaybeUndefined<Gender>,
    /// The user's type of work. Defaults to `STUDENT` for a new user.
    pub user_type: MaybeUndefined<UserType>,
    /// The user's position, such as Doctor or Nurse. At most 100 characters.
    pub position: MaybeUndefined<String>,
    /// The `http` or `https` URL of the user's website. At most 200 characters. `www.example.org` becomes
    /// `http://www.example.org`.
    pub website: MaybeUndefined<String>,
    /// The URL of the user's Google Scholar page. At most 200 characters.
    pub google_scholar: MaybeUndefined<String>,
    /// The user's ORCID iD, bare or as a URL. Its checksum is verified.
    pub orcid_id: MaybeUndefined<String>,
    /// The short name of the user's preferred brain atlas. At most 7 characters.
    pub atlas_preference: MaybeUndefined<String>,
    /// The user's ID in another system. At most 250 characters. Unique within the license. Private.
    pub external_id: MaybeUndefined<String>,
    /// The ID of the user's institution. The institution must belong to the same license as the user.
    pub institution_id: MaybeUndefined<async_graphql::ID>,
    /// The user's role, which determines their rights in the directory. Defaults to `USER` for a new user.
    pub role: MaybeUndefined<Role>,
    /// Whether the user is staff, which gives the rank of an administrator.
    pub is_staff: MaybeUndefined<bool>,
    /// Whether the user can access the data of every institution of the license.
    pub full_site_access: MaybeUndefined<bool>,
    /// The user's administrator rights. Administrators only.
    pub admin_rights: MaybeUndefined<AdminRightsInput>,
}

impl Model {
    /// Returns a user of a license without names and with the default of every other field.
    #[must_use]
    pub fn empty(id: Id, license_id: Id) -> Self {
        let now = now();
        Self {
            id,
            license_id,
            username: None,
            username_key: None,
            email: None,
            email_key: None,
            email_verified: false,
            first_name: String::new(),
            first_name_key: String::new(),
            last_name: String::new(),
            last_name_key: String::new(),
            search_key: String::new(),
            nickname: None,
            nickname_key: None,
            certified_email: None,
            certified_email_key: None,
            phone: None,
            mobile: None,
            website: None,
            birth_date: None,
            avatar: None,
            gender: Gender::Unknown,
            user_type: UserType::Student,
            position: None,
            position_key: None,
            google_scholar: None,
            orcid_id: None,
            atlas_preference: None,
            external_id: None,
            institution_id: None,
            role: Role::User,
            role_key: Role::User.place(),
            is_staff: false,
            is_active: true,
            has_activated: false,
            has_pin: false,
            full_site_access: false,
            is_superuser: false,
            is_admin: false,
            is_project_admin: false,
            is_group_admin: false,
            is_taxonomies_admin: false,
            is_resources_admin: false,
            is_attributes_admin: false,
            is_contact_form_email_receiver: false,
            date_joined: now,
            modified_at: now,
            last_login: None,
            version: 1,
        }
    }

    /// Returns a new user of a license, who must have an email address, from the given names and fields. Adds errors to `form`.
    pub fn addressed(
        license_id: Id,
        (first_name, last_name): (String, String),
        fields: UserFields,
        form: &mut Validator,
    ) -> Self {
        let mut new = Self::empty(Id::new(), license_id);
        let names =
            UserNames { first_name: MaybeUndefined::Value(first_name), last_name: MaybeUndefined::Value(last_name) };
        new.apply(names, fields, form);
        if new.email.is_none() && !form.has_fault_of("email") {
            form.fault("email", ErrorCode::Required, "This field is required.");
        }
        new
    }

    /// Applies the given values to the row. Adds errors to `form`.
    pub fn apply(&mut self, names: UserNames, fields: UserFields, form: &mut Validator) {
        let UserNames { first_name, last_name } = names;
        let UserFields {
            username,
            email,
            nickname,
            certified_email,
            phone,
            mobile,
            birth_date,
            gender,
            user_type,
            position,
            website,
            google_scholar,
            orcid_id,
            atlas_preference,
            external_id,
            institution_id,
            role,
            is_staff,
            full_site_access,
            admin_rights,
        } = fields;
        let before = self.clone();
        form.required("firstName", first_name, &mut self.first_name, rule::text(50));
        form.required("lastName", last_name, &mut self.last_name, rule::text(50));
        form.text("username", username, &mut self.username, rule::username);
        form.text("email", email, &mut self.email, rule::email(rule::MAX_EMAIL_LENGTH));
        form.text("nickname", nickname, &mut self.nickname, rule::text(50));
        form.text("certifiedEmail", certified_email, &mut self.certified_email, rule::email(255));
        form.text("phone", phone, &mut self.phone, rule::phone);
        form.text("mobile", mobile, &mut self.mobile, rule::phone);
        form.optional("birthDate", birth_date, &mut self.birth_date, |given| rule::birth_date(&given));
        form.value("gender", gender, &mut self.gender);
        form.value("userType", user_type, &mut self.user_type);
        form.text("position", position, &mut self.position, rule::text(100));
        form.text("website", website, &mut self.website, rule::web_address);
        form.text("googleScholar", google_scholar, &mut self.google_scholar, rule::web_address);
        form.text("orcidId", orcid_id, &mut self.orcid_id, rule::orcid);
        form.text("atlasPreference", atlas_preference, &mut self.atlas_preference, rule::text(7));
        form.text("externalId", external_id, &mut self.external_id, rule::text(250));
        form.optional("institutionId", institution_id, &mut self.institution_id, |id| rule::id(&id));
        // Site access that the former role included ends with that role.
        let came_with_role = self.role.reaches_every_site();
        form.value("role", role, &mut self.role);
        self.full_site_access &= !came_with_role || self.role.reaches_every_site();
        form.value("isStaff", is_staff, &mut self.is_staff);
        form.value("fullSiteAccess", full_site_access, &mut self.full_site_access);
        self.lay_rights_over(admin_rights, form);
        self.update_derived();
        self.keep_logins_of(&before);
    }

    /// Keeps the keys of logins that have not changed. The logins of two users may have become equal by a change in case folding;
    /// one of the two then has a former key.
    pub fn keep_logins_of(&mut self, before: &Self) {
        if self.username == before.username {
            self.username_key.clone_from(&before.username_key);
        }
        if self.email == before.email {
            self.email_key.clone_from(&before.email_key);
        }
    }

    /// Updates the derived columns: the keys by which values are compared, and the site access of a license administrator.
    pub fn update_derived(&mut self) {
        self.username_key = self.username.as_deref().map(text::canonical_login);
        self.email_key = self.email.as_deref().map(text::canonical_login);
        self.first_name_key = text::fold(&self.first_name);
        self.last_name_key = text::fold(&self.last_name);
        self.nickname_key = self.nickname.as_deref().map(text::fold);
        self.certified_email_key = self.certified_email.as_deref().map(text::canonical_email);
        self.position_key = self.position.as_deref().map(text::fold);
        self.role_key = self.role.place();
        self.search_key = self.searched_lines().join("\n");
        self.full_site_access |= self.role.reaches_every_site();
    }

    /// Returns the searched texts, folded: a line for each of [`SEARCH_LINES`], empty if there is no value.
    fn searched_lines(&self) -> [String; 7] {
        let folded = |text: Option<&str>| text.map(text::fold).unwrap_or_default();
        [
            folded(self.username.as_deref()),
            self.first_name_key.clone(),
            self.last_name_key.clone(),
            folded(self.email.as_deref()),
            folded(self.certified_email.as_deref()),
            text::spellings(&self.first_name).join("\t"),
            text::spellings_of_last(&self.first_name, &self.last_name).join("\t"),
        ]
    }

    /// The user's first and last name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }

    /// Returns the user's names and logins, of which a password must not be made.
    #[must_use]
    pub fn known_words(&self) -> Vec<&str> {
        let words =
            [Some(self.first_name.as_str()), Some(&self.last_name), self.username.as_deref(), self.email.as_deref()];
        words.into_iter().flatten().collect()
    }
}
