//! The output of an export: standard output, or a file that is complete or does not exist.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// An output. A file is written under another name, and only its owner can read it.
pub(in crate::cli) enum Output {
    Stdout(BufWriter<Stdout>),
    File(BufWriter<NamedTempFile>, PathBuf),
}

impl Output {
    /// Creates an output; `-` is standard output.
    pub(in crate::cli) fn create(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Its mode is 0600.
        let file = NamedTempFile::new_in(dir)?;
        Ok(Self::File(BufWriter::new(file), path.to_owned()))
    }

    /// Completes the output. A file replaces the one that has its name.
    pub(in crate::cli) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut output) => output.flush(),
            Self::File(output, path) => {
                let file = output.into_inner()?;
                file.as_file().sync_all()?;
                file.persist(path)?;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(output) => output.write(bytes),
            Self::File(output, _) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(output) => output.flush(),
            Self::File(output, _) => output.flush(),
        }
    }
}
