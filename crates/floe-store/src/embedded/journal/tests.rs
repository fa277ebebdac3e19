//! What an acknowledged record survives, and what the journal refuses by name.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::embedded::fs::{FsFile, OpenMode, RealFs};

const IDENTITY: JournalIdentity = JournalIdentity { folder_id: [7; 16], key_check: [9; 8] };
const SMALL: JournalOptions =
    JournalOptions { file_bytes: 16 * 1024, prepare_in_background: false };
const HEADER: u64 = FILE_HEADER_BYTES;

fn disk() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

/// In memory if there is such a folder: these tests sync some thousand times.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// A folder with a journal, and its owner's memory of which files there are.
struct Owner {
    dir: TempDir,
    known: Arc<Mutex<KnownFiles>>,
    options: JournalOptions,
}

type Opened = (Journal, RecoveryReport, Vec<Vec<u8>>);

impl Owner {
    fn new() -> Self {
        Self { dir: folder(), known: Arc::default(), options: SMALL }
    }

    /// The journal has a second thread.
    fn in_background() -> Self {
        let options = JournalOptions { prepare_in_background: true, ..SMALL };
        Self { options, ..Self::new() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn known(&self) -> KnownFiles {
        *self.known.lock().unwrap()
    }

    fn remember_until(&self, last: u64) {
        self.known.lock().unwrap().last = last;
    }

    /// Records durably that files before `file` are not needed, without saying so to the journal.
    fn note_release(&self, file: u64) {
        self.known.lock().unwrap().first = file;
    }

    fn release(&self, journal: &mut Journal, file: u64) {
        self.note_release(file);
        journal.release_before(file).unwrap();
    }

    fn hook(&self) -> OnNewFile {
        let known = Arc::clone(&self.known);
        Box::new(move |number| {
            let mut known = known.lock().unwrap();
            assert_eq!(number, known.last + 1, "files are announced in order");
            known.last = number;
            Ok(())
        })
    }

    fn try_open(&self) -> Result<Opened, JournalError> {
        let mut records = Vec::new();
        let mut last = RecordPlace { record: 0, file: self.known().first };
        let (journal, report) = Journal::open(
            disk(),
            self.path(),
            &IDENTITY,
            self.known(),
            self.options,
            self.hook(),
            |place, payload| {
                assert!(place.record > last.record && place.file >= last.file, "numbers rise");
                last = place;
                records.push(payload.to_vec());
                Ok::<_, Infallible>(())
            },
        )?;
        assert_eq!(report.records, records.len() as u64);
        assert_eq!(report.bytes, journal.bytes());
        let KnownFiles { first, last } = self.known();
        assert_eq!((journal.first_file(), journal.last_file()), (first, last));
        Ok((journal, report, records))
    }

    fn open(&self) -> Opened {
        self.try_open().unwrap()
    }

    /// Opens, appends and drops, as a process that is killed does.
    fn run(&self, payloads: &[Vec<u8>]) {
        let (mut journal, ..) = self.open();
        for payload in payloads {
            journal.append(&[payload]).unwrap();
        }
    }

    fn run_and_close(&self, payloads: &[Vec<u8>]) {
        self.run(payloads);
        self.open().0.close().unwrap();
    }

    fn file(&self, number: u64) -> std::path::PathBuf {
        self.path().join(file::file_name(number))
    }

    fn poke(&self, number: u64, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(self.file(number)).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    fn flip(&self, number: u64, offset: u64, bit: u32) {
        let mut bytes = fs::read(self.file(number)).unwrap();
        bytes[usize::try_from(offset).unwrap()] ^= 1 << bit;
        fs::write(self.file(number), bytes).unwrap();
    }

    /// A second owner whose folder has the same bytes.
    fn copy(&self) -> Self {
        let copy = Self::new();
        for entry in fs::read_dir(self.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        *copy.known.lock().unwrap() = self.known();
        copy
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn refused(&self) -> String {
        match self.try_open() {
            Ok((_, report, _)) => panic!("opened: {report:?}"),
            Err(error) => error.to_string(),
        }
    }

    /// Goes on after a recovery that found a torn tail or not. It is the same at every open, its
    /// bytes stay as they are, and no record goes where they are.
    #[track_caller]
    fn goes_on_after_torn(&self, expected: &[Vec<u8>], torn: Option<TornTail>) {
        let last = self.known().last;
        let before = fs::read(self.file(last)).unwrap();
        if torn.is_some() {
            let (journal, report, _) = self.open();
            assert_eq!(report.torn, torn);
            journal.close().unwrap();
        }
        self.goes_on_after(expected);
        let after = fs::read(self.file(last)).unwrap();
        assert_eq!(after == before, torn.is_some());
        assert_eq!(self.known().last, last + u64::from(torn.is_some()));
    }

    /// Goes on after a recovery: everything is still there after two more appends and opens.
    #[track_caller]
    fn goes_on_after(&self, expected: &[Vec<u8>]) {
        let (mut journal, _, records) = self.open();
        assert!(records == expected, "records differ after recovery");
        journal.append(&[b"one ", b"more"]).unwrap();
        drop(journal);
        let (_, report, records) = self.open();
        assert_eq!(report.torn, None);
        assert!(records[..expected.len()] == *expected);
        assert_eq!(records[expected.len()..], [b"one more".to_vec()]);
    }
}

/// Bytes without zeros, so that zeroing any of them changes them.
fn payload(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0].max(1)
        })
        .collect()
}

fn payloads(lens: &[usize]) -> Vec<Vec<u8>> {
    (1..).zip(lens).map(|(seed, &len)| payload(seed, len)).collect()
}

/// Offset of each record and the end, for records of these lengths from the start of a file.
fn offsets(lens: &[usize]) -> Vec<u64> {
    let mut offsets = vec![HEADER];
    for &len in lens {
        offsets.push(offsets[offsets.len() - 1] + record_bytes(len as u64));
    }
    offsets
}

fn is_corrupt_at(message: &str, file: u64, offset: u64) -> bool {
    message.starts_with(&format!("journal file {file:06}.log is corrupt at offset {offset}:"))
}

#[test]
fn what_is_appended_is_replayed_in_order() {
    let owner = Owner::new();
    let (mut journal, report, records) = owner.open();
    assert_eq!((report, records), (RecoveryReport::default(), vec![]));
    assert_eq!((journal.bytes(), owner.known().last), (0, 1));
    let place = |record| RecordPlace { record, file: 1 };
    assert_eq!(journal.append(&[b"a", b"", b"bc"]).unwrap(), place(1));
    assert_eq!(journal.append(&[]).unwrap(), place(2));
    assert_eq!(journal.append(&[&payload(1, 5000)]).unwrap(), place(3));
    assert_eq!(journal.bytes(), 64 + 64 + 5056);
    drop(journal);
    let (_, report, records) = owner.open();
    assert_eq!(records, [b"abc".to_vec(), vec![], payload(1, 5000)]);
    assert_eq!((report.last_record, report.clean_close, report.torn), (3, false, None));
}

#[test]
fn an_absent_folder_is_created_with_its_parents() {
    let parent = folder();
    let dir = parent.path().join("a/b/journal");
    let hook = || -> OnNewFile { Box::new(|_| Ok(())) };
    let none = |_: RecordPlace, _: &[u8]| Ok::<_, Infallible>(());
    let open = |last| {
        let known = KnownFiles { first: 1, last };
        Journal::open(disk(), &dir, &IDENTITY, known, SMALL, hook(), none)
    };
    assert_eq!(
        open(1).unwrap_err().to_string(),
        "journal file 000001.log is missing; files 1 to 1 are known and needed"
    );
    assert!(!dir.exists(), "a lost folder is not made anew");
    open(0).unwrap();
    assert!(dir.join("000001.log").is_file());
}

#[test]
fn a_torn_tail_is_passed_over_wherever_it_was_torn() {
    for len in [1, 32, 33, 150] {
        let base = Owner::new();
        let all = payloads(&[100, 0, len]);
        base.run(&all);
        let offsets = offsets(&[100, 0, len]);
        let (start, end) = (offsets[2], offsets[3]);
        let payload_end = start + RECORD_HEADER_BYTES as u64 + len as u64;
        for from in start..=payload_end {
            let rest = usize::try_from(end - from).unwrap();
            let bytes = usize::try_from(from - start).unwrap();
            // What a crash leaves: a prefix, a suffix, a prefix and noise.
            let zeros = vec![0; rest];
            let noise = payload(from, usize::try_from(payload_end - from).unwrap());
            for (offset, bytes) in [(from, &zeros), (start, &vec![0; bytes]), (from, &noise)] {
                let owner = base.copy();
                let before = fs::read(owner.file(1)).unwrap();
                owner.poke(1, offset, bytes);
                let unchanged = fs::read(owner.file(1)).unwrap() == before;
                let (journal, report, records) = owner.open();
                if unchanged {
                    assert_eq!((records.len(), report.torn), (3, None));
                    continue;
                }
                drop(journal);
                assert!(records == all[..2], "at {from}");
                if let Some(torn) = &report.torn {
                    assert_eq!((torn.file.as_str(), torn.offset), ("000001.log", start));
                    assert!(torn.bytes > 0 && torn.offset + torn.bytes <= end);
                } else {
                    assert!(bytes.iter().all(|&byte| byte == 0), "only zeros are no tail");
                }
                owner.goes_on_after_torn(&all[..2], report.torn);
            }
        }
    }
}

#[test]
fn a_torn_record_that_made_the_file_longer_is_passed_over_at_every_length() {
    let base = Owner::new();
    base.run(&payloads(&[20_010]));
    let end = HEADER + record_bytes(20_010);
    assert_eq!(fs::metadata(base.file(1)).unwrap().len(), end, "past the 16 KiB preallocated");
    for len in (SMALL.file_bytes..HEADER + 32 + 20_010).step_by(97) {
        let owner = base.copy();
        File::options().write(true).open(owner.file(1)).unwrap().set_len(len).unwrap();
        let (_, report, records) = owner.open();
        assert_eq!(records.len(), 0);
        assert_eq!(report.torn.unwrap().bytes, len - HEADER);
        owner.goes_on_after(&[]);
    }
    // Without its padding the record is whole.
    let owner = base.copy();
    File::options().write(true).open(owner.file(1)).unwrap().set_len(end - 32).unwrap();
    owner.goes_on_after(&payloads(&[20_010]));
}

#[test]
fn a_file_shorter_than_it_was_made_is_refused() {
    let base = Owner::new();
    base.run(&payloads(&[100, 100]));
    for len in [0, 1, 75, 76, HEADER, HEADER + 192, SMALL.file_bytes - 1] {
        let owner = base.copy();
        File::options().write(true).open(owner.file(1)).unwrap().set_len(len).unwrap();
        let offset = if len < 76 { 0 } else { len };
        let message = owner.refused();
        assert!(is_corrupt_at(&message, 1, offset), "{len}: {message}");
        assert_eq!(fs::metadata(owner.file(1)).unwrap().len(), len, "left as it is");
    }
}

#[test]
fn a_flipped_bit_in_a_middle_record_is_refused() {
    let base = Owner::new();
    let all = payloads(&[40, 70, 30]);
    base.run(&all);
    let offsets = offsets(&[40, 70, 30]);
    let payload_end = offsets[1] + 32 + 70;
    for offset in offsets[1]..offsets[2] {
        let owner = base.copy();
        owner.flip(1, offset, u32::try_from(offset % 8).unwrap());
        if offset < payload_end {
            let message = owner.refused();
            assert!(is_corrupt_at(&message, 1, offsets[1]), "{message}");
            assert!(message.contains("record 3 stands at offset"), "{message}");
            let before = fs::read(owner.file(1)).unwrap();
            owner.refused();
            assert_eq!(before, fs::read(owner.file(1)).unwrap(), "nothing is changed");
        } else {
            // Padding carries nothing.
            owner.goes_on_after(&all);
        }
    }
}

#[test]
fn damage_to_the_last_record_is_known_for_damage_after_a_clean_close() {
    let base = Owner::new();
    let all = payloads(&[40, 70]);
    base.run_and_close(&all);
    let offsets = offsets(&[40, 70]);
    for offset in offsets[1]..offsets[1] + 32 + 70 {
        let owner = base.copy();
        owner.flip(1, offset, 3);
        let message = owner.refused();
        assert!(is_corrupt_at(&message, 1, offsets[1]), "{message}");
    }
    // Damage to the close record itself loses nothing.
    for offset in offsets[2]..offsets[2] + 32 {
        let owner = base.copy();
        owner.flip(1, offset, 3);
        owner.goes_on_after(&all);
    }
}

#[test]
fn bytes_behind_a_clean_close_are_refused() {
    let base = Owner::new();
    let all = payloads(&[40]);
    base.run_and_close(&all);
    let end = offsets(&[40, 0])[2];
    for offset in [end + SLOT_BYTES, end + 5000, SMALL.file_bytes - 1] {
        let owner = base.copy();
        owner.poke(1, offset, b"x");
        let message = owner.refused();
        assert!(is_corrupt_at(&message, 1, end), "{message}");
    }
    // An open record torn in its slot: nothing was promised yet.
    for bytes in 1..=SLOT_BYTES {
        let owner = base.copy();
        owner.poke(1, end, &vec![b'x'; usize::try_from(bytes).unwrap()]);
        let report = owner.open().1;
        assert_eq!(report.torn.unwrap().bytes, bytes);
        assert!(report.clean_close);
        owner.goes_on_after(&all);
    }
}

#[test]
fn a_torn_tail_after_a_clean_close_and_new_records_is_passed_over() {
    let owner = Owner::new();
    let all = payloads(&[40, 50]);
    owner.run_and_close(&all[..1]);
    owner.run(&all[1..]);
    // Data, close, open, data; then the next record's last part, without its header.
    let end = offsets(&[40, 0, 0, 50])[4];
    owner.poke(1, end + 500, b"torn");
    let (_, report, _) = owner.open();
    assert_eq!(report.torn.unwrap().bytes, 504);
    owner.goes_on_after(&all);
}

#[test]
fn bytes_behind_a_torn_record_are_no_torn_tail() {
    let owner = Owner::new();
    owner.run(&payloads(&[40, 40]));
    let offsets = offsets(&[40, 40]);
    owner.flip(1, offsets[1] + 40, 0);
    owner.poke(1, offsets[2], b"x");
    let message = owner.refused();
    assert!(is_corrupt_at(&message, 1, offsets[1]), "{message}");
}

#[test]
fn closing_again_without_new_records_writes_nothing() {
    let owner = Owner::new();
    owner.open().0.close().unwrap();
    assert_eq!(owner.open().1.last_record, 0);
    owner.run_and_close(&payloads(&[40]));
    let before = fs::read(owner.file(1)).unwrap();
    for _ in 0..3 {
        let (journal, report, _) = owner.open();
        assert!(report.clean_close);
        journal.close().unwrap();
    }
    assert_eq!(before, fs::read(owner.file(1)).unwrap());
    let (mut journal, ..) = owner.open();
    assert_eq!(journal.append(&[b"x"]).unwrap().record, 4, "data, close, open, data");
}

#[test]
fn another_folder_key_or_version_is_refused_by_name() {
    let owner = Owner::new();
    owner.run(&payloads(&[40]));
    let open = |identity: JournalIdentity| {
        Journal::open(
            disk(),
            owner.path(),
            &identity,
            owner.known(),
            SMALL,
            owner.hook(),
            |_, _| Err("nothing is replayed before the identity is checked"),
        )
        .unwrap_err()
        .to_string()
    };
    assert_eq!(
        open(JournalIdentity { folder_id: [8; 16], ..IDENTITY }),
        "journal file 000001.log belongs to data folder 07070707070707070707070707070707, \
         not to this one, 08080808080808080808080808080808"
    );
    assert_eq!(
        open(JournalIdentity { key_check: [1; 8], ..IDENTITY }),
        "journal file 000001.log was written under a key with check value 0909090909090909, \
         not 0101010101010101"
    );
    owner.poke(1, 8, &3_u32.to_le_bytes());
    assert_eq!(open(IDENTITY), "journal file 000001.log has format 3; this Floe reads up to 2");
}

#[test]
fn the_owner_can_refuse_a_record() {
    let owner = Owner::new();
    owner.run(&payloads(&[40, 40]));
    let refuse_second = |place: RecordPlace, _: &[u8]| {
        if place.record == 2 { Err("unknown organization") } else { Ok(()) }
    };
    let (known, hook) = (owner.known(), owner.hook());
    let error = Journal::open(disk(), owner.path(), &IDENTITY, known, SMALL, hook, refuse_second)
        .unwrap_err();
    assert_eq!(error.to_string(), "record 2 of the journal cannot be replayed");
    assert_eq!(error.source().unwrap().to_string(), "unknown organization");
}

/// Five records of 5000 bytes: two fit into each small file.
fn three_files() -> (Owner, Vec<Vec<u8>>) {
    let owner = Owner::new();
    let all = payloads(&[5000; 5]);
    owner.run(&all);
    assert_eq!(owner.names(), ["000001.log", "000002.log", "000003.log"]);
    assert_eq!(owner.known().last, 3);
    (owner, all)
}

#[test]
fn a_journal_goes_on_in_the_next_file() {
    let (owner, all) = three_files();
    let (journal, report, records) = owner.open();
    assert!(records == all);
    assert_eq!((journal.last_file(), report.files, journal.bytes()), (3, 3, 5 * 5056));
    drop(journal);
    owner.goes_on_after(&all);
}

#[test]
fn missing_and_unexpected_files_are_refused_by_name() {
    let (base, _) = three_files();
    for number in 1..=3 {
        let owner = base.copy();
        fs::remove_file(owner.file(number)).unwrap();
        assert_eq!(
            owner.refused(),
            format!("journal file {number:06}.log is missing; files 1 to 3 are known and needed")
        );
    }
    // The catalog is older than the journal.
    for known in 0..3 {
        base.remember_until(known);
        let first = if known == 2 { 3 } else { known + 2 };
        assert_eq!(
            base.refused(),
            format!("journal file {first:06}.log is not expected; no file after {known} is known")
        );
    }
    base.remember_until(3);
    for number in [0, 5, 1_000_000] {
        let owner = base.copy();
        fs::copy(owner.file(3), owner.file(number)).unwrap();
        let message = owner.refused();
        assert!(message.starts_with(&format!("journal file {number:06}.log is not expected")));
    }
    let owner = base.copy();
    fs::copy(owner.file(3), owner.file(2)).unwrap();
    assert!(owner.refused().ends_with("its header says that it is file 3"));
    // Other names are none of the journal's business.
    fs::write(base.path().join("README.log"), "x").unwrap();
    fs::write(base.path().join("7.log"), "x").unwrap();
    base.open();
}

#[test]
fn damage_at_the_end_of_a_file_that_is_not_the_last_is_no_torn_tail() {
    let (base, _) = three_files();
    let second = HEADER + record_bytes(5000);
    for number in 1..=2 {
        let owner = base.copy();
        owner.flip(number, second + 100, 0);
        assert!(is_corrupt_at(&owner.refused(), number, second));
        let owner = base.copy();
        owner.poke(number, second, &[0; 5056]);
        let message = owner.refused();
        assert!(is_corrupt_at(&message, number, second), "{message}");
        assert!(message.ends_with("but there are zeros"), "{message}");
    }
}

#[test]
fn a_file_created_but_never_recorded_is_made_again() {
    let (base, all) = three_files();
    base.run(&[all[0].clone()]);
    // The next append would begin file 4; let its hook fail, as a crash before it does.
    let crash: OnNewFile = Box::new(|_| Err(io::Error::other("catalog is gone")));
    let none = |_: RecordPlace, _: &[u8]| Ok::<_, Infallible>(());
    let (mut journal, _) =
        Journal::open(disk(), base.path(), &IDENTITY, base.known(), SMALL, crash, none).unwrap();
    let error = journal.append(&[&all[0]]).unwrap_err();
    assert_eq!(error.to_string(), "cannot record the existence of `000004.log` of the journal");
    assert!(journal.poisoned().unwrap().ends_with("journal: catalog is gone"));
    drop(journal);
    assert_eq!(base.names().len(), 4);
    let all: Vec<_> = all.iter().chain(&all[..1]).cloned().collect();

    // Whole, without a header, empty, with a torn header: in each case without records.
    let whole = fs::read(base.file(4)).unwrap();
    let mut torn = whole.clone();
    torn[40..4096].fill(0);
    for bytes in [whole.clone(), vec![0; whole.len()], vec![], vec![0; 100], torn.clone()] {
        let owner = base.copy();
        fs::write(owner.file(4), bytes).unwrap();
        let (_, report, records) = owner.open();
        assert_eq!((report.removed_file, records.len()), (Some(4), all.len()));
        assert!(!owner.file(4).exists());
        owner.goes_on_after(&all);
        assert_eq!(owner.known().last, 3, "`goes_on_after` appends little");
    }
    // With anything where records go, or of another program, it is no leftover.
    for (offset, bytes) in [(HEADER, b"x"), (whole.len() as u64 - 1, b"x"), (0, b"#")] {
        for leftover in [&whole, &torn] {
            let owner = base.copy();
            fs::write(owner.file(4), leftover).unwrap();
            owner.poke(4, offset, bytes);
            assert!(owner.refused().starts_with("journal file 000004.log is "));
            assert!(owner.file(4).exists());
        }
    }
    // Its removal was not synced, and a power cut brings it back: what was written since counts.
    let owner = base.copy();
    owner.goes_on_after(&all);
    fs::write(owner.file(4), &whole).unwrap();
    let (_, report, records) = owner.open();
    assert_eq!((report.removed_file, report.torn), (Some(4), None));
    assert!(records[..all.len()] == all && records[all.len()..] == [b"one more".to_vec()]);
    // Its header says how many records precede it: the last of file 3 is acknowledged.
    let owner = base.copy();
    owner.poke(3, HEADER + record_bytes(5000), &[0; 5056]);
    let message = owner.refused();
    assert!(is_corrupt_at(&message, 3, HEADER + record_bytes(5000)), "{message}");
}

#[test]
fn an_unrecorded_first_file_is_made_again() {
    let owner = Owner::new();
    drop(owner.open());
    owner.remember_until(0);
    assert_eq!(owner.open().1.removed_file, Some(1));
    assert_eq!(owner.known().last, 1);
    owner.run(&payloads(&[10]));
    owner.remember_until(0);
    assert_eq!(
        owner.refused(),
        "journal file 000001.log is not expected; no file after 0 is known"
    );
}

#[test]
fn an_unfinished_spare_file_is_removed() {
    let owner = Owner::new();
    let all = payloads(&[5000, 5000, 5000]);
    owner.run(&all[..2]);
    fs::write(owner.path().join("000002.log.new"), [1; 100]).unwrap();
    assert!(owner.open().2 == all[..2]);
    assert_eq!(owner.names(), ["000001.log"]);
    owner.run(&all[2..]);
    assert_eq!(owner.names(), ["000001.log", "000002.log"], "a drop leaves no spare behind");
    owner.goes_on_after(&all);
}

#[test]
fn a_record_larger_than_a_file_is_one_record() {
    let owner = Owner::new();
    let all = payloads(&[10, 3_000_000, 20, 100_000, 30]);
    owner.run(&all);
    owner.run_and_close(&[]);
    let (_, report, records) = owner.open();
    assert!(records == all && report.clean_close);
    assert_eq!(owner.known().last, 5, "such a record has a file for itself");
    owner.goes_on_after(&all);
}

#[test]
fn a_payload_above_the_limit_is_refused_and_the_journal_goes_on() {
    let owner = Owner::new();
    let (mut journal, ..) = owner.open();
    // The same mebibyte 256 times, and one byte more.
    let part = payload(1, 1024 * 1024);
    let mut parts = vec![part.as_slice(); 256];
    parts.push(b"x");
    let error = journal.append(&parts).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a journal record must have at most 268435456 bytes, got 268435457"
    );
    assert_eq!((journal.poisoned(), journal.bytes()), (None, 0));
    assert_eq!(journal.append(&parts[256..]).unwrap().record, 1);
    drop(journal);
    owner.goes_on_after(&[b"x".to_vec()]);
}

/// Replaces the file that the journal writes to.
fn sabotage(journal: &mut Journal, file: &Arc<dyn FsFile>) {
    journal.current.file.file = Arc::clone(file);
}

#[test]
fn a_failed_write_or_sync_poisons_the_journal() {
    let device = |path: &str, mode| RealFs.open(Path::new(path), mode).unwrap();
    let cases = [
        // A full disk; a handle that does not take writes; a device that takes them and cannot sync.
        (
            device("/dev/full", OpenMode::Write),
            "cannot write to `000001.log` of the journal: No space left",
        ),
        (
            device("/dev/null", OpenMode::Read),
            "cannot write to `000001.log` of the journal: Bad file",
        ),
        (
            device("/dev/null", OpenMode::Write),
            "cannot sync `000001.log` of the journal: Invalid argument",
        ),
    ];
    for (broken, why) in cases {
        let owner = Owner::new();
        let all = payloads(&[40, 50]);
        let (mut journal, ..) = owner.open();
        journal.append(&[&all[0]]).unwrap();
        let healthy = Arc::clone(&journal.current.file.file);
        sabotage(&mut journal, &broken);
        let error = journal.append(&[&all[1]]).unwrap_err();
        assert!(matches!(error, JournalError::Io { .. }), "{error}");
        // That writing would work again does not matter: what the disk holds is unknown.
        sabotage(&mut journal, &healthy);
        for _ in 0..2 {
            let error = journal.append(&[b"x"]).unwrap_err();
            let JournalError::Poisoned { why: found } = &error else { panic!("{error}") };
            assert!(found.starts_with(why), "{found}");
        }
        assert!(journal.poisoned().unwrap().starts_with(why));
        let error = journal.close().unwrap_err();
        assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
        assert!(!owner.open().1.clean_close);
        owner.goes_on_after(&all[..1]);
    }
}

#[test]
fn a_next_file_that_cannot_be_made_poisons_the_journal() {
    let owner = Owner::new();
    let (mut journal, ..) = owner.open();
    let all = payloads(&[5000, 5000, 5000]);
    // A folder stands where the zeros go.
    fs::create_dir(owner.path().join("000002.log.new")).unwrap();
    journal.append(&[&all[0]]).unwrap();
    journal.append(&[&all[1]]).unwrap();
    let error = journal.append(&[&all[2]]).unwrap_err();
    assert_eq!(error.to_string(), "cannot preallocate `000002.log` of the journal");
    drop(journal);
    fs::remove_dir(owner.path().join("000002.log.new")).unwrap();
    owner.goes_on_after(&all[..2]);
}

#[test]
fn the_next_file_never_replaces_one() {
    let owner = Owner::new();
    let (mut journal, ..) = owner.open();
    let all = payloads(&[5000, 5000, 5000]);
    fs::write(owner.file(2), "precious").unwrap();
    journal.append(&[&all[0]]).unwrap();
    journal.append(&[&all[1]]).unwrap();
    journal.append(&[&all[2]]).unwrap_err();
    assert!(journal.poisoned().unwrap().starts_with("cannot create `000002.log`"));
    assert_eq!(fs::read(owner.file(2)).unwrap(), b"precious");
}

#[test]
fn files_grow_to_the_configured_size() {
    let options = JournalOptions::default();
    let sizes = [1, 2, 3, 4, u64::MAX].map(|number| options.bytes_of_file(number) >> 20);
    assert_eq!(sizes, [4, 16, 64, 64, 64]);
    assert_eq!(JournalOptions { file_bytes: 1, ..options }.bytes_of_file(1), FILE_BYTES_MIN);
}

#[test]
fn a_spare_is_taken_with_the_zeros_that_are_there() {
    let dir = folder();
    let folder = Folder { fs: disk(), path: dir.path().to_owned() };
    for (number, (bytes, bytes_min)) in (1..).zip([(8 << 20, 1 << 20), (3 << 20, u64::MAX)]) {
        let mut spare = Spare::start(&folder, number, bytes);
        let filled = spare.fill(bytes_min).unwrap();
        assert!((bytes_min.min(bytes)..=bytes).contains(&filled.bytes), "{filled:?}");
        assert_eq!(filled.file.len().unwrap(), filled.bytes);
    }
    let mut spare = Spare::now(&folder, 3, 100_000);
    assert_eq!(spare.fill(1).unwrap().bytes, 100_000);
    drop(spare);
    drop(Spare::start(&folder, 3, 64 << 20));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "unpublished, they are removed");
}

