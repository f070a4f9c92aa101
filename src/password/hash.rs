//! Stored hashes: ours, and those that people bring along from other systems. What is here computes for a long time.

use std::str::FromStr;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, RECOMMENDED_SALT_LEN, Version};
use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::Error;
use crate::key::Key;

/// The most bytes of a hash's text.
const LONGEST: usize = 512;
/// The most memory that a hash may ask for, in KiB.
const MOST_MEMORY: u64 = 256 * 1024;
/// How often that memory may be gone over, counted in KiB: about a second's work.
const MOST_PASSED_OVER: u64 = 4 * MOST_MEMORY;
const MOST_LANES: u32 = 64;
const MOST_ITERATIONS: u64 = 5_000_000;
const MOST_BCRYPT_COST: u32 = 15;
/// What bcrypt takes of a secret, which ends with a zero byte where there is room for it.
const BCRYPT_TAKES: usize = 72;
/// How many bytes of its 24 bcrypt stores.
const BCRYPT_GIVES: usize = 23;
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// How many bytes SHA-256 gives, and Django's scrypt.
const SHA256: usize = 32;
const DJANGO_SCRYPT: usize = 64;

const UNKNOWN: &str = "This is not a password hash of a known format: PHC strings (Argon2, scrypt, pbkdf2-sha256), bcrypt, \
                       and Django's pbkdf2_sha256, argon2, bcrypt_sha256 and scrypt.";
const DAMAGED: &str = "This password hash is damaged.";
const TOO_MUCH: &str =
    "This password hash asks for too much work: at most 256 MiB of memory, 5,000,000 iterations, a bcrypt cost of 15.";

/// A stored hash, read: how it is computed, and what comes out for the right secret.
pub struct Stored {
    method: Method,
    output: Vec<u8>,
}

enum Method {
    Argon2 { algorithm: Algorithm, version: Version, params: Params, salt: Vec<u8> },
    Pbkdf2 { rounds: u32, salt: Vec<u8> },
    Scrypt { params: scrypt::Params, salt: Vec<u8> },
    Bcrypt { cost: u32, salt: [u8; 16], of_digest: bool },
}

/// A new hash of a secret.
///
/// # Errors
/// `Internal` where the system has no memory or no randomness.
pub fn make(key: &Key, secret: &[u8]) -> Result<String, Error> {
    let hash = ours(key)?.hash_password(secret).map_err(|error| Error::internal(error.to_string()))?;
    Ok(hash.to_string())
}

/// How new hashes are made: OWASP's Argon2id, m=19456 KiB, t=2, p=1, which are the crate's defaults, with the key as
/// Argon2's secret and the key's id as the mark of it.
fn ours(key: &Key) -> Result<Argon2<'_>, Error> {
    let params = KeyId::new(&key.id()).and_then(|id| ParamsBuilder::new().keyid(id).build());
    let argon =
        params.and_then(|params| Argon2::new_with_secret(key.as_bytes(), Algorithm::Argon2id, Version::V0x13, params));
    argon.map_err(|error| Error::internal(error.to_string()))
}

