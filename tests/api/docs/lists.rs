//! Lists of fields and languages in the documentation are those of the code.

use std::collections::BTreeSet;

use roster::access::may_read_standby;
use roster::entity::user::{Column, Privacy};
use roster::i18n::language::Language;
use sea_orm::Iterable as _;

use crate::definition::Definition;

/// The names in code spans between two texts of a page.
fn names_between<'a>(page: &'a str, start: &str, end: &str) -> BTreeSet<&'a str> {
    let list = page.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    let (list, _) = list.unwrap_or_else(|| panic!("nothing is between {start:?} and {end:?}"));
    list.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_api_guide_names_every_private_field() {
    let guide = include_str!("../../../docs/api-guide.md");
    let start = "Private fields are null unless the viewer is the user or an administrator:";
    let named = names_between(guide, start, "and attributes that are not");
    let columns: Vec<String> =
        Column::iter().filter(|column| column.privacy() == Privacy::Private).map(Column::field).collect();
    // Lists that belong to the user.
    let expected: BTreeSet<&str> = columns.iter().map(String::as_str).chain(["sessions", "devices"]).collect();
    assert_eq!(named, expected);
}

#[test]
fn the_page_on_operations_names_every_query_that_a_standby_answers() {
    let page = include_str!("../../../docs/operations.md");
    let named = names_between(page, "With `--read-url`, queries of", "are read from a streaming standby");
    let definition = Definition::of_roster();
    let queries = definition.fields("Query").into_iter().map(|field| field.name.node.as_str());
    let expected: BTreeSet<&str> = queries.filter(|field| may_read_standby(field)).collect();
    assert_eq!(named, expected);
}

#[test]
fn pages_name_every_language() {
    let page = include_str!("../../../docs/administration.md");
    let tags = names_between(page, "| `--language TAG` | The language of users who have not chosen one:", " |\n");
    assert_eq!(tags, BTreeSet::from(Language::ALL.map(Language::tag)));
    let names = Language::ALL.map(|language| format!("{language:?}"));
    let (final_name, others) = names.split_last().unwrap();
    let list = format!("{} and {final_name}", others.join(", "));
    for page in [include_str!("../../../README.md"), include_str!("../../../docs/sign-in.md")] {
        let words: Vec<&str> = page.split_whitespace().collect();
        assert!(words.join(" ").contains(&list), "no page has the list {list:?}");
    }
}
