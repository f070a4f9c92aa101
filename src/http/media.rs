//! The media type of a response, negotiated by the Accept header.

use poem::http::{HeaderMap, HeaderValue, StatusCode, header};

/// The media type of an event stream.
pub const EVENT_STREAM: &str = "text/event-stream";

/// The media type of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    GraphQl,
    /// `application/json`: the status is 200 for every well-formed request.
    Json,
    /// Either, as the caller prefers neither: `application/json`, which every program shows as JSON, if the request was executed,
    /// and else `application/graphql-response+json` with the status that tells why not.
    Either,
}

impl Media {
    /// Returns the media type that the caller accepts; `None` if it is none of these.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(header::ACCEPT) {
            return Some(Self::Either);
        }
        let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut graphql, mut json) = (Preference::default(), Preference::default());
        for range in ranges.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let quality = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
            let (for_graphql, for_json) = match name.as_str() {
                "application/graphql-response+json" => (BY_NAME, 0),
                "application/json" => (0, BY_NAME),
                "application/*" => (2, 2),
                "*/*" => (1, 1),
                _ => continue,
            };
            graphql.update(for_graphql, quality);
            json.update(for_json, quality);
        }
        let json_by_name = json.precision > graphql.precision && json.quality >= graphql.quality;
        let is_same = json.quality.total_cmp(&graphql.quality).is_eq() && json.precision == graphql.precision;
        match (graphql.quality > 0.0, json.quality > 0.0) {
            (false, false) => None,
            (_, true) if json.quality > graphql.quality || json_by_name => Some(Self::Json),
            _ if is_same && graphql.precision < BY_NAME => Some(Self::Either),
            _ => Some(Self::GraphQl),
        }
    }

    /// Returns the status of a document that is not executed, of which `status` tells why.
    pub fn status_of_rejected(self, status: StatusCode) -> StatusCode {
        if self == Self::Json { StatusCode::OK } else { status }
    }

    /// Returns the Content-Type header of a response with this status.
    pub fn content_type(self, status: StatusCode) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Either if status == StatusCode::OK => "application/json; charset=utf-8",
            Self::GraphQl | Self::Either => "application/graphql-response+json; charset=utf-8",
        })
    }
}

/// The responses that a caller accepts.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// The media type of a single response; `None` if only event streams are accepted.
    single: Option<Media>,
    /// Whether an event stream is accepted by name.
    pub events: bool,
}

impl Accepted {
    /// Returns what the caller accepts; `None` if it is nothing that Roster writes.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let accepted = Self { single: Media::accepted(headers), events: accepts_events(headers) };
        (accepted.single.is_some() || accepted.events).then_some(accepted)
    }

    /// Returns the media type of a single response or error.
    pub fn media(self) -> Media {
        self.single.unwrap_or(Media::Json)
    }

    /// Returns whether a single result must be sent as an event stream too.
    pub fn only_events(self) -> bool {
        self.single.is_none()
    }
}

/// Returns whether the caller accepts an event stream by name. `*/*` is not enough: a client that does not ask for a stream would
/// wait for its end.
fn accepts_events(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_stream = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(EVENT_STREAM));
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        is_stream && quality.is_none_or(|quality| quality.parse().unwrap_or(0.0) > 0.0)
    })
}

/// The precision of a range that is one media type.
const BY_NAME: u8 = 3;

/// The preference for a media type, decided by the most precise range.
#[derive(Default)]
struct Preference {
    precision: u8,
    quality: f32,
}

impl Preference {
    fn update(&mut self, precision: u8, quality: f32) {
        if precision > 0 && precision >= self.precision {
            *self = Self { precision, quality };
        }
    }
}
