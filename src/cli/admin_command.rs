//! `roster admin`: creates or recovers administrators.

use super::admin::{self, AdministratorRights, NewAdministrator};
use super::config::{AdminCreate, AdminLink, Settings};
use super::open::{DATA_DIR, check_key, close, open, open_with_key};
use super::output::print_line;
use super::server_url;
use crate::auth::one_time_link;
use crate::entity::link::Purpose;
use crate::license;

pub async fn create_admin(settings: &Settings, admin: AdminCreate) -> anyhow::Result<()> {
    check_key(settings, DATA_DIR)?;
    let (db, hasher) = open_with_key(settings, DATA_DIR).await?;
    let license = license::resolve_or_create(&db, admin.license.as_deref(), &admin.holder).await?;
    let password = if admin.password_stdin { Some(read_password()?) } else { None };
    let (rights, description) = if admin.license_admin {
        (AdministratorRights::License, format!("administers license {}", license.number))
    } else {
        (AdministratorRights::Superuser, "is a superuser".to_owned())
    };
    let administrator = NewAdministrator {
        license_id: license.id,
        rights,
        first_name: admin.first_name,
        last_name: admin.last_name,
        email: admin.email,
        password,
    };
    let (user, token) = admin::create_administrator(&db, &hasher, administrator).await?;
    close(db).await?;
    print_line!("{} now {description} and signs in with {}.", user.name(), user.email.unwrap_or_default())?;
    if let Some(token) = token {
        show_link(settings, &token)?;
    }
    Ok(())
}

pub async fn link_admin(settings: &Settings, admin: &AdminLink) -> anyhow::Result<()> {
    let db = open(settings, DATA_DIR).await?;
    let token = admin::new_link(&db, &admin.email).await?;
    close(db).await?;
    Ok(show_link(settings, &token)?)
}

fn show_link(settings: &Settings, token: &str) -> std::io::Result<()> {
    let url = if let Some(url) = server_url::find(settings) {
        url
    } else {
        let url = settings.public_url(&settings.listen);
        print_line!("The link begins with the default URL of the server, {url}. If the server has another one, pass")?;
        print_line!("--public-url URL (ROSTER_PUBLIC_URL), or the same --listen (ROSTER_LISTEN) as to the server.")?;
        url
    };
    print_line!("Open this link to set the password. It works once, within 14 days, while the server is running:")?;
    print_line!("    {}", one_time_link::url(&url, Purpose::Activation, None, token))
}

fn read_password() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
