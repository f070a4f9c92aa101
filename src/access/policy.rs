//! The table of rights: what can be asked for, and how far it reaches for whom.

#[cfg(doc)]
use super::Viewer;
use crate::error::Error;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sign in.
    SignIn,
    /// See who is asking.
    SeeViewer,
    /// End the session that asks; change one's own password and PIN.
    UseOwnAccount,
    /// End sessions of a person, and forget devices.
    EndSessions,
    /// Look at people, groups, institutions and the license.
    ReadDirectory,
    /// List inactive people too, and find them.
    ListInactive,
    /// See private fields of a person.
    SeePrivate,
    /// See what rights a person has.
    SeeAdminRights,
    /// See the sessions of a person.
    SeeSessions,
    /// Look people up, filter and sort them by what is private.
    FilterPrivate,
    /// Enter people.
    CreateUser,
    /// Change people; which fields is for [`Viewer::may_update`] to say.
    UpdateUser,
    /// Activate and deactivate people.
    SetActive,
    /// Erase people.
    DeleteUser,
    /// Let people sign in again who were locked out.
    UnlockUser,
    /// Send people the link once more by which they take the account into use.
    Invite,
    /// See how the mail stands by which people are to take the account into use, and find them by it.
    SeeInvitations,
    /// Make groups.
    CreateGroup,
    /// Change who belongs to a group; which group is for [`Viewer::may_change_members`] to say.
    ChangeMembers,
    /// Rename and delete groups; which group is for [`Viewer::may_change_group`] to say.
    ChangeGroup,
    /// Enter institutions; with access to which sites is for [`Viewer::may`] to say.
    CreateInstitution,
    /// Change and delete institutions; which one is for [`Viewer::may_change_institution`] to say.
    ChangeInstitution,
    /// Let people at the data of institutions, and not any more; of which one is for [`Viewer::may_change_sites`] to say.
    ChangeSites,
    /// Define custom attributes; of administrators only who has that right, for [`Viewer::may`] to say.
    DefineAttributes,
    /// See, make and revoke API keys.
    UseApiKeys,
    /// Read the audit trail.
    ReadAudit,
}

/// How far an action reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To nothing: it is refused.
    Nothing,
    /// To the viewer himself, and what is his.
    Own,
    /// To the viewer's license, but to nobody above the viewer's own rank.
    Rank,
    /// To the viewer's license.
    License,
    /// To everything.
    All,
}

/// The table of rights: for each action how far it reaches for an anonymous caller, a user, an administrator, a license
/// administrator and a superuser.
#[must_use]
#[expect(clippy::match_same_arms, reason = "each action has a line of its own")]
#[rustfmt::skip]
pub const fn reach(action: Action) -> [Scope; 5] {
    use Scope::{All, License, Nothing, Own, Rank};
    match action {
        //                            anonymous user     ADMIN    LIC.ADMIN superuser
        Action::SignIn            => [All,      All,     All,     All,     All],
        Action::SeeViewer         => [All,      All,     All,     All,     All],
        Action::UseOwnAccount     => [Nothing,  Own,     Own,     Own,     Own],
        Action::EndSessions       => [Nothing,  Own,     Rank,    Rank,    All],
        Action::ReadDirectory     => [Nothing,  License, License, License, All],
        Action::ListInactive      => [Nothing,  Nothing, License, License, All],
        Action::SeePrivate        => [Nothing,  Own,     License, License, All],
        Action::SeeAdminRights    => [Nothing,  Nothing, License, License, All],
        Action::SeeSessions       => [Nothing,  Own,     License, License, All],
        Action::FilterPrivate     => [Nothing,  Nothing, License, License, All],
        Action::CreateUser        => [Nothing,  Nothing, Rank,    Rank,    All],
        Action::UpdateUser        => [Nothing,  Own,     Rank,    Rank,    All],
        Action::SetActive         => [Nothing,  Nothing, Rank,    Rank,    All],
        Action::DeleteUser        => [Nothing,  Nothing, Rank,    Rank,    All],
        Action::UnlockUser        => [Nothing,  Nothing, Rank,    Rank,    All],
        Action::Invite            => [Nothing,  Nothing, Rank,    Rank,    All],
        Action::SeeInvitations    => [Nothing,  Nothing, License, License, All],
        Action::CreateGroup       => [Nothing,  License, License, License, License],
        Action::ChangeMembers     => [Nothing,  Own,     License, License, All],
        Action::ChangeGroup       => [Nothing,  Own,     License, License, All],
        Action::CreateInstitution => [Nothing,  Nothing, License, License, License],
        Action::ChangeInstitution => [Nothing,  Nothing, License, License, All],
        Action::ChangeSites       => [Nothing,  Nothing, Rank,    License, All],
        Action::DefineAttributes  => [Nothing,  Nothing, License, License, License],
        Action::UseApiKeys        => [Nothing,  Nothing, Own,     License, All],
        Action::ReadAudit         => [Nothing,  Own,     License, License, All],
    }
}

