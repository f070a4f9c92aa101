//! Trace contexts (<https://www.w3.org/TR/trace-context/>): the header `traceparent`, which joins the log lines and spans of a
//! request with those of the services that it came through.

use poem::http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: &str = "traceparent";
/// The flag of a trace that its sender records.
const SAMPLED: u8 = 1;
/// The version that the specification forbids.
const FORBIDDEN_VERSION: u128 = 0xff;

/// The trace that a request belongs to, and the request's own span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    /// The span of the caller; `None` if the trace begins here.
    pub(super) parent_id: Option<u64>,
    flags: u8,
}

/// The span of a caller, as its header names it.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// Creates a span in the trace that the headers name, or in a new trace if they name none or are malformed.
    #[must_use]
    pub fn of_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let only = values.next().filter(|_| values.next().is_none());
        let parent = only.and_then(|value| parse(value.to_str().ok()?));
        let span_id = rand::random::<u64>().max(1);
        match parent {
            Some(parent) => {
                Self { trace_id: parent.trace_id, span_id, parent_id: Some(parent.span_id), flags: parent.flags }
            }
            None => Self { trace_id: rand::random::<u128>().max(1), span_id, parent_id: None, flags: 0 },
        }
    }

    /// Returns whether the trace begins with this span.
    #[must_use]
    pub const fn begins_here(self) -> bool {
        self.parent_id.is_none()
    }

    /// Returns whether the spans of the trace are recorded.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Returns the context of the same span, which is recorded.
    #[must_use]
    pub const fn sampled(self) -> Self {
        Self { flags: self.flags | SAMPLED, ..self }
    }

    /// Returns the ID of the trace, as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// Returns the ID of the request's span, as 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// Adds the context to the headers of the response.
    pub fn add_to(self, headers: &mut HeaderMap) {
        let value = format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags);
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(TRACEPARENT), value);
        }
    }
}

/// Parses the value of the header; `None` if it is malformed.
fn parse(value: &str) -> Option<Parent> {
    let mut parts = value.split('-');
    let version = hexadecimal(parts.next()?, 2)?;
    let trace_id = hexadecimal(parts.next()?, 32)?;
    let span_id = u64::try_from(hexadecimal(parts.next()?, 16)?).ok()?;
    let flags = u8::try_from(hexadecimal(parts.next()?, 2)?).ok()?;
    // A later version may append parts.
    let is_complete = version > 0 || parts.next().is_none();
    let is_valid = version != FORBIDDEN_VERSION && trace_id != 0 && span_id != 0 && is_complete;
    is_valid.then_some(Parent { trace_id, span_id, flags: flags & SAMPLED })
}

/// Parses a number with this many lower-case digits.
fn hexadecimal(text: &str, length: usize) -> Option<u128> {
    let is_well_formed = text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_well_formed.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_trace_is_continued_if_its_header_is_well_formed() {
        let valid = [
            (format!("00-{TRACE}-b7ad6b7169203331-01"), 1),
            (format!("00-{TRACE}-b7ad6b7169203331-00"), 0),
            (format!("00-{TRACE}-b7ad6b7169203331-03"), 1),
            (format!("01-{TRACE}-b7ad6b7169203331-01-more"), 1),
        ];
        for (value, flags) in valid {
            let trace_id = u128::from_str_radix(TRACE, 16).unwrap();
            assert_eq!(parse(&value), Some(Parent { trace_id, span_id: 0xb7ad_6b71_6920_3331, flags }), "{value}");
        }
        for value in [
            "",
            "00",
            &format!("ff-{TRACE}-b7ad6b7169203331-01"),
            &format!("00-{TRACE}-b7ad6b7169203331"),
            &format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            &format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-+7ad6b7169203331-01"),
            &format!("0-{TRACE}-b7ad6b7169203331-01"),
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn two_headers_are_none() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("00-{TRACE}-b7ad6b7169203331-01")).unwrap();
        headers.append(TRACEPARENT, value.clone());
        assert_eq!(TraceContext::of_headers(&headers).trace_id(), TRACE);
        headers.append(TRACEPARENT, value);
        assert_ne!(TraceContext::of_headers(&headers).trace_id(), TRACE);
    }
}
