//! Fields of the users of the hospital group, except their names.

use async_graphql::MaybeUndefined::{self, Undefined, Value};
use chrono::{Days, NaiveDate};
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::accounts::Account;
use super::names::{DemoRng, Name};
use super::organisation::maybe;
use crate::entity::user::{AdminRightsInput, Gender, Role, UserFields, UserType};
use crate::scalar::DateText;

/// Returns the fields of one user, except the institution.
pub fn fields(account: Option<&Account>, name: &Name, role: Role, index: u32, rng: &mut DemoRng) -> UserFields {
    let (username, email) = logins(account, name, index, rng);
    let (user_type, positions) = WORK.choose(rng).copied().unwrap_or((UserType::Clinician, &["Nurse"]));
    let position = account.map(|account| account.position).or_else(|| positions.choose(rng).copied());
    let user_type = account.map_or(user_type, |account| account.user_type);
    let slug: String = name.last_ascii.chars().take(MAX_LETTERS).collect();
    let slug = format!("{slug}{index}");
    let sites = match (account, role) {
        (Some(_), Role::Admin) => 100,
        (Some(_), _) => 0,
        (None, Role::User) => 2,
        (None, _) => 50,
    };
    let likelihood = |percent| if account.is_some() { 100 } else { percent };
    UserFields {
        username,
        email,
        nickname: maybe(rng, 20, |rng| NICKNAMES.choose(rng).copied().unwrap_or("Sunny").to_owned()),
        certified_email: maybe(rng, 12, |_| format!("{slug}@certified.example.org")),
        phone: maybe(rng, likelihood(60), |rng| number(&PHONES, rng)),
        mobile: maybe(rng, likelihood(55), |rng| number(&MOBILES, rng)),
        birth_date: maybe(rng, likelihood(75), birth_date),
        gender: maybe(rng, likelihood(92), |_| if name.is_womans { Gender::Female } else { Gender::Male }),
        user_type: maybe(rng, likelihood(95), |_| user_type),
        position: maybe(rng, likelihood(85), |_| position.unwrap_or("Nurse").to_owned()),
        website: maybe(rng, 10, |rng| website(&slug, rng)),
        google_scholar: maybe(rng, 8, |rng| {
            format!("https://scholar.example.org/citations?user={:012x}", rng.random_range(0..1_u64 << 48))
        }),
        orcid_id: maybe(rng, 15, orcid),
        atlas_preference: maybe(rng, 12, |rng| ATLASES.choose(rng).copied().unwrap_or("MNI152").to_owned()),
        external_id: maybe(rng, likelihood(70), |rng| external_id(index, rng)),
        role: if role == Role::User { Undefined } else { Value(role) },
        is_staff: maybe(rng, if account.is_some() { 0 } else { 2 }, |_| true),
        full_site_access: maybe(rng, sites, |_| true),
        admin_rights: rights(account, role, rng),
        // Fields that were added later stay empty here until the demo gives them values.
        ..UserFields::default()
    }
}

/// Returns username and email address; about every tenth user lacks one of them. Both end in the user's index, except those of
/// the viewers that the demo prints, so that no two are equal.
fn logins(
    account: Option<&Account>,
    name: &Name,
    index: u32,
    rng: &mut DemoRng,
) -> (MaybeUndefined<String>, MaybeUndefined<String>) {
    let (first, last) = (name.first_ascii.as_str(), name.last_ascii.as_str());
    if account.is_some() {
        let login = format!("{first}.{last}");
        return (Value(login.clone()), Value(format!("{login}@example.org")));
    }
    let stem: String = match rng.random_range(0..10) {
        0 => "u000".to_owned(),
        1..4 => format!("{first}_{last}"),
        _ => format!("{}{last}", first.get(..1).unwrap_or_default()),
    };
    let stem: String = stem.chars().take(20).collect();
    let domain = DOMAINS.choose(rng).copied().unwrap_or("example.org");
    let local: String = format!("{first}.{last}").chars().take(MAX_LETTERS).collect();
    let address = format!("{local}{index}@{domain}");
    let typed = |text: String, rng: &mut DemoRng| if rng.random_ratio(1, 12) { capitalize(&text) } else { text };
    let username = typed(format!("{stem}{index}"), rng);
    let email = typed(address, rng);
    match rng.random_range(0..100) {
        0..5 => (Value(username), Undefined),
        5..12 => (Undefined, Value(email)),
        _ => (Value(username), Value(email)),
    }
}

/// Capitalizes the first letter of each word.
fn capitalize(text: &str) -> String {
    let mut starts = true;
    let letter = |c: char| {
        let letter = if starts { c.to_ascii_uppercase() } else { c };
        starts = !c.is_ascii_alphanumeric();
        letter
    };
    text.chars().map(letter).collect()
}

