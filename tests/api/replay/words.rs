//! Values of users, groups and institutions: valid, unusual and invalid ones.

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

/// The valid and the invalid values of each text field.
#[rustfmt::skip]
pub const TEXTS: &[(&str, &[&str], &[&str])] = &[
    ("nickname", NAMES, NO_NAMES),
    ("position", &["Nurse", "nurse", "NURSE", "Ärztin", "A\u{308}rztin", "arztin", "Doctor", "100% sure", "a_b", "Médecin", "médecin", "護士", " "], &["bell\u{7}", "nul\u{0}l"]),
    ("phone", &["+61 2 555", "+61 3 555", "02 555", "(02) 555-1", "", "0400"], &["call me", "0123456789012345678901", "+"]),
    ("mobile", &["0400 1", "0400 2", "+41 79 1", "0400%"], &["x", "０４００"]),
    ("website", &["www.x.example", "https://X.example/a", "http://é.example/ü", "HTTP://x.example", "https://x.example/?q=%41"], &["ftp://x.example", "not a url", "javascript:1", "http://"]),
    ("googleScholar", &["https://scholar.google.com/citations?user=a", "scholar.google.com/x"], &["mailto:a@x.example"]),
    ("orcidId", &["0000-0002-1825-0097", "https://orcid.org/0000-0002-1694-233X", "0000-0002-1694-233x"], &["0000-0002-1825-0098", "0000", "x"]),
    ("atlasPreference", &["allen", "ALLEN", "ünï", "7"], &["waxholmm"]),
    ("externalId", &["1", "001", "EX-1", "ex-1", "Ex-1", "ﬁ", "fi", "ü", "u\u{308}", "a%b", "a_b", " 1 ", "李", "2", "3", "4", "5"], &["nul\u{0}l", "tab\tbed"]),
    ("birthDate", &["1980-07-08", "1980-07-09", "1900-01-01", "2000-02-29", "1999-12-31"], &["1899-12-31", "2999-01-01", "1981-02-29", "8.7.1980", ""]),
];

/// Search words, besides names.
#[rustfmt::skip]
pub const QUERIES: &[&str] = &["an", "nn", "stra", "angstrom", "ångstrom", "example", "x.ex", "zz", "mikw", "lukaz", "strase", "%", "_", "\\", "'", "\"", "*", "OR", "NEAR", "", " ", "ｆｕｌｌ", "山", "é", "padd", "pex"];

#[rustfmt::skip]
pub const PLACES: &[&str] = &["North", "north", "NORTH", "Nörth", "St George", "St. George", "Zürich", "Zurich", "東京", "a%b", "a_b", "Ødense", "Odense", "ward 1", "Ward 10", "Ward 2"];