/// Four files of two records each, of which the first two were released. File 5 is to be made of
/// file 1, whose records have 5000 and 7100 bytes. Returns the journal and the payloads that are
/// still needed.
fn four_files(owner: &Owner) -> (Journal, Vec<Vec<u8>>) {
    let all = payloads(&[5000, 7100].repeat(4));
    let (mut journal, ..) = owner.open();
    for (payload, file) in all[..5].iter().zip([1, 1, 2, 2, 3]) {
        assert_eq!(journal.append(&[payload]).unwrap().file, file);
    }
    owner.release(&mut journal, 3);
    for (payload, file) in all[5..].iter().zip([3, 4, 4]) {
        assert_eq!(journal.append(&[payload]).unwrap().file, file);
    }
    (journal, all[4..].to_vec())
}

/// A recycled file, number 5, with records of these lengths, from number 9 on; earlier files were
/// released. Behind the records are those of file 1.
fn recycled(lens: &[usize]) -> (Owner, Vec<Vec<u8>>) {
    let owner = Owner::new();
    let (mut journal, _) = four_files(&owner);
    let all = payloads(lens);
    for (payload, record) in all.iter().zip(9..) {
        assert_eq!(journal.append(&[payload]).unwrap(), RecordPlace { record, file: 5 });
    }
    owner.release(&mut journal, 5);
    drop(journal);
    assert_eq!(owner.names(), ["000005.log"]);
    (owner, all)
}

