//! The search index file: what is read from it is what was written, or nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::random::{Rng, Users, random_query, random_user};
use super::{compare, indexed, ranked, request, without_quentin};
use crate::scalar::Id;
use crate::search_index::file::{Header, SavedUsers, SearchIndexFile, Unusable, decode, encode, fingerprint};
use crate::search_index::merge::merged;
use crate::search_index::segment::Segment;
use crate::search_index::trail::TrailPosition;

fn header() -> Header {
    Header {
        fingerprint: fingerprint("m1"),
        position: TrailPosition { seq: 7, hash: vec![9; 32] },
        has_international_domain: true,
    }
}

fn encoded(segment: &Segment) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, segment, &header()).unwrap();
    bytes
}

fn decoded(bytes: &[u8]) -> Result<SavedUsers, Unusable> {
    decode(bytes, bytes.len() as u64, &fingerprint("m1"))
}

fn some_users(rng: &mut Rng, licenses: &[Id], count: usize) -> Users {
    (0..count).map(|_| (Id::new(), random_user(rng, licenses))).collect()
}

/// A copy with one damage: a changed bit or byte, or bytes that are missing, added or zero.
fn damaged(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    let place = rng.below(copy.len());
    match rng.below(6) {
        0 | 1 => copy[place] ^= 1 << rng.below(8),
        2 => copy[place] = copy[place].wrapping_add(1),
        3 => copy.truncate(place),
        4 => copy.insert(place, 0),
        _ => {
            let end = (place + 8).min(copy.len());
            let fill = if rng.below(2) == 0 { 0 } else { 0xff };
            copy[place..end].fill(fill);
        }
    }
    copy
}

#[test]
fn users_read_from_a_file_are_found_as_before() {
    let (mut rng, licenses) = (Rng(3), [Id::new(), Id::new(), Id::new()]);
    for count in [1, 2, 65, 300] {
        let users = some_users(&mut rng, &licenses, count);
        let segment = Segment::build(&indexed(&users));
        let bytes = encoded(&segment);
        let SavedUsers { position, snapshot } = decoded(&bytes).unwrap();
        assert_eq!(position, header().position);
        assert!(snapshot.has_international_domain());
        assert_eq!(encoded(&snapshot.only_segment().unwrap()), bytes);
        for _ in 0..40 {
            compare(&mut rng, &snapshot, &users, &licenses);
        }
    }
}

#[test]
fn users_read_from_a_file_can_be_changed() {
    let (mut rng, licenses) = (Rng(4), [Id::new(), Id::new()]);
    let mut users = some_users(&mut rng, &licenses, 120);
    let bytes = encoded(&Segment::build(&indexed(&users)));
    let mut snapshot = decoded(&bytes).unwrap().snapshot;
    for _ in 0..60 {
        super::change(&mut rng, &mut users, &mut snapshot, &licenses, &None);
    }
    for _ in 0..40 {
        compare(&mut rng, &snapshot, &users, &licenses);
    }
}

#[test]
fn the_same_users_are_always_written_in_the_same_way() {
    let (mut rng, licenses) = (Rng(5), [Id::new(), Id::new()]);
    let users = some_users(&mut rng, &licenses, 200);
    assert_eq!(encoded(&Segment::build(&indexed(&users))), encoded(&Segment::build(&indexed(&users))));
    assert_eq!(fingerprint("m1"), fingerprint("m1"));
    assert_ne!(fingerprint("m1"), fingerprint("m2"));
}

#[test]
fn a_damaged_file_is_refused() {
    let (mut rng, licenses) = (Rng(6), [Id::new(), Id::new()]);
    let bytes = encoded(&Segment::build(&indexed(&some_users(&mut rng, &licenses, 60))));
    for _ in 0..1_000 {
        let copy = damaged(&mut rng, &bytes);
        assert!(copy == bytes || decoded(&copy).is_err());
    }
}

#[test]
fn a_file_with_a_wrong_content_and_a_right_checksum_makes_no_search_fail() {
    let (mut rng, licenses) = (Rng(7), [Id::new(), Id::new()]);
    let users = some_users(&mut rng, &licenses, 40);
    let bytes = encoded(&Segment::build(&indexed(&users)));
    let mut accepted = 0;
    for _ in 0..1_000 {
        let mut copy = damaged(&mut rng, &bytes);
        copy.truncate(copy.len().saturating_sub(4));
        copy.extend(crc32fast::hash(&copy).to_le_bytes());
        let Ok(SavedUsers { snapshot, .. }) = decoded(&copy) else { continue };
        accepted += 1;
        for license_id in [None, Some(licenses[0])] {
            let found = snapshot.search(&request(&random_query(&mut rng, &users), license_id));
            assert!(found.hits.len() <= found.total);
        }
        assert!(snapshot.users().count() <= users.len());
    }
    assert!(accepted > 0, "no copy was searched");
}

#[test]
fn a_file_of_another_version_is_refused() {
    let bytes = encoded(&Segment::build(&indexed(&some_users(&mut Rng(8), &[Id::new()], 5))));
    let refused = decode(&*bytes, bytes.len() as u64, &fingerprint("m2"));
    assert!(refused.is_err_and(|reason| reason.to_string().contains("another version")));
}

#[test]
fn a_removed_user_is_not_in_the_file_of_merged_segments() {
    let snapshot = without_quentin();
    assert!(snapshot.only_segment().is_none(), "the segment still has the name");
    let bytes = encoded(&merged(&snapshot.parts));
    let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!contains("quentin") && contains("zelda"));
    let zelda = request(&["zelda".to_owned()], None);
    assert_eq!(ranked(&decoded(&bytes).unwrap().snapshot.search(&zelda)).len(), 1);
}

#[test]
fn a_file_that_was_removed_while_it_was_written_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = SearchIndexFile::new(dir.path(), 1);
    let segment = Segment::build(&indexed(&some_users(&mut Rng(9), &[Id::new()], 5)));
    let header = header();
    let names = || fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert!(file.is_outdated(5, &header.position));
    assert!(file.write(&segment, &header, file.removals()).unwrap());
    assert!(!file.is_outdated(5, &header.position));
    let path = names().pop().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(file.read(&fingerprint("m1")).unwrap().is_some());
    let before = file.removals();
    file.remove();
    assert!(!file.write(&segment, &header, before).unwrap());
    assert_eq!(names(), Vec::<std::path::PathBuf>::new());
    assert!(file.is_outdated(5, &header.position));
    let before = file.removals();
    file.cancel_writing();
    assert!(!file.write(&segment, &header, before).unwrap());
    assert_eq!(names(), Vec::<std::path::PathBuf>::new());
    // What a process has left that was killed.
    fs::write(path.with_extension("search-index.x.tmp"), "quentin").unwrap();
    assert!(file.read(&fingerprint("m1")).unwrap().is_none());
    assert_eq!(names(), Vec::<std::path::PathBuf>::new());
}
