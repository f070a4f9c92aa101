//! Values of users, groups and institutions: valid, unusual and invalid ones.

use std::sync::LazyLock;

use serde_json::Value;

use crate::user_fields::{USER_FIELDS, UserField};

/// Names in many spellings, and names that are hard to compare.
#[rustfmt::skip]
pub const NAMES: &[&str] = &[
    "Ann", "ANN", "ann", "Änn", "A\u{308}nn", "Anné", "Anne\u{301}", "Zoë", "Zoe\u{308}", "zoe", "ß", "ẞ", "SS", "Straße",
    "STRASSE", "İpek", "ıpek", "Ipek", "ipek", "i\u{307}pek", "李", "李小龍", "山田 太郎", "ヤマダ", "やまだ", "ﾔﾏﾀﾞ", "😀", "👩\u{200d}🔬 Lab",
    "e\u{301}\u{327}", "e\u{327}\u{301}", "a%b", "a_b", "a\\b", "%", "_", "\\", "\\%", "100% sure", "O'Hara", "O\u{2019}Hara",
    "Đinh", "Dinh", "Ångström", "Angstrom", "A\u{30a}ngstro\u{308}m", "Ærø", "Aeroe", "Łukasz", "lukasz", "Σίσυφος", "ΣΊΣΥΦΟΣ",
    "Ｆｕｌｌ", "full", "ﬃ", "ffi", "ǅ", "ǆ", "van Dam", "Van dam", "vanDam", "van-Dam", "  padded  ", "a\u{200b}b", "ab", "A b",
    "A  b", "1st", "01st", "10th", "2nd", "-dash", "\"quoted\"", "Щукин", "щукин", "ЁЛКА", "ёлка", "עברית", "العربية", "ไทย", "한글",
    "한글", "Z", "z", "~", "!", "\u{10ffff}", "null", "NaN", "\u{fffd}",
];

/// Invalid names.
#[rustfmt::skip]
pub const NO_NAMES: &[&str] =
    &["", "   ", "\u{200b}", "\u{3000}", "nul\u{0}l", "bell\u{7}", "line\nbreak", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "\u{202e}gnol"];

#[rustfmt::skip]
pub const USERNAMES: &[&str] = &[
    "ann", "Ann", "ANN", "änn", "a\u{308}nn", "ÄNN", "mike", "MIKE", "mıke", "MİKE", "ｍｉｋｅ", "x.y", "X.Y", "x_y", "x-y", "x+y", "x@y",
    "straße", "STRASSE", "strasse", "käthe", "KÄTHE", "李", "Ωmega", "ωmega", "0400", "400", "éa", "e.a", "zz", "ZZ", "Zy", "ﬁnn", "finn",
];

#[rustfmt::skip]
pub const NO_USERNAMES: &[&str] =
    &["has space", "percent%", "back\\slash", "quote'", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "", "😀", "a\u{200b}b", "a/b", "nul\u{0}"];

#[rustfmt::skip]
pub const LOCALS: &[&str] = &[
    "ann", "Ann", "ANN", "änn", "a\u{308}nn", "mike", "MIKE", "mıke", "ｍｉｋｅ", "x.y", "x_y", "x%y", "x+y", "straße", "strasse", "李", "o'hara", "zz",
    "ｚｚ", "ωmega", "ΩMEGA",
];

#[rustfmt::skip]
pub const DOMAINS: &[&str] =
    &["x.example", "X.EXAMPLE", "y.example", "münchen.example", "MÜNCHEN.example", "xn--mnchen-3ya.example", "mu\u{308}nchen.example", "ｘ.example"];

#[rustfmt::skip]
pub const NO_ADDRESSES: &[&str] = &[
    "nope", "a@", "@b.example", "a b@x.example", "a@x..example", "a@x.example,b@x.example", "a@x.example\r\nBcc: b@x.example", "a@@x.example", "",
    "\"a\"@x.example", "a@[127.0.0.1]", "nul\u{0}@x.example",
];

/// The values of a field of a user.
pub struct FieldValues {
    pub name: &'static str,
    pub valid: Vec<Value>,
    pub invalid: Vec<Value>,
}

/// The fields whose values `World` makes in other ways, besides those that grant rights.
const MADE: [&str; 8] =
    ["firstName", "lastName", "username", "email", "certifiedEmail", "gender", "userType", "institutionId"];

/// The values of the other fields: those of the table and, of nicknames, names.
pub static FIELD_VALUES: LazyLock<Vec<FieldValues>> = LazyLock::new(|| {
    let values = |field: &UserField| {
        let is_name = field.name == "nickname";
        let (valid_names, invalid_names): (&[&str], &[&str]) = if is_name { (NAMES, NO_NAMES) } else { (&[], &[]) };
        let valid = field.accepted.iter().map(|accepted| accepted.value.clone());
        let invalid = field.rejected.iter().map(|rejected| rejected.value.clone());
        FieldValues {
            name: field.name,
            valid: valid.chain(valid_names.iter().map(|name| (*name).into())).collect(),
            invalid: invalid.chain(invalid_names.iter().map(|name| (*name).into())).collect(),
        }
    };
    USER_FIELDS.iter().filter(|field| !field.grants_rights && !MADE.contains(&field.name)).map(values).collect()
});

/// Search words, besides names.
#[rustfmt::skip]
pub const QUERIES: &[&str] = &["an", "nn", "stra", "angstrom", "ångstrom", "example", "x.ex", "zz", "mikw", "lukaz", "strase", "%", "_", "\\", "'", "\"", "*", "OR", "NEAR", "", " ", "ｆｕｌｌ", "山", "é", "padd", "pex"];

#[rustfmt::skip]
pub const PLACES: &[&str] = &["North", "north", "NORTH", "Nörth", "St George", "St. George", "Zürich", "Zurich", "東京", "a%b", "a_b", "Ødense", "Odense", "ward 1", "Ward 10", "Ward 2"];
