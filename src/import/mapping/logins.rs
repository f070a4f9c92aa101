//! Usernames of systems that require one.

use serde_json::Value;

use super::MappedRow;
use crate::validation::rule;

impl MappedRow {
    /// Leaves out a username that is the email address of the same row, and is no valid username here: systems in which
    /// every user has a username use the address as the username, which is often too long here, and users sign in with
    /// either. An address that is invalid here stays a username.
    pub(super) fn leave_out_repeated_login(&mut self) {
        let text = |field: &str| self.object.get(field).and_then(Value::as_str).map(str::trim);
        let is_repeated = text("email").is_some_and(|email| {
            text("username")
                .is_some_and(|username| username.eq_ignore_ascii_case(email) && rule::username(username).is_err())
                && rule::email(rule::MAX_EMAIL_LENGTH)(email).is_ok()
        });
        if is_repeated {
            self.object.remove("username");
            let column = self.columns.remove("username").unwrap_or_default();
            self.ignored.push(format!("{column} that is the email address"));
        }
    }
}
