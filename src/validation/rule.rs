//! Validation rules of single values. Each takes trimmed text and returns the value to be stored, or an error.

use std::str::FromStr;

use chrono::NaiveDate;
use unicode_normalization::UnicodeNormalization;

use super::ValidationError;
use super::country::is_country;
use crate::error::ErrorCode;
use crate::scalar::{Date, DateText, Id, Upload};
use crate::text;

/// The maximum length of an email address for signing in, in characters.
pub const MAX_EMAIL_LENGTH: usize = 250;

/// Validates one line of text of at most `most` characters, without control characters, and without invisible characters except
/// those that the script needs.
pub fn text(most: usize) -> impl Fn(&str) -> Result<String, ValidationError> {
    move |text| {
        if text.chars().count() > most {
            return Err(ValidationError::too_long(most));
        }
        if text.starts_with(Upload::MARK) {
            return Err(ValidationError::invalid("Must be a string, not a file."));
        }
        if text.contains(text::is_control) {
            return Err(ValidationError::invalid("Line breaks and control characters are not allowed."));
        }
        if let Some(stray) = text::stray_invisible(text) {
            let message =
                format!("Invisible characters and direction marks are not allowed (found U+{:04X}).", u32::from(stray));
            return Err(ValidationError::invalid(message));
        }
        Ok(text.to_owned())
    }
}

/// Validates text of any number of lines and at most `most` characters.
pub fn lines(most: usize) -> impl Fn(&str) -> Result<String, ValidationError> {
    move |text| {
        self::text(most)(&text.replace(['\r', '\n', '\t'], " "))?;
        Ok(text.to_owned())
    }
}

/// Validates a username: letters, digits and `. @ + - _`, at most 30 characters.
pub fn username(name: &str) -> Result<String, ValidationError> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '@' | '+' | '-' | '_');
    let name = self::text(30)(name)?;
    // Composed, because a letter typed as letter and accent is one letter.
    if name.nfc().all(allowed) {
        Ok(name)
    } else {
        Err(ValidationError::invalid("Only letters, digits and . @ + - _ are allowed."))
    }
}

/// Validates an email address (RFC 5321 and 6531, no display name, no address literal) of at most `most` characters.
pub fn email(most: usize) -> impl Fn(&str) -> Result<String, ValidationError> {
    move |address| {
        let address = self::text(most)(address)?;
        let options = email_address::Options::default().without_display_text().without_domain_literal();
        let composed: String = address.nfc().collect();
        let valid = !address.contains(|c: char| c.is_whitespace() || text::is_empty(c))
            && email_address::EmailAddress::parse_with_options(&composed, options).is_ok()
            && address.rsplit_once('@').is_some_and(|(_, domain)| {
                idna::domain_to_ascii(&text::canonical(domain)).is_ok_and(|it| is_domain(&it))
            });
        if valid { Ok(address) } else { Err(ValidationError::invalid("Must be a valid email address.")) }
    }
}