fn number(beginnings: &[&str], rng: &mut DemoRng) -> String {
    format!("{}{:02}", beginnings.choose(rng).copied().unwrap_or("+1 212 555 01"), rng.random_range(0..100))
}

fn birth_date(rng: &mut DemoRng) -> DateText {
    let first = NaiveDate::from_ymd_opt(1938, 1, 1).unwrap_or_default();
    let day = first.checked_add_days(Days::new(rng.random_range(0..25_500))).unwrap_or(first);
    DateText(day.to_string())
}

fn website(slug: &str, rng: &mut DemoRng) -> String {
    match rng.random_range(0..3) {
        0 => format!("www.example.org/~{slug}"),
        1 => format!("http://people.example.net/{slug}"),
        _ => format!("https://{slug}.example.com/"),
    }
}

/// Returns an ORCID iD from an unassigned block, with the checksum of ISO 7064 MOD 11-2.
fn orcid(rng: &mut DemoRng) -> String {
    let body = format!("00099{:010}", rng.random_range(0..10_000_000_000_u64));
    let total = body.chars().filter_map(|c| c.to_digit(10)).fold(0, |total, digit| (total + digit) * 2 % 11);
    let check = match (12 - total) % 11 {
        10 => "X".to_owned(),
        digit => digit.to_string(),
    };
    let whole = body + &check;
    let parts: Vec<&str> = (0..16).step_by(4).filter_map(|start| whole.get(start..start + 4)).collect();
    let bare = parts.join("-");
    if rng.random_ratio(2, 5) { format!("https://orcid.org/{bare}") } else { bare }
}

fn external_id(index: u32, rng: &mut DemoRng) -> String {
    match rng.random_range(0..3) {
        0 => format!("MRN-{index:07}"),
        1 => format!("{index:06}"),
        _ => format!("hr:{index}"),
    }
}

fn rights(account: Option<&Account>, role: Role, rng: &mut DemoRng) -> MaybeUndefined<AdminRightsInput> {
    let is_superuser = account.is_some_and(|account| account.kind == "superuser");
    let has_some = rng.random_ratio(if role == Role::User { 2 } else { 60 }, 100)
        && account.is_none_or(|account| account.kind == "admin");
    if !is_superuser && !has_some {
        return Undefined;
    }
    let mut right = |percent| maybe(rng, percent, |_| true);
    Value(AdminRightsInput {
        is_superuser: if is_superuser { Value(true) } else { Undefined },
        is_admin: right(15),
        is_project_admin: right(40),
        is_group_admin: right(40),
        is_taxonomies_admin: right(25),
        is_resources_admin: right(25),
        is_attributes_admin: right(30),
        is_contact_form_email_receiver: right(20),
    })
}

/// The maximum number of letters before the number in an email address or a domain name, whose parts may have 63 characters.
const MAX_LETTERS: usize = 48;

const DOMAINS: [&str; 6] =
    ["example.org", "example.com", "example.net", "mail.example.org", "staff.example.com", "wards.example.net"];

/// Phone numbers reserved for fiction, without their last two digits.
const PHONES: [&str; 5] = ["+44 20 7946 00", "+61 3 5550 10", "+1 212 555 01", "+33 1 99 00 10 ", "(02) 5550-10"];
const MOBILES: [&str; 4] = ["+44 7700 9001", "+61 491 5701", "+33 6 39 98 10 ", "+1 646 555 01"];

const ATLASES: [&str; 7] = ["ABA_v3", "WHS", "Allen", "Paxinos", "MNI152", "DSURQE", "CIVM"];

const NICKNAMES: [&str; 12] =
    ["Sunny", "Bee", "Doc", "Mischka", "Lulu", "Ace", "Zizou", "Möwe", "小雨", "Ñato", "Шурик", "T."];

const WORK: [(UserType, &[&str]); 6] = [
    (UserType::Clinician, &["Nurse", "Head Nurse", "Ward Sister", "Care Assistant", "Night Nurse", "Infirmière"]),
    (UserType::Clinician, &["Doctor", "Consultant", "Registrar", "Oberärztin", "Médecin", "Surgeon", "医師"]),
    (
        UserType::Clinician,
        &["Physiotherapist", "Midwife", "Pharmacist", "Psychologist", "Speech Therapist", "Logopäde"],
    ),
    (UserType::Technician, &["Radiographer", "Laboratory Technician", "Data Engineer", "Software Developer", "MTA"]),
    (UserType::Administrative, &["Receptionist", "Ward Clerk", "Site Manager", "Medical Secretary", "Comptable"]),
    (UserType::Student, &["Student", "PhD Student", "Trainee Nurse", "Intern", "Volunteer", "Élève infirmier"]),
];
