//! Which people, as input: `UserFilter`.

use async_graphql::{InputObject, Json, MaybeUndefined};
use serde_json::Value;

use crate::entity::invitation::InvitationState;
use crate::entity::user::{Gender, Role, UserType};
use crate::filter::{DateFilter, DateTimeFilter, IdFilter, StringFilter};

/// Which people: those who meet everything that is said. At most 5 filters deep, 100 filters and 50 comparisons in all.
#[derive(Clone, Debug, Default, InputObject)]
pub struct UserFilter {
    /// All of these hold; at most 100.
    pub and: Option<Vec<UserFilter>>,
    /// At least one of these holds; at most 100, and of none nobody.
    pub or: Option<Vec<UserFilter>>,
    /// This does not hold. What is not known holds not.
    pub not: Option<Box<UserFilter>>,
    /// The person's id.
    pub id: Option<IdFilter>,
    /// The username.
    pub username: Option<StringFilter>,
    /// The e-mail address, its domain in the form that DNS has of it: `xn--mnchen-3ya.example` for `münchen.example`.
    pub email: Option<StringFilter>,
    /// The legal (certified) mail address, compared as the other one.
    pub certified_email: Option<StringFilter>,
    /// The first name or names.
    pub first_name: Option<StringFilter>,
    /// The last name or names.
    pub last_name: Option<StringFilter>,
    /// What the person is called by others.
    pub nickname: Option<StringFilter>,
    /// The position held.
    pub position: Option<StringFilter>,
    /// A telephone number. Of its letters only A to Z are compared whatever their case.
    pub phone: Option<StringFilter>,
    /// A mobile telephone number, compared as the other one. Private: administrators only.
    pub mobile: Option<StringFilter>,
    /// The id in another system. Of its letters only A to Z are compared whatever their case. Private: administrators only.
    pub external_id: Option<StringFilter>,
    /// The ORCID iD, as it was given.
    pub orcid_id: Option<StringFilter>,
    /// The own web page. Of its letters only A to Z are compared whatever their case.
    pub website: Option<StringFilter>,
    /// Whether the person can sign in. Inactive people are listed only with `includeInactive`.
    pub is_active: Option<bool>,
    /// Whether the person is staff.
    pub is_staff: Option<bool>,
    /// Whether the account has been taken into use.
    pub has_activated: Option<bool>,
    /// How the mail stands by which the account is to be taken into use: one of these; at most 100. Administrators only.
    pub invitation: Option<Vec<InvitationState>>,
    /// One of these roles; at most 100.
    pub role: Option<Vec<Role>>,
    /// One of these kinds of work; at most 100.
    pub user_type: Option<Vec<UserType>>,
    /// One of these genders; at most 100.
    pub gender: Option<Vec<Gender>>,
    /// The date of birth. Private: administrators only.
    pub birth_date: Option<DateFilter>,
    /// When the person was entered into the directory.
    pub date_joined: Option<DateTimeFilter>,
    /// When anything of the person last changed.
    pub modified_at: Option<DateTimeFilter>,
    /// When the person last signed in. Private: administrators only.
    pub last_login: Option<DateTimeFilter>,
    /// The institution that the person belongs to.
    pub institution: Option<IdFilter>,
    /// A group that the person belongs to.
    pub group: Option<IdFilter>,
    /// A site, which is an institution, whose data the person may access.
    pub site: Option<IdFilter>,
    /// The value of a custom attribute of the viewer's license. Administrators only.
    pub attribute: Option<AttributeFilter>,
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
            rest.extend(filter.and.iter().chain(&filter.or).flatten().take(MOST_FILTERS));
            rest.extend(filter.not.as_deref());
        }
        false
    }

    /// Whether it asks, at any depth, for a custom attribute.
    #[must_use]
    pub fn names_attribute(&self) -> bool {
        let joined = self.and.iter().chain(&self.or).flatten();
        self.attribute.is_some() || joined.chain(self.not.as_deref()).any(Self::names_attribute)
    }
}
