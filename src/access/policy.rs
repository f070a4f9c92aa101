//! Table of rights: the actions, and the scope of each for each rank.

#[cfg(doc)]
use super::Viewer;
use crate::error::Error;

/// An action that a viewer may or may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sign in.
    SignIn,
    /// See the viewer of the request.
    SeeViewer,
    /// End the session of the request; change the viewer's own password, PIN and email address.
    UseOwnAccount,
    /// End sessions of a user, and forget their devices.
    EndSessions,
    /// See users, groups, institutions and the license.
    ReadDirectory,
    /// List and look up inactive users too.
    ListInactive,
    /// See the private fields of a user.
    SeePrivate,
    /// See the administrator rights of a user.
    SeeAdminRights,
    /// See the sessions of a user.
    SeeSessions,
    /// Look up, filter and sort users by private fields.
    FilterPrivate,
    /// Export everything about a user; [`Viewer::may_export`] decides about whom.
    ExportUser,
    /// Create users.
    CreateUser,
    /// Change users; [`Viewer::may_update`] decides which fields.
    UpdateUser,
    /// Activate and deactivate users.
    SetActive,
    /// Erase users.
    DeleteUser,
    /// Unlock users who were locked out of signing in.
    UnlockUser,
    /// Send users the activation link again.
    Invite,
    /// See the status of invitation emails, and find users by it.
    SeeInvitations,
    /// Create groups.
    CreateGroup,
    /// Change the members of a group; [`Viewer::may_change_members`] decides which groups.
    ChangeMembers,
    /// Rename and delete groups; [`Viewer::may_change_group`] decides which groups.
    ChangeGroup,
    /// Create institutions; [`Viewer::may`] decides which site access is required.
    CreateInstitution,
    /// Change and delete institutions; [`Viewer::may_change_institution`] decides which ones.
    ChangeInstitution,
    /// Grant and revoke access to the data of institutions; [`Viewer::may_change_sites`] decides which ones.
    ChangeSites,
    /// Change the holder of a license.
    RenameLicense,
    /// Define custom attributes; administrators need the right for it, which [`Viewer::may`] checks.
    DefineAttributes,
    /// See, create and revoke API keys.
    UseApiKeys,
    /// Read the audit trail.
    ReadAudit,
    /// Read the schema, and send documents of one's own in the playground, where the settings reserve both to administrators.
    UseDeveloperTools,
}

/// The scope of an action: how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: the action is forbidden.
    Nothing,
    /// The viewer and what belongs to them.
    Own,
    /// The viewer's license, except users with a higher rank than the viewer.
    Rank,
    /// The viewer's license.
    License,
    /// Everything.
    All,
}

/// Returns the scope of an action for an anonymous caller, a user, an administrator, a license administrator and a superuser.
/// This is the table of rights.
#[must_use]
#[expect(clippy::match_same_arms, reason = "each action has a line of its own")]
#[rustfmt::skip]
pub const fn scopes_of(action: Action) -> [Scope; 5] {
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
        Action::ExportUser        => [Nothing,  Own,     Rank,    Rank,    All],
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
        Action::RenameLicense     => [Nothing,  Nothing, Nothing, License, All],
        Action::DefineAttributes  => [Nothing,  Nothing, License, License, License],
        Action::UseApiKeys        => [Nothing,  Nothing, Own,     License, All],
        Action::ReadAudit         => [Nothing,  Own,     License, License, All],
        Action::UseDeveloperTools => [Nothing,  Nothing, All,     All,     All],
    }
}

/// The action of each root field. The server does not start if a root field is missing here.
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
    ("changes", Action::ReadDirectory),
    ("userChanged", Action::ReadDirectory),
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
    ("importUsers", Action::CreateUser),
    ("resendActivation", Action::Invite),
    ("updateUser", Action::UpdateUser),
    ("setUserAvatar", Action::UpdateUser),
    ("exportUser", Action::ExportUser),
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
    ("renameLicense", Action::RenameLicense),
    ("defineAttribute", Action::DefineAttributes),
    ("removeAttribute", Action::DefineAttributes),
    ("createApiKey", Action::UseApiKeys),
    ("revokeApiKey", Action::UseApiKeys),
];

/// The root fields with [`Action::ReadDirectory`] that only the primary answers: they show also sessions, keys and audit events, or
/// the changes up to the last one, or a few rows that are read anyway.
const READ_FROM_PRIMARY: [&str; 6] = ["node", "nodes", "license", "attributeDefinitions", "changes", "userChanged"];

/// The fields that every user may change of themselves, besides the custom attributes whose definition allows it.
pub const SELF_EDITABLE_FIELDS: [&str; 13] = [
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

/// Returns the action of a root field.
///
/// # Errors
/// `Internal` if the field has no rule; the server does not start with such a field.
pub fn action_of(root_field: &str) -> Result<Action, Error> {
    let rule = ROOT_FIELDS.iter().find(|(field, _)| *field == root_field);
    rule.map(|(_, action)| *action).ok_or_else(|| Error::internal(format!("{root_field} has no access rule")))
}

/// Returns whether a root field reads nothing but the directory, so that a standby may answer it.
#[must_use]
pub fn may_read_standby(root_field: &str) -> bool {
    action_of(root_field).is_ok_and(|action| action == Action::ReadDirectory)
        && !READ_FROM_PRIMARY.contains(&root_field)
}

/// Returns whether a root field may be used without signing in.
#[must_use]
pub fn is_public(root_field: &str) -> bool {
    action_of(root_field).is_ok_and(|action| {
        let [anonymous, ..] = scopes_of(action);
        anonymous != Scope::Nothing
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_fields_that_only_the_primary_answers_read_the_directory() {
        for field in READ_FROM_PRIMARY {
            assert_eq!(action_of(field).ok(), Some(Action::ReadDirectory), "{field}");
        }
    }
}
