//! The table of the fields of a user that inputs set. The tests derive their cases from it and from the schema, so that
//! a new field is one more row here.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use roster::entity::user::UserFields;
use roster::scalar::Id;
use serde_json::{Map, Value, json};

use crate::definition::{SCHEMA, innermost};

/// A field of a user that `createUser` and `updateUser` set.
pub struct UserField {
    /// The name in the schema.
    pub name: &'static str,
    /// Values that are accepted. The first is the example, which differs from the default of a new user. Empty if the
    /// value is the ID of another object.
    pub accepted: Vec<Accepted>,
    /// Values that are rejected.
    pub rejected: Vec<Rejected>,
    /// Whether a user may have no value: null clears it.
    pub is_optional: bool,
    /// Whether only the user and administrators see the value, or filter by it.
    pub is_private: bool,
    /// Whether users may change their own value.
    pub is_self_editable: bool,
    /// Whether the value determines what the user may do.
    pub grants_rights: bool,
}

/// A value that is accepted, and the value that is stored then.
pub struct Accepted {
    pub value: Value,
    pub stored: Value,
}

/// A value that is rejected, and the code of its error. `BAD_REQUEST` rejects the whole request.
pub struct Rejected {
    pub value: Value,
    pub code: &'static str,
}

impl UserField {
    /// A field of which every user has a value.
    fn required(name: &'static str) -> Self {
        Self {
            name,
            accepted: Vec::new(),
            rejected: Vec::new(),
            is_optional: false,
            is_private: false,
            is_self_editable: false,
            grants_rights: false,
        }
    }

    /// A field of which a user may have no value.
    fn optional(name: &'static str) -> Self {
        Self { is_optional: true, ..Self::required(name) }
    }

    fn private(self) -> Self {
        Self { is_private: true, ..self }
    }

    fn self_editable(self) -> Self {
        Self { is_self_editable: true, ..self }
    }

    fn granting_rights(self) -> Self {
        Self { grants_rights: true, ..self }
    }

    /// Adds values that are stored as they are.
    fn accepts<T: Into<Value>>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.accepted.extend(values.into_iter().map(|value| {
            let value: Value = value.into();
            Accepted { stored: value.clone(), value }
        }));
        self
    }

    /// Adds a value that is stored as another one.
    fn normalizes(mut self, value: &str, stored: impl Into<Value>) -> Self {
        self.accepted.push(Accepted { value: value.into(), stored: stored.into() });
        self
    }

    /// Adds values that are rejected with a code.
    fn rejects<T: Into<Value>>(mut self, code: &'static str, values: impl IntoIterator<Item = T>) -> Self {
        self.rejected.extend(values.into_iter().map(|value| Rejected { value: value.into(), code }));
        self
    }

    /// The first of the accepted values. `None` if the value is the ID of another object.
    pub fn example(&self) -> Option<&Value> {
        self.accepted.first().map(|accepted| &accepted.value)
    }

    /// A value as it is written in a document.
    pub fn literal(&self, value: &Value) -> String {
        match value.as_str() {
            Some(name) if !SCHEMA.enum_values(self.input_type()).is_empty() => name.to_owned(),
            _ => value.to_string(),
        }
    }

    /// The name of the type of the field in an input.
    fn input_type(&self) -> &'static str {
        let fields = SCHEMA.input_fields("UpdateUserInput");
        let field = fields.into_iter().find(|field| field.name.node == self.name);
        innermost(&field.unwrap_or_else(|| panic!("{} is not in UpdateUserInput", self.name)).ty.node)
    }
}

/// The names of a user, which `UserNames` has and `UserFields` has not.
pub const NAMES: [&str; 2] = ["firstName", "lastName"];

/// The private fields that no input sets.
const PRIVATE_WITHOUT_INPUT: [&str; 1] = ["lastLogin"];

/// The private field that is a list of objects, and the filter by it.
const PRIVATE_LIST: [&str; 2] = ["externalReferences", "externalReference"];

/// A text that is too long for every field.
fn long() -> String {
    "x".repeat(300)
}

