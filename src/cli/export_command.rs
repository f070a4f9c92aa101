//! `roster export`: writes everything of a license, or of a user, to a file.

use std::io::Write as _;

use anyhow::Context as _;

use super::config::{Export, ExportFormat, Settings};
use super::export::{Output, Snapshot, write_ldif, write_ndjson, write_scim, write_table};
use super::open::{DATA_DIR, close, open_with_standby};
use crate::audit::sealer;
use crate::db::Db;
use crate::entity::license::Model as License;
use crate::error::Error;
use crate::export::{ExportContent, ExportReader, user_file};
use crate::{license, private_file, user};

pub async fn export(settings: &Settings, options: &Export) -> anyhow::Result<()> {
    if let Some(name) = &options.user {
        return Box::pin(export_user(settings, options, name)).await;
    }
    let is_ndjson = options.format == ExportFormat::Ndjson;
    anyhow::ensure!(is_ndjson || !options.with_audit, "--with-audit needs --format ndjson");
    let has_secrets = options.format != ExportFormat::Scim;
    anyhow::ensure!(has_secrets || !options.with_secrets, "--with-secrets needs another --format: SCIM has no hashes");
    anyhow::ensure!(is_ndjson || options.avatar_dir.is_none(), "--avatar-dir needs --format ndjson");
    anyhow::ensure!(is_ndjson || options.license.len() <= 1, "several licenses need --format ndjson");
    let name = || options.output.display().to_string();
    let mut output = Output::create(&options.output).with_context(name)?;
    if let Some(dir) = &options.avatar_dir {
        private_file::make_dir(dir).with_context(|| dir.display().to_string())?;
    }
    let db = open_with_standby(settings, DATA_DIR).await?;
    let licenses = find_licenses(&db, &options.license).await?;
    // It is recorded before anything is read, even if the export does not end well.
    for license in &licenses {
        license::record_export(&db, license, options.with_secrets, options.with_audit).await?;
    }
    if options.with_audit {
        sealer::seal_committed(&db).await?;
    }
    for license in licenses {
        Box::pin(write_license(&db, license, options, &mut output)).await?;
    }
    close(db).await?;
    output.finish().with_context(name)
}

/// Returns the licenses with numbers, each once; by default, the only license.
async fn find_licenses(db: &Db, numbers: &[String]) -> Result<Vec<License>, Error> {
    if numbers.is_empty() {
        return Ok(vec![license::resolve(db, None).await?]);
    }
    let mut licenses: Vec<License> = Vec::new();
    for number in numbers {
        let found = license::resolve(db, Some(number.as_str())).await?;
        if licenses.iter().all(|license| license.id != found.id) {
            licenses.push(found);
        }
    }
    Ok(licenses)
}

async fn write_license(db: &Db, license: License, options: &Export, output: &mut Output) -> Result<(), Error> {
    let has_avatars = matches!(options.format, ExportFormat::Ndjson | ExportFormat::Ldif) && !options.no_avatars;
    let institution_names = matches!(options.format, ExportFormat::Scim | ExportFormat::Ldif);
    let content = ExportContent { secrets: options.with_secrets, avatars: has_avatars, institution_names };
    let snapshot = Snapshot::of(db, license, content).await?;
    match options.format {
        ExportFormat::Ndjson => {
            write_ndjson(&snapshot, output, options.avatar_dir.as_deref(), options.with_audit).await?;
        }
        ExportFormat::Csv => write_table(&snapshot, output, options.with_secrets).await?,
        ExportFormat::Scim => write_scim(&snapshot, output).await?,
        ExportFormat::Ldif => write_ldif(&snapshot, output, &options.base_dn).await?,
    }
    snapshot.end().await
}

async fn export_user(settings: &Settings, options: &Export, name: &str) -> anyhow::Result<()> {
    let path = || options.output.display().to_string();
    let mut output = Output::create(&options.output).with_context(path)?;
    let db = open_with_standby(settings, DATA_DIR).await?;
    let user = user::export::find(&db, name).await?;
    // It is recorded before anything is read, even if the export does not end well.
    user::export::record(&db, &user).await?;
    sealer::seal_committed(&db).await?;
    let snapshot = db.snapshot_on_standby().await?;
    let file = Box::pin(user_file(&snapshot, ExportReader::Operator, user)).await?;
    snapshot.rollback().await?;
    close(db).await?;
    serde_json::to_writer_pretty(&mut output, &file)?;
    output.write_all(b"\n").with_context(path)?;
    output.finish().with_context(path)
}
