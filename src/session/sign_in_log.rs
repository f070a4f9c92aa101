//! The traces of a sign-in in the metrics and, if it failed, in the log.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use prometheus_client::registry::Registry;

use super::sign_in::{Authenticator, throttle_form};
use super::start::NewSession;
use crate::error::{Error, ErrorCode, TopLevelCode};

/// The outcome of a sign-in without an error.
const OK: &str = "ok";

/// The metrics of sign-ins; cheap to clone.
#[derive(Clone, Debug)]
pub struct SignInMetrics(Family<OutcomeLabel, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl Default for SignInMetrics {
    fn default() -> Self {
        let metrics = Self(Family::default());
        for outcome in [OK, ErrorCode::InvalidCredentials.as_str(), ErrorCode::Locked.as_str()] {
            drop(metrics.0.get_or_create(&OutcomeLabel { outcome }));
        }
        metrics
    }
}

impl SignInMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Sign-ins with a password or PIN, by outcome: ok, or the code of the error";
        registry.register("sign_ins", help, self.0.clone());
    }

    /// Counts a sign-in.
    pub(super) fn count(&self, outcome: &Result<NewSession, Error>) {
        let outcome = outcome.as_ref().map_or_else(code_of, |_| OK);
        self.0.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

impl Authenticator<'_> {
    /// Logs a sign-in that failed for what the client sent, for programs that block addresses. The login is logged as a pseudonym,
    /// because users sometimes type their password in its place.
    ///
    /// The line is documented (docs/operations.md) and read by deploy/fail2ban/filter.d/roster.conf.
    pub(super) fn log_failure(&self, login: &str, outcome: &Result<NewSession, Error>) {
        let (Some(address), Err(error @ (Error::Rejected(_) | Error::RateLimited(_)))) =
            (self.client.ip_address, outcome)
        else {
            return;
        };
        let pseudonym = self.hasher.pseudonymize(&throttle_form(login));
        let prefix = pseudonym.first_chunk().copied().map_or(0, u64::from_be_bytes);
        let (code, address, login) = (code_of(error), address.to_canonical(), format!("{prefix:016x}"));
        tracing::warn!(target: "roster::sign_in", code, %address, %login, "sign-in failed");
    }
}

/// Returns the code of an error.
fn code_of(error: &Error) -> &'static str {
    match error {
        Error::Rejected(errors) => errors.first().map_or(ErrorCode::Invalid, |error| error.code).as_str(),
        Error::RateLimited(_) => TopLevelCode::RateLimited.as_str(),
        Error::Unavailable(_) => TopLevelCode::Unavailable.as_str(),
        _ => TopLevelCode::Internal.as_str(),
    }
}
