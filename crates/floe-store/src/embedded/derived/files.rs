//! Which derived files there are, and the columns that are open.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::definition::Key;
use super::meter::MeterColumn;
use crate::embedded::fs::{Fs, OpenMode};

/// Columns that are open at once: each holds a file descriptor.
const OPEN_MAX: usize = 128;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum FileKind {
    Rollup,
    Meter,
}

impl FileKind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Rollup => "rollup",
            Self::Meter => "meter",
        }
    }
}

/// A derived file: of a segment, a definition, and of this kind.
pub(super) type FileId = (u64, Key, FileKind);

/// The path of a file.
pub(super) fn path_of(folder: &Path, (segment, key, kind): FileId) -> PathBuf {
    folder.join(format!("{segment:08}.{key}.{}", kind.suffix()))
}

/// The file of a name; `None` if it is not one of ours.
fn parse(name: &str) -> Option<FileId> {
    let (segment, rest) = name.split_once('.')?;
    let (key, suffix) = rest.split_once('.')?;
    let kind = [FileKind::Rollup, FileKind::Meter].into_iter().find(|of| of.suffix() == suffix)?;
    Some((segment.parse().ok()?, Key::parse(key)?, kind))
}

/// The files, and which meters' columns were used lately.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// With their bytes.
    all: BTreeMap<FileId, u64>,
    /// Segments that are gone: what is still derived from them is not kept.
    gone: BTreeSet<u64>,
    meter_bytes: u64,
    open: HashMap<(u64, Key), (Arc<MeterColumn>, u64)>,
    /// When a definition's columns were last used.
    used: HashMap<Key, u64>,
    /// Counts uses.
    clock: u64,
}

impl Files {
    /// Finds what an earlier process left.
    pub(super) fn find(fs: &dyn Fs, folder: &Path) -> std::io::Result<Self> {
        let mut files = Self::default();
        for name in fs.list(folder)? {
            if let Some(id) = parse(&name) {
                let bytes = match id.2 {
                    FileKind::Rollup => 0,
                    FileKind::Meter => fs.open(&folder.join(&name), OpenMode::Read)?.len()?,
                };
                files.add(id, bytes);
            }
        }
        Ok(files)
    }

    /// Notes a file that was written.
    pub(super) fn add(&mut self, id: FileId, bytes: u64) {
        let before = self.all.insert(id, bytes).unwrap_or(0);
        if id.2 == FileKind::Meter {
            self.meter_bytes = self.meter_bytes + bytes - before;
            self.note_use(id.1);
        }
    }

    fn note_use(&mut self, key: Key) {
        self.clock += 1;
        self.used.insert(key, self.clock);
    }

    /// Notes that a file is no longer there.
    pub(super) fn remove(&mut self, id: FileId) {
        if let Some(bytes) = self.all.remove(&id)
            && id.2 == FileKind::Meter
        {
            self.meter_bytes -= bytes;
        }
        self.open.remove(&(id.0, id.1));
    }

    /// Whether a segment's data are worth writing down.
    pub(super) fn keeps(&self, segment: u64) -> bool {
        !self.gone.contains(&segment)
    }

    /// The files of a segment that is gone.
    pub(super) fn forget_segment(&mut self, segment: u64) -> Vec<FileId> {
        self.gone.insert(segment);
        let of: Vec<FileId> = self.all.keys().filter(|(of, ..)| *of == segment).copied().collect();
        of.iter().for_each(|&id| self.remove(id));
        of
    }

    /// The files to be removed so that columns take no more than so many bytes: all of the
    /// definitions that were not used for longest, but for this one's.
    pub(super) fn beyond(&mut self, bytes_max: u64, but: Key) -> Vec<FileId> {
        let mut removed = Vec::new();
        while self.meter_bytes > bytes_max {
            let is_meter = |id: &&FileId| id.2 == FileKind::Meter && id.1 != but;
            let keys = self.all.keys().filter(is_meter).map(|id| id.1);
            let oldest = keys.min_by_key(|key| self.used.get(key).copied().unwrap_or(0));
            let Some(oldest) = oldest else { break };
            let of: Vec<FileId> = self
                .all
                .keys()
                .filter(|id| id.2 == FileKind::Meter && id.1 == oldest)
                .copied()
                .collect();
            of.iter().for_each(|&id| self.remove(id));
            removed.extend(of);
        }
        removed
    }

    /// A column that is open.
    pub(super) fn opened(&mut self, segment: u64, key: Key) -> Option<Arc<MeterColumn>> {
        self.note_use(key);
        let now = self.clock;
        let (column, used) = self.open.get_mut(&(segment, key))?;
        *used = now;
        Some(Arc::clone(column))
    }

    /// Keeps a column open.
    pub(super) fn keep_open(
        &mut self,
        segment: u64,
        key: Key,
        column: MeterColumn,
    ) -> Arc<MeterColumn> {
        let column = Arc::new(column);
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            oldest.map(|oldest| self.open.remove(&oldest));
        }
        self.note_use(key);
        if self.keeps(segment) {
            self.open.insert((segment, key), (Arc::clone(&column), self.clock));
        }
        column
    }

    /// Bytes of the columns' files.
    #[cfg(test)]
    pub(super) fn meter_bytes(&self) -> u64 {
        self.meter_bytes
    }
}

#[cfg(test)]
mod tests {
    use floe_core::{Aggregation, AggregationFunction, Filter};

    use super::super::Definition;
    use super::*;

    fn key(property: &str) -> Key {
        let sum = Aggregation::of(AggregationFunction::Sum, property.to_owned());
        Definition::new(&Filter::all(), &sum).unwrap().key()
    }

    #[test]
    fn names_say_what_files_are() {
        let folder = Path::new("cache");
        for kind in [FileKind::Rollup, FileKind::Meter] {
            let id = (7, key("a"), kind);
            let path = path_of(folder, id);
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(parse(name), Some(id), "{name}");
        }
        for not_it in ["00000007.index", "x.y.meter", "7.00.meter", "dedup", ""] {
            assert_eq!(parse(not_it), None, "{not_it}");
        }
    }

    #[test]
    fn columns_that_were_not_used_for_longest_go_first() {
        let mut files = Files::default();
        for (segment, property) in [(1, "a"), (2, "a"), (1, "b"), (1, "c")] {
            files.add((segment, key(property), FileKind::Meter), 100);
            files.add((segment, key(property), FileKind::Rollup), 0);
        }
        assert_eq!(files.meter_bytes(), 400);
        assert!(files.opened(1, key("a")).is_none());
        assert_eq!(files.beyond(400, key("c")), []);
        assert_eq!(files.beyond(399, key("c")), [(1, key("b"), FileKind::Meter)]);
        let of_a = [(1, key("a"), FileKind::Meter), (2, key("a"), FileKind::Meter)];
        assert_eq!(files.beyond(0, key("c")), of_a);
        assert_eq!(files.meter_bytes(), 100);
        assert_eq!(files.forget_segment(1).len(), 4);
        assert_eq!((files.meter_bytes(), files.keeps(1), files.keeps(2)), (0, false, true));
    }
}
