//! PHC strings of Argon2 and scrypt, and scrypt hashes as Django writes them.

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, RECOMMENDED_SALT_LEN, Version};
use subtle::ConstantTimeEq;

use super::encoding::{base64, fields, number};
use super::{MAX_MEMORY, MAX_PASSED_OVER, MAX_SALT_LENGTH, PasswordHash, Unreadable, bounded};
use crate::auth::key_ring::ServerKeys;
use crate::auth::server_key::Key;
use crate::error::Error;

const MAX_LANES: u32 = 64;
/// The number of bytes of the output of Django's scrypt.
const DJANGO_SCRYPT: usize = 64;

pub struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

pub struct ScryptHash {
    params: scrypt::Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Argon2Hash {
    /// Returns a hash that matches no secret.
    pub(super) fn dummy(params: Params) -> Self {
        let (salt, output) = (vec![0; RECOMMENDED_SALT_LEN], vec![0; Params::DEFAULT_OUTPUT_LEN]);
        Self { algorithm: Algorithm::Argon2id, version: Version::V0x13, params, salt, output }
    }

    pub(super) fn matches(&self, secret: &[u8], keys: &ServerKeys) -> Result<bool, Error> {
        let mut output = vec![0; self.output.len()];
        let params = self.params.clone();
        let argon = match keys.with_id(params.keyid()) {
            Some(key) => Argon2::new_with_secret(key.as_bytes(), self.algorithm, self.version, params),
            None => Ok(Argon2::new(self.algorithm, self.version, params)),
        };
        argon
            .and_then(|argon| argon.hash_password_into(secret, &self.salt, &mut output))
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(self.output.ct_eq(&output).into())
    }

    pub(super) fn is_current(&self, key: &Key) -> bool {
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        matches!((self.algorithm, self.version), (Algorithm::Argon2id, Version::V0x13))
            && costs(&self.params) == costs(&Params::DEFAULT)
            && self.params.keyid() == key.id()
            && self.params.data().is_empty()
            && self.salt.len() >= RECOMMENDED_SALT_LEN
            && self.output.len() == Params::DEFAULT_OUTPUT_LEN
    }
}

impl ScryptHash {
    pub(super) fn matches(&self, secret: &[u8]) -> Result<bool, Error> {
        let mut output = vec![0; self.output.len()];
        scrypt::scrypt(secret, &self.salt, &self.params, &mut output)
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(self.output.ct_eq(&output).into())
    }
}

pub(super) fn argon2(text: &str) -> Result<PasswordHash, Unreadable> {
    let text = unpadded(text);
    let hash = phc::PasswordHash::new(&text).map_err(|_| Unreadable::Damaged)?;
    let named = ["m", "t", "p"].iter().all(|name| hash.params.get(*name).is_some());
    let params = Params::try_from(&hash).ok().filter(|_| named).ok_or(Unreadable::Damaged)?;
    let algorithm = Algorithm::new(hash.algorithm.as_str()).map_err(|_| Unreadable::Damaged)?;
    // A missing version means the first one, which did not write it.
    let version = Version::try_from(hash.version.unwrap_or(0x10)).map_err(|_| Unreadable::Damaged)?;
    let memory = u64::from(params.m_cost());
    bounded(
        memory <= MAX_MEMORY && memory * u64::from(params.t_cost()) <= MAX_PASSED_OVER && params.p_cost() <= MAX_LANES,
    )?;
    let (salt, output) = salt_and_output(&hash)?;
    Ok(PasswordHash::Argon2(Argon2Hash { algorithm, version, params, salt, output }))
}

pub(super) fn scrypt(text: &str) -> Result<PasswordHash, Unreadable> {
    let text = unpadded(text);
    let hash = phc::PasswordHash::new(&text).map_err(|_| Unreadable::Damaged)?;
    let parameter = |name: &str| hash.params.get_decimal(name);
    let (salt, output) = salt_and_output(&hash)?;
    bounded_scrypt(parameter("ln"), parameter("r"), parameter("p"), salt, output)
}

/// Parses `N$salt$r$p$output`.
pub(super) fn django_scrypt(rest: &str) -> Result<PasswordHash, Unreadable> {
    let [n, salt, r, p, output] = fields(rest)?;
    let log_n = number(n).filter(|n: &u64| n.is_power_of_two()).map(u64::ilog2);
    let output = Some(base64(output)?).filter(|output| output.len() == DJANGO_SCRYPT).ok_or(Unreadable::Damaged)?;
    bounded_scrypt(log_n, number(r), number(p), salt.as_bytes().to_vec(), output)
}

fn bounded_scrypt(
    log_n: Option<u32>,
    r: Option<u32>,
    p: Option<u32>,
    salt: Vec<u8>,
    output: Vec<u8>,
) -> Result<PasswordHash, Unreadable> {
    let given = log_n.zip(r).zip(p).filter(|((log_n, r), p)| *log_n > 0 && *r > 0 && *p > 0);
    let ((log_n, r), p) = given.ok_or(Unreadable::Damaged)?;
    // Checked before the crate is called, which multiplies without checking for overflow.
    let n = 1_u128.checked_shl(log_n).unwrap_or(u128::MAX);
    let passed_over = n.saturating_mul(u128::from(r)).saturating_mul(u128::from(p)).saturating_mul(128) / 1024;
    let memory = n.saturating_add(u128::from(p)).saturating_mul(u128::from(r)).saturating_mul(128) / 1024;
    bounded(
        memory <= u128::from(MAX_MEMORY) && passed_over <= u128::from(MAX_PASSED_OVER) && salt.len() <= MAX_SALT_LENGTH,
    )?;
    let log_n = u8::try_from(log_n).map_err(|_| Unreadable::Damaged)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| Unreadable::Damaged)?;
    Ok(PasswordHash::Scrypt(ScryptHash { params, salt, output }))
}

/// Returns a hash without the padding that some systems, such as Keycloak, write and the PHC string format forbids.
fn unpadded(text: &str) -> String {
    text.split('$').map(|field| field.trim_end_matches('=')).collect::<Vec<_>>().join("$")
}

fn salt_and_output(hash: &phc::PasswordHash) -> Result<(Vec<u8>, Vec<u8>), Unreadable> {
    let (salt, output) = hash.salt.as_ref().zip(hash.hash.as_ref()).ok_or(Unreadable::Damaged)?;
    Ok((salt.to_vec(), output.as_bytes().to_vec()))
}
