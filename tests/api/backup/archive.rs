//! Takes backups apart, and puts them together again with a checksum that fits.

use std::io::Read as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// An entry: its name and content.
pub type Entry = (String, Vec<u8>);

/// The entries of a backup, except the checksum.
pub fn unpack(backup: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for entry in tar::Archive::new(backup).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        entries.push((name, content));
    }
    assert_eq!(entries.pop().map(|(name, _)| name).as_deref(), Some("checksum"));
    entries
}

fn header(name: &str, length: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    // Not by the method that refuses `..`.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(length as u64);
    header.set_mode(0o600);
    header.set_cksum();
    header
}

/// A backup of these entries, with the checksum.
pub fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        builder.append(&header(name, content.len()), content.as_slice()).unwrap();
    }
    let last = header("checksum", 512);
    let digest = Sha256::new().chain_update(builder.get_ref()).chain_update(last.as_bytes()).finalize();
    builder.append(&last, format!("{:<511}\n", hex::encode(digest)).as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

/// The entries with a changed manifest.
pub fn with_manifest(entries: &[Entry], change: impl FnOnce(&mut Value)) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    let mut manifest: Value = serde_json::from_slice(&entries[0].1).unwrap();
    change(&mut manifest);
    entries[0].1 = serde_json::to_vec(&manifest).unwrap();
    entries
}