#[test]
fn released_files_are_used_again() {
    let owner = Owner::new();
    let all = payloads(&[5000; 9]);
    let (mut journal, ..) = owner.open();
    for payload in &all[..7] {
        journal.append(&[payload]).unwrap();
    }
    assert_eq!((journal.first_file(), journal.last_file(), journal.bytes()), (1, 4, 7 * 5056));
    owner.release(&mut journal, 1);
    assert_eq!(journal.first_file(), 1, "nothing is before file 1");
    // The file for number 5 is being filled with zeros; one more is kept, and one is removed.
    owner.release(&mut journal, 3);
    assert_eq!((journal.first_file(), journal.bytes()), (3, 3 * 5056));
    let names = ["000003.log", "000004.log", "000005.log.new", "000006.log.new"];
    assert_eq!(owner.names(), names);
    journal.release_before(3).unwrap();
    journal.release_before(2).unwrap();
    assert_eq!(owner.names(), names, "releasing again changes nothing");
    for (payload, (record, file)) in all[7..].iter().zip([(8, 4), (9, 5)]) {
        assert_eq!(journal.append(&[payload]).unwrap(), RecordPlace { record, file });
    }
    drop(journal);
    assert_eq!(owner.names(), ["000003.log", "000004.log", "000005.log"]);
    let (mut journal, report, records) = owner.open();
    assert!(records == all[4..]);
    assert_eq!((report.files, report.last_record, report.released_files), (3, 9, 0));
    // No spare is there yet, so two are kept. The current file is never released.
    owner.note_release(5);
    journal.release_before(100).unwrap();
    assert_eq!(owner.names(), ["000005.log", "000006.log.new", "000007.log.new"]);
    assert_eq!((journal.first_file(), journal.bytes()), (5, 5056));
    drop(journal);
    owner.goes_on_after(&all[8..]);
}

