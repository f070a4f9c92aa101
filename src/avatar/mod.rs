//! Pictures of people: what is made of a file that was sent, and where pictures are kept.

mod picture;
mod processor;
mod store;

use sha2::{Digest, Sha256};

pub use self::processor::ImageProcessor;
pub use self::store::Store;
use crate::entity::avatar::ContentType;
use crate::scalar::{Id, Url};

/// The most bytes of a file that is sent.
pub const LARGEST_FILE: usize = 2 * 1024 * 1024;

/// Where the server has the pictures, each by the id of its person.
pub const PATH: &str = "/avatars/";

/// A picture as it is kept: square, at most 512 pixels wide, and nothing in the file but pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub content_type: ContentType,
    pub content: Vec<u8>,
}

impl Picture {
    /// What tells it from every other picture: the first half of its SHA-256, in hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        let head = Sha256::digest(&self.content).first_chunk().copied().unwrap_or_default();
        format!("{:032x}", u128::from_be_bytes(head))
    }
}

/// The address of the picture of a person, at the server's public address. It is another one after each change.
#[must_use]
pub fn url(public_url: &str, user_id: Id, hash: &str) -> Url {
    Url(format!("{}{PATH}{}?v={hash}", public_url.trim_end_matches('/'), user_id.0))
}