impl Stored {
    /// Reads a hash; one that asks for more than bounded work is refused.
    ///
    /// # Errors
    /// Why it cannot be used, without showing it.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let (name, rest) = text.split_once('$').filter(|_| text.len() <= LONGEST).ok_or(UNKNOWN)?;
        match (name, rest.split('$').next()) {
            ("pbkdf2_sha256", _) => django_pbkdf2(rest),
            ("scrypt", _) => django_scrypt(rest),
            ("bcrypt", _) => bcrypt(rest, false),
            ("bcrypt_sha256", _) => bcrypt(rest, true),
            ("", Some("2a" | "2b" | "2y")) => bcrypt(text, false),
            ("argon2", Some("argon2i" | "argon2id")) => argon2(&format!("${rest}")),
            ("", Some("argon2i" | "argon2d" | "argon2id")) => argon2(text),
            ("", Some("scrypt")) => phc_scrypt(text),
            ("", Some("pbkdf2-sha256")) => phc_pbkdf2(text),
            _ => Err(UNKNOWN),
        }
    }

    /// A hash that is nobody's and costs what ours do.
    ///
    /// # Errors
    /// None that could occur.
    pub fn dummy(key: &Key) -> Result<Self, Error> {
        let params = ours(key)?.params().clone();
        let (algorithm, version, salt) = (Algorithm::Argon2id, Version::V0x13, vec![0; RECOMMENDED_SALT_LEN]);
        let method = Method::Argon2 { algorithm, version, params, salt };
        Ok(Self { method, output: vec![0; Params::DEFAULT_OUTPUT_LEN] })
    }

    /// Whether it is the hash of a secret. Compared in constant time.
    ///
    /// # Errors
    /// `Internal` where the system has no memory.
    pub fn is_of(&self, secret: &[u8], key: &Key) -> Result<bool, Error> {
        let mut output = vec![0; self.output.len()];
        match &self.method {
            Method::Argon2 { algorithm, version, params, salt } => {
                let (algorithm, version, params) = (*algorithm, *version, params.clone());
                let argon = if params.keyid() == key.id() {
                    Argon2::new_with_secret(key.as_bytes(), algorithm, version, params)
                } else {
                    Ok(Argon2::new(algorithm, version, params))
                };
                argon
                    .and_then(|argon| argon.hash_password_into(secret, salt, &mut output))
                    .map_err(|error| Error::internal(error.to_string()))?;
            }
            Method::Pbkdf2 { rounds, salt } => pbkdf2::pbkdf2_hmac::<Sha256>(secret, salt, *rounds, &mut output),
            Method::Scrypt { params, salt } => {
                scrypt::scrypt(secret, salt, params, &mut output)
                    .map_err(|error| Error::internal(error.to_string()))?;
            }
            Method::Bcrypt { cost, salt, of_digest: true } => {
                output = bcrypt_output(*cost, *salt, hex(&Sha256::digest(secret)).as_bytes());
            }
            Method::Bcrypt { cost, salt, of_digest: false } => output = bcrypt_output(*cost, *salt, secret),
        }
        Ok(self.output.ct_eq(&output).into())
    }

    /// Whether a new hash would be made in the same way.
    pub fn is_current(&self, key: &Key) -> bool {
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        match &self.method {
            Method::Argon2 { algorithm: Algorithm::Argon2id, version: Version::V0x13, params, salt } => {
                costs(params) == costs(&Params::DEFAULT)
                    && params.keyid() == key.id()
                    && params.data().is_empty()
                    && salt.len() >= RECOMMENDED_SALT_LEN
                    && self.output.len() == Params::DEFAULT_OUTPUT_LEN
            }
            _ => false,
        }
    }
}

fn argon2(text: &str) -> Result<Stored, &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| DAMAGED)?;
    let named = ["m", "t", "p"].iter().all(|name| hash.params.get(*name).is_some());
    let params = Params::try_from(&hash).ok().filter(|_| named).ok_or(DAMAGED)?;
    let algorithm = Algorithm::new(hash.algorithm.as_str()).map_err(|_| DAMAGED)?;
    // Without a version it is the first one, which wrote none.
    let version = Version::try_from(hash.version.unwrap_or(0x10)).map_err(|_| DAMAGED)?;
    let memory = u64::from(params.m_cost());
    bounded(
        memory <= MOST_MEMORY
            && memory * u64::from(params.t_cost()) <= MOST_PASSED_OVER
            && params.p_cost() <= MOST_LANES,
    )?;
    let (salt, output) = salt_and_output(&hash)?;
    Ok(Stored { method: Method::Argon2 { algorithm, version, params, salt }, output })
}

fn phc_pbkdf2(text: &str) -> Result<Stored, &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| DAMAGED)?;
    let (salt, output) = salt_and_output(&hash)?;
    pbkdf2(hash.params.get_decimal("i"), salt, output)
}

/// `iterations$salt$output`
fn django_pbkdf2(rest: &str) -> Result<Stored, &'static str> {
    let [rounds, salt, output] = fields(rest)?;
    pbkdf2(number(rounds), salt.as_bytes().to_vec(), decoded(output, SHA256)?)
}

