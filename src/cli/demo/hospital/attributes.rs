//! Custom attributes of the hospital group, and their values.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::Value;

use super::names::{DemoRng, Name};
use super::{SiteKind, Source};
use crate::entity::attribute_definition::{AttributeKind, Model};
use crate::scalar::Id;

/// Returns the attribute definitions of a license.
pub fn definitions(source: Source, license: u32, license_id: Id) -> Vec<Model> {
    let definition =
        |(nth, (name, label, kind, user_editable, user_visible)): (u64, (&str, &str, _, bool, bool))| Model {
            name: name.to_owned(),
            label: label.to_owned(),
            kind,
            user_editable,
            user_visible,
            ..Model::empty(source.id(SiteKind::Attribute, u64::from(license) * 10_000 + nth), license_id)
        };
    (0..).zip(DEFINED).map(definition).collect()
}

/// Returns the attribute values of one user.
pub fn values(name: &Name, rng: &mut DemoRng) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    let (city, country) = PLACES.choose(rng).copied().unwrap_or(("Port Callan", "AU"));
    let home = PLACES.choose(rng).map_or(city, |(home, _)| home);
    let called = format!("{}{}", name.first_ascii, rng.random_range(1..100));
    for (attribute, percent, value) in [
        ("birthplace", 70, Value::from(city)),
        ("birthcountry", 75, country.into()),
        ("preferred_username", 40, called.into()),
        ("address_city", 65, home.into()),
        ("badge", 85, rng.random_range(1_000..100_000).into()),
    ] {
        if rng.random_ratio(percent, 100) {
            values.insert(attribute.to_owned(), value);
        }
    }
    values
}

/// Name, label, kind, whether users may change their own value, and whether all users see it.
const DEFINED: [(&str, &str, AttributeKind, bool, bool); 5] = [
    ("address_city", "Home town", AttributeKind::String, true, false),
    ("badge", "Number of the badge", AttributeKind::Integer, false, true),
    ("birthcountry", "Country of birth", AttributeKind::String, true, false),
    ("birthplace", "Place of birth", AttributeKind::String, true, false),
    ("preferred_username", "Preferred username", AttributeKind::String, true, true),
];

/// Places of birth and residence: city and country.
const PLACES: [(&str, &str); 10] = [
    ("Port Callan", "AU"),
    ("Ballymorra", "IE"),
    ("Lindenrode", "DE"),
    ("Olmarai", "KE"),
    ("Sainte Orsoline", "CA"),
    ("Nova Serrana", "BR"),
    ("Żabia Łąka", "PL"),
    ("Çamköy", "TR"),
    ("새벽골", "KR"),
    ("Äijälä", "FI"),
];
