//! Backups that are encrypted with a passphrase.

use std::fs;

use super::another;
use crate::process::{ADMIN, Sandbox, set_mode};

const SECRET: &str = "nine-amber-kites-over-water";

fn write_secret(sandbox: &Sandbox, name: &str, secret: &str) {
    fs::write(sandbox.path(name), format!("{secret}\n")).unwrap();
    set_mode(&sandbox.path(name), 0o600);
}

in_every_sandbox! {
    async fn an_encrypted_backup_is_restored_with_its_passphrase_only(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        write_secret(&sandbox, "secret", SECRET);
        let done = sandbox.run(&["backup", "a.tar.age", "--passphrase-file", "secret"]).await;
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
        assert!(done.out.contains(", encrypted"), "{done:?}");
        let file = sandbox.path("a.tar.age");
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
        assert!(!bytes.windows(13).any(|part| part == b"manifest.json" || part == b"SQLite format"));

        let other = another(&sandbox).await;
        let file = file.to_str().unwrap();
        let without = other.run(&["restore", file]).await;
        assert!(without.code == 1 && without.err.contains("it is encrypted: give its passphrase"), "{without:?}");
        write_secret(&other, "wrong", "another-passphrase");
        let wrong = other.run(&["restore", file, "--passphrase-file", "wrong"]).await;
        assert!(wrong.code == 1 && wrong.err.contains("the passphrase is wrong"), "{wrong:?}");
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        for bytes in [&damaged[..], &bytes[..middle]] {
            refuse(&other, bytes, "its encrypted content is damaged, or ends too early").await;
        }
        let mut command = other.command(&["restore", file]);
        let mut restored = other.start(command.env("ROSTER_PASSPHRASE", SECRET), "");
        assert_eq!((restored.code().await, restored.err()), (0, String::new()));
        let server = other.serve(&[]).await;
        server.sign_in(ADMIN).await;
    }
}

/// Restores a file with its passphrase, which must be refused with one sentence.
async fn refuse(sandbox: &Sandbox, bytes: &[u8], expected: &str) {
    fs::write(sandbox.path("damaged"), bytes).unwrap();
    let mut command = sandbox.command(&["restore", "damaged"]);
    let mut refused = sandbox.start(command.env("ROSTER_PASSPHRASE", SECRET), "");
    assert_eq!(refused.code().await, 1, "{}", refused.err());
    assert_eq!(refused.err(), format!("error: damaged cannot be used as a backup: {expected}\n"));
}

#[tokio::test]
async fn each_part_of_an_encrypted_backup_that_is_damaged_is_named_in_one_sentence() {
    const HEADER: &str = "the header of its encryption is damaged";
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    write_secret(&sandbox, "secret", SECRET);
    assert_eq!(sandbox.run(&["backup", "a.age", "--passphrase-file", "secret"]).await.code, 0);
    let good = fs::read(sandbox.path("a.age")).unwrap();
    let other = another(&sandbox).await;
    let place = |text: &str| good.windows(text.len()).position(|part| part == text.as_bytes()).unwrap();
    let (kind, salt, mac) = (place("scrypt"), place("scrypt ") + 7, place("\n--- ") + 5);
    let body = place(" 17\n") + 4;
    let content = mac + good[mac..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let unknown = "it is encrypted in an unknown version of the format of age";
    let wrong = format!("the passphrase is wrong, or {HEADER}");
    let of_key = "it is encrypted for a key of age, not with a passphrase; decrypt it with age first";
    for (place, byte, expected) in [
        (place("v1") + 1, b'2', unknown),
        (kind, b'S', HEADER),
        (kind - 2, b'+', HEADER),
        (salt, b'!', HEADER),
        (mac, b'!', HEADER),
        (mac + 1, if good[mac + 1] == b'A' { b'B' } else { b'A' }, HEADER),
        (body, if good[body] == b'A' { b'B' } else { b'A' }, wrong.as_str()),
        (content + 20, !good[content + 20], "its encrypted content is damaged, or ends too early"),
    ] {
        let mut damaged = good.clone();
        damaged[place] = byte;
        refuse(&other, &damaged, expected).await;
    }
    let header = b"age-encryption.org/v1\n-> X25519 CJM36AHmTbdHSuOQL+NESqyVQE75f2e610iRdLPEN20\n\
        C3ZAeY64NXS4QFrksLm3EGz+uPRyI0eQsWw7LWbbYig\n--- ytazqsbmUnPwVWMVx0c1X9iUtGdY4yAB08UQTY2hNCI\n";
    refuse(&other, &[&header[..], &[7; 64]].concat(), of_key).await;
}

#[tokio::test]
async fn a_passphrase_is_asked_for_only_at_a_terminal() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let refused = sandbox.run(&["backup", "a.tar", "--encrypt"]).await;
    assert!(refused.code == 2 && refused.err.contains("no terminal"), "{refused:?}");
    assert!(!sandbox.path("a.tar").exists());
    write_secret(&sandbox, "empty", "");
    let refused = sandbox.run(&["backup", "a.tar", "--passphrase-file", "empty"]).await;
    assert!(refused.code == 2 && refused.err.contains("the file is empty"), "{refused:?}");
    write_secret(&sandbox, "open", SECRET);
    set_mode(&sandbox.path("open"), 0o644);
    let warned = sandbox.run(&["backup", "a.tar", "--passphrase-file", "open"]).await;
    assert!(warned.code == 0 && warned.err.contains("other users can read this file (mode 0644)"), "{warned:?}");
    assert!(!format!("{warned:?}").contains(SECRET));
}