fn pbkdf2(rounds: Option<u32>, salt: Vec<u8>, output: Vec<u8>) -> Result<Stored, &'static str> {
    let rounds = rounds.filter(|rounds| *rounds > 0).ok_or(DAMAGED)?;
    bounded(u64::from(rounds) * output.len().div_ceil(SHA256) as u64 <= MOST_ITERATIONS)?;
    Ok(Stored { method: Method::Pbkdf2 { rounds, salt }, output })
}

fn phc_scrypt(text: &str) -> Result<Stored, &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| DAMAGED)?;
    let parameter = |name: &str| hash.params.get_decimal(name);
    let (salt, output) = salt_and_output(&hash)?;
    scrypt(parameter("ln"), parameter("r"), parameter("p"), salt, output)
}

/// `N$salt$r$p$output`
fn django_scrypt(rest: &str) -> Result<Stored, &'static str> {
    let [n, salt, r, p, output] = fields(rest)?;
    let log_n = number(n).filter(|n: &u64| n.is_power_of_two()).map(u64::ilog2);
    scrypt(log_n, number(r), number(p), salt.as_bytes().to_vec(), decoded(output, DJANGO_SCRYPT)?)
}

fn scrypt(
    log_n: Option<u32>,
    r: Option<u32>,
    p: Option<u32>,
    salt: Vec<u8>,
    output: Vec<u8>,
) -> Result<Stored, &'static str> {
    let given = log_n.zip(r).zip(p).filter(|((log_n, r), p)| *log_n > 0 && *r > 0 && *p > 0);
    let ((log_n, r), p) = given.ok_or(DAMAGED)?;
    // Before the crate is asked, which multiplies without looking.
    let n = 1_u128.checked_shl(log_n).unwrap_or(u128::MAX);
    let passed_over = n.saturating_mul(u128::from(r)).saturating_mul(u128::from(p)).saturating_mul(128) / 1024;
    let memory = n.saturating_add(u128::from(p)).saturating_mul(u128::from(r)).saturating_mul(128) / 1024;
    bounded(memory <= u128::from(MOST_MEMORY) && passed_over <= u128::from(MOST_PASSED_OVER))?;
    let log_n = u8::try_from(log_n).map_err(|_| DAMAGED)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| DAMAGED)?;
    Ok(Stored { method: Method::Scrypt { params, salt }, output })
}

/// `$2b$12$`, then salt and output without anything between.
fn bcrypt(text: &str, of_digest: bool) -> Result<Stored, &'static str> {
    let [before, version, cost, rest] = fields(text)?;
    let cost: u32 = number(cost).filter(|_| cost.len() == 2).ok_or(DAMAGED)?;
    let (salt, output) = rest.split_at_checked(22).ok_or(DAMAGED)?;
    let decoded = |text| BCRYPT_BASE64.decode(text).map_err(|_| DAMAGED);
    let salt = decoded(salt)?.try_into().map_err(|_| DAMAGED)?;
    let output = decoded(output)?;
    let well_formed =
        before.is_empty() && matches!(version, "2a" | "2b" | "2y") && cost >= 4 && output.len() == BCRYPT_GIVES;
    if !well_formed {
        return Err(DAMAGED);
    }
    bounded(cost <= MOST_BCRYPT_COST)?;
    Ok(Stored { method: Method::Bcrypt { cost, salt, of_digest }, output })
}

fn bcrypt_output(cost: u32, salt: [u8; 16], secret: &[u8]) -> Vec<u8> {
    let taken: Vec<u8> = secret.iter().copied().chain([0]).take(BCRYPT_TAKES).collect();
    bcrypt::bcrypt(cost, salt, &taken).into_iter().take(BCRYPT_GIVES).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn salt_and_output(hash: &PasswordHash) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let (salt, output) = hash.salt.as_ref().zip(hash.hash.as_ref()).ok_or(DAMAGED)?;
    Ok((salt.to_vec(), output.as_bytes().to_vec()))
}

fn fields<const N: usize>(text: &str) -> Result<[&str; N], &'static str> {
    text.split('$').collect::<Vec<_>>().try_into().map_err(|_| DAMAGED)
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok())
}

fn decoded(text: &str, length: usize) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(text).ok().filter(|bytes| bytes.len() == length).ok_or(DAMAGED)
}

