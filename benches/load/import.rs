//! `roster import`: the time and the cost of importing a file of users into an empty directory.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::figures::{Engine, Import};
use crate::machine;
use crate::postgres::Postgres;
use crate::server::{Place, command};

/// The interval at which the process is watched.
const INTERVAL: Duration = Duration::from_millis(20);
const INSTITUTIONS: u32 = 40;
const GROUPS: u32 = 200;
/// A hash of Django, as each user has one.
const PASSWORD_HASH: &str = "pbkdf2_sha256$29000$seasalt$MqiyVFTP6UUpjrpvJsxVXBlF/shrLYjOh7Qw2l+VN0I=";

/// Imports so many users into a new directory.
///
/// # Errors
/// If the import fails.
pub async fn measure(users: u32, postgres: Option<&Postgres>) -> Result<Import> {
    let folder = tempfile::tempdir()?;
    let url = match postgres {
        Some(postgres) => Some(postgres.fresh_database().await),
        None => None,
    };
    let file = folder.path().join("users.ndjson");
    write_file(users, &file)?;
    let place = Place { folder: folder.path(), url: url.as_deref() };
    let database_cpu = || match postgres {
        Some(postgres) => anyhow::Ok(machine::cpu_of_family(postgres.process()?)?),
        None => Ok(Duration::ZERO),
    };
    let (before, began) = (database_cpu()?, Instant::now());
    let mut process = command(place, &["import", &file.to_string_lossy()]).stdout(Stdio::null()).spawn()?;
    let (mut cpu, mut memory) = (Duration::ZERO, 0);
    let status = loop {
        // A process that has just ended has no memory, and soon no figures at all.
        cpu = machine::cpu(process.id()).map_or(cpu, |used| cpu.max(used));
        memory = machine::memory(process.id()).map_or(memory, |(_, peak)| memory.max(peak));
        if let Some(status) = process.try_wait()? {
            break status;
        }
        tokio::time::sleep(INTERVAL).await;
    };
    let took = began.elapsed();
    ensure!(status.success(), "roster import ended with {status}");
    let cpu = [cpu, database_cpu()?.saturating_sub(before)];
    let database = if postgres.is_some() { Engine::Postgres } else { Engine::Sqlite };
    Ok(Import { database, users, took, cpu, memory })
}

/// Writes a file with so many users, and the institutions and groups that they belong to.
fn write_file(users: u32, file: &Path) -> Result<()> {
    let mut file = BufWriter::new(File::create(file)?);
    for number in 0..INSTITUTIONS {
        let name = format!("House {number}");
        let external_id = format!("H-{number}");
        let institution = json!({ "name": name, "kind": "HOSPITAL", "country": "IE", "externalId": external_id });
        writeln!(file, "{}", json!({ "institution": institution }))?;
    }
    for number in 0..GROUPS {
        writeln!(file, "{}", json!({ "group": { "name": format!("Ward {number}") } }))?;
    }
    for number in 0..users {
        writeln!(file, "{}", json!({ "user": user(number) }))?;
    }
    Ok(file.flush()?)
}

/// Returns a user, whose values follow from the number alone.
fn user(number: u32) -> Value {
    // Scattered over the names, so that no two users in succession are alike.
    let lot = number.wrapping_mul(2_654_435_761) >> 8;
    let at = |names: &[&'static str], lot: u32| names.get(lot as usize % names.len().max(1)).copied().unwrap_or("Doe");
    let (first, last) = (at(&FIRST_NAMES, lot), at(&LAST_NAMES, lot / 64));
    let login = roster::text::fold(&format!("{first}.{last}{number}"));
    let group = |shift: u32| json!({ "group": format!("Ward {}", (lot + shift) % GROUPS) });
    json!({
        "firstName": first,
        "lastName": last,
        "email": format!("{login}@example.org"),
        "username": format!("u{number:06}"),
        "externalId": format!("P-{number:07}"),
        "position": at(&POSITIONS, lot / 7),
        "phone": format!("+353 20 910 {:04}", lot % 10_000),
        "birthDate": format!("19{:02}-{:02}-{:02}", 40 + lot % 60, 1 + lot % 12, 1 + lot % 28),
        "gender": at(&["FEMALE", "MALE", "UNKNOWN"], lot),
        "userType": at(&["CLINICIAN", "STUDENT", "TECHNICIAN"], lot / 3),
        "institution": format!("H-{}", lot % INSTITUTIONS),
        "groups": [group(0), group(17)],
        "passwordHash": PASSWORD_HASH,
        "dateJoined": format!("20{:02}-{:02}-01T08:00:00Z", 10 + lot % 15, 1 + lot % 12),
    })
}

const POSITIONS: [&str; 8] =
    ["Nurse", "Doctor", "Midwife", "Pharmacist", "Ward Clerk", "Surgeon", "Physiotherapist", "Radiographer"];

const FIRST_NAMES: [&str; 64] = [
    "Ada", "Aoife", "Amara", "Anna", "Beata", "Bela", "Bjørn", "Carla", "Chidi", "Chloé", "Dalia", "Daniel", "Elena",
    "Emil", "Esther", "Eva", "Fatima", "Felix", "Fiona", "Georg", "Grace", "Hana", "Helen", "Hugo", "Ida", "Ines",
    "Ivan", "Jakob", "Jana", "John", "José", "Julia", "Karim", "Kofi", "Lara", "Lena", "Leo", "Lucía", "Marek",
    "Maria", "Martin", "Maya", "Mei", "Milan", "Nadia", "Nina", "Noah", "Olga", "Omar", "Otto", "Paula", "Peter",
    "Priya", "Ravi", "Rosa", "Samuel", "Sara", "Sven", "Tara", "Thomas", "Uma", "Vera", "Yusuf", "Zoe",
];

const LAST_NAMES: [&str; 64] = [
    "Adams",
    "Ahmed",
    "Andersen",
    "Bakker",
    "Becker",
    "Bianchi",
    "Borg",
    "Brennan",
    "Byrne",
    "Carvalho",
    "Chen",
    "Costa",
    "Dubois",
    "Dvořák",
    "Eriksen",
    "Evans",
    "Fischer",
    "Fontaine",
    "Garcia",
    "Gruber",
    "Haddad",
    "Hansen",
    "Horvat",
    "Ito",
    "Jansen",
    "Jensen",
    "Johnson",
    "Kaya",
    "Kelly",
    "Khan",
    "Kim",
    "Kowalski",
    "Larsen",
    "Laurent",
    "Lindgren",
    "López",
    "Maier",
    "Martin",
    "Mensah",
    "Moreau",
    "Müller",
    "Murphy",
    "Nagy",
    "Nilsson",
    "Novak",
    "Okonkwo",
    "Olsen",
    "Papadakis",
    "Petrov",
    "Popescu",
    "Rossi",
    "Ryan",
    "Sandoval",
    "Schmidt",
    "Silva",
    "Singh",
    "Smith",
    "Suzuki",
    "Tanaka",
    "Torres",
    "Vale",
    "Virtanen",
    "Walsh",
    "Weber",
];
