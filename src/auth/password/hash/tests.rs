//! Hashes of other systems, damaged hashes, and hashes that ask for too much work.

use super::vectors::{KNOWN, OF_OTHER_SYSTEMS, SECRET};
use super::*;

fn key() -> Key {
    Key::from([7; 32])
}

fn matches(hash: &str, secret: &[u8]) -> bool {
    PasswordHash::parse(hash)
        .unwrap_or_else(|error| panic!("{hash}: {error:?}"))
        .matches(secret, &key().into())
        .unwrap()
}

#[test]
fn hashes_of_other_systems_match_only_their_secret_and_are_outdated() {
    for hash in KNOWN {
        assert!(matches(hash, SECRET), "{hash}");
        assert!(!matches(hash, b"letmein"), "{hash}");
        assert!(!PasswordHash::parse(hash).unwrap().is_current(&key()), "{hash}");
    }
}

#[test]
fn every_family_of_other_systems_is_verified_and_the_weak_ones_are_known_as_such() {
    for (hash, weakness) in OF_OTHER_SYSTEMS {
        assert!(matches(hash, SECRET), "{hash}");
        assert!(!matches(hash, b"letmein"), "{hash}");
        assert!(!matches(hash, &[SECRET, &[b'x'; 600]].concat()), "{hash}");
        let read = PasswordHash::parse(hash).unwrap();
        assert!(!read.is_current(&key()), "{hash}");
        assert_eq!(read.weakness(), weakness, "{hash}");
    }
    for hash in KNOWN {
        assert_eq!(PasswordHash::parse(hash).unwrap().weakness(), None, "{hash}");
    }
}

#[test]
fn a_long_secret_and_an_empty_one_are_hashed_as_elsewhere() {
    // Made by passlib, of 200 times x and of the empty text.
    let long = [
        "$1$a$NE88g1VJ6FWoLr8WhAtEc.",
        "$5$rounds=1000$a$EBK.rzXl/MHgRtUDriLpFLIXxcAlxbQ4UQoOZ0vrvq/",
        "$6$rounds=1000$a$Apg42rHkNqagebsTyEz.KuLIS6Wg7D9Kh3BGpZ07vtM4GxdsMlM9D7ItfDbFBfCsXmIVaRd2K0wcYY7MIQfhv.",
        "$P$5U8.z0sm8MMfNzK3ZkKH1JargOOe/H/",
    ];
    for hash in long {
        assert!(matches(hash, &[b'x'; 200]) && !matches(hash, &[b'x'; 199]), "{hash}");
    }
    assert!(matches("$1$$qRPK7m23GJusamGpoGLby/", b"") && !matches("$1$$qRPK7m23GJusamGpoGLby/", b"x"));
    // WordPress trims the password.
    let (wordpress, _) = OF_OTHER_SYSTEMS.iter().find(|(hash, _)| hash.starts_with("$wp$")).unwrap();
    assert!(matches(wordpress, &[b" \t", SECRET, b"\n"].concat()));
}

#[test]
fn no_damage_to_a_hash_is_a_panic_or_lets_anybody_in() {
    let all = KNOWN.into_iter().chain(OF_OTHER_SYSTEMS.map(|(hash, _)| hash));
    for hash in all {
        let characters: Vec<char> = hash.chars().collect();
        for place in 0..characters.len() {
            for replacement in ["", "$", "=", "0", "z", "\u{fc}", "99999999999", "\0", "{", "-"] {
                let before: String = characters.iter().take(place).collect();
                let after: String = characters.iter().skip(place + 1).collect();
                let damaged = format!("{before}{replacement}{after}");
                if let Err(error) = PasswordHash::parse(&damaged) {
                    let message = error.message(&damaged);
                    let output = damaged.rsplit('$').next().unwrap_or_default();
                    assert!(output.len() < 22 || !message.contains(output), "{message}");
                }
            }
        }
    }
}

