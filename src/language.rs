//! The languages in which Roster writes to people: English, French and Italian.

use sea_orm::entity::prelude::*;

/// A language in which Roster writes to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Language {
    #[default]
    #[sea_orm(string_value = "en")]
    English,
    #[sea_orm(string_value = "fr")]
    French,
    #[sea_orm(string_value = "it")]
    Italian,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::English, Self::French, Self::Italian];

    /// Its tag (BCP 47), such as `fr`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
            Self::Italian => "it",
        }
    }
}
