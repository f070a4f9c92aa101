//! Trace contexts (<https://www.w3.org/TR/trace-context/>): the header `traceparent`, which joins the log lines of a request with
//! those of the services that it came through.

use poem::http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: &str = "traceparent";
/// The flag of a trace that its sender records.
const SAMPLED: u8 = 1;
/// The version that the specification forbids.
const FORBIDDEN_VERSION: u128 = 0xff;

/// The trace that a request belongs to, and the request's own span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceContext {
    /// Creates a span in the trace that the headers name, or in a new trace if they name none or are malformed.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let only = values.next().filter(|_| values.next().is_none());
        let parent = only.and_then(|value| parse(value.to_str().ok()?));
        let (trace_id, flags) = parent.unwrap_or_else(|| (rand::random::<u128>().max(1), 0));
        Self { trace_id, span_id: rand::random::<u64>().max(1), flags }
    }

    /// Returns the ID of the trace, as 32 hexadecimal digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// Returns the ID of the request's span, as 16 hexadecimal digits.
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// Adds the context to the headers of the response.
    pub fn add_to(self, headers: &mut HeaderMap) {
        let value = format!("00-{}-{}-{:02x}", self.trace_id(), self.span_id(), self.flags);
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(TRACEPARENT), value);
        }
    }
}

/// Returns the ID of the trace and its flags; `None` if the value is malformed.
fn parse(value: &str) -> Option<(u128, u8)> {
    let mut parts = value.split('-');
    let version = hexadecimal(parts.next()?, 2)?;
    let trace_id = hexadecimal(parts.next()?, 32)?;
    let parent_id = hexadecimal(parts.next()?, 16)?;
    let flags = u8::try_from(hexadecimal(parts.next()?, 2)?).ok()?;
    // A later version may append parts.
    let is_complete = version > 0 || parts.next().is_none();
    let is_valid = version != FORBIDDEN_VERSION && trace_id != 0 && parent_id != 0 && is_complete;
    is_valid.then_some((trace_id, flags & SAMPLED))
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
            assert_eq!(parse(&value), Some((u128::from_str_radix(TRACE, 16).unwrap(), flags)), "{value}");
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
