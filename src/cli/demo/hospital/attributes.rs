//! Custom attributes of the hospital group, and their values.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::Value;

use super::names::{DemoRng, Name};
use super::{ObjectKind, Source};
use crate::entity::attribute_definition::{AttributeKind, Model};
use crate::scalar::Id;

/// Returns the attribute definitions of a license.
pub fn definitions(source: Source, license: u32, license_id: Id) -> Vec<Model> {
    let definition = |(nth, definition): (u64, Definition)| Model {
        name: definition.name.to_owned(),
        label: definition.label.to_owned(),
        kind: definition.kind,
        user_editable: definition.user_editable,
        user_visible: definition.user_visible,
        ..Model::empty(source.id(ObjectKind::Attribute, u64::from(license) * 10_000 + nth), license_id)
    };
    (0..).zip(DEFINITIONS).map(definition).collect()
}

/// Returns the attribute values of one user.
pub fn values(name: &Name, rng: &mut DemoRng) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    let (city, country) = PLACES.choose(rng).copied().unwrap_or(("Port Callan", "AU"));
    let home = PLACES.choose(rng).map_or(city, |(home, _)| home);
    let nickname = format!("{}{}", name.first_ascii, rng.random_range(1..100));
    for (attribute, percent, value) in [
        ("birthplace", 70, Value::from(city)),
        ("birthcountry", 75, country.into()),
        ("preferred_username", 40, nickname.into()),
        ("address_city", 65, home.into()),
        ("badge", 85, rng.random_range(1_000..100_000).into()),
    ] {
        if rng.random_ratio(percent, 100) {
            values.insert(attribute.to_owned(), value);
        }
    }
    values
}

/// A custom attribute.
struct Definition {
    name: &'static str,
    label: &'static str,
    kind: AttributeKind,
    /// Whether users may change their own value.
    user_editable: bool,
    /// Whether all users see it.
    user_visible: bool,
}

const DEFINITIONS: [Definition; 5] = [
    Definition {
        name: "address_city",
        label: "Home town",
        kind: AttributeKind::String,
        user_editable: true,
        user_visible: false,
    },
    Definition {
        name: "badge",
        label: "Number of the badge",
        kind: AttributeKind::Integer,
        user_editable: false,
        user_visible: true,
    },
    Definition {
        name: "birthcountry",
        label: "Country of birth",
        kind: AttributeKind::String,
        user_editable: true,
        user_visible: false,
    },
    Definition {
        name: "birthplace",
        label: "Place of birth",
        kind: AttributeKind::String,
        user_editable: true,
        user_visible: false,
    },
    Definition {
        name: "preferred_username",
        label: "Preferred username",
        kind: AttributeKind::String,
        user_editable: true,
        user_visible: true,
    },
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
