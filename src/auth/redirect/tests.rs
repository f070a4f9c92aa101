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

/// Texts that are not absolute http(s) URLs.
const NO_ADDRESSES: &[&str] = &[
    "",
    " ",
    "/",
    "//evil.example",
    "//good.example",
    "///good.example",
    "\\\\evil.example",
    "/\\evil.example",
    "/welcome",
    "?x",
    "#x",
    "good.example",
    "good.example/",
    "https",
    "https:",
    "https:/",
    "https://",
    "https:///",
    "https:evil.example",
    "https:good.example",
    "https:/evil.example",
    "https:/good.example",
    "https:///good.example",
    "https:////good.example",
    "https:\\\\good.example",
    "https:/\\good.example",
    "https:\\/good.example/",
    "https//good.example",
    "https;//good.example",
    "://good.example",
    "javascript:alert(1)",
    "javascript://good.example/%0aalert(1)",
    "data:text/html,x",
    "data://good.example/",
    "vbscript:x",
    "file:///etc/passwd",
    "file://good.example/",
    "ftp://good.example/",
    "ws://good.example/",
    "blob:https://good.example/x",
    "view-source:https://good.example/",
    "about:blank",
    "mailto:a@good.example",
    "HTTPS://good.example/",
    "hTTps://good.example/",
    "httpss://good.example/",
    "https+x://good.example/",
    "http://good.example/",
    "https://localhost:3000/",
    "feed:https://good.example/",
];

/// URLs with other hosts.
const OTHER_HOSTS: &[&str] = &[
    "https://evil.example/",
    "https://good.example.evil.example/",
    "https://evilgood.example/",
    "https://evil-good.example/",
    "https://sub.good.example/",
    "https://good.example.",
    "https://good.example./",
    "https://good.example../",
    "https://good..example/",
    "https://.good.example/",
    "https://good.exampl/",
    "https://good.example@evil.example/",
    "https://good.example:443@evil.example/",
    "https://good.example:x@evil.example/",
    "https://evil.example@good.example/",
    "https://@good.example/",
    "https://:@good.example/",
    "https://a:b@good.example/",
    "https://good.example%40evil.example/",
    "https://good.example%2eevil.example/",
    "https://good%2eexample/",
    "https://g%6fod.example/",
    "https://good.example%2f.evil.example/",
    "https://good.example%00.evil.example/",
    "https://good.example%/",
    "https://good.example%23.evil.example/",
    "https://good.example%5c.evil.example/",
    "https://good.example\\.evil.example/",
    "https://good.example\\@evil.example/",
    "https://evil.example\\@good.example/",
    "https://evil.example/https://good.example/",
    "https://evil.example?https://good.example/",
    "https://evil.example/?@good.example/",
    "https://evil.example#@good.example/",
    "https://good.example;evil.example/",
    "https://good.example,evil.example/",
    "https://good.example&evil.example/",
    "https://good.example'evil.example/",
    "https://*.example/",
    "https://GOOD.example/",
    "https://Good.Example/",
    "https://localhost/",
    "https://good_.example/",
];

/// URLs with other spellings of a host.
const OTHER_SPELLINGS: &[&str] = &[
    "https://ｇｏｏｄ.example/",
    "https://gооd.example/",
    "https://good。example/",
    "https://good．example/",
    "https://good\u{ad}.example/",
    "https://go\u{200b}od.example/",
    "https://good.example\u{2044}evil.example/",
    "https://münchen.example/",
    "https://xn--mnchen-3ya.example.evil.example/",
    "https://XN--mnchen-3ya.example/",
    "https://xn--good.example/",
    "https://xn--gd-nmba.example/",
    "https://ℊood.example/",
    "https://good.example℀evil/",
    "http://127.0.0.1/",
    "http://127.0.0.1:3000/",
    "http://2130706433:3000/",
    "http://0177.0.0.1:3000/",
    "http://0x7f.1:3000/",
    "http://127.1:3000/",
    "http://0:3000/",
    "http://[::1]/",
    "http://[::1]:3000/",
    "http://[0:0:0:0:0:0:0:1]:8080/",
    "http://[::0001]:8080/",
    "http://[::ffff:127.0.0.1]:8080/",
    "http://[::1%25lo]:8080/",
    "http://::1:8080/",
    "http://[::1:8080/",
    "http://0xc0000201/a/b",
    "http://192.0.513/a/b",
    "http://192.0.2.1./a/b",
];

