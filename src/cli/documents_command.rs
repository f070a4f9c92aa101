//! `roster documents`: publishes, lists and withdraws trusted documents.

use anyhow::Context as _;

use super::config::{Documents, DocumentsPublish, DocumentsWithdraw, Settings};
use super::open::{DATA_DIR, close, open};
use super::output::print_line;
use super::table;
use crate::document::{self, Withdrawal, manifest};
use crate::schema;
use crate::text::counted;

pub async fn manage_documents(settings: &Settings, documents: Documents) -> anyhow::Result<()> {
    let report = match documents {
        Documents::Publish(arguments) => publish(settings, &arguments).await?,
        Documents::List => list(settings).await?,
        Documents::Withdraw(arguments) => withdraw(settings, arguments).await?,
    };
    Ok(print_line!("{report}")?)
}

async fn publish(settings: &Settings, arguments: &DocumentsPublish) -> anyhow::Result<String> {
    let DocumentsPublish { manifest: path, set } = arguments;
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let new = manifest::parse(&text).map_err(anyhow::Error::msg).with_context(name)?;
    let db = open(settings, DATA_DIR).await?;
    let published = document::publish(&db, &schema::sdl(), set, new).await?;
    close(db).await?;
    let document::Published { added, unchanged } = published;
    let added = counted(added, "document", "documents");
    let unchanged = counted(unchanged, "was", "were");
    Ok(format!("Published {added} in the set {set}; {unchanged} there already."))
}

async fn list(settings: &Settings) -> anyhow::Result<String> {
    let db = open(settings, DATA_DIR).await?;
    let documents = document::list(&db).await?;
    close(db).await?;
    let rows = documents.into_iter().map(|document| {
        let (name, bytes) = (document.name.unwrap_or_default(), document.body.len().to_string());
        [document.set_name, document.id, name, bytes, document.published_at.format("%F %T").to_string()]
    });
    Ok(table::format(["SET", "ID", "NAME", "BYTES", "PUBLISHED (UTC)"], rows))
}

async fn withdraw(settings: &Settings, arguments: DocumentsWithdraw) -> anyhow::Result<String> {
    let withdrawal = match (arguments.id, arguments.set) {
        (Some(id), _) => Withdrawal::Document(id),
        (None, set) => Withdrawal::Set(set.unwrap_or_default()),
    };
    let db = open(settings, DATA_DIR).await?;
    let withdrawn = document::withdraw(&db, &withdrawal).await?;
    close(db).await?;
    Ok(match withdrawal {
        Withdrawal::Document(id) => {
            format!("Withdrew the document {id} from {}.", counted(withdrawn, "set", "sets"))
        }
        Withdrawal::Set(set) => {
            format!("Withdrew {} of the set {set}.", counted(withdrawn, "document", "documents"))
        }
    })
}
