//! `roster license`: creates, extends and lists licenses.

use super::config::{License, LicenseCreate, LicenseKindArgument, LicenseRename, Settings};
use super::license as output;
use super::open::{DATA_DIR, close, open};
use super::output::print_line;
use crate::entity::license::LicenseKind;
use crate::license::{self, NewLicense};

pub async fn manage_licenses(settings: &Settings, license: License) -> anyhow::Result<()> {
    let db = open(settings, DATA_DIR).await?;
    let report = match license {
        License::Create(LicenseCreate { number, holder, kind, starts_on, expires_on }) => {
            let kind = match kind {
                LicenseKindArgument::Commercial => LicenseKind::Commercial,
                LicenseKindArgument::Private => LicenseKind::Private,
            };
            output::created(&license::create(&db, NewLicense { number, holder, kind, starts_on, expires_on }).await?)
        }
        License::Extend(extend) => output::extended(&license::extend(&db, &extend.number, extend.expires_on).await?),
        License::Rename(LicenseRename { number, new_number, holder }) => {
            let (old, new) = license::rename(&db, &number, new_number, holder).await?;
            output::renamed(&old, &new)
        }
        License::List => output::table(license::list_with_user_counts(&db).await?),
    };
    close(db).await?;
    Ok(print_line!("{report}")?)
}
