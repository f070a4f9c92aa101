//! Filters, sorting and lookups of users.

use serde_json::json;

use super::cell::Cell;
use super::oracle::{ATTRIBUTES, FORBIDDEN, RIGHTS};
use super::reads::check_user;
use super::seat::ViewerCase;
use crate::definition::SCHEMA;
use crate::user_fields::is_private;
use crate::user_filter::{FILTERS, FilterField, ORDERS, sorted_field};

/// A comparison of a text for each operator.
const TEXT_COMPARISONS: [&str; 11] = [
    "{ eq: \"x\" }",
    "{ contains: \"x\" }",
    "{ startsWith: \"x\" }",
    "{ endsWith: \"x\" }",
    "{ in: [\"x\"] }",
    "{ isNull: true }",
    "{ lt: \"x\" }",
    "{ lte: \"x\" }",
    "{ gt: \"x\" }",
    "{ gte: \"x\" }",
    "{ eq: \"x\", caseSensitive: true }",
];

/// Each field of `UserFilter` and a comparison with it, of the texts with each operator in turn. `attribute` is tested
/// separately.
fn comparisons() -> Vec<(&'static str, String)> {
    let mut texts = TEXT_COMPARISONS.into_iter().cycle();
    let comparison = |FilterField { name, kind, is_list }: &FilterField| {
        let comparison = match *kind {
            "AttributeFilter" => return None,
            "ExternalReferenceFilter" => "{ source: \"nowhere\" }".to_owned(),
            "StringFilter" => texts.next().unwrap().to_owned(),
            "IDFilter" | "DateFilter" | "DateTimeFilter" => "{ isNull: true }".to_owned(),
            "Boolean" => "true".to_owned(),
            "AdminRightsFilter" => format!("{{ {} }}", RIGHTS.map(|right| format!("{right}: true")).join(" ")),
            "UserFilter" => "{ isStaff: true }".to_owned(),
            other => {
                let values = SCHEMA.enum_values(other);
                (*values.first().unwrap_or_else(|| panic!("{other} has no case in the matrix"))).to_owned()
            }
        };
        Some((*name, if *is_list { format!("[{comparison}]") } else { comparison }))
    };
    FILTERS.iter().filter_map(comparison).collect()
}

impl ViewerCase<'_> {
    /// Every filter and every order of `users`, and every key of `resolveUsers`.
    pub fn filters(&self) -> Vec<Cell> {
        let name = self.name.as_str();
        let mut cells = Vec::new();
        let allowed = |field: &str| match self.open("users") {
            Err(error_code) => error_code,
            Ok(())
                if (is_private(field) || ["adminRights", "invitation"].contains(&field))
                    && self.viewer.looks_up_private().is_err() =>
            {
                FORBIDDEN
            }
            Ok(()) => "value",
        };
        for (field, comparison) in comparisons() {
            for filter in [
                format!("{{ {field}: {comparison} }}"),
                format!("{{ or: [{{ isStaff: true }}, {{ not: {{ {field}: {comparison} }} }}] }}"),
            ] {
                let rest = format!("(filter: {filter}) {{ totalCount }}");
                cells.push(Cell::query("users", &rest, name, allowed(field)));
            }
        }
        for order in ORDERS.iter() {
            let rest = format!("(orderBy: [{{ field: {order} }}]) {{ pageInfo {{ hasNextPage }} }}");
            cells.push(Cell::query("users", &rest, name, allowed(&sorted_field(order))));
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
                ("mobile", known.private_text("mobile").to_owned()),
                ("externalId", known.private_text("externalId").to_owned()),
            ];
            for (field, value) in values {
                let rest = format!("(filter: {{ {field}: {{ eq: \"{value}\" }} }}) {{ totalCount }}");
                let is_forbidden = is_private(field) && self.viewer.looks_up_private().is_err();
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
                let external_id = known.private_text("externalId").to_owned();
                [known.id.0.to_string(), known.username.clone(), known.email.clone(), external_id]
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
