//! The languages of emails and pages.

use std::cmp::Reverse;

use poem::http::{HeaderMap, header};
use sea_orm::entity::prelude::*;

/// The number of languages of a request that are considered.
const MAX_ACCEPTED: usize = 32;

/// Defines [`Language`] from the name and the tag of each language, whose messages are in `locales/TAG.ftl`.
macro_rules! languages {
    ($($(#[$attribute:meta])* $name:ident = $tag:tt,)+) => {
        /// A language of emails and pages.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
        #[sea_orm(rs_type = "String", db_type = "Text")]
        pub enum Language {
            $(
                $(#[$attribute])*
                #[sea_orm(string_value = $tag)]
                $name,
            )+
        }

        impl Language {
            /// All languages.
            pub const ALL: [Self; [$($tag),+].len()] = [$(Self::$name),+];

            /// Returns the language tag (BCP 47), such as `fr`.
            #[must_use]
            pub fn tag(self) -> &'static str {
                match self {
                    $(Self::$name => $tag,)+
                }
            }

            /// Returns the messages of the language as Fluent source text.
            #[must_use]
            pub(super) fn source(self) -> &'static str {
                match self {
                    $(Self::$name => include_str!(concat!("../../locales/", $tag, ".ftl")),)+
                }
            }
        }
    };
}

languages! {
    #[default]
    English = "en",
    French = "fr",
    Italian = "it",
}

impl Language {
    /// Returns the language of a locale such as `fr`, `fr-CH` or `fr_CH.UTF-8`, regardless of case.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_', '.', '@']).next()?;
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// Returns the language that the headers of a request prefer, if it is supported.
    #[must_use]
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok().and_then(Self::accepted)
    }

    /// Returns the language that an `Accept-Language` header prefers (RFC 9110): of the highest weight, and the first of several.
    /// `None` if no supported language is accepted; malformed parts are ignored.
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        let ranges: Vec<(&str, u16)> = header.split(',').take(MAX_ACCEPTED).filter_map(parse_range).collect();
        // A language has the weight of its own ranges, or that of `*` if it has none.
        let weight = |language: Self| {
            let best_weight = |matches: &dyn Fn(&str) -> bool| {
                let matching = ranges.iter().enumerate().filter(|(_, (name, _))| matches(name));
                matching.map(|(position, (_, weight))| (*weight, Reverse(position))).max()
            };
            best_weight(&|name| Self::of_tag(name) == Some(language)).or_else(|| best_weight(&|name| name == "*"))
        };
        let accepted = Self::ALL.into_iter().rev().filter_map(|language| Some((weight(language)?, language)));
        let best = accepted.filter(|((weight, _), _)| *weight > 0).max_by_key(|(weight, _)| *weight);
        best.map(|(_, language)| language)
    }
}

/// Parses a range of `Accept-Language`; its weight is in thousandths.
fn parse_range(text: &str) -> Option<(&str, u16)> {
    let Some((name, weight)) = text.split_once(';') else { return Some((text.trim(), 1000)) };
    let (q, value) = weight.split_once('=')?;
    q.trim().eq_ignore_ascii_case("q").then_some(())?;
    let (integer, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let thousandths: u16 = is_number.then(|| format!("{fraction:0<3}").parse().ok())??;
    match (integer, thousandths) {
        ("0", _) => Some((name.trim(), thousandths)),
        ("1", 0) => Some((name.trim(), 1000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_is_parsed_regardless_of_case() {
        for tag in ["fr", "FR", "fr-CH", "fr_CH", "fr_CH.UTF-8", "Fr.utf8", "fr@euro", " fr-Latn-CH "] {
            assert_eq!(Language::of_tag(tag), Some(Language::French), "{tag}");
        }
        for language in Language::ALL {
            assert_eq!(Language::of_tag(language.tag()), Some(language));
        }
        for tag in ["", "-", "de", "french", "f", "fra", "*", "C.UTF-8", "_fr", "\u{fb01}r", "\0fr"] {
            assert_eq!(Language::of_tag(tag), None, "{tag}");
        }
    }

    #[test]
    fn the_language_of_the_highest_weight_is_accepted() {
        use Language::{English, French, Italian};
        for (header, accepted) in [
            ("fr", Some(French)),
            ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", Some(French)),
            ("de-CH,de;q=0.9,it;q=0.4,en;q=0.8", Some(English)),
            ("en;q=0.1, it;q=0.123, fr;q=0.122", Some(Italian)),
            ("it, fr", Some(Italian)),
            ("fr, it", Some(French)),
            ("fr;q=0.2, it-CH ; Q = 1.000", Some(Italian)),
            ("de, *;q=0.5", Some(English)),
            ("en;q=0, *", Some(French)),
            ("en;q=0.3, *;q=0.8", Some(French)),
            ("fr;q=0, en;q=0.1", Some(English)),
            ("fr;q=0", None),
            ("*;q=0", None),
            ("de, rm", None),
            ("", None),
        ] {
            assert_eq!(Language::accepted(header), accepted, "{header}");
        }
    }

    #[test]
    fn malformed_ranges_are_ignored() {
        for weight in [
            "q=nan",
            "q=inf",
            "q=-1",
            "q=1.001",
            "q=2",
            "q=0.0001",
            "q=+1",
            "q=.5",
            "q=",
            "q",
            "",
            "v=1",
            "q=1;q=1",
            "q=0.\u{664}",
        ] {
            assert_eq!(Language::accepted(&format!("fr;{weight}, it;q=0.1")), Some(Language::Italian), "{weight}");
        }
        for header in [",,,;;;===", ";q=1", "\u{0}\u{202e}", "q=1", "fr fr", "**", "é;q=0.é"] {
            assert_eq!(Language::accepted(header), None, "{header}");
        }
        assert_eq!(Language::accepted(&format!("{}fr", "de,".repeat(100_000))), None);
        assert_eq!(Language::accepted(&"fr;q=".repeat(100_000)), None);
    }
}
