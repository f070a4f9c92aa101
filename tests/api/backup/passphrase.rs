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
        for (bytes, expected) in [(&damaged[..], "its encrypted content was changed"), (&bytes[..middle], "or ends too early")] {
            fs::write(other.path("damaged"), bytes).unwrap();
            let mut command = other.command(&["restore", "damaged"]);
            let mut refused = other.start(command.env("ROSTER_PASSPHRASE", SECRET), "");
            assert_eq!(refused.code().await, 1, "{}", refused.err());
            assert!(refused.err().contains(expected), "{}", refused.err());
        }
        let mut command = other.command(&["restore", file]);
        let mut restored = other.start(command.env("ROSTER_PASSPHRASE", SECRET), "");
        assert_eq!((restored.code().await, restored.err()), (0, String::new()));
        let server = other.serve(&[]).await;
        server.sign_in(ADMIN).await;
    }
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
