//! Backups of databases that a newer version has migrated.

use super::{another, back_up};
use crate::process::{ADMIN, Sandbox};
use crate::rolling::{LAST, LATER, contract, expand};

in_every_sandbox! {
    async fn a_backup_of_a_database_that_a_newer_version_has_expanded_is_restored(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        expand(&sandbox).await;
        let file = back_up(&sandbox, "a.tar").await;
        let other = another(&sandbox).await;
        let verified = other.run(&["restore", "--verify", &file]).await;
        assert_eq!(verified.code, 0, "{verified:?}");
        let restored = other.run(&["restore", &file]).await;
        assert_eq!(restored.code, 0, "{restored:?}");
        other.serve(&[]).await.sign_in(ADMIN).await;
        let again = back_up(&other, "b.tar").await;
        assert_eq!(sandbox.run(&["restore", "--verify", &again]).await.code, 0);
    }

    async fn a_backup_of_a_database_after_a_contract_step_of_a_newer_version_is_refused(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        expand(&sandbox).await;
        contract(&sandbox, LATER).await;
        let file = back_up(&sandbox, "a.tar").await;
        let other = another(&sandbox).await;
        for arguments in [&["restore", &file][..], &["restore", "--verify", &file]] {
            let refused = other.run(arguments).await;
            assert_eq!(refused.code, 1, "{refused:?}");
            let sentence = format!("the migration {LAST} of a newer version of Roster, after which only versions that know {LATER} work");
            assert!(refused.err.contains("was made by a newer version") && refused.err.contains(&sentence), "{refused:?}");
        }
        assert!(!other.path("roster-data/roster.db").exists());
    }
}
