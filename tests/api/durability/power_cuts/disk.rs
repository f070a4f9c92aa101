//! What a disk may hold of a database's files after the power failed: everything that was synchronized, and any part of the
//! rest. Reads the record of `power_cut.c`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::hostile::Rng;
use crate::process::set_mode;

/// The number of bytes that a disk writes all or none of.
const SECTOR: usize = 512;
/// The number of bytes before the content of an entry.
const HEADER: usize = 40;
/// The end of the name of SQLite's index of the write-ahead log, which is rebuilt after the power failed.
const LOG_INDEX: &str = "-shm";

/// How many of eight unsynchronized operations survive: of those before a random one, and of the later ones.
pub type Pattern = (usize, usize);

/// The contents of files by name.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// An operation on the content of a file.
enum Operation {
    Write { offset: usize, content: Vec<u8> },
    Truncate { length: usize },
}

impl Operation {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, content } => {
                let end = offset + content.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*offset..end].copy_from_slice(content);
            }
            Self::Truncate { length } => file.resize(*length, 0),
        }
    }

    /// The bytes that it changes in a file of a length.
    fn range(&self, file_length: usize) -> Range<usize> {
        match self {
            Self::Write { offset, content } => *offset..offset + content.len(),
            Self::Truncate { length } => file_length.min(*length)..file_length.max(*length),
        }
    }
}

/// A file, whether or not it still has a name.
#[derive(Default)]
struct StoredFile {
    /// What was synchronized.
    durable: Vec<u8>,
    /// What was not, with the sequence numbers.
    pending: Vec<(u64, Operation)>,
}

impl StoredFile {
    /// Makes the operations before a sequence number durable.
    fn synchronize(&mut self, end: u64) {
        let rest = self.pending.split_off(self.pending.partition_point(|(sequence, _)| *sequence < end));
        for (_, operation) in std::mem::replace(&mut self.pending, rest) {
            operation.apply(&mut self.durable);
        }
    }

    /// The content that the process sees.
    fn cached(&self) -> Vec<u8> {
        let mut content = self.durable.clone();
        for (_, operation) in &self.pending {
            operation.apply(&mut content);
        }
        content
    }

    /// A content that the disk may hold. Each sector has the content it had after one of the operations, in any combination.
    fn survivor(&self, patterns: &[Pattern], rng: &mut Rng) -> Vec<u8> {
        let kept = choose_kept(self.pending.len(), patterns, rng);
        let (mut cache, mut disk) = (self.durable.clone(), self.durable.clone());
        let (mut lengths, mut kept_length) = (vec![cache.len()], cache.len());
        for ((_, operation), is_kept) in self.pending.iter().zip(kept) {
            let changed = operation.range(cache.len());
            operation.apply(&mut cache);
            lengths.push(cache.len());
            if !is_kept {
                continue;
            }
            kept_length = cache.len();
            let is_torn = matches!(operation, Operation::Write { .. }) && rng.one_in(4);
            for sector in changed.start / SECTOR..changed.end.div_ceil(SECTOR) {
                if !is_torn || rng.one_in(2) {
                    copy_sector(&cache, &mut disk, sector);
                }
            }
        }
        disk.resize(if rng.one_in(4) { *rng.choose(&lengths) } else { kept_length }, 0);
        disk
    }
}

fn copy_sector(from: &[u8], to: &mut Vec<u8>, sector: usize) {
    let (start, end) = (sector * SECTOR, (sector + 1) * SECTOR);
    if to.len() < end {
        to.resize(end, 0);
    }
    let content = from.get(start..end.min(from.len())).unwrap_or_default();
    to[start..start + content.len()].copy_from_slice(content);
    to[start + content.len()..end].fill(0);
}

/// Chooses which of some operations survive.
fn choose_kept(count: usize, patterns: &[Pattern], rng: &mut Rng) -> Vec<bool> {
    let (split, &(earlier, later)) = (rng.below(count + 1), rng.choose(patterns));
    (0..count).map(|number| rng.below(8) < if number < split { earlier } else { later }).collect()
}

/// An entry of the record.
struct Entry {
    kind: u8,
    inode: u64,
    number: u64,
    sequence: u64,
    content: Vec<u8>,
}

fn read_record(mut record: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((header, rest)) = record.split_at_checked(HEADER) {
        let field = |at: usize| u64::from_ne_bytes(header[at * 8..][..8].try_into().unwrap());
        let (content, rest) = rest.split_at(usize::try_from(field(4)).unwrap());
        let kind = u8::try_from(field(0)).unwrap();
        let content = content.to_vec();
        entries.push(Entry { kind, inode: field(1), number: field(2), sequence: field(3), content });
        record = rest;
    }
    assert!(record.is_empty(), "the record ends with an entry");
    entries
}

/// The files of a directory whose names begin with a prefix, but for the index of the log.
fn file_names(dir: &Path, prefix: &str) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(prefix) && !name.ends_with(LOG_INDEX)).collect()
}

