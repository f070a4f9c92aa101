//! The command line: parses it and runs the command.

use std::io::IsTerminal;
use std::process::ExitCode;

use roster::cli::admin_command::{create_admin, link_admin};
use roster::cli::audit_command::verify;
use roster::cli::backup_command::back_up;
use roster::cli::completions_command::{print_completions, print_man_page};
use roster::cli::config::{Admin, Audit, Cli, Command, LogFormat, Settings};
use roster::cli::demo_command::serve_demo;
use roster::cli::doctor_command::{Findings, examine};
use roster::cli::documents_command::manage_documents;
use roster::cli::export_command::export;
use roster::cli::health_command::check_health;
use roster::cli::import_command::import_file;
use roster::cli::interruption::{Interrupted, until_stopped};
use roster::cli::invite_command::invite;
use roster::cli::key_command::manage_keys;
use roster::cli::license_command::manage_licenses;
use roster::cli::migrate_command::{PendingMigrations, migrate};
use roster::cli::open::WrongSetting;
use roster::cli::output::print_error;
use roster::cli::restore_command::restore;
use roster::cli::schema_command::run_schema;
use roster::cli::serve::serve;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Log levels of libraries whose `info` messages repeat ours.
const QUIET_LIBRARIES: &str = "poem=warn,sea_orm_migration=warn,sqlx=warn";

/// The exit code of an invalid setting, the same as clap's.
const WRONG_SETTING_EXIT_CODE: u8 = 2;

/// The exit code of a command that was told to stop, the usual one for the signal of Ctrl-C.
const INTERRUPTED_EXIT_CODE: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let (Cli { command, settings }, warnings) = Cli::parse_with_warnings();
    start_log(&settings);
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let result = match command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&settings).await,
        Command::Demo(demo) => serve_demo(&settings, &demo).await,
        Command::Schema(schema) => run_schema(&schema).await,
        Command::Migrate(options) => migrate(&settings, &options).await,
        Command::Import(import) => import_file(&settings, &import).await,
        Command::Export(options) => Box::pin(until_stopped(export(&settings, &options))).await,
        Command::Invite(options) => invite(&settings, &options).await,
        Command::Admin(Admin::Create(admin)) => create_admin(&settings, admin).await,
        Command::Admin(Admin::Link(admin)) => link_admin(&settings, &admin).await,
        Command::License(license) => manage_licenses(&settings, license).await,
        Command::Documents(documents) => manage_documents(&settings, documents).await,
        Command::Audit(Audit::Verify) => verify(&settings).await,
        Command::Key(command) => manage_keys(&settings, command).await,
        Command::Backup(backup) => back_up(&settings, &backup).await,
        Command::Restore(options) => restore(&settings, options).await,
        Command::Health(health) => check_health(&settings, &health).await,
        Command::Completions(options) => print_completions(options.shell),
        Command::Man => print_man_page(),
        Command::Doctor => examine(&settings, &warnings).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Findings are printed already.
            if !error.is::<Findings>() {
                print_error(settings.log_format, format_args!("error: {error:#}"));
            }
            exit_code(&error)
        }
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(pending) = error.downcast_ref::<PendingMigrations>() {
        pending.exit_code().into()
    } else if let Some(findings) = error.downcast_ref::<Findings>() {
        findings.exit_code().into()
    } else if error.is::<WrongSetting>() {
        WRONG_SETTING_EXIT_CODE.into()
    } else if error.is::<Interrupted>() {
        INTERRUPTED_EXIT_CODE.into()
    } else {
        ExitCode::FAILURE
    }
}

fn start_log(settings: &Settings) {
    let filter = tracing_subscriber::EnvFilter::new(format!("{QUIET_LIBRARIES},{}", settings.log));
    // Otherwise a line that cannot be written causes another one, and a panic.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => {
            log.json().init();
            std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
        }
    }
}