/// A text of a length in characters, not in bytes.
fn of_length(length: usize) -> String {
    "é".repeat(length)
}

/// An input for administrator rights that grants or revokes all of them.
fn all_rights(held: bool) -> Value {
    SCHEMA.input_fields("AdminRightsInput").iter().map(|right| (right.name.node.to_string(), json!(held))).collect()
}

/// The fields that inputs set. The bounds of `birthDate` that depend on the day are in `people.rs`.
pub static USER_FIELDS: LazyLock<Vec<UserField>> = LazyLock::new(|| {
    vec![
        UserField::required("firstName")
            .self_editable()
            .accepts(["Ada".to_owned(), of_length(50)])
            .normalizes("\u{3000}Zoë \n", "Zoë")
            .rejects("REQUIRED", [" ", " \u{200b}\u{a0} "])
            .rejects("TOO_LONG", [of_length(51), format!("a{}", "\u{301}".repeat(10_000))])
            .rejects("INVALID", ["A\nB"]),
        UserField::required("lastName")
            .self_editable()
            .accepts(["King".to_owned(), "王".repeat(50), "O'Neil-Łukasz, Jr.".to_owned()])
            .rejects("TOO_LONG", ["y".repeat(51)])
            .rejects("REQUIRED", [""])
            .rejects("INVALID", ["A\u{7}"]),
        UserField::optional("username")
            .accepts(["Ada.K+1@x_y-z", "Ελένη٣", "Jose\u{301}"])
            .accepts([of_length(30)])
            .normalizes(" a.b@c+d-e_9 ", "a.b@c+d-e_9")
            .rejects("INVALID", ["no blanks", "a b", "a/b", "a'b", "a\u{200b}b", "a😀"])
            .rejects("TOO_LONG", ["x".repeat(31)]),
        UserField::optional("email")
            .accepts(["Ada@Example.org", "jörg@münchen.example"])
            .accepts([format!("a@{}.{}.{}.{}.example", "b".repeat(60), "c".repeat(60), "d".repeat(60), "e".repeat(57))])
            .normalizes(" Ada+tag@Example.ORG ", "Ada+tag@Example.ORG")
            .rejects("INVALID", ["nobody", "x", "@x.example", "a@", "a@b@c.example", "a b@c.example"])
            .rejects("INVALID", ["A <a@c.example>", "a@c.example,b@c.example", "a@c.example\r\nBcc: b@c.example"])
            .rejects("INVALID", ["a@[127.0.0.1]", "a@127.0.0.1", "a@localhost", "a@-c-.example", "a@c..example"])
            .rejects("INVALID", [format!("{}@c.example", "a".repeat(65))])
            .rejects("TOO_LONG", [format!("a@{}", "b.".repeat(130))]),
        UserField::optional("nickname")
            .self_editable()
            .accepts(["Countess".to_owned(), "A".to_owned(), of_length(50)])
            .normalizes("  ", Value::Null)
            .rejects("TOO_LONG", [of_length(51), long()]),
        UserField::optional("position")
            .self_editable()
            .accepts(["Nurse", "nurse", "NURSE", "Ärztin", "A\u{308}rztin", "arztin", "Doctor", "100% sure", "a_b"])
            .accepts(["Médecin", "médecin", "護士"])
            .accepts([of_length(100)])
            .normalizes(" ", Value::Null)
            .rejects("TOO_LONG", [of_length(101), long()])
            .rejects("INVALID", ["bell\u{7}"])
            .rejects("BAD_REQUEST", ["nul\u{0}l"]),
        UserField::optional("phone")
            .self_editable()
            .accepts(["+61 2 555", "+61 3 555", "02 555", "(02) 555-1", "0400", "+44 20 7946 0000"])
            .accepts(["1".repeat(20)])
            .normalizes("+44 (0)20 7946-0000 ", "+44 (0)20 7946-0000")
            .normalizes("", Value::Null)
            .rejects("TOO_LONG", ["1".repeat(21), "0123456789012345678901".to_owned(), long()])
            .rejects("INVALID", ["call me", "+"]),
        UserField::optional("mobile")
            .private()
            .self_editable()
            .accepts(["0400 1", "0400 2", "+41 79 1", "0400%", "007", "0777 900 000"])
            .rejects("TOO_LONG", ["1".repeat(21), long()])
            .rejects("INVALID", ["x", "０４００"]),
        UserField::optional("website")
            .self_editable()
            .accepts(["https://X.example/a", "http://é.example/ü", "HTTP://x.example", "https://x.example/?q=%41"])
            .accepts(["https://müller.example/ä?q=1#x".to_owned(), format!("https://x.example/{}", "p".repeat(182))])
            .normalizes("www.x.example", "http://www.x.example")
            .normalizes("www.someweb.com", "http://www.someweb.com")
            .normalizes("\t", Value::Null)
            .rejects("INVALID", ["ftp://x.example", "not a url", "javascript:1", "http://", "javascript:alert(1)"])
            .rejects("INVALID", ["javascript://x.example/%0aalert(1)", "mailto:a@x.example", "/path", "//x.example"])
            .rejects("INVALID", ["\\\\x.example", "https://a:b@x.example", "https://x .example", "x"])
            .rejects("TOO_LONG", [format!("https://x.example/{}", "p".repeat(183))]),
        UserField::optional("googleScholar")
            .self_editable()
            .accepts(["https://scholar.google.com/citations?user=A", "https://scholar.google.com/citations?user=a"])
            .normalizes("scholar.google.com/citations?user=A", "http://scholar.google.com/citations?user=A")
            .normalizes("scholar.google.com/x", "http://scholar.google.com/x")
            .rejects("INVALID", ["javascript:alert(1)", "data:text/html,x", "mailto:a@x.example"]),
        UserField::optional("orcidId")
            .self_editable()
            .accepts(["https://orcid.org/0000-0002-1825-0097", "0000-0002-1825-0097", "0000-0002-1694-233X"])
            .accepts(["https://orcid.org/0000-0002-1694-233X"])
            .normalizes("", Value::Null)
            .normalizes("0000-0002-1694-233x", "0000-0002-1694-233X")
            .normalizes("HTTPS://www.ORCID.org/0000-0002-1694-233x/", "https://orcid.org/0000-0002-1694-233X")
            .normalizes("orcid.org/0000-0002-1825-0097/", "orcid.org/0000-0002-1825-0097")
            .rejects("INVALID", ["0000-0002-1825-0098", "0000", "x", "/0000-0002-1825-0097", "0000000218250097"])
            .rejects(
                "INVALID",
                ["https://orcid.org/0000-0002-1825-0097/works", "https://orcid.org.example/0000-0002-1825-0097"],
            )
            .rejects("INVALID", ["https://orcid.example/0000-0002-1825-0097", "0000-0002-1825-009"])
            .rejects("INVALID", ["X000-0002-1825-0097".to_owned(), "9".repeat(40)])
            .rejects("TOO_LONG", ["9".repeat(101)]),
        UserField::optional("atlasPreference")
            .self_editable()
            .accepts(["CCFv3", "CCFv3.1", "allen", "ALLEN", "ünï", "7"])
            .rejects("TOO_LONG", ["12345678".to_owned(), "waxholmm".to_owned(), long()]),
        UserField::optional("externalId")
            .private()
            .accepts(["EX-1", "1", "001", "ex-1", "Ex-1", "ﬁ", "fi", "ü", "u\u{308}", "a%b", "a_b", "李"])
            .accepts(["2", "3", "4", "5"])
            .accepts(["<'\"; DROP TABLE users; -- %_\\>".to_owned(), of_length(250)])
            .normalizes(" 1 ", "1")
            .normalizes(" \u{a0}", Value::Null)
            .rejects("TOO_LONG", ["x".repeat(251), long()])
            .rejects("INVALID", ["tab\tbed"])
            .rejects("BAD_REQUEST", ["nul\u{0}l"]),
        UserField::optional("birthDate")
            .private()
            .self_editable()
            .accepts(["1980-07-08", "1980-07-09", "1900-01-01", "2000-02-29", "1999-12-31"])
            .normalizes("", Value::Null)
            .normalizes(" ", Value::Null)
            .rejects("INVALID", ["1980-02-30", "1899-12-31", "2999-01-01", "1981-02-29", "8.7.1980", "08.07.1980"])
            .rejects("INVALID", ["1980-7-8", "1980-07-08T00:00:00Z"]),
        UserField::optional("certifiedEmail")
            .self_editable()
            .accepts(["ada@pec.example.it"])
            .rejects("INVALID", ["nobody", "pec"])
            .rejects("TOO_LONG", [format!("a@{}", "b.".repeat(130))]),
        UserField::required("gender").self_editable().accepts(["FEMALE", "MALE", "UNKNOWN"]),
        UserField::required("userType").accepts(["CLINICIAN", "ADMINISTRATIVE", "TECHNICIAN", "STUDENT"]),
        UserField::optional("institutionId")
            .rejects("INVALID", ["none", "1"])
            .rejects("NOT_FOUND", [Id::new().0.to_string()]),
        // The last role does not include access to every site, which one of the next fields grants.
        UserField::required("role").granting_rights().accepts(["ADMIN", "LICENSE_ADMIN", "USER"]),
        UserField::required("isStaff").granting_rights().accepts([true, false]),
        UserField::required("fullSiteAccess").granting_rights().accepts([true, false]),
        UserField::required("adminRights").granting_rights().accepts([all_rights(true), all_rights(false)]),
    ]
});

