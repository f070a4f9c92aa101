//! Values in the forms of other systems: booleans, dates, instants and codes.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::{Number, Value};

use super::fields::FieldType;
use crate::entity::attribute_definition::AttributeKind;
use crate::scalar::Instant;

/// The words that mean true and false, in English, French and Italian.
const TRUE: [&str; 10] = ["true", "t", "yes", "y", "1", "on", "oui", "vrai", "si", "sì"];
const FALSE: [&str; 8] = ["false", "f", "no", "n", "0", "off", "non", "faux"];
/// The forms of dates besides `1980-07-08`. None of them can be mistaken for another.
const DATE_FORMATS: [&str; 5] = ["%Y/%m/%d", "%Y%m%d", "%d %b %Y", "%d-%b-%Y", "%d %B %Y"];
/// The forms of instants without an offset.
const LOCAL_FORMATS: [&str; 3] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y%m%d%H%M%S%.f"];
/// The smallest number that is taken for milliseconds since 1970: as seconds, it would be in the year 5138.
const LEAST_MILLISECONDS: u64 = 100_000_000_000;
const EXPECTED_DATE: &str = "expected a date, such as 1980-07-08";

/// Parses the name of a time zone, such as `Europe/Rome`.
///
/// # Errors
/// The expected form.
pub fn parse_zone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| "expected the name of a time zone, such as Europe/Rome".to_owned())
}

/// Checks the form of a date, as in `strftime`.
///
/// # Errors
/// The expected form.
pub fn parse_date_form(form: &str) -> Result<String, String> {
    let is_valid = StrftimeItems::new(form).all(|item| !matches!(item, Item::Error));
    is_valid.then(|| form.to_owned()).ok_or_else(|| "expected the form of a date, such as %d/%m/%Y".to_owned())
}

/// The forms in which a file may have dates and times.
#[derive(Clone, Debug, Default)]
pub struct Formats {
    /// The zone of times without an offset.
    pub time_zone: Option<Tz>,
    /// Forms of dates that are tried first, as in `strftime`.
    pub dates: Vec<String>,
}

impl Formats {
    /// Converts a value to the type of its field. Null stays null, and so does text that is blank, except in a field of text.
    ///
    /// # Errors
    /// The expected form.
    pub(super) fn convert(&self, value: Value, to: FieldType) -> Result<Value, String> {
        let is_blank = value.as_str().is_some_and(|text| text.trim().is_empty());
        match to {
            FieldType::Json => Ok(value),
            _ if value.is_null() => Ok(value),
            FieldType::Text => text(value),
            FieldType::AnyText => Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned).into()),
            _ if is_blank => Ok(Value::Null),
            FieldType::Boolean => boolean(&value).map(Value::from),
            FieldType::Integer => integer(value),
            FieldType::Date => self.date(&value).map(|date| date.to_string().into()),
            FieldType::Instant => self.instant(&value).map(|instant| instant.to_rfc3339().into()),
            FieldType::OneOf(codes) => one_of(&value, codes).map(Value::from),
        }
    }

    /// Converts the value of a custom attribute to its kind, if that can be told; otherwise it stays as it is.
    pub(super) fn convert_attribute(&self, value: &mut Value, kind: AttributeKind) {
        let field_type = match kind {
            AttributeKind::String => FieldType::Text,
            AttributeKind::Boolean => FieldType::Boolean,
            AttributeKind::Date => FieldType::Date,
            AttributeKind::Integer => FieldType::Integer,
        };
        if let Ok(converted) = self.convert(value.clone(), field_type) {
            *value = converted;
        }
    }

    /// Parses a date, or the date of an instant.
    fn date(&self, value: &Value) -> Result<NaiveDate, String> {
        let text = value.as_str().ok_or(EXPECTED_DATE)?.trim();
        let own = self.dates.iter().map(String::as_str);
        let parse = |format: &str| NaiveDate::parse_from_str(text, format).ok();
        let date = own.chain(["%Y-%m-%d"]).chain(DATE_FORMATS).find_map(parse);
        let day =
            || text.split_once(['T', 't', ' ']).and_then(|(day, _)| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok());
        date.or_else(day).ok_or_else(|| EXPECTED_DATE.to_owned())
    }

    /// Parses an instant with its offset from UTC: RFC 3339, also with a blank instead of the `T` or a shortened offset, as
    /// PostgreSQL writes it (`2019-03-01 10:00:00+02`), LDAP's generalized time, and seconds or milliseconds since 1970. Without an
    /// offset, it is in the time zone of the file.
    fn instant(&self, value: &Value) -> Result<DateTime<Utc>, String> {
        if let Some(number) = value.as_i64() {
            return since_1970(number).ok_or_else(|| Instant::EXPECTED.to_owned());
        }
        let text = value.as_str().ok_or(Instant::EXPECTED)?.trim();
        let with_space = text.replacen(['T', 't'], " ", 1);
        let parsed = DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(&with_space, "%Y-%m-%d %H:%M:%S%.f%#z"))
            .or_else(|_| DateTime::parse_from_str(text, "%Y%m%d%H%M%S%.f%#z"));
        match parsed {
            Ok(instant) => Ok(instant.to_utc()),
            Err(_) => self.local_instant(&with_space),
        }
    }

    fn local_instant(&self, with_space: &str) -> Result<DateTime<Utc>, String> {
        let parse = |format: &str| NaiveDateTime::parse_from_str(with_space, format).ok();
        let local = LOCAL_FORMATS.into_iter().find_map(parse).ok_or(Instant::EXPECTED)?;
        let Some(zone) = self.time_zone else {
            return Err(format!("{}; --time-zone names the zone of times without an offset", Instant::EXPECTED));
        };
        let instant = zone.from_local_datetime(&local).earliest();
        instant.map(|instant| instant.to_utc()).ok_or_else(|| format!("this time does not exist in {}", zone.name()))
    }
}

