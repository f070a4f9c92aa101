//! A second copy of the table of rights, and a check that rights are decided nowhere else.

use std::fs;
use std::path::{Path, PathBuf};

use roster::access::{Action, ROOT_FIELDS, Scope, scopes_of};

/// Defines the table, and a match over all actions: tests do not compile if one is missing.
macro_rules! table {
    ($($action:ident: $anonymous:ident $user:ident $admin:ident $license_admin:ident $superuser:ident,)*) => {
        const TABLE: &[(Action, [Scope; 5])] = &[$((
            Action::$action,
            [Scope::$anonymous, Scope::$user, Scope::$admin, Scope::$license_admin, Scope::$superuser],
        ),)*];

        const fn is_listed(action: Action) -> bool {
            match action {
                $(Action::$action => true,)*
            }
        }
    };
}

table! {
    SignIn:            All     All     All     All     All,
    SeeViewer:         All     All     All     All     All,
    UseOwnAccount:     Nothing Own     Own     Own     Own,
    EndSessions:       Nothing Own     Rank    Rank    All,
    ReadDirectory:     Nothing License License License All,
    ListInactive:      Nothing Nothing License License All,
    SeePrivate:        Nothing Own     License License All,
    SeeAdminRights:    Nothing Nothing License License All,
    SeeSessions:       Nothing Own     License License All,
    FilterPrivate:     Nothing Nothing License License All,
    ExportUser:        Nothing Own     Rank    Rank    All,
    CreateUser:        Nothing Nothing Rank    Rank    All,
    UpdateUser:        Nothing Own     Rank    Rank    All,
    SetActive:         Nothing Nothing Rank    Rank    All,
    DeleteUser:        Nothing Nothing Rank    Rank    All,
    UnlockUser:        Nothing Nothing Rank    Rank    All,
    Invite:            Nothing Nothing Rank    Rank    All,
    SeeInvitations:    Nothing Nothing License License All,
    CreateGroup:       Nothing License License License License,
    ChangeMembers:     Nothing Own     License License All,
    ChangeGroup:       Nothing Own     License License All,
    CreateInstitution: Nothing Nothing License License License,
    ChangeInstitution: Nothing Nothing License License All,
    ChangeSites:       Nothing Nothing Rank    License All,
    RenameLicense:     Nothing Nothing Nothing License All,
    DefineAttributes:  Nothing Nothing License License License,
    UseApiKeys:        Nothing Nothing Own     License All,
    ReadAudit:         Nothing Own     License License All,
    UseDeveloperTools: Nothing Nothing All     All     All,
}

/// The width of a scope; wider scopes have larger numbers.
fn width(scope: Scope) -> u8 {
    match scope {
        Scope::Nothing => 0,
        Scope::Own => 1,
        Scope::Rank => 2,
        Scope::License => 3,
        Scope::All => 4,
    }
}

#[test]
fn the_table_of_rights_matches_the_expected_one() {
    for (action, row) in TABLE {
        assert_eq!(scopes_of(*action), *row, "{action:?}");
    }
    for (field, action) in ROOT_FIELDS {
        assert!(is_listed(*action) && TABLE.iter().any(|(listed, _)| listed == action), "{field}");
    }
}

#[test]
fn no_action_has_a_smaller_scope_for_a_higher_rank() {
    for (action, row) in TABLE {
        assert!(row.is_sorted_by_key(|scope| width(*scope)), "{action:?}: {row:?}");
    }
}

#[test]
fn anonymous_callers_can_only_sign_in_and_query_the_viewer() {
    let open: Vec<Action> =
        TABLE.iter().filter(|(_, row)| row[0] != Scope::Nothing).map(|(action, _)| *action).collect();
    assert_eq!(open, [Action::SignIn, Action::SeeViewer]);
}

/// Code that decides by a role, a rank or a license. Matches whole words only.
const DECIDES: [&str; 22] = [
    "Role::Admin",
    "Role::LicenseAdmin",
    "Role::User",
    "Rank",
    "Scope",
    ".rank",
    ".rights",
    "is_superuser",
    "is_staff",
    "is_admin",
    "is_group_admin",
    "full_site_access",
    "LicenseId.eq",
    "LicenseId.ne",
    "LicenseId.is_in",
    "user::Column::Role.eq",
    "user::Column::Role.ne",
    "user::Column::Role.is_in",
    "IsSuperuser.eq",
    "IsStaff.eq",
    "IsAdmin.eq",
    "FullSiteAccess.eq",
];

