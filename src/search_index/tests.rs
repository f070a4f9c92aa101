//! The search index against the scores of all users, and against an index that is made anew.

mod file;
mod random;
mod typos;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use self::random::{Rng, User, Users, random_query, random_user};
use super::merge::merged;
use super::request::ENOUGH;
use super::snapshot::Part;
use super::{Found, IndexedUser, IndexedUsers, SearchRequest, Snapshot, score};
use crate::scalar::Id;

fn indexed<'a>(users: impl IntoIterator<Item = (&'a Id, &'a User)>) -> IndexedUsers {
    let mut indexed = IndexedUsers::default();
    for (id, User { license_id, is_active, key }) in users {
        indexed.push(IndexedUser { id: *id, license_id: *license_id, is_active: *is_active, key });
    }
    indexed
}

fn request(words: &[String], license_id: Option<Id>) -> SearchRequest {
    SearchRequest {
        words: words.to_vec(),
        license_id,
        include_inactive: false,
        among: None,
        always_with_typos: false,
        after: None,
        limit: 30,
    }
}

/// A user who was found: the sum of the points, and the ID.
type Ranked = (u32, Id);

fn ranked(found: &Found) -> Vec<Ranked> {
    found.hits.iter().map(|hit| (hit.points, hit.id)).collect()
}

/// All users who match, by the score of each user, in the order of the list.
fn scan(users: &Users, request: &SearchRequest) -> Vec<Ranked> {
    let allowed = |user: &User| {
        request.license_id.is_none_or(|id| user.license_id == id) && (request.include_inactive || user.is_active)
    };
    let matches = |with_typos: bool| {
        let mut matches: Vec<_> = users
            .iter()
            .filter(|(_, user)| allowed(user))
            .filter_map(|(id, user)| {
                let points = request.words.iter().map(|word| score::points_of_word(&user.key, word, with_typos));
                let points: Vec<u32> = points.map(u32::from).collect();
                let mut lines = user.key.split('\n').skip(1);
                let first = lines.next();
                let is_match = points.iter().all(|points| *points > 0);
                is_match.then(|| (Reverse(points.iter().sum::<u32>()), lines.next(), first, *id))
            })
            .collect();
        matches.sort();
        matches.into_iter().map(|(Reverse(points), _, _, id)| (points, id)).collect::<Vec<_>>()
    };
    let plain = matches(false);
    if plain.len() >= ENOUGH && !request.always_with_typos { plain } else { matches(true) }
}

fn count_from(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

/// Searches for a random query in a snapshot and by the scores of all users, in two pages.
fn compare(rng: &mut Rng, snapshot: &Snapshot, users: &Users, licenses: &[Id]) {
    let words = random_query(rng, users);
    let license_id = if rng.below(3) == 0 { None } else { Some(rng.one_of(licenses)) };
    let request = SearchRequest {
        include_inactive: rng.below(4) == 0,
        always_with_typos: rng.below(3) == 0,
        ..request(&words, license_id)
    };
    let expected = scan(users, &request);
    let found = snapshot.search(&request);
    assert_eq!(found.total, expected.len(), "{words:?}");
    assert_eq!(ranked(&found), expected.iter().take(30).copied().collect::<Vec<_>>(), "{words:?}");
    if let Some(last) = found.hits.last() {
        let next = snapshot.search(&SearchRequest { after: Some(last.place()), ..request });
        assert_eq!(next.total, expected.len(), "{words:?}");
        assert_eq!(ranked(&next), expected.into_iter().skip(30).take(30).collect::<Vec<_>>(), "{words:?}");
    }
}

#[test]
fn a_search_finds_the_users_whom_their_scores_find() {
    let (mut rng, licenses) = (Rng(1), [Id::new(), Id::new(), Id::new()]);
    let users: Users = (0..300).map(|_| (Id::new(), random_user(&mut rng, &licenses))).collect();
    let snapshot = Snapshot::of(&indexed(&users));
    for _ in 0..count_from("ROSTER_TEST_SEARCHES", 150) {
        compare(&mut rng, &snapshot, &users, &licenses);
    }
}

/// A merge of some segments that is under way.
type Merge = Option<(Vec<Part>, super::segment::Segment)>;

/// Changes, creates or removes some users.
fn change(rng: &mut Rng, users: &mut Users, snapshot: &mut Snapshot, licenses: &[Id], merge: &Merge) {
    let mut changed = BTreeSet::new();
    for _ in 0..=rng.below(4) {
        let known = users.keys().nth(rng.below(users.len().max(1))).copied();
        match (rng.below(5), known) {
            (0, Some(id)) => {
                users.remove(&id);
                changed.insert(id);
            }
            (1 | 2, Some(id)) => {
                users.insert(id, random_user(rng, licenses));
                changed.insert(id);
            }
            _ => {
                let id = Id::new();
                users.insert(id, random_user(rng, licenses));
                changed.insert(id);
            }
        }
    }
    let rows = indexed(users.iter().filter(|(id, _)| changed.contains(*id)));
    let frozen = merge.as_ref().map(|(parts, _)| parts.as_slice()).unwrap_or_default();
    snapshot.apply_beside(&changed, &rows, frozen);
    // A change that is applied twice does no harm.
    snapshot.apply_beside(&changed, &rows, frozen);
}

#[test]
fn an_index_that_follows_changes_is_the_same_as_a_new_one() {
    let (mut rng, licenses) = (Rng(2), [Id::new(), Id::new()]);
    let mut users: Users = (0..100).map(|_| (Id::new(), random_user(&mut rng, &licenses))).collect();
    let mut snapshot = Snapshot::of(&indexed(&users));
    let mut merge: Merge = None;
    for round in 0..count_from("ROSTER_TEST_CHANGES", 300) {
        change(&mut rng, &mut users, &mut snapshot, &licenses, &merge);
        merge = match merge {
            None if rng.below(20) == 0 => {
                let parts = snapshot.parts[rng.below(snapshot.parts.len().max(1))..].to_vec();
                let segment = merged(&parts);
                Some((parts, segment))
            }
            Some((parts, segment)) if rng.below(10) == 0 => {
                snapshot.replace(&parts, segment);
                None
            }
            merge => merge,
        };
        assert_eq!(snapshot.len(), users.len());
        if round % 30 == 0 && !users.is_empty() {
            compare(&mut rng, &snapshot, &users, &licenses);
        }
    }
    let of = |user: IndexedUser<'_>| {
        let IndexedUser { id, license_id, is_active, key } = user;
        (id, User { license_id, is_active, key: key.to_owned() })
    };
    assert_eq!(snapshot.users().map(of).collect::<Users>(), users);
    let new = Snapshot::of(&indexed(&users));
    for _ in 0..100 {
        let request = request(&random_query(&mut rng, &users), None);
        let (followed, new) = (snapshot.search(&request), new.search(&request));
        assert_eq!((followed.total, ranked(&followed)), (new.total, ranked(&new)), "{:?}", request.words);
    }
}