fn text(value: Value) -> Result<Value, String> {
    match value {
        Value::String(_) | Value::Null => Ok(value),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Array(mut items) if items.len() <= 1 => items.pop().map_or(Ok(Value::Null), text),
        Value::Array(items) => Err(format!("expected one text, not {} values", items.len())),
        Value::Bool(_) | Value::Object(_) => Err("expected a text".to_owned()),
    }
}

fn boolean(value: &Value) -> Result<bool, String> {
    let word = match value {
        Value::Bool(value) => return Ok(*value),
        Value::String(text) => text.trim().to_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    match word.as_str() {
        word if TRUE.contains(&word) => Ok(true),
        word if FALSE.contains(&word) => Ok(false),
        _ => Err("expected a boolean: true or false".to_owned()),
    }
}

fn integer(value: Value) -> Result<Value, String> {
    match value {
        Value::Number(_) => Ok(value),
        Value::String(text) => match text.trim().parse::<i64>() {
            Ok(number) => Ok(Number::from(number).into()),
            Err(_) => Err("expected an integer".to_owned()),
        },
        _ => Err("expected an integer".to_owned()),
    }
}

/// Returns the value that a text is, or is a code of, ignoring case.
fn one_of(value: &Value, codes: &'static [(&'static str, &'static str)]) -> Result<&'static str, String> {
    let text = value.as_str().unwrap_or_default().trim();
    let found = codes
        .iter()
        .find(|(name, code)| text.eq_ignore_ascii_case(name) || (!code.is_empty() && text.eq_ignore_ascii_case(code)));
    found.map(|(name, _)| *name).ok_or_else(|| {
        let names: Vec<&str> = codes.iter().map(|(name, _)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn since_1970(number: i64) -> Option<DateTime<Utc>> {
    if number.unsigned_abs() < LEAST_MILLISECONDS {
        DateTime::from_timestamp(number, 0)
    } else {
        DateTime::from_timestamp_millis(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(value: impl Into<Value>, zone: Option<Tz>) -> Result<String, String> {
        let formats = Formats { time_zone: zone, dates: Vec::new() };
        formats.convert(value.into(), FieldType::Instant).map(|value| value.as_str().unwrap().to_owned())
    }

    #[test]
    fn an_instant_has_an_offset() {
        for text in [
            "2019-03-01T10:00:00+02:00",
            "2019-03-01 10:00:00+02",
            "2019-03-01 10:00:00.000+0200",
            "2019-03-01 08:00:00Z",
            "2019-03-01t08:00:00z",
            "2019-03-01 08:00:00.000000+00:00",
            " 2019-03-01T03:00:00-05 ",
            "2019-03-01 10:00:00 +02:00",
            "20190301080000Z",
            "20190301100000+0200",
        ] {
            assert_eq!(instant(text, None).as_deref(), Ok("2019-03-01T08:00:00+00:00"), "{text}");
        }
        for text in ["yesterday", "2020-01-01", "2019-03-01 10:00:00", "01.03.2019 10:00", "2019-02-30T10:00:00Z"] {
            assert!(instant(text, None).is_err_and(|error| error.contains("2019-03-01T10:00:00+02:00")), "{text}");
        }
        assert_eq!(instant(1_551_427_200, None), instant(1_551_427_200_000_i64, None));
        assert_eq!(instant(1_551_427_200, None).as_deref(), Ok("2019-03-01T08:00:00+00:00"));
    }

    #[test]
    fn a_time_without_an_offset_is_in_the_zone_of_the_file() {
        let rome = Some(chrono_tz::Europe::Rome);
        assert_eq!(instant("2019-07-01 10:00:00", rome).as_deref(), Ok("2019-07-01T08:00:00+00:00"));
        assert_eq!(instant("2019-03-01T10:00:00.5", rome).as_deref(), Ok("2019-03-01T09:00:00.500+00:00"));
        assert!(instant(i64::MIN, rome).is_err() && instant(i64::MAX, rome).is_err());
        assert!(instant("2019-03-31 02:30:00", rome).is_err_and(|error| error.contains("Europe/Rome")));
        assert_eq!(instant("2019-03-01T10:00:00Z", rome).as_deref(), Ok("2019-03-01T10:00:00+00:00"));
    }

    #[test]
    fn values_of_other_systems_are_converted() {
        let formats = Formats { time_zone: None, dates: vec!["%d/%m/%Y".to_owned()] };
        let convert = |value: Value, to| formats.convert(value, to).unwrap_or_else(|error| panic!("{error}"));
        for date in ["1980-07-08", "08 Jul 1980", "8 July 1980", "19800708", "08/07/1980", "1980-07-08T00:00:00Z"] {
            assert_eq!(convert(date.into(), FieldType::Date), "1980-07-08", "{date}");
        }
        for word in [Value::from("t"), "Oui".into(), "TRUE".into(), 1.into(), true.into()] {
            assert_eq!(convert(word, FieldType::Boolean), true);
        }
        assert_eq!(convert(17.into(), FieldType::Text), "17");
        assert_eq!(convert(" ".into(), FieldType::Boolean), Value::Null);
        let codes = FieldType::OneOf(&[("MALE", "M"), ("UNKNOWN", "")]);
        assert_eq!(convert("m".into(), codes), "MALE");
        assert_eq!(convert("Male".into(), codes), "MALE");
        let error = formats.convert("X".into(), codes);
        assert_eq!(error, Err("expected one of MALE, UNKNOWN".to_owned()));
        assert!(formats.convert("maybe".into(), FieldType::Boolean).is_err());
        assert!(formats.convert("7 of July".into(), FieldType::Date).is_err());
    }
}
