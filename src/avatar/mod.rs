//! Avatars: processes uploaded images and stores the pictures of users.

mod picture;
mod processor;
mod store;

use sha2::{Digest, Sha256};

pub use self::processor::ImageProcessor;
pub use self::store::Store;
use crate::entity::avatar::ContentType;

/// The maximum size of an uploaded file, in bytes.
pub const MAX_FILE_SIZE: usize = 2 * 1024 * 1024;

/// A picture as it is stored: square, at most 512 pixels wide, and a file with nothing but pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub content_type: ContentType,
    pub content: Vec<u8>,
}

impl Picture {
    /// Returns the first half of the picture's SHA-256, in hexadecimal digits, which distinguishes it from every other picture.
    #[must_use]
    pub fn hash(&self) -> String {
        hash_of(&self.content)
    }
}

/// Returns the hash of a picture's content, as [`Picture::hash`].
#[must_use]
pub fn hash_of(content: &[u8]) -> String {
    let head = Sha256::digest(content).first_chunk().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(head))
}
