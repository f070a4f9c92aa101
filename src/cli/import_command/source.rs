//! The files of an import, with their mappings.

use std::path::Path;

use anyhow::Context as _;

use crate::cli::config::Import;
use crate::import::{Additions, Formats, Input, Mapping, Preset, Source, SourceFile};

/// Returns the mapping of the options: a file, or that of a system.
fn mapping_of(import: &Import) -> anyhow::Result<Option<Mapping>> {
    let mapping = match (&import.mapping, import.from) {
        (Some(file), _) => {
            let name = || file.display().to_string();
            Some(Mapping::parse(&std::fs::read_to_string(file).with_context(name)?).with_context(name)?)
        }
        (None, Some(preset)) => Some(Mapping::parse(preset.text())?),
        (None, None) => None,
    };
    Ok(mapping)
}

pub(super) fn open_source(import: &Import) -> anyhow::Result<Source> {
    let is_one = import.files.len() == 1;
    anyhow::ensure!(is_one || import.rejects.is_none(), "--rejects needs one file");
    let files: anyhow::Result<Vec<SourceFile>> = import.files.iter().map(|file| open_file(import, file)).collect();
    let additions =
        Additions { institutions: import.create_institutions.clone(), attributes: import.define_attributes };
    Ok(Source::new(files?).named(import.source.clone()).with(additions))
}

fn open_file(import: &Import, file: &Path) -> anyhow::Result<SourceFile> {
    let name = || file.display().to_string();
    let mut mapping = mapping_of(import)?;
    let format = import.format.or(mapping.as_ref().and_then(|mapping| mapping.format));
    let input = Input::open(file, format, import.encoding).with_context(name)?;
    if mapping.is_none() {
        mapping = Preset::of_format(input.format()).map(|preset| Mapping::parse(preset.text())).transpose()?;
    }
    let given = Formats { time_zone: import.time_zone, dates: import.date_format.clone() };
    let formats = match &mapping {
        Some(mapping) => mapping.formats(given)?,
        None => given,
    };
    if let (Some(mapping), Some(new)) = (&mut mapping, &import.create_institutions) {
        mapping.create_institutions(new);
    }
    if let (Some(mapping), Some(source)) = (&mut mapping, &import.source) {
        mapping.source.clone_from(source);
    }
    Ok(SourceFile::new(name(), input, mapping, formats))
}
