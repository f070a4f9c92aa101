//! The institutions and groups of the hospital group.

use async_graphql::MaybeUndefined::{self, Undefined, Value};
use rand::RngExt;

use super::names::DemoRng;
use super::{ObjectKind, Source};
use crate::entity::group::GroupFields;
use crate::entity::institution::{InstitutionCore, InstitutionFields, InstitutionKind};
use crate::import::record::{GroupRecord, InstitutionRecord};

/// Returns the institutions of a license of `size` users: three, and more with the square root of the number of users.
pub fn institutions(source: Source, license: u32, size: u32) -> Vec<InstitutionRecord> {
    let min_users = |nth: u32| u64::from(nth.saturating_sub(2)).pow(2) * 225;
    (0..u32::MAX).take_while(|nth| min_users(*nth) < size.into()).map(|nth| institution(source, license, nth)).collect()
}

/// Returns the number of institutions that were open when the user of a rank joined.
pub fn open_institutions(rank: u32) -> usize {
    3 + (rank / 225).isqrt() as usize
}

fn institution(source: Source, license: u32, nth: u32) -> InstitutionRecord {
    let number = license * 10_000 + nth;
    let (at, shift) = (nth as usize, license as usize);
    let mut rng = source.rng(ObjectKind::Institution, number.into());
    let (kind, pattern, most_beds) =
        nth_cycled(&KINDS, shift + at).unwrap_or((InstitutionKind::Hospital, "# Hospital", 900));
    let (country, state, city, prefix) =
        nth_cycled(&TOWNS, shift * 7 + at).unwrap_or(("AU", "", "Port Callan", "+61 2 5550 "));
    let patron = nth_cycled(&PATRONS, shift * 11 + at).unwrap_or("St Brigid");
    let some = |value: String| if value.is_empty() { Undefined } else { Value(value) };
    InstitutionRecord {
        id: Some(source.id(ObjectKind::Institution, number.into())),
        core: InstitutionCore {
            name: Value(format!("{}, {city}", pattern.replace('#', patron))),
            kind: Value(kind),
            country: Value(country.to_owned()),
        },
        fields: InstitutionFields {
            state: some(state.to_owned()),
            city: Value(city.to_owned()),
            address: Value(format!(
                "{} {}",
                rng.random_range(1..200),
                nth_cycled(&STREETS, at).unwrap_or("High Street")
            )),
            postcode: maybe(&mut rng, 90, |rng| rng.random_range(1000..99_999).to_string()),
            phone: maybe(&mut rng, 90, |rng| format!("{prefix}{}", rng.random_range(1000..9999))),
            email: maybe(&mut rng, 85, |_| format!("desk{number}@sites.example.org")),
            num_beds: if most_beds == 0 { Undefined } else { Value(rng.random_range(most_beds / 10..=most_beds)) },
            external_id: maybe(&mut rng, 80, |_| format!("SITE-{number:05}")),
            ..InstitutionFields::default()
        },
        ..InstitutionRecord::default()
    }
}

/// Returns the groups of a license of `size` users.
pub fn groups(source: Source, license: u32, size: u32) -> Vec<GroupRecord> {
    (0..).zip(owners(license, size)).map(|(nth, _)| group(source, license, nth)).collect()
}

/// Returns, for each group of a license of `size` users, the rank of the user who founded and owns it. The first five groups of
/// the first license belong to the group owner among the viewers, who has rank 0.
pub fn owners(license: u32, size: u32) -> impl Iterator<Item = u32> {
    let founder_rank = |nth: u64| nth + nth.pow(3) * (nth + 60) / 700;
    let owner =
        move |nth| if license == 0 && nth < 5 { 0 } else { u32::try_from(founder_rank(nth)).unwrap_or(u32::MAX) };
    (0..).map(owner).take_while(move |rank| *rank < size)
}

fn group(source: Source, license: u32, nth: u32) -> GroupRecord {
    let number = license * 10_000 + nth;
    let (at, shift) = (nth as usize, license as usize);
    let round = at / UNITS.len();
    let unit = nth_cycled(&UNITS, shift * 5 + at).unwrap_or("Cardiology");
    let team = nth_cycled(&TEAMS, round).unwrap_or("Ward");
    let again = round / TEAMS.len();
    let name = if again == 0 { format!("{unit} {team}") } else { format!("{unit} {team} {}", again + 1) };
    let mut rng = source.rng(ObjectKind::Group, number.into());
    let description =
        maybe(&mut rng, 75, |_| format!("The {} for {}, all sites.", team.to_lowercase(), unit.to_lowercase()));
    GroupRecord {
        id: Some(source.id(ObjectKind::Group, number.into())),
        fields: GroupFields { name: Value(name), description, ..GroupFields::default() },
        ..GroupRecord::default()
    }
}