#[test]
fn replay_tells_the_file_of_each_record() {
    let owner = Owner::new();
    let (journal, _) = four_files(&owner);
    drop(journal);
    let mut places = Vec::new();
    let replay = |place: RecordPlace, _: &[u8]| {
        places.push((place.record, place.file));
        Ok::<_, Infallible>(())
    };
    let (known, hook) = (owner.known(), owner.hook());
    Journal::open(disk(), owner.path(), &IDENTITY, known, SMALL, hook, replay).unwrap();
    assert_eq!(places, [(5, 3), (6, 3), (7, 4), (8, 4)]);
}

#[test]
fn a_file_of_another_size_is_not_used_again() {
    let dir = folder();
    let folder = Folder { fs: disk(), path: dir.path().to_owned() };
    let recycle = |len: u64, bytes| {
        let name = dir.path().join(file::file_name(1));
        File::create(&name).unwrap().set_len(len).unwrap();
        let spare = Spare::recycle(&folder, 1, 2, bytes).unwrap();
        assert_eq!(name.exists(), spare.is_none());
        spare.map(|mut spare| spare.fill(u64::MAX).unwrap().bytes)
    };
    assert_eq!(recycle(99_999, 200_000), None);
    assert_eq!(recycle(100_000, 200_000), Some(100_000));
    assert_eq!(recycle(400_000, 200_000), Some(400_000));
    assert_eq!(recycle(400_001, 200_000), None);
    assert_eq!(recycle(FILE_BYTES_MIN - 1, FILE_BYTES_MIN), None, "no room for a record");
}

