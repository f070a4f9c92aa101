//! `roster demo`: fills a directory with synthetic users and serves it.

use anyhow::Context as _;
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::config::{Demo, Settings};
use super::demo::busy::Busy;
use super::demo::{self, DemoViewer};
use super::open::{DEMO_DIR, check_key, open_with_key};
use super::output::announce;
use super::port::Ports;
use super::progress::progress_bar;
use super::serve::run;
use crate::private_file;

/// The viewer of the examples.
const ADMINISTRATOR: &str = "license_admin";

pub async fn serve_demo(settings: &Settings, demo: &Demo) -> anyhow::Result<()> {
    check_key(settings, DEMO_DIR)?;
    let ports = Ports::bind(settings).await?;
    let (db, hasher) = open_with_key(settings, DEMO_DIR).await?;
    let bar = progress_bar(u64::from(demo.users), "{msg} {wide_bar} {human_pos}/{human_len}, {per_sec}, {eta} left");
    bar.set_message("Creating users");
    demo::fill(&db, demo.users, demo.seed, |progress| show(&bar, progress)).await?;
    bar.finish_and_clear();
    let viewers = demo::sign_in(&db, &hasher, demo.seed, settings.session_lifetime()).await?;
    if let Some(file) = &demo.tokens {
        let object: serde_json::Map<_, _> =
            viewers.iter().map(|viewer| (viewer.kind.to_owned(), viewer.token.clone().into())).collect();
        private_file::write(file, &serde_json::to_vec_pretty(&object)?)
            .with_context(|| format!("--tokens {}", file.display()))?;
    }
    let format = settings.log_format;
    announce(
        format,
        format_args!("Meridian Hospital Group, a demo with {} users. Viewers, with their bearer tokens:", demo.users),
    );
    for DemoViewer { kind, email, token, .. } in &viewers {
        announce(format, format_args!("    {kind:<14} {token}  {email}"));
    }
    announce(format, format_args!("They sign in with the password {}", demo::password(&hasher)));
    print_examples(settings, &settings.own_url(&ports.public.listen(settings)?), &viewers);
    let mut changes = JoinSet::new();
    if let Some(administrator) = viewers.iter().find(|viewer| demo.busy && viewer.kind == ADMINISTRATOR) {
        changes.spawn(Busy::new(&db, &hasher, settings.session_lifetime(), administrator).await?.run());
    }
    run(settings, DEMO_DIR, db, hasher, ports).await
}

/// Prints the variables that the examples of the documentation use, a first request and a link to the playground.
fn print_examples(settings: &Settings, url: &str, viewers: &[DemoViewer]) {
    let Some(administrator) = viewers.iter().find(|viewer| viewer.kind == ADMINISTRATOR) else { return };
    let user_id = viewers.last().unwrap_or(administrator).user_id.0;
    let format = settings.log_format;
    announce(format, format_args!("The license administrator, for the examples of the documentation:"));
    announce(format, format_args!("    export URL={url}"));
    announce(format, format_args!("    export TOKEN={}", administrator.token));
    announce(format, format_args!("    export USER_ID={user_id}"));
    announce(format, format_args!("Send a request:"));
    announce(format, format_args!("    {}", demo::first_request(url, &administrator.token)));
    announce(format, format_args!("Follow the changes, which the demo makes by itself with --busy:"));
    announce(format, format_args!("    {}", demo::subscription(url, &administrator.token)));
    if settings.playground {
        announce(
            format,
            format_args!("Or open the playground and sign in as the same user: {url}/#token={}", administrator.token),
        );
        let tokens: Vec<_> = viewers.iter().map(|viewer| format!("token={}", viewer.token)).collect();
        announce(format, format_args!("Or view the directory as each of them in turn: {url}/#{}", tokens.join("&")));
    }
}

/// Shows the progress of creating users: in the bar, or in the log if the bar is hidden.
fn show(bar: &ProgressBar, progress: demo::Progress) {
    const LOG_INTERVAL: u64 = 50_000;
    match progress {
        demo::Progress::Created(done) => {
            if bar.is_hidden() && done / LOG_INTERVAL > bar.position() / LOG_INTERVAL {
                let remaining = indicatif::HumanDuration(bar.eta());
                tracing::info!("created {done} users, {:.0} per second, {remaining} left", bar.per_sec());
            }
            bar.set_position(done);
        }
        demo::Progress::Indexing => {
            bar.set_message("Building indexes");
            tracing::info!("all users are created; building indexes");
        }
    }
}