/// The contents of the files as the process sees them.
pub fn read_files(dir: &Path, prefix: &str) -> Contents {
    file_names(dir, prefix).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

/// Puts these files in the place of those of a prefix.
pub fn replace_files(dir: &Path, prefix: &str, files: &Contents) {
    for name in file_names(dir, prefix) {
        fs::remove_file(dir.join(name)).unwrap();
    }
    for (name, content) in files {
        fs::write(dir.join(name), content).unwrap();
        set_mode(&dir.join(name), 0o600);
    }
}

/// A disk with the files of a database.
pub struct Disk {
    files: Vec<StoredFile>,
    /// The files by their inodes; an inode may be used again.
    by_inode: HashMap<u64, usize>,
    /// The files by name, as the process sees them.
    names: BTreeMap<String, usize>,
    /// The files by name, as far as the directory was synchronized.
    durable_names: BTreeMap<String, usize>,
    /// The names that were created or removed since, with the sequence numbers.
    pending_names: Vec<(u64, String, Option<usize>)>,
    /// The number of times that each file was synchronized, by name.
    pub synchronized: BTreeMap<String, usize>,
}

impl Disk {
    /// The files of a directory, all of them durable.
    pub fn of(dir: &Path, prefix: &str) -> Self {
        let (mut files, mut by_inode, mut names) = (Vec::new(), HashMap::new(), BTreeMap::new());
        for name in file_names(dir, prefix) {
            let path = dir.join(&name);
            by_inode.insert(fs::metadata(&path).unwrap().ino(), files.len());
            names.insert(name, files.len());
            files.push(StoredFile { durable: fs::read(&path).unwrap(), pending: Vec::new() });
        }
        let durable_names = names.clone();
        Self { files, by_inode, names, durable_names, pending_names: Vec::new(), synchronized: BTreeMap::new() }
    }

    /// Does again what the record says.
    pub fn replay(&mut self, record: &[u8]) {
        for entry in read_record(record) {
            match entry.kind {
                b'C' => {
                    self.by_inode.insert(entry.inode, self.files.len());
                    self.name_file(entry, Some(self.files.len()));
                    self.files.push(StoredFile::default());
                }
                b'U' => self.name_file(entry, None),
                b'W' => {
                    let offset = usize::try_from(entry.number).unwrap();
                    self.change(entry.inode, entry.sequence, Operation::Write { offset, content: entry.content });
                }
                b'T' => {
                    let length = usize::try_from(entry.number).unwrap();
                    self.change(entry.inode, entry.sequence, Operation::Truncate { length });
                }
                b'S' => self.synchronize(entry.inode, entry.number),
                kind => panic!("an entry of the kind {kind}"),
            }
        }
    }

    fn change(&mut self, inode: u64, sequence: u64, operation: Operation) {
        self.files[self.by_inode[&inode]].pending.push((sequence, operation));
    }

    /// Gives a name to a file, or takes it from the one that has it.
    fn name_file(&mut self, entry: Entry, file: Option<usize>) {
        let name = String::from_utf8(entry.content).unwrap();
        match file {
            Some(file) => self.names.insert(name.clone(), file),
            None => self.names.remove(&name),
        };
        self.pending_names.push((entry.sequence, name, file));
    }

    /// Makes durable what happened to a file, or to the names in the directory, before a sequence number.
    fn synchronize(&mut self, inode: u64, end: u64) {
        if let Some(&file) = self.by_inode.get(&inode) {
            self.files[file].synchronize(end);
            if let Some((name, _)) = self.names.iter().find(|(_, named)| **named == file) {
                *self.synchronized.entry(name.clone()).or_default() += 1;
            }
            return;
        }
        let rest = self.pending_names.split_off(self.pending_names.partition_point(|(sequence, ..)| *sequence < end));
        for (_, name, file) in std::mem::replace(&mut self.pending_names, rest) {
            set_name(&mut self.durable_names, name, file);
        }
    }

    /// The files as the process sees them.
    pub fn cached(&self) -> Contents {
        self.names.iter().map(|(name, file)| (name.clone(), self.files[*file].cached())).collect()
    }

    /// Files that the disk may hold.
    pub fn survivors(&self, patterns: &[Pattern], rng: &mut Rng) -> Contents {
        let (mut names, mut lost) = (self.durable_names.clone(), HashSet::new());
        let kept = choose_kept(self.pending_names.len(), patterns, rng);
        for ((_, name, file), is_kept) in self.pending_names.iter().zip(kept) {
            // What happens to a name later depends on what happened to it before.
            if !is_kept || lost.contains(name) {
                lost.insert(name);
            } else {
                set_name(&mut names, name.clone(), *file);
            }
        }
        names.into_iter().map(|(name, file)| (name, self.files[file].survivor(patterns, rng))).collect()
    }
}

fn set_name(names: &mut BTreeMap<String, usize>, name: String, file: Option<usize>) {
    match file {
        Some(file) => names.insert(name, file),
        None => names.remove(&name),
    };
}