#[test]
fn what_is_left_of_released_files_is_removed() {
    let (base, all) = three_files();
    for (first, left) in [(2, &all[2..]), (3, &all[4..])] {
        let owner = base.copy();
        owner.note_release(first);
        // The file may have another header already, or be anything.
        owner.poke(1, 0, &[0xEE; 100]);
        fs::write(owner.path().join("000004.log.new"), [1; 100]).unwrap();
        let (journal, report, records) = owner.open();
        assert!(records == left);
        assert_eq!((report.released_files, report.last_record), (first - 1, 5));
        assert_eq!((report.files, journal.first_file()), (4 - first, first));
        drop(journal);
        assert_eq!(owner.names()[0], file::file_name(first));
        owner.goes_on_after(left);
        // One that is gone is not missed.
        let owner = base.copy();
        owner.note_release(first);
        fs::remove_file(owner.file(1)).unwrap();
        assert_eq!(owner.open().1.released_files, first - 2);
    }
    // If the rest is refused, nothing is removed.
    let owner = base.copy();
    owner.note_release(2);
    owner.flip(2, HEADER + 50, 0);
    owner.refused();
    assert_eq!(owner.names(), base.names());
}

#[test]
fn memories_of_the_owner_that_do_not_fit_are_refused() {
    let (base, _) = three_files();
    let open = |first, last| {
        let owner = base.copy();
        owner.note_release(first);
        owner.remember_until(last);
        let message = owner.refused();
        assert_eq!(owner.names(), base.names(), "nothing is removed");
        message
    };
    // More was released than there is; the catalog is older than the manifest.
    assert_eq!(open(4, 3), "journal file 000004.log is missing; files 4 to 3 are known and needed");
    assert_eq!(open(3, 2), "journal file 000003.log is not expected; no file after 2 is known");
    assert_eq!(open(2, 0), "journal file 000002.log is not expected; no file after 0 is known");
    assert_eq!(open(1, 1), "journal file 000003.log is not expected; no file after 1 is known");
    for number in [2, 3] {
        let owner = base.copy();
        owner.note_release(2);
        fs::remove_file(owner.file(number)).unwrap();
        let message = owner.refused();
        let expected =
            format!("journal file {number:06}.log is missing; files 2 to 3 are known and needed");
        assert_eq!(message, expected);
        assert!(owner.file(1).exists());
    }
}

