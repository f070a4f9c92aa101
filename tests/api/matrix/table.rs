//! The table of rights, written down a second time; and that nothing beside it decides.

use std::fs;
use std::path::{Path, PathBuf};

use roster::access::{Action, ROOT_FIELDS, Scope, reach};

/// The table, and whether an action is in it: one that is not keeps the tests from compiling.
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
    DefineAttributes:  Nothing Nothing License License License,
    UseApiKeys:        Nothing Nothing Own     License All,
    ReadAudit:         Nothing Own     License License All,
}

/// The wider, the more.
fn width(reach: Scope) -> u8 {
    match reach {
        Scope::Nothing => 0,
        Scope::Own => 1,
        Scope::Rank => 2,
        Scope::License => 3,
        Scope::All => 4,
    }
}

#[test]
fn the_table_of_rights_is_this_one() {
    for (action, row) in TABLE {
        assert_eq!(reach(*action), *row, "{action:?}");
    }
    for (field, action) in ROOT_FIELDS {
        assert!(is_listed(*action) && TABLE.iter().any(|(listed, _)| listed == action), "{field}");
    }
}

#[test]
fn no_action_reaches_less_far_for_a_higher_rank() {
    for (action, row) in TABLE {
        assert!(row.is_sorted_by_key(|reach| width(*reach)), "{action:?}: {row:?}");
    }
}

#[test]
fn nothing_is_open_to_anonymous_callers_but_signing_in_and_asking_who_they_are() {
    let open: Vec<Action> =
        TABLE.iter().filter(|(_, row)| row[0] != Scope::Nothing).map(|(action, _)| *action).collect();
    assert_eq!(open, [Action::SignIn, Action::SeeViewer]);
}

/// What decides by a role, a rank or a license, and the character after it must not go on with the word.
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

/// What looks like a decision and is none.
const ALLOWED: [(&str, &str, &str); 6] = [
    ("api_key/input.rs", "default_with = \"Role::User\"", "what an input says where it says nothing"),
    (
        "cli/admin.rs",
        "new.is_superuser = administers",
        "the first superuser is made by the command line, before there is a viewer",
    ),
    ("cli/admin.rs", "Value(Role::LicenseAdmin)", "the same of the first administrator of a license"),
    ("user/filter.rs", "pub is_staff: MaybeUndefined<bool>", "who is looked for"),
    ("user/filter_sql.rs", "is_active, is_staff, has_activated", "the same"),
    ("user/filter_sql.rs", "Column::IsStaff, is_staff", "the same"),
];

/// Where a role or a license may be looked at: where it is decided, stored, or invented.
const ELSEWHERE: [&str; 3] = ["access", "entity", "cli/demo"];

#[test]
fn nothing_outside_access_compares_a_role_a_rank_or_a_license() {
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
    assert!(read > 30, "only {read} files were read");
    assert!(hits.is_empty(), "decisions belong into src/access: {hits:#?}");
    assert_eq!(allowed, ALLOWED.len(), "what is allowed is there, once each");
}

#[test]
fn a_decision_is_found_however_it_is_written() {
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

/// A file without its comments and tests, on one line, so that a decision is found however it is broken into lines.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.join(" ").replace(" .", ".")
}

/// Where something is decided.
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
