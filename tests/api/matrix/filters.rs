//! Filters, sorting and lookups of users.

use serde_json::json;

use super::cell::Cell;
use super::oracle::{ATTRIBUTES, FORBIDDEN, PRIVATE};
use super::reads::check_user;
use super::seat::ViewerCase;

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

impl ViewerCase<'_> {
    /// Every filter and every order of `users`, and every key of `resolveUsers`.
    pub fn filters(&self) -> Vec<Cell> {
        let name = self.name.as_str();
        let mut cells = Vec::new();
        let allowed = |field: &str| match self.open("users") {
            Err(error_code) => error_code,
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
            Err(error_code) | Ok(Err(error_code)) => error_code,
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
            let is_listed = || self.viewer.finds(&known.target) && known.target.user.is_active;
            let values = [
                ("id", known.id.0.to_string()),
                ("username", known.username.to_uppercase()),
                ("email", known.email.to_uppercase()),
                ("mobile", known.mobile.clone()),
                ("externalId", known.external_id.clone()),
            ];
            for (field, value) in values {
                let rest = format!("(filter: {{ {field}: {{ eq: \"{value}\" }} }}) {{ totalCount }}");
                let is_forbidden = PRIVATE.contains(&field) && self.viewer.looks_up_private().is_err();
                let open = if is_forbidden { Err(FORBIDDEN) } else { Ok(()) };
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
        Cell::new("resolveUsers", &rest, move |response, summary| {
            if let Err(error_code) = open {
                return summary.expect(|| way, &json!(error_code), &json!(response.outcome()));
            }
            let found = response.value.as_array().cloned().unwrap_or_default();
            for (known, responses) in known.iter().zip(found.chunks(4)) {
                for (place, response) in responses.iter().enumerate() {
                    let by_external_id = viewer.looks_up_private().is_ok() && known.target.user.license == 'A';
                    let is_found = viewer.finds(&known.target) && (place < 3 || by_external_id);
                    let status = if is_found { "MATCHED" } else { "MISSING" };
                    summary.expect(|| format!("{way} {}", known.label), &json!(status), &response["status"]);
                    let user = response.get("user");
                    check_user(summary, &way, &viewer, known, user, is_found);
                }
            }
        })
    }
}