#[test]
fn the_old_bytes_of_a_recycled_file_are_no_records() {
    // Records of the same lengths as before, so that the old headers stand where new ones may.
    for lens in [&[5000][..], &[5000, 7100], &[100], &[4960], &[5056], &[12_000]] {
        let (owner, all) = recycled(lens);
        let bytes = fs::read(owner.file(5)).unwrap();
        assert_eq!(bytes[8..16], [2, 0, 0, 0, 1, 0, 0, 0], "version 2, recycled");
        if matches!(lens, [100 | 4960]) {
            assert_eq!(&bytes[4096 + 5056..][..5], b"FJRc\x01", "the old second record");
        }
        let (journal, report, records) = owner.open();
        assert!(records == all);
        assert_eq!((report.torn, report.last_record), (None, 8 + lens.len() as u64));
        drop(journal);
        assert!(fs::read(owner.file(5)).unwrap() == bytes, "nothing is changed");
        owner.goes_on_after(&all);
        owner.open().0.close().unwrap();
        let (_, report, records) = owner.open();
        assert_eq!((report.clean_close, report.torn, records.len()), (true, None, all.len() + 1));
    }
}

#[test]
fn a_torn_tail_in_a_recycled_file_is_passed_over_wherever_it_was_torn() {
    for len in [0, 33, 150, 6900] {
        let (base, mut all) = recycled(&[100, 0]);
        let old = fs::read(base.file(5)).unwrap();
        all.push(payload(3, len));
        base.run(&all[2..]);
        let new = fs::read(base.file(5)).unwrap();
        let start = usize::try_from(offsets(&[100, 0])[2]).unwrap();
        let end = start + usize::try_from(record_bytes(len as u64)).unwrap();
        let payload_end = start + RECORD_HEADER_BYTES + len;
        assert!(old[end..end + 64] != new[end..end + 64], "there is a terminator");
        let step = if len > 1000 { 61 } else { 3 };
        for at in (start..=end + 64).step_by(step) {
            // What a crash leaves: the first bytes, the last bytes, all but some, none but some.
            let mut states = [old.clone(), new.clone(), new.clone(), old.clone()];
            states[0][start..at].copy_from_slice(&new[start..at]);
            states[1][start..at].copy_from_slice(&old[start..at]);
            let some = at..(at + 64).min(end + 64);
            states[2][some.clone()].copy_from_slice(&old[some.clone()]);
            states[3][some.clone()].copy_from_slice(&new[some]);
            for state in states {
                let owner = base.copy();
                fs::write(owner.file(5), &state).unwrap();
                let (journal, report, records) = owner.open();
                drop(journal);
                let whole = state[start..payload_end] == new[start..payload_end];
                let expected = if whole { &all[..] } else { &all[..2] };
                assert!(records == expected, "at {at} of {start}..{end}");
                // Told by the slot where the next record goes.
                let next = if whole { end } else { start };
                let clear = state[next..next + 64].iter().all(|&byte| byte == 0);
                let header = start..start + RECORD_HEADER_BYTES;
                let header_is_whole = !whole && state[header.clone()] == new[header];
                let torn = (!clear).then(|| TornTail {
                    file: "000005.log".to_owned(),
                    offset: next as u64,
                    bytes: if header_is_whole { (end - start) as u64 } else { 64 },
                });
                assert_eq!(report.torn, torn);
                owner.goes_on_after_torn(expected, torn);
            }
        }
    }
}

