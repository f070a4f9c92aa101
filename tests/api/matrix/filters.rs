//! Filters, sorting and lookups of users.

use serde_json::json;

use super::cell::Cell;
use super::oracle::{ATTRIBUTES, FORBIDDEN, PRIVATE};
use super::reads::judge_person;
use super::seat::Seat;

/// Each field of `UserFilter` and a comparison with it. `attribute` is tested separately.
pub const FILTERS: [(&str, &str); 30] = [
    ("and", "[{ isStaff: true }]"),
    ("or", "[{ isStaff: true }]"),
    ("not", "{ isStaff: true }"),
    ("id", "{ isNull: false }"),
    ("username", "{ eq: \"x\" }"),
    ("email", "{ contains: \"x\" }"),
    ("certifiedEmail", "{ startsWith: \"x\" }"),
    ("firstName", "{ endsWith: \"x\" }"),
    ("lastName", "{ in: [\"x\"] }"),
    ("nickname", "{ isNull: true }"),
    ("position", "{ lt: \"x\" }"),
    ("phone", "{ lte: \"x\" }"),
    ("mobile", "{ gt: \"x\" }"),
    ("externalId", "{ gte: \"x\" }"),
    ("orcidId", "{ eq: \"x\" }"),
    ("website", "{ eq: \"x\", caseSensitive: true }"),
    ("isActive", "true"),
    ("isStaff", "true"),
    ("hasActivated", "true"),
    ("invitation", "[SENT]"),
    ("role", "[ADMIN]"),
    ("userType", "[STUDENT]"),
    ("gender", "[UNKNOWN]"),
    ("birthDate", "{ isNull: true }"),
    ("dateJoined", "{ isNull: true }"),
    ("modifiedAt", "{ isNull: true }"),
    ("lastLogin", "{ isNull: true }"),
    ("institution", "{ isNull: true }"),
    ("group", "{ isNull: true }"),
    ("site", "{ isNull: true }"),
];

/// Each value of `UserOrderField` and the field of `User` that it sorts by.
pub const ORDERS: [(&str, &str); 9] = [
    ("USERNAME", "username"),
    ("EMAIL", "email"),
    ("FIRST_NAME", "firstName"),
    ("LAST_NAME", "lastName"),
    ("ROLE", "role"),
    ("POSITION", "position"),
    ("DATE_JOINED", "dateJoined"),
    ("MODIFIED_AT", "modifiedAt"),
    ("LAST_LOGIN", "lastLogin"),
];

impl Seat<'_> {
    /// Every filter and every order of `users`, and every key of `resolveUsers`.
    pub fn filters(&self) -> Vec<Cell> {
        let name = self.name.as_str();
        let mut cells = Vec::new();
        let allowed = |field: &str| match self.open("users") {
            Err(refused) => refused,
            Ok(())
                if (PRIVATE.contains(&field) || field == "invitation") && self.viewer.looks_up_private().is_err() =>
            {
                FORBIDDEN
            }
            Ok(()) => "value",
        };
        for (field, comparison) in FILTERS {
            for filter in [
                format!("{{ {field}: {comparison} }}"),
                format!("{{ or: [{{ isStaff: true }}, {{ not: {{ {field}: {comparison} }} }}] }}"),
            ] {
                let rest = format!("(filter: {filter}) {{ totalCount }}");
                cells.push(Cell::query("users", &rest, name, allowed(field)));
            }
        }
        for (field, shown) in ORDERS {
            let rest = format!("(orderBy: [{{ field: {field} }}]) {{ pageInfo {{ hasNextPage }} }}");
            cells.push(Cell::query("users", &rest, name, allowed(shown)));
        }
        let by_attribute = match self.open("users").map(|()| self.viewer.looks_up_private()) {
            Err(refused) | Ok(Err(refused)) => refused,
            Ok(Ok(())) => "value",
        };
        let attribute = ATTRIBUTES[0].0;
        let rest = format!("(filter: {{ attribute: {{ name: \"{attribute}\", value: null }} }}) {{ totalCount }}");
        cells.push(Cell::query("users", &rest, name, by_attribute));
        cells.extend(self.finds_by_value());
        cells.push(self.resolves());
        cells
    }

    /// Filters for each user by each of their unique values.
    fn finds_by_value(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for known in &self.known {
            let is_listed = || self.viewer.finds(&known.target) && known.target.person.is_active;
            let values = [
                ("id", known.id.0.to_string()),
                ("username", known.username.to_uppercase()),
                ("email", known.email.to_uppercase()),
                ("mobile", known.mobile.clone()),
                ("externalId", known.external_id.clone()),
            ];
            for (field, value) in values {
                let rest = format!("(filter: {{ {field}: {{ eq: \"{value}\" }} }}) {{ totalCount }}");
                let refused = PRIVATE.contains(&field) && self.viewer.looks_up_private().is_err();
                let open = if refused { Err(FORBIDDEN) } else { Ok(()) };
                let total = self.open("users").and(open).map(|()| json!(i32::from(is_listed())));
                cells.push(Cell::value("users", &rest, &self.who(known), "/totalCount", total));
            }
        }
        cells
    }

    /// Resolves every key of all users at once.
    fn resolves(&self) -> Cell {
        let (viewer, known, open) = (self.viewer, self.known.clone(), self.open("resolveUsers"));
        let keys: Vec<String> = known
            .iter()
            .flat_map(|known| {
                [known.id.0.to_string(), known.username.clone(), known.email.clone(), known.external_id.clone()]
            })
            .collect();
        let way = format!("{}: resolveUsers", self.name);
        let rest = format!("(keys: {}) {{ status user {{ ...Seen }} }}", json!(keys));
        Cell::new("resolveUsers", &rest, move |answer, tally| {
            if let Err(refused) = open {
                return tally.expect(|| way, &json!(refused), &json!(answer.outcome()));
            }
            let found = answer.value.as_array().cloned().unwrap_or_default();
            for (known, answers) in known.iter().zip(found.chunks(4)) {
                for (place, answer) in answers.iter().enumerate() {
                    let by_external_id = viewer.looks_up_private().is_ok() && known.target.person.license == 'A';
                    let is_found = viewer.finds(&known.target) && (place < 3 || by_external_id);
                    let status = if is_found { "MATCHED" } else { "MISSING" };
                    tally.expect(|| format!("{way} {}", known.label), &json!(status), &answer["status"]);
                    let user = answer.get("user");
                    judge_person(tally, &way, &viewer, known, user, is_found);
                }
            }
        })
    }
}