/// Returns a value with a probability in percent.
pub fn maybe<T>(rng: &mut DemoRng, percent: u32, value: impl FnOnce(&mut DemoRng) -> T) -> MaybeUndefined<T> {
    if rng.random_ratio(percent, 100) { Value(value(rng)) } else { Undefined }
}

/// Returns the nth item of a list that is repeated endlessly.
fn nth_cycled<T: Copy>(list: &[T], nth: usize) -> Option<T> {
    list.get(nth % list.len().max(1)).copied()
}

/// Kind, name and maximum number of beds.
const KINDS: [(InstitutionKind, &str, i32); 7] = [
    (InstitutionKind::Hospital, "# Hospital", 1400),
    (InstitutionKind::CareHome, "# House", 120),
    (InstitutionKind::Research, "# Institute", 0),
    (InstitutionKind::Hospice, "# Hospice", 40),
    (InstitutionKind::Hospital, "# General Hospital", 2200),
    (InstitutionKind::Private, "# Practice", 0),
    (InstitutionKind::Hospital, "# Children's Hospital", 400),
];

const PATRONS: [&str; 23] = [
    "St Brigid",
    "Juniper",
    "St Ambrose",
    "Harbour Light",
    "St Odile",
    "Kowhai",
    "Three Rivers",
    "St Piran",
    "Azahar",
    "Linden",
    "St Ursula",
    "Great Oak",
    "Marigold",
    "St Columba",
    "Sakura",
    "Northern Star",
    "St Zita",
    "Baobab",
    "Silver Birch",
    "St Alban",
    "Lotus",
    "Morning Bay",
    "St Hilda",
];

/// Country, state, city, and the beginning of a phone number reserved for fiction.
const TOWNS: [(&str, &str, &str, &str); 24] = [
    ("AU", "Victoria", "Port Callan", "+61 3 5550 "),
    ("IE", "", "Ballymorra", "+353 20 910 "),
    ("DE", "Hessen", "Lindenrode", "+49 69 90009 "),
    ("KE", "Nakuru", "Olmarai", "+254 20 555 "),
    ("JP", "Nagano", "Shirakano", "+81 26 555 "),
    ("CA", "Québec", "Sainte Orsoline", "+1 418 555 "),
    ("FR", "Occitanie", "Valmorel-sur-Aude", "+33 1 99 00 "),
    ("BR", "Paraná", "Nova Serrana", "+55 41 5555 "),
    ("IN", "Kerala", "Vellamkara", "+91 484 555 "),
    ("NO", "Nordland", "Sørbukta", "+47 99 90 "),
    ("US", "Oregon", "Alder Falls", "+1 541 555 "),
    ("NZ", "Otago", "Waitohu Bay", "+64 3 555 "),
    ("PL", "Mazowsze", "Żabia Łąka", "+48 22 555 "),
    ("NG", "Enugu", "Umuocha", "+234 42 555 "),
    ("TR", "İzmir", "Çamköy", "+90 232 555 "),
    ("VN", "Quảng Nam", "Hội Giang", "+84 235 555 "),
    ("GR", "Κρήτη", "Αγία Θάλεια", "+30 281 555 "),
    ("CL", "Los Ríos", "Puerto Avellano", "+56 63 555 "),
    ("GB", "Northumberland", "Harrowick", "+44 1632 96 "),
    ("ZA", "Western Cape", "Kameelfontein", "+27 21 555 "),
    ("KR", "강원도", "새벽골", "+82 33 555 "),
    ("IT", "Umbria", "Rocca Serena", "+39 075 555 "),
    ("EG", "الفيوم", "عين الياسمين", "+20 84 555 "),
    ("FI", "Lappi", "Äijälä", "+358 16 555 "),
];

const STREETS: [&str; 9] = [
    "Orchard Road",
    "Mill Lane",
    "Lindenstraße",
    "rue des Tilleuls",
    "Calle del Río",
    "Station Road",
    "Harbour Street",
    "Via dell'Orto",
    "Hill Avenue",
];

const UNITS: [&str; 29] = [
    "Cardiology",
    "Neurology",
    "Paediatrics",
    "Intensive Care",
    "Dementia Care",
    "Oncology",
    "Radiology",
    "Maternity",
    "Surgery",
    "Emergency",
    "Geriatrics",
    "Palliative Care",
    "Psychiatry",
    "Pharmacy",
    "Infection Control",
    "Nephrology",
    "Orthopaedics",
    "Dermatology",
    "Rehabilitation",
    "Pain Assessment",
    "Sleep Medicine",
    "Telemedicine",
    "Haematology",
    "Immunology",
    "Brain Imaging",
    "Electrophysiology",
    "Nursing Education",
    "Medical Records",
    "Night Shift",
];

const TEAMS: [&str; 8] =
    ["Ward", "Team", "Research Group", "Journal Club", "Outpatients", "Quality Circle", "On-Call Roster", "Project"];
