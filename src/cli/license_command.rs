//! `roster license`: creates, extends and lists licenses.

use super::config::{Kind, License, LicenseCreate, Settings};
use super::license as report;
use super::open::{DATA_DIR, open};
use crate::entity::license::LicenseKind;
use crate::license::{self, Terms};

pub async fn manage_licenses(settings: &Settings, license: License) -> anyhow::Result<()> {
    let db = open(settings, DATA_DIR).await?;
    let said = match license {
        License::Create(LicenseCreate { number, holder, kind, starts_on, expires_on }) => {
            let kind = match kind {
                Kind::Commercial => LicenseKind::Commercial,
                Kind::Private => LicenseKind::Private,
            };
            report::made(&license::enter(&db, Terms { number, holder, kind, starts_on, expires_on }).await?)
        }
        License::Extend(extend) => report::extended(&license::extend(&db, &extend.number, extend.expires_on).await?),
        License::List => report::table(license::list_with_people(&db).await?),
    };
    db.close().await?;
    println!("{said}");
    Ok(())
}