fn bounded(is_bounded: bool) -> Result<(), &'static str> {
    if is_bounded { Ok(()) } else { Err(TOO_MUCH) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = "l\u{e8}tmein".as_bytes();

    fn key() -> Key {
        Key::from([7; 32])
    }

    fn is_of(hash: &str, secret: &[u8]) -> bool {
        Stored::read(hash).unwrap_or_else(|fault| panic!("{hash}: {fault}")).is_of(secret, &key()).unwrap()
    }

    /// Of one secret, made by Django 5.2, argon2-cffi, passlib and the bcrypt of Python, and by Django's own tests.
    const KNOWN: [&str; 21] = [
        "pbkdf2_sha256$29000$seasalt$OXvcmd5X4lstJYTdn4pNJCadC+PD0daYfoJ18IQ9vb0=",
        "pbkdf2_sha256$600000$seasalt$OAXyhAQ/4ZDA9V5RMExt3C1OwQdUpLZ99vm1McFlLRA=",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$TGUzelpxZWlsTW9iQjlhMzRxUHlQTQ$bMj/inFS6odYk9wEejhdN3i/V7A0YNqvYoAJxhgTElQ",
        "argon2$argon2i$v=19$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$IjQdO1G+iD+geDIOSStx5bj43STRIwyBDzvR0b+boKE",
        "bcrypt_sha256$$2b$12$m2qUjFS16RYP8xGrXtzoKuoVMGrBbl53LEEVKwOF8SwP/K57wvvKG",
        "bcrypt$$2b$12$Im/Kg/ThFOgR4L08b/Cf6edVVwnZxOnf2PZ2c8t3OZZWEwAeNI2iO",
        "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==",
        "scrypt$16384$seasalt$8$5$ECMIUp+LMxMSK8xB/IVyba+KYGTI7FTnet025q/1f/vBAVnnP3hdYqJuRi+mJn6ji6ze3Fbb7JEFPKGpuEf5vw==",
        "$argon2i$v=16$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$xp5vSMRsXVdIWdlOzgx02ovLTJ+McXqMowFs0x1iTmU",
        "$argon2i$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$xp5vSMRsXVdIWdlOzgx02ovLTJ+McXqMowFs0x1iTmU",
        "$argon2i$v=19$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$IjQdO1G+iD+geDIOSStx5bj43STRIwyBDzvR0b+boKE",
        "$argon2d$v=19$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$mpVfKa7eHEu5bgSxP0mWMmEbA/D30NyDluLFn+vRO68",
        "$argon2id$v=16$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$bbqRnhVMkxgmh8hR+8r1wiJUDaEGrsU1A+QouoqaHVw",
        "$argon2id$v=19$m=512,t=2,p=2$c2Vhc2FsdC1zZWFzYWx0$vo5DkMQ9RF0RzwRFjuauSrIwWw3B8d1L/HE5BJpnXSI",
        "$argon2id$v=19$m=19456,t=2,p=1$c2Vhc2FsdC1zZWFzYWx0$VLuFg75RkztFsRNXGHqPv9WlcnfGx6dLbz5aaguMyw8",
        "$scrypt$ln=10,r=8,p=1$c2Vhc2FsdC1zZWFzYWx0$CDj1Hmw7dhZy3a/bpToXeoG2qgRHpgq+/9UXcmNOlvs",
        "$pbkdf2-sha256$i=1000$c2Vhc2FsdC1zZWFzYWx0$o1TwTqDnLyBUsL+MK822UERh68pzdhDtzT4MDvMFRKM",
        "$pbkdf2-sha256$i=1000,l=64$c2Vhc2FsdC1zZWFzYWx0$o1TwTqDnLyBUsL+MK822UERh68pzdhDtzT4MDvMFRKM/FM0YiHLxPwaxTb6C1lBQOJonjXn2RAhIMvRraWrmxQ",
        "$2b$06$M5FWLX26YYC36VxEhYIUAeQsHhPfGGGyUd/jW5fI0UkNv/CbEMg2y",
        "$2a$06$M5FWLX26YYC36VxEhYIUAeQsHhPfGGGyUd/jW5fI0UkNv/CbEMg2y",
        "$2y$06$M5FWLX26YYC36VxEhYIUAeQsHhPfGGGyUd/jW5fI0UkNv/CbEMg2y",
    ];

    #[test]
    fn the_hash_of_every_other_system_is_of_its_secret_and_of_no_other_and_is_outdated() {
        for hash in KNOWN {
            assert!(is_of(hash, SECRET), "{hash}");
            assert!(!is_of(hash, b"letmein"), "{hash}");
            assert!(!Stored::read(hash).unwrap().is_current(&key()), "{hash}");
        }
    }

    #[test]
    fn published_vectors_are_met() {
        // RFC 7914, section 12, and jBCrypt's tests.
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
            assert!(is_of(hash, secret.as_bytes()), "{hash}");
        }
        let bcrypt = [
            ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
            ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
            ("abcdefghijklmnopqrstuvwxyz", "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC"),
        ];
        for (secret, hash) in bcrypt {
            assert!(is_of(hash, secret.as_bytes()), "{hash}");
        }
        // bcrypt takes 72 bytes, and nothing of what follows.
        let long = "$2b$05$34t.W3ERW97hkRiJbAA20Oy93WKes8yUPgo2CtkZLI98o1FsLkcY.";
        assert!(is_of(long, &[b'x'; 72]) && is_of(long, &[b'x'; 73]) && !is_of(long, &[b'x'; 71]));
    }

    #[test]
    fn a_new_hash_is_of_its_secret_under_its_key_alone() {
        let hash = make(&key(), SECRET).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1,keyid="), "{hash}");
        assert!(is_of(&hash, SECRET) && !is_of(&hash, b"letmein"));
        assert!(Stored::read(&hash).unwrap().is_current(&key()));
        let other = Key::from([8; 32]);
        let stored = Stored::read(&hash).unwrap();
        assert!(!stored.is_of(SECRET, &other).unwrap() && !stored.is_current(&other));
        let keyid = hash.split("keyid=").nth(1).unwrap().split('$').next().unwrap();
        let unmarked = hash.replace(&format!(",keyid={keyid}"), "");
        assert!(!is_of(&unmarked, SECRET), "the key counts, not its mark");
        assert!(!Stored::dummy(&key()).unwrap().is_of(SECRET, &key()).unwrap());
    }

    #[test]
    fn what_is_damaged_or_asks_for_too_much_is_refused() {
        let output = "mGXcJTkI6F0SxMjXfFzPvk5gQYhXr0VhQvKqTmA8mGk";
        let argon = |parameters: &str| format!("$argon2id$v=19${parameters}$c29tZXNhbHRzYWx0${output}");
        let pbkdf2 = |rounds: &str| format!("pbkdf2_sha256${rounds}$salt${output}=");
        let scrypt = |costs: &str| format!("$scrypt${costs}$c29tZXNhbHRzYWx0${output}");
        let bcrypt = |cost: &str| format!("$2b${cost}$M5FWLX26YYC36VxEhYIUAeQsHhPfGGGyUd/jW5fI0UkNv/CbEMg2y");
        let fault = |hash: &str| Stored::read(hash).err();
        for good in
            [argon("m=262144,t=4,p=1"), argon("m=8,t=1,p=1"), pbkdf2("5000000"), scrypt("ln=17,r=8,p=1"), bcrypt("15")]
        {
            assert_eq!(fault(&good), None, "{good}");
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
        ];
        for hash in much {
            assert_eq!(fault(&hash), Some(TOO_MUCH), "{hash}");
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
        ];
        for hash in damaged {
            assert_eq!(fault(&hash), Some(DAMAGED), "{hash}");
        }
        let unknown = [
            "",
            "$",
            "secret",
            "md5$a$b",
            "!unusable",
            "$1$a$b",
            "$2x$06$a",
            "argon2$",
            "pbkdf2_sha1$1$a$b",
            "$argon2",
        ];
        for hash in unknown.map(str::to_owned).into_iter().chain([pbkdf2("1") + &" ".repeat(500)]) {
            assert_eq!(fault(&hash), Some(UNKNOWN), "{hash}");
        }
    }
}