/// The fields of a user that only the user and administrators see, or filter by.
pub static PRIVATE_FIELDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let private = USER_FIELDS.iter().filter(|field| field.is_private).map(|field| field.name);
    private.chain(PRIVATE_WITHOUT_INPUT).collect()
});

/// A selection of the fields of a user that are scalars or enums.
pub static USER_LEAVES: LazyLock<String> = LazyLock::new(|| SCHEMA.leaf_fields("User").join(" "));

/// A selection of every field of the table, and of the other scalars and enums of a user.
pub static USER_SELECTION: LazyLock<String> = LazyLock::new(|| {
    let rights = SCHEMA.leaf_fields("AdminRights").join(" ");
    format!("{} institution {{ id }} adminRights {{ {rights} }}", *USER_LEAVES)
});

/// The field of this name; `None` if it is not in the table.
pub fn user_field(name: &str) -> Option<&'static UserField> {
    USER_FIELDS.iter().find(|field| field.name == name)
}

pub fn is_private(name: &str) -> bool {
    PRIVATE_FIELDS.contains(&name) || PRIVATE_LIST.contains(&name)
}

/// The example of each field that has one.
pub fn examples() -> Map<String, Value> {
    let example = |field: &UserField| Some((field.name.to_owned(), field.example()?.clone()));
    USER_FIELDS.iter().filter_map(example).collect()
}

