//! Damaged and forged backups are refused, each with its own sentence, and nothing is written.

use std::fs;

use serde_json::json;

use super::archive::{Entry, pack, unpack, with_manifest};
use super::{another, back_up};
use crate::process::Sandbox;

/// The number of backups that are damaged at random places, of which a third are truncated.
const DAMAGED: u64 = 100;

/// Restores a file, which must be refused with a text.
async fn assert_refused(sandbox: &Sandbox, bytes: &[u8], expected: &str) {
    fs::write(sandbox.path("damaged.tar"), bytes).unwrap();
    for arguments in [&["restore", "damaged.tar"][..], &["restore", "--verify", "damaged.tar"]] {
        // A backup of another kind can be verified.
        if expected.contains("cannot be restored to") && arguments.contains(&"--verify") {
            continue;
        }
        let refused = sandbox.run(arguments).await;
        assert_eq!(refused.code, 1, "{expected}: {refused:?}");
        assert!(refused.err.contains(expected), "{expected}: {refused:?}");
        assert!(!sandbox.path("roster-data/roster.db").exists(), "{expected}");
    }
}

#[tokio::test]
async fn a_hundred_damaged_backups_are_refused() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let file = back_up(&sandbox, "good.tar").await;
    let other = another(&sandbox).await;
    let good = fs::read(&file).unwrap();
    let length = good.len() as u64;
    for number in 0..DAMAGED {
        // The places are spread over the whole file.
        let place = usize::try_from((number * 2_654_435_761) % length).unwrap();
        let mut bytes = good.clone();
        if number % 3 == 0 {
            bytes.truncate(place);
        } else {
            bytes[place] ^= 1 << (number % 8);
        }
        fs::write(other.path("damaged.tar"), &bytes).unwrap();
        let refused = other.run(&["restore", "damaged.tar"]).await;
        assert_eq!(refused.code, 1, "{number}: {refused:?}");
        assert!(refused.err.starts_with("error: damaged.tar "), "{number}: {refused:?}");
        assert!(number % 3 != 0 || place < 512 || refused.err.contains("truncated"), "{number}: {refused:?}");
        let left: Vec<_> = fs::read_dir(other.path("roster-data")).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left, ["roster.key"], "{number}");
    }
    let restored = other.run(&["restore", &file]).await;
    assert_eq!(restored.code, 0, "{restored:?}");
}

#[tokio::test]
async fn each_kind_of_damage_has_its_own_sentence() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let good = fs::read(back_up(&sandbox, "good.tar").await).unwrap();
    let other = another(&sandbox).await;
    let entries = unpack(&good);
    assert_eq!(pack(&entries).len(), good.len());
    let named = |name: &str| -> Vec<Entry> { vec![entries[0].clone(), (name.to_owned(), entries[1].1.clone())] };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let with = |change: fn(&mut serde_json::Value)| pack(&with_manifest(&entries, change));
    let cases: [(Vec<u8>, &str); 15] = [
        (b"Anything but a backup.".repeat(100), "it is not a backup of Roster"),
        (Vec::new(), "it is not a backup of Roster"),
        (good[..good.len() / 2].to_vec(), "it ends too early: the file is truncated"),
        (good[..good.len() - 512].to_vec(), "it ends too early: the file is truncated"),
        ([&good[..], b"more"].concat(), "there is something after its end"),
        (flipped, "its part \"roster.db\" is damaged"),
        (
            with(|manifest| manifest["parts"][0]["sha256"] = json!("00".repeat(32))),
            "its SHA-256 is not the one in the manifest",
        ),
        (with(|manifest| manifest["parts"][0]["size"] = json!(1)), "the manifest says 1"),
        (pack(&entries[..1]), "its part \"roster.db\" is missing"),
        (pack(&entries[1..]), "its part \"manifest.json\" is missing"),
        (pack(&named("../../roster.db")), "there is an entry \"../../roster.db\" in its place, which was not unpacked"),
        (pack(&named("/etc/roster.db")), "there is an entry \"/etc/roster.db\" in its place"),
        (
            with(|manifest| manifest["schemaVersion"] = json!("m29991231_000001_future")),
            "made by a newer version of Roster",
        ),
        (with(|manifest| manifest["format"] = json!(2)), "a newer version of Roster made it (format 2)"),
        (
            pack(&with_manifest(&[entries[0].clone(), ("roster.dump".to_owned(), entries[1].1.clone())], |manifest| {
                manifest["database"] = json!("postgres");
                manifest["parts"][0]["name"] = json!("roster.dump");
            })),
            "is a backup of PostgreSQL, and cannot be restored to SQLite",
        ),
    ];
    for (bytes, expected) in &cases {
        assert_refused(&other, bytes, expected).await;
    }
    let none = other.run(&["restore", "none.tar"]).await;
    assert!(none.code == 1 && none.err.contains("none.tar"), "{none:?}");
}

#[tokio::test]
async fn a_backup_that_is_not_what_its_manifest_says_fails_verification() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let good = fs::read(back_up(&sandbox, "good.tar").await).unwrap();
    let wrong = with_manifest(&unpack(&good), |manifest| {
        manifest["counts"]["users"] = json!(99);
        manifest["lastHash"] = json!("00");
    });
    fs::write(sandbox.path("wrong.tar"), pack(&wrong)).unwrap();
    let refused = sandbox.run(&["restore", "--verify", "wrong.tar"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("users: the manifest says 99, the restored database has 1"), "{refused:?}");
    assert!(refused.err.contains("verification of the backup failed: 2 problems"), "{refused:?}");
}