#[test]
fn a_recycled_file_can_be_filled_to_its_end_and_beyond() {
    // Of 16,384 bytes, file header, record header and close record take 4192.
    for (len, closed) in [(12_192, 16_384), (12_256, 16_448), (12_257, 16_512), (20_000, 24_192)] {
        let (owner, all) = recycled(&[len]);
        let (_, report, records) = owner.open();
        assert!(records == all && report.torn.is_none());
        owner.open().0.close().unwrap();
        assert_eq!(fs::metadata(owner.file(5)).unwrap().len(), closed);
        let (_, report, records) = owner.open();
        assert!(records == all && report.torn.is_none() && report.clean_close);
        owner.goes_on_after(&all);
        assert_eq!(owner.known().last, 6);
    }
}

#[test]
fn damage_in_a_recycled_file_is_known_for_damage_if_a_record_follows() {
    let (base, all) = recycled(&[40, 70, 30]);
    let offsets = offsets(&[40, 70, 30]);
    for offset in offsets[1]..offsets[1] + 32 + 70 {
        let owner = base.copy();
        owner.flip(5, offset, u32::try_from(offset % 8).unwrap());
        let message = owner.refused();
        assert!(is_corrupt_at(&message, 5, offsets[1]), "{message}");
        assert!(message.contains("record 11 stands at offset"), "{message}");
    }
    // Nothing follows the last record. As in any file, it looks torn then.
    for offset in offsets[2]..offsets[2] + 32 + 30 {
        let owner = base.copy();
        owner.flip(5, offset, u32::try_from(offset % 8).unwrap());
        assert_eq!(owner.open().1.torn.unwrap().offset, offsets[2]);
        owner.goes_on_after(&all[..2]);
    }
    // After a clean close it does not.
    base.open().0.close().unwrap();
    for offset in offsets[2]..offsets[2] + 32 + 30 {
        let owner = base.copy();
        owner.flip(5, offset, 3);
        let message = owner.refused();
        assert!(is_corrupt_at(&message, 5, offsets[2]), "{message}");
    }
    // An unfinished open record behind a close.
    let end = offsets[3] + SLOT_BYTES;
    base.poke(5, end, &[b'x'; 64]);
    let report = base.open().1;
    assert_eq!((report.torn.unwrap().bytes, report.clean_close), (64, true));
    base.goes_on_after(&all);
}