fn user(license_id: Id, is_active: bool, first: &str) -> User {
    User { license_id, is_active, key: format!("\n{first}\ntester\n{first}9@{first}.example\n\n\n") }
}

/// The users Quentin and Zelda, of whom Quentin has been removed.
fn without_quentin() -> Snapshot {
    let license = Id::new();
    let users: Users = ["quentin", "zelda"].map(|first| (Id::new(), user(license, true, first))).into();
    let mut snapshot = Snapshot::of(&indexed(&users));
    let removed = users.iter().find(|(_, user)| user.key.contains("quentin")).map(|(id, _)| *id).unwrap();
    assert!(snapshot.apply(&BTreeSet::from([removed]), &IndexedUsers::default()));
    snapshot
}

#[test]
fn a_removed_user_leaves_nothing_in_memory_once_segments_are_merged() {
    let mut snapshot = without_quentin();
    assert_eq!(snapshot.search(&request(&["quentin".to_owned()], None)).total, 0);
    assert!(snapshot.has_removed());
    let parts = snapshot.parts.clone();
    snapshot.replace(&parts, merged(&parts));
    assert!(!snapshot.has_removed() && !snapshot.contains_text("quentin"));
    assert!(snapshot.contains_text("zelda"));
    assert_eq!(snapshot.search(&request(&["zelda".to_owned()], None)).total, 1);
}

/// A snapshot whose segments have given numbers of users.
fn in_segments(sizes: &[usize]) -> Snapshot {
    let (mut snapshot, license) = (Snapshot::default(), Id::new());
    for size in sizes {
        let users: Users = (0..*size).map(|_| (Id::new(), user(license, true, "wanda"))).collect();
        let before = snapshot.parts.clone();
        snapshot.apply_beside(&users.keys().copied().collect(), &indexed(&users), &before);
    }
    snapshot
}

#[test]
fn the_largest_segment_is_merged_only_once_the_others_have_half_as_many_users() {
    let sizes_of_fragments = |largest: usize, others: usize| {
        let snapshot = in_segments(&[[largest].as_slice(), &vec![3; others]].concat());
        snapshot.fragments().iter().map(Part::len).collect::<Vec<_>>()
    };
    assert_eq!(sizes_of_fragments(79, 13), vec![3; 13]);
    assert_eq!(sizes_of_fragments(78, 13), [[78].as_slice(), &[3; 13]].concat());
    assert!(sizes_of_fragments(78, 11).is_empty(), "there are few segments");
    let with_small_tail = in_segments(&[[600].as_slice(), &[20; 12], &[1]].concat());
    assert_eq!(with_small_tail.fragments().len(), 13, "a small segment hides no larger ones");
    let mut snapshot = in_segments(&[[79].as_slice(), &[3; 13]].concat());
    let fragments = snapshot.fragments().to_vec();
    snapshot.replace(&fragments, merged(&fragments));
    assert_eq!(snapshot.parts().map(Part::len).collect::<Vec<_>>(), [79, 39]);
}

#[test]
fn inactive_users_and_those_of_other_licenses_are_not_found() {
    let (own, other) = (Id::new(), Id::new());
    let mut users: Users = (0..150).map(|_| (Id::new(), user(other, true, "wanda"))).collect();
    let (active, inactive) = (Id::new(), Id::new());
    users.extend([(active, user(own, true, "wanda")), (inactive, user(own, false, "wanda"))]);
    let snapshot = Snapshot::of(&indexed(&users));
    let words = ["wanda".to_owned()];
    let ids = |request: &SearchRequest| snapshot.search(request).hits.iter().map(|hit| hit.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&request(&words, Some(own))), BTreeSet::from([active]));
    let with_inactive = SearchRequest { include_inactive: true, ..request(&words, Some(own)) };
    assert_eq!(ids(&with_inactive), BTreeSet::from([active, inactive]));
    assert_eq!(snapshot.search(&request(&words, None)).total, 151);
    assert_eq!(snapshot.search(&request(&words, Some(Id::new()))).total, 0);
    // The users of another license are not so many that typos are not looked for.
    let misspelt = ["wadna".to_owned()];
    assert_eq!(ids(&request(&misspelt, Some(own))), BTreeSet::from([active]));
    assert_eq!(snapshot.users_with("wand", Some(own), 10).map(|users| users.len()), Some(2));
    assert_eq!(snapshot.users_with("wand", None, 10), None);
}