/// URLs with other ports.
const OTHER_PORTS: &[&str] = &[
    "https://good.example:80/",
    "https://good.example:444/",
    "https://good.example:0443/",
    "https://good.example:/",
    "https://good.example:0/",
    "https://good.example:65979/",
    "https://good.example:99999999999/",
    "https://good.example:443:443/",
    "https://good.example:+443/",
    "https://good.example:4 43/",
    "https://good.example:４４３/",
    "http://localhost/",
    "http://localhost:80/",
    "http://localhost:30000/",
    "http://localhost:3000.evil.example/",
    "http://[::1]:80/",
];

/// URLs with other paths.
const OTHER_PATHS: &[&str] = &[
    "https://app.example",
    "https://app.example/",
    "https://app.example/welcomes",
    "https://app.example/welcome;x",
    "https://app.example/welcome%2fx",
    "https://app.example/welcome%2Fx",
    "https://app.example/Welcome",
    "https://app.example/w%65lcome",
    "https://app.example//welcome",
    "https://app.example/x/welcome",
    "https://app.example/./welcome",
    "https://app.example/welcome/.",
    "https://app.example/welcome/..",
    "https://app.example/welcome/../x",
    "https://app.example/welcome/%2e%2e/x",
    "https://app.example/welcome/.%2e/x",
    "https://app.example/welcome/%2E./x",
    "https://app.example/welcome/%252e%252e/x",
    "https://app.example/welcome/..;/x",
    "https://app.example/welcome/..;a=b/x",
    "https://app.example/welcome/.;/x",
    "https://app.example/welcome/..%3b/x",
    "https://app.example/welcome/..%5cx",
    "https://app.example/welcome/..%5Cx",
    "https://app.example/welcome\\..\\x",
    "https://app.example/welcome/..\\x",
    "https://app.example/welcome%00",
    "https://app.example/welcome/%0d%0aSet-Cookie:x",
    "https://app.example/welcome/%7f",
    "https://app.example/welcome/%",
    "https://app.example/welcome/%2",
    "https://app.example/welcome/%zz",
    "https://app.example/welcome/%u002e",
    "https://app.example/welcome/x//evil.example",
    "https://app.example/?/welcome",
    "https://good.example//evil.example",
    "https://good.example///",
    "https://good.example/a//b",
    "https://good.example/a|b",
    "https://good.example/a^b",
    "https://good.example/[a]",
    "https://good.example/{a}",
    "https://good.example/\"",
    "https://good.example/<a>",
    "http://192.0.2.1/a",
    "http://192.0.2.1/a/bc",
    "http://192.0.2.1/a/b/../../",
];

/// URLs with extra parts behind or inside them.
const MORE_THAN_ADDRESSES: &[&str] = &[
    "https://good.example/#",
    "https://good.example/#x",
    "https://good.example#",
    "https://good.example/?a#b",
    "https://good.example/?\\",
    "https://good.example/? x",
    "https://good.example/?é",
    "https://good.example/é",
    " https://good.example/",
    "https://good.example/ ",
    "\thttps://good.example/",
    "https://good.example/\n",
    "https://good.example/\r\nLocation: https://evil.example/",
    "https://good.example/a b",
    "https://good .example/",
    "ht\ntps://good.example/",
    "https:/\t/good.example/",
    "https://good.example\n.evil.example/",
    "https://good.example\t.evil.example/",
    "https://good.\rexample/",
    "java\nscript:alert(1)",
    "https://good.example/\0",
    "https://good.example\0.evil.example/",
    "https://good.example/\u{1}",
    "https://good.example/\u{7f}",
    "https://good.example/\u{85}",
    "https://good.example/\u{a0}",
    "https://good.example/\u{202e}x",
    "\u{feff}https://good.example/",
    "https://good.example/\u{2028}",
    "https://good.example/,https://evil.example/",
    "https://good.example/ https://evil.example/",
];

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
