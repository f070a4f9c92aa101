mod refused;

use self::refused::{MORE_THAN_ADDRESSES, NO_ADDRESSES, OTHER_HOSTS, OTHER_PATHS, OTHER_PORTS, OTHER_SPELLINGS};
use super::*;
use crate::error::{Error, ErrorCode};
use crate::validation::Validator;

fn next_urls() -> NextUrls {
    let allowed = [
        "https://good.example",
        "https://app.example/welcome/",
        "http://localhost:3000/",
        "https://xn--mnchen-3ya.example",
        "http://[::1]:8080",
        "http://192.0.2.1/a/b",
    ];
    NextUrls::new(allowed.iter().map(|text| AllowedPrefix::parse(text).unwrap()).collect())
}

#[test]
fn an_allowed_url_is_written_as_a_browser_writes_it() {
    let good = [
        ("https://good.example", "https://good.example/"),
        ("https://good.example/", "https://good.example/"),
        ("https://good.example:443", "https://good.example/"),
        ("https://good.example:443/a?b=c", "https://good.example/a?b=c"),
        ("https://good.example?a=b", "https://good.example/?a=b"),
        ("https://good.example/?next=//evil.example/", "https://good.example/?next=//evil.example/"),
        ("https://good.example/?at=@evil.example&%2f%2e", "https://good.example/?at=@evil.example&%2f%2e"),
        ("https://good.example/?quote=\"'<>", "https://good.example/?quote=%22%27%3C%3E"),
        ("https://good.example/a/b/", "https://good.example/a/b/"),
        ("https://good.example/caf%C3%A9/%20x", "https://good.example/caf%C3%A9/%20x"),
        ("https://good.example/a:b@c", "https://good.example/a:b@c"),
        ("https://good.example/https:evil.example", "https://good.example/https:evil.example"),
        ("https://good.example/.well-known/a...b/c..", "https://good.example/.well-known/a...b/c.."),
        ("https://good.example/a;b=c", "https://good.example/a;b=c"),
        ("https://app.example/welcome", "https://app.example/welcome"),
        ("https://app.example/welcome/", "https://app.example/welcome/"),
        ("https://app.example/welcome/x", "https://app.example/welcome/x"),
        ("https://app.example/welcome?x", "https://app.example/welcome?x"),
        ("http://localhost:3000/x", "http://localhost:3000/x"),
        ("https://xn--mnchen-3ya.example/x", "https://xn--mnchen-3ya.example/x"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://192.0.2.1:80/a/b", "http://192.0.2.1/a/b"),
    ];
    for (text, expected) in good {
        let url = next_urls().check(text).unwrap_or_else(|error| panic!("{text}: {}", error.rule()));
        assert_eq!(url.0, expected, "{text}");
        assert_eq!(next_urls().check(&url.0).ok(), Some(url.clone()), "{text} twice");
    }
}

#[test]
fn nobody_is_sent_anywhere_else() {
    let hostile = [NO_ADDRESSES, OTHER_HOSTS, OTHER_SPELLINGS, OTHER_PORTS, OTHER_PATHS, MORE_THAN_ADDRESSES].concat();
    assert!(hostile.len() > 200);
    for text in hostile {
        if let Ok(url) = next_urls().check(text) {
            panic!("{text:?} leads to {}", url.0);
        }
    }
}

#[test]
fn what_is_allowed_is_an_origin_and_a_path() {
    for (text, expected) in [
        ("https://good.example", "https://good.example"),
        ("https://good.example:443/", "https://good.example"),
        ("http://localhost:3000/a/b/", "http://localhost:3000/a/b"),
        ("http://[::1]/", "http://[::1]"),
    ] {
        assert_eq!(AllowedPrefix::parse(text).unwrap().to_string(), expected);
    }
    for text in [
        "",
        "*",
        "https://*",
        "https://*.example",
        "good.example",
        "//good.example",
        "https://",
        "https://good.example/?",
        "https://good.example/?a",
        "https://good.example/#",
        "https://a@good.example",
        "https://GOOD.example",
        "https://münchen.example",
        "ftp://good.example",
        "https://good.example/../a",
        "https://good.example//",
        "https://good.example:70000",
        " https://good.example",
        "https://good.example./",
        "https://127.1/",
        "null",
    ] {
        assert!(AllowedPrefix::parse(text).is_err(), "{text:?}");
    }
    assert!(NextUrls::new(Vec::new()).check("https://good.example/").is_err());
    let one_origin = AllowedPrefix::parse("https://good.example:443").unwrap();
    assert_eq!(one_origin, AllowedPrefix::parse("https://good.example/").unwrap());
    assert_eq!(next_urls().to_string().matches(", ").count(), 5);
}

#[test]
fn the_longest_address_has_a_thousand_characters() {
    let code = |text: &str| {
        let mut validator = Validator::default();
        let url = validator.check("nextUrl", next_urls().check(text));
        match validator.finish() {
            Ok(()) => Ok(url.unwrap().0),
            Err(Error::Rejected(errors)) => Err(errors.first().unwrap().code),
            Err(error) => panic!("{error:?}"),
        }
    };
    let of = |length: usize, filler: &str| {
        let start = "https://good.example/?";
        start.to_owned() + &filler.repeat(length - start.len())
    };
    assert_eq!(code(&of(1_000, "a")), Ok(of(1_000, "a")));
    assert_eq!(code(&of(1_001, "a")), Err(ErrorCode::TooLong));
    assert_eq!(code(&"x".repeat(100_000)), Err(ErrorCode::TooLong));
    assert_eq!(code(&of(1_000, "é")), Err(ErrorCode::Invalid));
    // A browser writes three characters for each of these.
    assert_eq!(code(&of(1_000, "\"")), Err(ErrorCode::TooLong));
}
