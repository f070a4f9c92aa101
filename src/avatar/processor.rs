//! Image processor: converts files into pictures apart from the threads that handle requests, and one at a time, because a
//! picture may be large however small its file is.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{MAX_FILE_SIZE, Picture, picture};
use crate::error::{Error, ErrorCode};

/// The number of files that are processed at the same time. Some take a few hundred MB of memory.
const MAX_RUNNING: usize = 1;
/// The number of files that are processed or wait, from which the next is refused.
const MAX_ADMITTED: usize = 8;

/// A processor that converts files into pictures. Cheap to clone.
#[derive(Clone)]
pub struct ImageProcessor {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Default for ImageProcessor {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(MAX_RUNNING)), admitted: Arc::new(Semaphore::new(MAX_ADMITTED)) }
    }
}

impl ImageProcessor {
    /// Converts the file in `field` into a picture.
    ///
    /// # Errors
    /// `Rejected` if the file is too large, or not a PNG or JPEG; `RateLimited`, without a wait, if too many files wait already.
    pub async fn process(&self, field: &str, file: Vec<u8>) -> Result<Picture, Error> {
        self.run(field, file, picture::process).await
    }

    /// Converts the file in `field` into a picture, as [`ImageProcessor::process`], but leaves a picture that was exported as it is.
    ///
    /// # Errors
    /// As [`ImageProcessor::process`].
    pub async fn restore(&self, field: &str, file: Vec<u8>) -> Result<Picture, Error> {
        self.run(field, file, picture::restore).await
    }

    async fn run(
        &self,
        field: &str,
        file: Vec<u8>,
        convert: fn(&[u8]) -> Result<Picture, &'static str>,
    ) -> Result<Picture, Error> {
        if file.len() > MAX_FILE_SIZE {
            return Err(Error::rejected(field, ErrorCode::TooLong, "Must be at most 2 MB."));
        }
        let busy =
            || Error::RateLimited("Too many pictures are being processed; try again in a few seconds.".to_owned());
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| busy())?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        let work = spawn_blocking(move || {
            let picture = convert(&file);
            // Not earlier: when a client disconnects, its picture is still being processed.
            drop((running, admitted));
            picture
        });
        let picture = work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "failed to process an image");
            Err("This picture cannot be read; save it again in a picture editor and retry.")
        });
        picture.map_err(|message| Error::rejected(field, ErrorCode::Invalid, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn too_many_files_at_once_are_rejected() {
        let mut file = std::io::Cursor::new(Vec::new());
        image::GrayImage::new(3_000, 3_000).write_to(&mut file, image::ImageFormat::Png).unwrap();
        let (processor, file) = (ImageProcessor::default(), file.into_inner());
        let all = (0..MAX_ADMITTED + 3).map(|_| processor.process("avatar", file.clone()));
        let done = futures_util::future::join_all(all).await;
        assert_eq!(done.iter().filter(|picture| matches!(picture, Err(Error::RateLimited(_)))).count(), 3);
        assert_eq!(done.iter().filter(|picture| picture.is_ok()).count(), MAX_ADMITTED);
        assert!(processor.process("avatar", file).await.is_ok(), "and later there is room again");
    }
}
