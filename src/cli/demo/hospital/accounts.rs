//! Users that stand for the kinds of viewers.

use super::names::Name;
use crate::entity::user::UserType;

/// A user whose token the demo prints.
#[derive(Clone, Copy)]
pub struct Account {
    pub kind: &'static str,
    pub index: u32,
    first: &'static str,
    last: &'static str,
    pub position: &'static str,
    pub user_type: UserType,
}

impl Account {
    pub fn name(&self) -> Name {
        Name {
            first: self.first.to_owned(),
            last: self.last.to_owned(),
            first_ascii: self.first.to_lowercase(),
            last_ascii: self.last.to_lowercase(),
            is_womans: matches!(self.first, "Ada" | "Dalia"),
        }
    }
}

/// The first users of the directory. The one at index 0 owns the first groups of the first license.
pub const ACCOUNTS: [Account; 5] = [
    Account {
        kind: "superuser",
        index: 1,
        first: "Ada",
        last: "Vale",
        position: "Platform Operator",
        user_type: UserType::Technician,
    },
    Account {
        kind: "license_admin",
        index: 2,
        first: "Bela",
        last: "Moreau",
        position: "Head of Administration",
        user_type: UserType::Administrative,
    },
    Account {
        kind: "admin",
        index: 3,
        first: "Chidi",
        last: "Okonkwo",
        position: "Ward Administrator",
        user_type: UserType::Administrative,
    },
    Account {
        kind: "group_owner",
        index: 0,
        first: "Dalia",
        last: "Fontaine",
        position: "Head Nurse",
        user_type: UserType::Clinician,
    },
    Account {
        kind: "user",
        index: 4,
        first: "Emil",
        last: "Sandoval",
        position: "Nurse",
        user_type: UserType::Clinician,
    },
];