#[test]
fn a_fault_names_the_format_and_never_the_hash() {
    let message = |text: &str| PasswordHash::parse(text).err().unwrap().message(text);
    let cases = [
        ("$argon2x$v=19$m=512,t=2,p=2$c2Vhc2FsdA$vo5DkMQ9RF0RzwRF", "unknown format (\"$argon2x$\")"),
        ("{ROT13}vo5DkMQ9RF0RzwRFjuauSrIw", "unknown format (\"{ROT13}\")"),
        ("{CRYPT}50yGX1Bfgr3Pk", "unknown format (\"{CRYPT}\")"),
        ("unheard_of$1000$salt$vo5DkMQ9RF0Rzw", "unknown format (\"unheard_of$\")"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "unknown format (without a prefix)"),
        ("hunter2", "unknown format (without a prefix)"),
        ("hunter$2", "unknown format (without a prefix)"),
        ("{SSHA}hunter", "damaged password hash (\"{SSHA}\")"),
        ("$2b$12$tooshort-and-damaged", "damaged password hash (\"$2b$\")"),
        (
            "pbkdf2_sha256$5000001$salt$mGXcJTkI6F0SxMjXfFzPvk5gQYhXr0VhQvKqTmA8mGk=",
            "too much work (\"pbkdf2_sha256$\")",
        ),
    ];
    for (text, expected) in cases {
        let message = message(text);
        assert!(message.contains(expected), "{text}: {message}");
        assert!(
            message.len() < 400
                && !message.contains("hunter")
                && !message.contains("vo5D")
                && !message.contains("salt$"),
            "{message}"
        );
    }
    assert!(message("hunter2").contains("{SSHA}") && message("hunter2").contains("Django"));
}

#[test]
fn published_vectors_are_met() {
    // From RFC 7914, section 12, and jBCrypt's tests.
    let scrypt = [
        (
            "password",
            "scrypt$1024$NaCl$8$16$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA==",
        ),
        (
            "pleaseletmein",
            "scrypt$16384$SodiumChloride$8$1$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw==",
        ),
    ];
    for (secret, hash) in scrypt {
        assert!(matches(hash, secret.as_bytes()), "{hash}");
    }
    let bcrypt = [
        ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
        ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
        ("abcdefghijklmnopqrstuvwxyz", "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC"),
    ];
    for (secret, hash) in bcrypt {
        assert!(matches(hash, secret.as_bytes()), "{hash}");
    }
    // bcrypt uses 72 bytes, and ignores the rest.
    let long = "$2b$05$34t.W3ERW97hkRiJbAA20Oy93WKes8yUPgo2CtkZLI98o1FsLkcY.";
    assert!(matches(long, &[b'x'; 72]) && matches(long, &[b'x'; 73]) && !matches(long, &[b'x'; 71]));
}

#[test]
fn a_new_hash_matches_its_secret_only_with_its_key() {
    let hash = create(&key(), SECRET).unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid="), "{hash}");
    assert!(matches(&hash, SECRET) && !matches(&hash, b"letmein"));
    assert!(PasswordHash::parse(&hash).unwrap().is_current(&key()));
    let other = Key::from([8; 32]);
    let stored = PasswordHash::parse(&hash).unwrap();
    assert!(!stored.matches(SECRET, &other.clone().into()).unwrap() && !stored.is_current(&other));
    let both = ServerKeys::new(other, vec![key()]);
    assert!(stored.matches(SECRET, &both).unwrap() && !stored.matches(b"letmein", &both).unwrap());
    let keyid = hash.split("keyid=").nth(1).unwrap().split('$').next().unwrap();
    let unmarked = hash.replace(&format!(",keyid={keyid}"), "");
    assert!(!matches(&unmarked, SECRET), "the key counts, not its mark");
    assert!(!PasswordHash::dummy(&key()).unwrap().matches(SECRET, &key().into()).unwrap());
}

