//! Which people, as input: `UserFilter`.

use async_graphql::{InputObject, Json, MaybeUndefined};
use serde_json::Value;

use crate::entity::invitation::InvitationState;
use crate::entity::user::{Gender, Role, UserType};
use crate::graphql::filter::{DateFilter, DateTimeFilter, IdFilter, StringFilter};

/// Which people: those who meet everything that is said. At most 5 filters deep, 100 filters and 50 comparisons in all. A
/// field that is null is an error.
#[derive(Clone, Debug, Default, InputObject)]
pub struct UserFilter {
    /// All of these hold; at most 100.
    pub and: MaybeUndefined<Vec<UserFilter>>,
    /// At least one of these holds; at most 100, and of none nobody.
    pub or: MaybeUndefined<Vec<UserFilter>>,
    /// This does not hold. What is not known holds not.
    pub not: MaybeUndefined<Box<UserFilter>>,
    /// The person's id.
    pub id: MaybeUndefined<IdFilter>,
    /// The username.
    pub username: MaybeUndefined<StringFilter>,
    /// The e-mail address, its domain in the form that DNS has of it: `xn--mnchen-3ya.example` for `münchen.example`.
    pub email: MaybeUndefined<StringFilter>,
    /// The legal (certified) mail address, compared as the other one.
    pub certified_email: MaybeUndefined<StringFilter>,
    /// The first name or names.
    pub first_name: MaybeUndefined<StringFilter>,
    /// The last name or names.
    pub last_name: MaybeUndefined<StringFilter>,
    /// What the person is called by others.
    pub nickname: MaybeUndefined<StringFilter>,
    /// The position held.
    pub position: MaybeUndefined<StringFilter>,
    /// A telephone number. Of its letters only A to Z are compared whatever their case.
    pub phone: MaybeUndefined<StringFilter>,
    /// A mobile telephone number, compared as the other one. Private: administrators only.
    pub mobile: MaybeUndefined<StringFilter>,
    /// The id in another system. Of its letters only A to Z are compared whatever their case. Private: administrators only.
    pub external_id: MaybeUndefined<StringFilter>,
    /// The ORCID iD, as it was given.
    pub orcid_id: MaybeUndefined<StringFilter>,
    /// The own web page. Of its letters only A to Z are compared whatever their case.
    pub website: MaybeUndefined<StringFilter>,
    /// Whether the person can sign in. Inactive people are listed only with `includeInactive`.
    pub is_active: MaybeUndefined<bool>,
    /// Whether the person is staff.
    pub is_staff: MaybeUndefined<bool>,
    /// Whether the account has been taken into use.
    pub has_activated: MaybeUndefined<bool>,
    /// How the mail stands by which the account is to be taken into use: one of these; at most 100. Administrators only.
    pub invitation: MaybeUndefined<Vec<InvitationState>>,
    /// One of these roles; at most 100.
    pub role: MaybeUndefined<Vec<Role>>,
    /// One of these kinds of work; at most 100.
    pub user_type: MaybeUndefined<Vec<UserType>>,
    /// One of these genders; at most 100.
    pub gender: MaybeUndefined<Vec<Gender>>,
    /// The date of birth. Private: administrators only.
    pub birth_date: MaybeUndefined<DateFilter>,
    /// When the person was entered into the directory.
    pub date_joined: MaybeUndefined<DateTimeFilter>,
    /// When anything of the person last changed.
    pub modified_at: MaybeUndefined<DateTimeFilter>,
    /// When the person last signed in. Private: administrators only.
    pub last_login: MaybeUndefined<DateTimeFilter>,
    /// The institution that the person belongs to.
    pub institution: MaybeUndefined<IdFilter>,
    /// A group that the person belongs to.
    pub group: MaybeUndefined<IdFilter>,
    /// A site, which is an institution, whose data the person may access.
    pub site: MaybeUndefined<IdFilter>,
    /// The value of a custom attribute of the viewer's license. Administrators only.
    pub attribute: MaybeUndefined<AttributeFilter>,
}

/// Compares the value of a custom attribute.
#[derive(Clone, Debug, InputObject)]
pub struct AttributeFilter {
    /// The name of the attribute, as `attributeDefinitions` has it.
    pub name: String,
    /// It is this: texts whatever their case and accents. With null, there is none.
    pub value: MaybeUndefined<Json<Value>>,
}

/// How many filters one is made of at most, itself included.
const MOST_FILTERS: usize = 100;

impl UserFilter {
    /// Whether it is made of too many filters to be looked through.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        let mut rest = vec![self];
        let mut seen = 0;
        while let Some(filter) = rest.pop() {
            seen += 1;
            if seen + rest.len() > MOST_FILTERS {
                return true;
            }
            rest.extend(filter.inside().take(MOST_FILTERS));
        }
        false
    }

    /// Whether it asks, at any depth, for a custom attribute.
    #[must_use]
    pub fn names_attribute(&self) -> bool {
        self.attribute.value().is_some() || self.inside().any(Self::names_attribute)
    }

    /// The filters in it.
    fn inside(&self) -> impl Iterator<Item = &Self> {
        let joined = [&self.and, &self.or].into_iter().filter_map(MaybeUndefined::value).flatten();
        joined.chain(self.not.value().map(AsRef::as_ref))
    }
}