/// Code that looks like a decision but is none: file, code, reason.
const ALLOWED: [(&str, &str, &str); 5] = [
    ("api_key/input.rs", "default_with = \"Role::User\"", "what an input says where it says nothing"),
    (
        "cli/admin.rs",
        "new.is_superuser = rights",
        "the first superuser is made by the command line, before there is a viewer",
    ),
    ("cli/admin.rs", "Value(Role::LicenseAdmin)", "the same of the first administrator of a license"),
    ("user/filter.rs", "pub is_staff: MaybeUndefined<bool>", "a field of a filter"),
    ("user/filter_sql/values.rs", "Column::IsStaff, filter.is_staff", "the same"),
];

/// Folders that can use roles and licenses: they decide, store or generate them.
const ELSEWHERE: [&str; 3] = ["access", "entity", "cli/demo"];

#[test]
fn only_the_access_module_compares_roles_ranks_and_licenses() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let (mut hits, mut allowed, mut read) = (Vec::new(), 0, 0);
    for file in files {
        let name = file.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
        let is_elsewhere = ELSEWHERE.iter().any(|folder| name.starts_with(&format!("{folder}/")));
        if is_elsewhere || name.ends_with("tests.rs") {
            continue;
        }
        read += 1;
        let text = code(&fs::read_to_string(&file).unwrap());
        for place in decisions(&text) {
            let around: String =
                text.chars().skip(text.split_at(place).0.chars().count().saturating_sub(30)).take(80).collect();
            if ALLOWED.iter().any(|(file, what, _)| *file == name && around.contains(what)) {
                allowed += 1;
            } else {
                hits.push(format!("{name}: ...{around}..."));
            }
        }
    }
    assert!(read > 30, "read only {read} files");
    assert!(hits.is_empty(), "decisions belong in src/access: {hits:#?}");
    assert_eq!(allowed, ALLOWED.len(), "each exception in ALLOWED occurs exactly once");
}

#[test]
fn comparisons_are_found_in_every_notation() {
    for text in [
        "if viewer.rank >= limit {",
        "matches!(person.role, Role::Admin | Role::User)",
        "Column::LicenseId\n            .eq(viewer.license_id)",
        "if old.license_id == new.license_id {",
        "if id != viewer.license_id {",
        "viewer.license_id\n    != id",
        "if person.is_superuser && x",
    ] {
        assert!(!decisions(&code(text)).is_empty(), "{text}");
    }
    for text in [
        "// Role::Admin",
        "let license_id = viewer.license_id;",
        "GroupRole::Owner",
        "role: input.role,",
        "Role::UserType",
    ] {
        assert!(decisions(&code(text)).is_empty(), "{text}");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Returns a file without its comments and tests, on one line, so that line breaks do not hide a decision.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ").replace(" .", ".")
}

/// Finds the positions of decisions.
fn decisions(text: &str) -> Vec<usize> {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut places = Vec::new();
    for pattern in DECIDES {
        for (place, _) in text.match_indices(pattern) {
            let (before, rest) = text.split_at(place);
            let after = rest.split_at(pattern.len()).1;
            let is_member = pattern.starts_with('.');
            if (is_member || !before.ends_with(is_of_word)) && !after.starts_with(is_of_word) {
                places.push(place);
            }
        }
    }
    for (place, id) in text.match_indices("license_id") {
        let (before, rest) = text.split_at(place);
        let before = before.trim_end_matches(|c: char| is_of_word(c) || c == '.').trim_end();
        let after = rest.split_at(id.len()).1.trim_start();
        let compared = |text: &str, ends: fn(&str, &str) -> bool| ends(text, "==") || ends(text, "!=");
        if compared(before, |text, sign| text.ends_with(sign)) || compared(after, |text, sign| text.starts_with(sign)) {
            places.push(place);
        }
    }
    places
}