#[test]
fn what_is_damaged_or_asks_for_too_much_is_refused() {
    let output = "mGXcJTkI6F0SxMjXfFzPvk5gQYhXr0VhQvKqTmA8mGk";
    let argon = |parameters: &str| format!("$argon2id$v=19${parameters}$c29tZXNhbHRzYWx0${output}");
    let pbkdf2 = |rounds: &str| format!("pbkdf2_sha256${rounds}$salt${output}=");
    let scrypt = |costs: &str| format!("$scrypt${costs}$c29tZXNhbHRzYWx0${output}");
    let bcrypt = |cost: &str| format!("$2b${cost}$M5FWLX26YYC36VxEhYIUAeQsHhPfGGGyUd/jW5fI0UkNv/CbEMg2y");
    let error = |hash: &str| PasswordHash::parse(hash).err();
    for good in
        [argon("m=262144,t=4,p=1"), argon("m=8,t=1,p=1"), pbkdf2("5000000"), scrypt("ln=17,r=8,p=1"), bcrypt("15")]
    {
        assert_eq!(error(&good), None, "{good}");
    }
    let much = [
        argon("m=262145,t=1,p=1"),
        argon("m=262144,t=5,p=1"),
        argon("m=4294967295,t=4294967295,p=16777215"),
        argon("m=8192,t=1,p=65"),
        pbkdf2("5000001"),
        scrypt("ln=18,r=8,p=1"),
        scrypt("ln=10,r=8,p=2000"),
        scrypt("ln=1,r=4294967295,p=4294967295"),
        scrypt("ln=4294967295,r=8,p=1"),
        "scrypt$9223372036854775808$salt$8$1$".to_owned() + &"A".repeat(86) + "==",
        bcrypt("16"),
        bcrypt("31"),
        "$pbkdf2-sha512$i=5000001$c29tZXNhbHRzYWx0$".to_owned() + output,
        "$pbkdf2$i=2500001$c29tZXNhbHRzYWx0$".to_owned() + output,
        "{PBKDF2-SHA256}4294967295$c29tZXNhbHRzYWx0$".to_owned() + output,
        format!("$pbkdf2-sha256$1${}${output}", "A".repeat(400)),
        format!("{{SSHA}}{}", "A".repeat(400)),
        "$5$rounds=1000001$seasalt$KqPIskyL1N0fCdOydq4F3Wzv9PrRy6uwowhRcATY7M3".to_owned(),
        "$5$rounds=999999999$seasalt$KqPIskyL1N0fCdOydq4F3Wzv9PrRy6uwowhRcATY7M3".to_owned(),
        "$y$jFT$F5Jx5fExrKuPp53xLKQ..1$yBh2GduheHBvOjZdMFfO9lH6OiwStgqWyGS5UGTov55".to_owned(),
        "$P$SBvu91uzr4NXksgD0S.LdjrSFdXZoV/".to_owned(),
        "$wp$2y$16$vTU62no2tar95GCFs5sWpeIDc/xN.3jb2fjn6JjGpJTZV0sWaSV02".to_owned(),
    ];
    for hash in much {
        assert_eq!(error(&hash), Some(Unreadable::TooMuch), "{hash}");
    }
    let damaged = [
        argon("m=0,t=0,p=0"),
        argon("m=8,t=1"),
        argon("m=99999999999,t=1,p=1"),
        argon("m=8,t=1,p=1").replace("v=19", "v=18"),
        argon("m=8,t=1,p=1").replace(output, ""),
        argon("m=8,t=1,p=1") + "$",
        argon("m=8,t=1,p=1,keyid=AAAAAAAAAAAAAAAA"),
        pbkdf2("0"),
        pbkdf2("-1"),
        pbkdf2("+1"),
        pbkdf2(""),
        pbkdf2("99999999999"),
        "pbkdf2_sha256$1$salt$".to_owned(),
        "pbkdf2_sha256$1$salt$AAAA".to_owned(),
        "pbkdf2_sha256$1$salt".to_owned(),
        "$pbkdf2-sha256$i=0$c29tZXNhbHRzYWx0$".to_owned() + output,
        "$pbkdf2-sha256$l=32$c29tZXNhbHRzYWx0$".to_owned() + output,
        scrypt("ln=0,r=8,p=1"),
        scrypt("ln=4,r=0,p=1"),
        scrypt("ln=4,r=8"),
        "scrypt$1000$salt$8$1$".to_owned() + &"A".repeat(86) + "==",
        "scrypt$1024$salt$8$1$".to_owned(),
        bcrypt("6"),
        bcrypt("03"),
        bcrypt("+6"),
        bcrypt("06") + "x",
        bcrypt("06").replace("M5FWLX", "\u{fc}\u{fc}\u{fc}"),
        "bcrypt$$2x$06$M5FWLX26YYC36VxEhYIUAeQsHhPfGGGyUd/jW5fI0UkNv/CbEMg2y".to_owned(),
        "bcrypt_sha256$".to_owned(),
        "md5$a$b".to_owned(),
        "$1$a$b".to_owned(),
        "$1$morethaneight$Q3MX8tNkWyI.wLEm02R47.".to_owned(),
        "pbkdf2_sha1$1$a$b".to_owned(),
        "$pbkdf2-sha256$i=1,l=31$c29tZXNhbHRzYWx0$".to_owned() + output,
        "$pbkdf2-sha256$i=1,i=1$c29tZXNhbHRzYWx0$".to_owned() + output,
        "$pbkdf2-sha256$i=1$c29tZXNhbHRzYWx0$AAAA".to_owned(),
        "$5$rounds=999$seasalt$KqPIskyL1N0fCdOydq4F3Wzv9PrRy6uwowhRcATY7M3".to_owned(),
        "$5$rounds=99999999999$seasalt$KqPIskyL1N0fCdOydq4F3Wzv9PrRy6uwowhRcATY7M3".to_owned(),
        "$6$seasalt$KqPIskyL1N0fCdOydq4F3Wzv9PrRy6uwowhRcATY7M3".to_owned(),
        "$5$seventeencharacters$KqPIskyL1N0fCdOydq4F3Wzv9PrRy6uwowhRcATY7M3".to_owned(),
        "$y$zzzzzz$F5Jx5fExrKuPp53xLKQ..1$yBh2GduheHBvOjZdMFfO9lH6OiwStgqWyGS5UGTov55".to_owned(),
        "$y$j9T$!$yBh2GduheHBvOjZdMFfO9lH6OiwStgqWyGS5UGTov55".to_owned(),
        "$P$1Bvu91uzr4NXksgD0S.LdjrSFdXZoV/".to_owned(),
        "$P$".to_owned(),
        "$wp$2b".to_owned(),
        "{SSHA}bROMo65UVjGzq9caTwds51nFcAs=".to_owned(),
        "{SSHA}{SSHA}".to_owned(),
        "{SHA}AbS4jpnTkdQNq2W3RDjiESdPJzsf/uCt".to_owned(),
        "{PBKDF2_SHA256}AAAIAAAB".to_owned(),
    ];
    for hash in damaged {
        assert_eq!(error(&hash), Some(Unreadable::Damaged), "{hash}");
    }
}

#[test]
fn what_is_no_hash_is_unknown() {
    let unknown = [
        "",
        "$",
        "secret",
        "!unusable",
        "$2x$06$a",
        "argon2$",
        "{SSHA",
        "{}x",
        "{PLAIN}secret",
        "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D",
        "crypt$$50yGX1Bfgr3Pk",
        "$argon2",
    ];
    for hash in unknown
        .map(str::to_owned)
        .into_iter()
        .chain([format!("pbkdf2_sha256$1$salt$mGXcJTkI6F0SxMjXfFzPvk5gQYhXr0VhQvKqTmA8mGk={}", "=".repeat(500))])
    {
        assert_eq!(PasswordHash::parse(&hash).err(), Some(Unreadable::Unknown), "{hash}");
    }
}