/// The fields, other than the names, as Rust code passes them.
pub fn to_user_fields(mut values: Map<String, Value>) -> UserFields {
    values.retain(|name, _| !NAMES.contains(&name.as_str()));
    serde_json::from_value(Value::Object(values)).unwrap()
}

#[test]
fn the_table_has_each_field_of_an_update_once() {
    let others = ["id", "expectedVersion", "dryRun", "password", "pin", "attributes", "externalReferences"];
    let inputs = SCHEMA.input_fields("UpdateUserInput").into_iter().map(|field| field.name.node.as_str());
    let inputs: BTreeSet<&str> = inputs.filter(|name| !others.contains(name)).collect();
    let fields: BTreeSet<&str> = USER_FIELDS.iter().map(|field| field.name).collect();
    assert_eq!(fields, inputs);
    assert_eq!(fields.len(), USER_FIELDS.len());
    for field in USER_FIELDS.iter() {
        assert_eq!(field.accepted.is_empty(), field.input_type() == "ID", "{} needs an accepted value", field.name);
    }
}

#[test]
fn the_table_has_each_value_of_an_enum() {
    for field in USER_FIELDS.iter() {
        for value in SCHEMA.enum_values(field.input_type()) {
            assert!(field.accepted.iter().any(|accepted| accepted.value == value), "{} accepts {value}", field.name);
        }
    }
}