/// Returns whether a host may be a domain: it is no name of the local network, such as `localhost`, and no IP address.
fn is_domain(host: &str) -> bool {
    host.rsplit_once('.').is_some_and(|(_, last)| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Validates a phone number: at least one digit, at most 20 characters.
pub fn phone(number: &str) -> Result<String, ValidationError> {
    let number = self::text(20)(number)?;
    if number.chars().any(|c| c.is_ascii_digit()) {
        Ok(number)
    } else {
        Err(ValidationError::invalid("Must be a phone number with at least one digit."))
    }
}

/// Validates an absolute http or https URL of at most 200 characters; `www.example.org` becomes `http://www.example.org`.
pub fn web_address(address: &str) -> Result<String, ValidationError> {
    let invalid = || ValidationError::invalid("Must be an http(s) URL, such as https://www.example.org.");
    // Browsers read a backslash as a slash, and two slashes as the beginning of a host.
    if address.starts_with('/') || address.contains('\\') {
        return Err(invalid());
    }
    let absolute = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let absolute = self::text(200)(&absolute)?;
    let url = url::Url::from_str(&absolute).map_err(|_| invalid())?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let host = url.host_str().is_some_and(|host| host.contains('.') || host == "localhost" || host.starts_with('['));
    if plain && host && !absolute.contains(char::is_whitespace) { Ok(absolute) } else { Err(invalid()) }
}

/// Validates an ORCID iD, bare or as a URL, at most 100 characters; its last character is the checksum of ISO 7064 MOD 11-2. The
/// scheme and the host may have capital letters and `www.`, and the URL may end with a slash: these are left out. A small `x` becomes
/// a capital one.
pub fn orcid(text: &str) -> Result<String, ValidationError> {
    let text = self::text(100)(text)?;
    let (start, bare) =
        text.trim_end_matches('/').rsplit_once('/').map_or(("", text.as_str()), |(url, bare)| (url, bare));
    let start = match start.to_ascii_lowercase().replacen("www.", "", 1).as_str() {
        "" if !text.contains('/') => Some(""),
        "https://orcid.org" => Some("https://orcid.org/"),
        "http://orcid.org" => Some("http://orcid.org/"),
        "orcid.org" => Some("orcid.org/"),
        _ => None,
    };
    let bare = bare.to_ascii_uppercase();
    let groups: Vec<&str> = bare.split('-').collect();
    let digits: Vec<u32> = bare.chars().filter_map(|c| if c == 'X' { Some(10) } else { c.to_digit(10) }).collect();
    let (Some(start), Some((check, body))) = (start, digits.split_last()) else {
        return Err(ValidationError::invalid("Must be an ORCID iD, such as 0000-0002-1825-0097."));
    };
    let well_formed =
        groups.len() == 4 && groups.iter().all(|group| group.len() == 4) && digits.len() == 16 && !body.contains(&10);
    let total = body.iter().fold(0, |total, digit| (total + digit) * 2 % 11);
    match (well_formed, (12 - total) % 11 == *check) {
        (true, true) => Ok(format!("{start}{bare}")),
        (true, false) => Err(ValidationError::invalid("This ORCID iD has a typo: its checksum does not match.")),
        _ => Err(ValidationError::invalid("Must be an ORCID iD, such as 0000-0002-1825-0097.")),
    }
}

/// Validates a date of birth: a day from 1900-01-01 to today.
pub fn birth_date(given: &DateText) -> Result<Date, ValidationError> {
    let date =
        Date::parse(given.0.trim()).ok_or_else(|| ValidationError::invalid("Must be a date, such as 1980-07-08."))?;
    let earliest = NaiveDate::from_ymd_opt(1900, 1, 1);
    if earliest.is_some_and(|earliest| date.0 >= earliest) && date <= Date::today() {
        Ok(date)
    } else {
        Err(ValidationError::invalid("Must be a date from 1900-01-01 to today."))
    }
}

/// Validates a two-letter country code (ISO 3166-1 alpha-2), in either case; returns it in upper case.
pub fn country(code: &str) -> Result<String, ValidationError> {
    let code = code.to_ascii_uppercase();
    if is_country(&code) {
        Ok(code)
    } else {
        Err(ValidationError::invalid("Must be a two-letter country code of ISO 3166-1, such as AU."))
    }
}

/// Returns a rule for an integer from `least` to `most`.
pub fn between(least: i32, most: i32) -> impl Fn(i32) -> Result<i32, ValidationError> {
    move |number| match number {
        n if n < least => Err(ValidationError(ErrorCode::TooShort, format!("Must be at least {least}."))),
        n if n > most => Err(ValidationError(ErrorCode::TooLong, format!("Must be at most {most}."))),
        n => Ok(n),
    }
}

/// Validates a PIN: exactly four ASCII digits.
pub fn pin(digits: &str) -> Result<String, ValidationError> {
    if digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(digits.to_owned())
    } else {
        Err(ValidationError::invalid("Must be exactly four digits."))
    }
}

/// Validates an id.
pub fn id(text: &str) -> Result<Id, ValidationError> {
    Id::parse(text).ok_or_else(|| ValidationError::invalid("Must be a valid ID (a UUID)."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_four_digits_as_they_are() {
        assert!(pin("0007").is_ok_and(|pin| pin == "0007"));
        for bad in [
            "",
            "007",
            "00007",
            " 007",
            "0007 ",
            "000a",
            "-007",
            "+007",
            "\u{661}\u{661}",
            "\u{661}\u{662}\u{663}\u{664}",
        ] {
            assert!(pin(bad).is_err(), "{bad:?}");
        }
    }
}
