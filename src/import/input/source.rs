//! The source of an import: a file, a pipe or standard input, which can be read several times.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// An open file that can be read from the beginning again.
pub(super) struct Source(File);

impl Source {
    /// Opens a file; `-` is standard input. A pipe can be read only once, so it is copied to an anonymous temporary file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::copy(&mut io::stdin().lock());
        }
        let mut file = File::open(path)?;
        let kind = file.metadata()?;
        if kind.is_file() || kind.is_dir() { Ok(Self(file)) } else { Self::copy(&mut file) }
    }

    fn copy(pipe: &mut impl Read) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        io::copy(pipe, &mut file)?;
        Ok(Self(file))
    }

    /// Returns the size in bytes.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// Returns a reader from the beginning. Readers that were returned before must not be used any more.
    pub(super) fn reader(&self) -> io::Result<File> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}