#[test]
fn a_recycled_file_that_was_never_recorded_is_made_again() {
    let owner = Owner::new();
    let (journal, all) = four_files(&owner);
    // The next append begins file 5. Let its hook fail, as a crash before it does.
    let mut journal = journal;
    journal.on_new_file = Box::new(|_| Err(io::Error::other("catalog is gone")));
    journal.append(&[&payload(1, 6000)]).unwrap_err();
    let error = journal.release_before(4).unwrap_err();
    assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
    drop(journal);
    assert_eq!(owner.names(), ["000003.log", "000004.log", "000005.log"]);

    let unrecorded = owner.copy();
    let (_, report, records) = unrecorded.open();
    assert!(records == all);
    assert_eq!((report.removed_file, report.torn), (Some(5), None));
    unrecorded.goes_on_after(&all);

    // Anything at the place of the first record, or a record anywhere: the owner's memory is old.
    let header = FileHeader::decode(fs::read(owner.file(5)).unwrap().first_chunk().unwrap());
    let salt = header.unwrap().record_salt();
    let record = format::RecordHeader::new(Kind::Data, 10, 0, 0).encode(salt);
    for (offset, bytes) in [(HEADER, &b"x"[..]), (HEADER + 63, b"x"), (HEADER + 8192, &record)] {
        let copy = owner.copy();
        copy.poke(5, offset, bytes);
        let expected = "journal file 000005.log is not expected; no file after 4 is known";
        assert_eq!(copy.refused(), expected);
        assert!(copy.file(5).exists());
    }
    // Its header says how many records precede it.
    let copy = owner.copy();
    copy.poke(4, HEADER + record_bytes(5000), &[0; 7168]);
    assert!(is_corrupt_at(&copy.refused(), 4, HEADER + record_bytes(5000)));
    // It is not named before its header is finished.
    let copy = owner.copy();
    copy.poke(5, 40, &[0; 100]);
    assert!(copy.refused().starts_with("journal file 000005.log is not expected"));
    // The crash may as well come after the hook.
    let copy = owner.copy();
    copy.remember_until(5);
    let (_, report, records) = copy.open();
    assert!(records == all);
    assert_eq!((report.removed_file, report.torn), (None, None));
    copy.goes_on_after(&all);
}

/// Written by the version before this one.
#[test]
fn files_of_version_1_are_read_and_continued() {
    let files: [(u64, &[u8]); 2] = [
        (1, include_bytes!("fixtures/v1/000001.log")),
        (2, include_bytes!("fixtures/v1/000002.log")),
    ];
    let base = Owner::new();
    for (number, bytes) in files {
        assert_eq!(bytes[8..16], [1, 0, 0, 0, 0, 0, 0, 0], "version 1");
        fs::write(base.file(number), bytes).unwrap();
    }
    base.known.lock().unwrap().last = 2;
    let all = payloads(&[100, 0, 2000, 3000, 40]);
    let owner = base.copy();
    let (mut journal, report, records) = owner.open();
    assert!(records == all);
    assert_eq!((report.last_record, report.clean_close, report.torn), (8, true, None));
    // The last one is continued as it was made: behind its records there are zeros.
    let more = payload(9, 500);
    assert_eq!(journal.append(&[&more]).unwrap(), RecordPlace { record: 10, file: 2 });
    drop(journal);
    let all: Vec<_> = all.into_iter().chain([more]).collect();
    let start = HEADER + record_bytes(3000) + record_bytes(40) + 2 * SLOT_BYTES;
    let copy = owner.copy();
    copy.flip(2, start + 50, 0);
    copy.copy().goes_on_after(&all[..5]);
    copy.poke(2, start + record_bytes(500), b"x");
    assert!(is_corrupt_at(&copy.refused(), 2, start));
    let copy = owner.copy();
    copy.flip(1, HEADER + 50, 0);
    assert!(is_corrupt_at(&copy.refused(), 1, HEADER));
    // The next file has the present version, and they are released like any other.
    let (mut journal, ..) = owner.open();
    let next = payload(10, 5000);
    assert_eq!(journal.append(&[&next]).unwrap(), RecordPlace { record: 11, file: 3 });
    assert_eq!(fs::read(owner.file(3)).unwrap()[8], 2);
    owner.release(&mut journal, 3);
    drop(journal);
    owner.goes_on_after(&[next]);
}

#[test]
fn many_reopenings_keep_everything() {
    let owner = Owner::in_background();
    let mut all = Vec::new();
    for round in 0..60 {
        let more = payloads(&[round * 13, 700]);
        all.extend(more.iter().cloned());
        if round % 3 == 0 { owner.run_and_close(&more) } else { owner.run(&more) }
    }
    let (_, _, records) = owner.open();
    assert!(records == all);
    assert!(owner.known().last > 4);
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    Kill,
    Close,
    /// Releases this part of the files that can be.
    Release(prop::sample::Index),
    /// Killed in the middle of a record: these bytes stand at its place, from this offset in it.
    Tear(u64, Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0_usize..3000, 0..3).prop_map(Step::Append),
        1 => (15_000_usize..40_000).prop_map(|len| Step::Append(vec![len])),
        1 => Just(Step::Kill),
        1 => Just(Step::Close),
        1 => any::<prop::sample::Index>().prop_map(Step::Release),
        1 => (0_u64..500, prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(offset, bytes)| Step::Tear(offset, bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn any_history_equals_the_model(
        background in any::<bool>(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let owner = if background { Owner::in_background() } else { Owner::new() };
        let mut model: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let (mut journal, ..) = owner.open();
        let mut seed = 0;
        for step in steps {
            match step {
                Step::Append(lens) => {
                    seed += 1;
                    let parts: Vec<Vec<u8>> = lens.iter().map(|&len| payload(seed, len)).collect();
                    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                    let place = journal.append(&parts).unwrap();
                    model.push_back((place.file, parts.concat()));
                    continue;
                }
                Step::Release(index) => {
                    let (first, last) = (journal.first_file(), journal.last_file());
                    let file = first + index.index(usize::try_from(last - first + 1).unwrap()) as u64;
                    owner.release(&mut journal, file);
                    model.retain(|&(of, _)| of >= file);
                    continue;
                }
                Step::Kill => drop(journal),
                Step::Close => journal.close().unwrap(),
                Step::Tear(offset, bytes) => {
                    let (number, position) = (journal.last_file(), journal.current.position);
                    let closed = journal.closed;
                    drop(journal);
                    // Right after a clean close only an open record can be torn.
                    let offset = if closed { 0 } else { offset };
                    let len = if closed { bytes.len().min(64) } else { bytes.len() };
                    owner.poke(number, position + offset, &bytes[..len]);
                }
            }
            let (opened, _, records) = owner.open();
            prop_assert!(model.iter().map(|(_, payload)| payload).eq(&records));
            journal = opened;
        }
        drop(journal);
        let (_, _, records) = owner.open();
        prop_assert!(model.iter().map(|(_, payload)| payload).eq(&records));
    }
}
