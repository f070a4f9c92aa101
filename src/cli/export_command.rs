//! `roster export`: writes everything of a license to a file.

use anyhow::Context as _;

use super::config::{Export, ExportFormat, Settings};
use super::export::{Content, Output, Snapshot, write_ldif, write_ndjson, write_scim, write_table};
use super::open::{DATA_DIR, close, open};
use crate::audit::sealer;
use crate::{license, private_file};

pub async fn export(settings: &Settings, options: &Export) -> anyhow::Result<()> {
    let is_ndjson = options.format == ExportFormat::Ndjson;
    anyhow::ensure!(is_ndjson || !options.with_audit, "--with-audit needs --format ndjson");
    anyhow::ensure!(is_ndjson || options.avatar_dir.is_none(), "--avatar-dir needs --format ndjson");
    let name = || options.output.display().to_string();
    let mut output = Output::create(&options.output).with_context(name)?;
    if let Some(dir) = &options.avatar_dir {
        private_file::make_dir(dir).with_context(|| dir.display().to_string())?;
    }
    let db = open(settings, DATA_DIR).await?;
    let license = license::resolve(&db, options.license.as_deref()).await?;
    // It is recorded before anything is read, even if the export does not end well.
    license::record_export(&db, &license, options.with_secrets, options.with_audit).await?;
    if options.with_audit {
        sealer::seal_committed(&db).await?;
    }
    let has_avatars = matches!(options.format, ExportFormat::Ndjson | ExportFormat::Ldif) && !options.no_avatars;
    let content = Content { secrets: options.with_secrets, avatars: has_avatars };
    let snapshot = Snapshot::of(&db, license, content).await?;
    match options.format {
        ExportFormat::Ndjson => {
            write_ndjson(&snapshot, &mut output, options.avatar_dir.as_deref(), options.with_audit).await?;
        }
        ExportFormat::Csv => write_table(&snapshot, &mut output, options.with_secrets).await?,
        ExportFormat::Scim => write_scim(&snapshot, &mut output).await?,
        ExportFormat::Ldif => write_ldif(&snapshot, &mut output, &options.base_dn).await?,
    }
    snapshot.end().await?;
    close(db).await?;
    output.finish().with_context(name)
}