/// The action behind each root field. A root field that is not here keeps the server from starting.
pub const ROOT_FIELDS: &[(&str, Action)] = &[
    ("viewer", Action::SeeViewer),
    ("node", Action::ReadDirectory),
    ("nodes", Action::ReadDirectory),
    ("user", Action::ReadDirectory),
    ("users", Action::ReadDirectory),
    ("searchUsers", Action::ReadDirectory),
    ("resolveUsers", Action::ReadDirectory),
    ("group", Action::ReadDirectory),
    ("groups", Action::ReadDirectory),
    ("institution", Action::ReadDirectory),
    ("institutions", Action::ReadDirectory),
    ("license", Action::ReadDirectory),
    ("attributeDefinitions", Action::ReadDirectory),
    ("apiKeys", Action::UseApiKeys),
    ("auditEvents", Action::ReadAudit),
    ("login", Action::SignIn),
    ("activateAccount", Action::SignIn),
    ("requestPasswordReset", Action::SignIn),
    ("resetPassword", Action::SignIn),
    ("confirmEmailChange", Action::SignIn),
    ("registerUser", Action::SignIn),
    ("logout", Action::UseOwnAccount),
    ("changePassword", Action::UseOwnAccount),
    ("setPin", Action::UseOwnAccount),
    ("requestEmailChange", Action::UseOwnAccount),
    ("endSessions", Action::EndSessions),
    ("forgetDevice", Action::EndSessions),
    ("unlockUser", Action::UnlockUser),
    ("createUser", Action::CreateUser),
    ("resendActivation", Action::Invite),
    ("updateUser", Action::UpdateUser),
    ("setUserAvatar", Action::UpdateUser),
    ("setActive", Action::SetActive),
    ("deleteUser", Action::DeleteUser),
    ("createGroup", Action::CreateGroup),
    ("updateGroup", Action::ChangeGroup),
    ("deleteGroup", Action::ChangeGroup),
    ("setGroupMember", Action::ChangeMembers),
    ("removeGroupMember", Action::ChangeMembers),
    ("createInstitution", Action::CreateInstitution),
    ("updateInstitution", Action::ChangeInstitution),
    ("deleteInstitution", Action::ChangeInstitution),
    ("grantSiteAccess", Action::ChangeSites),
    ("revokeSiteAccess", Action::ChangeSites),
    ("defineAttribute", Action::DefineAttributes),
    ("removeAttribute", Action::DefineAttributes),
    ("createApiKey", Action::UseApiKeys),
    ("revokeApiKey", Action::UseApiKeys),
];

/// What everybody may change of himself, beside the custom attributes whose definition says so.
pub const OWN_FIELDS: [&str; 13] = [
    "firstName",
    "lastName",
    "nickname",
    "position",
    "phone",
    "mobile",
    "birthDate",
    "gender",
    "website",
    "googleScholar",
    "orcidId",
    "atlasPreference",
    "certifiedEmail",
];

/// The action behind a root field.
///
/// # Errors
/// `Internal` for a field that has no rule; the server does not start with one.
pub fn action_of(root_field: &str) -> Result<Action, Error> {
    let rule = ROOT_FIELDS.iter().find(|(field, _)| *field == root_field);
    rule.map(|(_, action)| *action).ok_or_else(|| Error::internal(format!("{root_field} has no access rule")))
}
