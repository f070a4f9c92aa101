//! Input of user filters: `UserFilter`.

use async_graphql::{InputObject, MaybeUndefined};

use crate::entity::invitation::InvitationState;
use crate::entity::user::{AdminRightsFilter, Column, Gender, Role, UserType};
use crate::graphql::filter::{DateFilter, DateTimeFilter, IdFilter, StringFilter};
use crate::scalar::Json;

/// A filter for users. A user must match every field that is set. Null is an error. Filters can be nested at most 5
/// levels deep, with at most 100 filters and 50 comparisons in total.
#[derive(Clone, Debug, Default, InputObject)]
pub struct UserFilter {
    /// Filters that must all match. At most 100. An empty list matches every user.
    pub and: MaybeUndefined<Vec<UserFilter>>,
    /// Filters of which at least one must match. At most 100. An empty list matches no user.
    pub or: MaybeUndefined<Vec<UserFilter>>,
    /// A filter that must not match. A comparison other than `isNull` never matches a user without a value, so `not`
    /// includes such users.
    pub not: MaybeUndefined<Box<UserFilter>>,
    /// The user's ID.
    pub id: MaybeUndefined<IdFilter>,
    /// The user's username.
    pub username: MaybeUndefined<StringFilter>,
    /// The user's email address. Its domain is compared in its DNS form, `xn--mnchen-3ya.example` for
    /// `münchen.example`, unless `caseSensitive` is set. `contains`, `startsWith` and `endsWith` need this form.
    pub email: MaybeUndefined<StringFilter>,
    /// The user's certified (legal) email address, compared in the same way as `email`.
    pub certified_email: MaybeUndefined<StringFilter>,
    /// The user's first name or names.
    pub first_name: MaybeUndefined<StringFilter>,
    /// The user's last name or names.
    pub last_name: MaybeUndefined<StringFilter>,
    /// The user's nickname.
    pub nickname: MaybeUndefined<StringFilter>,
    /// The user's position.
    pub position: MaybeUndefined<StringFilter>,
    /// The user's phone number. Case is ignored only for the letters A to Z.
    pub phone: MaybeUndefined<StringFilter>,
    /// The user's mobile phone number, compared in the same way as `phone`. Private: administrators only.
    pub mobile: MaybeUndefined<StringFilter>,
    /// The user's ID in another system. Case is ignored only for the letters A to Z. Private: administrators only.
    pub external_id: MaybeUndefined<StringFilter>,
    /// The user's ID in another system, with its source, in the viewer's license. Private: administrators only.
    pub external_reference: MaybeUndefined<ExternalReferenceFilter>,
    /// The user's ORCID iD, as it was given.
    pub orcid_id: MaybeUndefined<StringFilter>,
    /// The URL of the user's website. Case is ignored only for the letters A to Z.
    pub website: MaybeUndefined<StringFilter>,
    /// Whether the user can sign in. Inactive users are listed only with `includeInactive`.
    pub is_active: MaybeUndefined<bool>,
    /// Whether the user is staff.
    pub is_staff: MaybeUndefined<bool>,
    /// Whether the user's account has been activated.
    pub has_activated: MaybeUndefined<bool>,
    /// The states of the invitation to include. At most 100. An empty list matches no user. A user without an invitation
    /// matches `NOT_INVITED` or no state at all. Administrators only.
    pub invitation: MaybeUndefined<Vec<InvitationState>>,
    /// The user's administrator rights, in addition to their role. Administrators only.
    pub admin_rights: MaybeUndefined<AdminRightsFilter>,
    /// The roles to include. At most 100. An empty list matches no user.
    pub role: MaybeUndefined<Vec<Role>>,
    /// The kinds of work to include. At most 100. An empty list matches no user.
    pub user_type: MaybeUndefined<Vec<UserType>>,
    /// The genders to include. At most 100. An empty list matches no user.
    pub gender: MaybeUndefined<Vec<Gender>>,
    /// The user's date of birth. Private: administrators only.
    pub birth_date: MaybeUndefined<DateFilter>,
    /// The date and time when the user joined the directory.
    pub date_joined: MaybeUndefined<DateTimeFilter>,
    /// The date and time of the last change to a field or attribute of the user.
    pub modified_at: MaybeUndefined<DateTimeFilter>,
    /// The date and time of the user's last sign-in. Private: administrators only.
    pub last_login: MaybeUndefined<DateTimeFilter>,
    /// The institution that the user belongs to.
    pub institution: MaybeUndefined<IdFilter>,
    /// A group that the user belongs to.
    pub group: MaybeUndefined<IdFilter>,
    /// A site (an institution) whose data the user can access.
    pub site: MaybeUndefined<IdFilter>,
    /// The value of a custom attribute of the viewer's license. Administrators only.
    pub attribute: MaybeUndefined<AttributeFilter>,
}

/// A filter for users by their IDs in another system.
#[derive(Clone, Debug, InputObject)]
pub struct ExternalReferenceFilter {
    /// The name of the other system.
    pub source: String,
    /// The user's ID in that system. By default, users with any ID in it match.
    pub id: MaybeUndefined<String>,
}

/// A filter for users by the value of a custom attribute.
#[derive(Clone, Debug, InputObject)]
pub struct AttributeFilter {
    /// The name of the attribute, as listed by `attributeDefinitions`.
    pub name: String,
    /// The value to match, of the attribute's kind. Strings are compared ignoring case and accents. Null matches users
    /// without a value. Cannot be omitted.
    pub value: MaybeUndefined<Json>,
}

/// The maximum number of filters that a filter consists of, itself included.
const MAX_FILTERS: usize = 100;

impl UserFilter {
    /// Returns whether the filter consists of too many filters to be compiled.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        let mut rest = vec![self];
        let mut seen = 0;
        while let Some(filter) = rest.pop() {
            seen += 1;
            if seen + rest.len() > MAX_FILTERS {
                return true;
            }
            rest.extend(filter.inside().take(MAX_FILTERS));
        }
        false
    }

    /// Returns whether the filter compares a custom attribute, at any depth.
    #[must_use]
    pub fn names_attribute(&self) -> bool {
        self.attribute.value().is_some() || self.inside().any(Self::names_attribute)
    }

    /// Returns the filters of texts, each with its column.
    #[must_use]
    pub fn texts(&self) -> [(Column, &MaybeUndefined<StringFilter>); 12] {
        [
            (Column::Username, &self.username),
            (Column::Email, &self.email),
            (Column::CertifiedEmail, &self.certified_email),
            (Column::FirstName, &self.first_name),
            (Column::LastName, &self.last_name),
            (Column::Nickname, &self.nickname),
            (Column::Position, &self.position),
            (Column::Phone, &self.phone),
            (Column::Mobile, &self.mobile),
            (Column::ExternalId, &self.external_id),
            (Column::OrcidId, &self.orcid_id),
            (Column::Website, &self.website),
        ]
    }

    /// Returns whether the filter looks for parts of texts that the search index has, at any depth.
    #[must_use]
    pub fn looks_for_parts(&self) -> bool {
        let has_part = |filter: &StringFilter| filter.contains.is_value() || filter.ends_with.is_value();
        let mut searched = self.texts().into_iter().filter(|(column, _)| column.is_searched());
        searched.any(|(_, given)| given.value().is_some_and(has_part)) || self.inside().any(Self::looks_for_parts)
    }

    /// Returns the filters directly inside this one.
    fn inside(&self) -> impl Iterator<Item = &Self> {
        let joined = [&self.and, &self.or].into_iter().filter_map(MaybeUndefined::value).flatten();
        joined.chain(self.not.value().map(AsRef::as_ref))
    }
}
