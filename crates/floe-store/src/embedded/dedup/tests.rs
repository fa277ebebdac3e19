//! The index against a map, with damage, crashes and a disk that fails.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicUsize;

use uuid::Uuid;

use super::*;
use crate::embedded::fs::{FsFile, OpenMode, RealFs};

const KEY: [u8; 16] = *b"a key of a test.";

fn folder() -> tempfile::TempDir {
    let shared_memory = Path::new("/dev/shm");
    if shared_memory.is_dir() {
        tempfile::tempdir_in(shared_memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn real_fs() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

fn cache() -> BlockCache {
    BlockCache::new(1 << 20)
}

fn organization(number: u64) -> OrganizationId {
    OrganizationId(Uuid::from_u128(number.into()))
}

/// The key of an event: two organizations use the same external ids. Each fifth event has none.
fn key_of(sequence: u64) -> Option<(OrganizationId, String)> {
    let key = || (organization(sequence % 2), format!("id-{}", sequence / 2));
    (!sequence.is_multiple_of(5)).then(key)
}

fn hash_of(hasher: &KeyHasher, sequence: u64) -> Option<KeyHash> {
    key_of(sequence).map(|(organization, id)| hasher.hash(organization, id.as_bytes()))
}

fn open_as(folder: &Path, hasher: &KeyHasher, end: u64) -> OpenedIndex {
    DedupIndex::open(real_fs(), folder, hasher.clone(), Sequence(end)).unwrap()
}

fn open(folder: &Path, end: u64) -> OpenedIndex {
    open_as(folder, &KeyHasher::new(&KEY), end)
}

fn builder(hasher: &KeyHasher, range: Range<u64>) -> RunBuilder {
    let mut builder = RunBuilder::new(Sequence(range.start)..Sequence(range.end));
    for sequence in range.rev() {
        if let Some(hash) = hash_of(hasher, sequence) {
            builder.add(hash, Sequence(sequence));
        }
    }
    builder
}

/// Adds runs that end where it is said.
fn add(index: &DedupIndex, ends: &[u64]) {
    let mut first = index.live().runs.last().map_or(0, |live| live.run.range.end);
    for &end in ends {
        index.add(builder(index.hasher(), first..end)).unwrap();
        first = end;
    }
}

fn ranges(index: &DedupIndex) -> Vec<Range<u64>> {
    index.live().runs.iter().map(|live| live.run.range.clone()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names = RealFs.list(folder).unwrap();
    names.sort();
    names
}

fn sequences(ranges: &[Range<u64>]) -> Vec<Range<Sequence>> {
    ranges.iter().map(|range| Sequence(range.start)..Sequence(range.end)).collect()
}

fn plan(index: &DedupIndex, runs: Range<usize>) -> MergePlan {
    MergePlan { runs: index.live().runs[runs].iter().map(|live| Arc::clone(&live.run)).collect() }
}

fn merge(index: &DedupIndex, runs: Range<usize>) {
    assert!(index.merge(&plan(index, runs), &AtomicBool::new(false)).unwrap());
}

/// Checks the answers for all events, and as many more that are not there, against a map.
fn check(index: &DedupIndex, end: u64) {
    let mut known: HashMap<KeyHash, Vec<Sequence>> = HashMap::new();
    for sequence in 0..end {
        if let Some(hash) = hash_of(index.hasher(), sequence) {
            known.entry(hash).or_default().push(Sequence(sequence));
        }
    }
    let hashes: Vec<KeyHash> =
        (0..2 * end).filter_map(|sequence| hash_of(index.hasher(), sequence)).collect();
    let cache = cache();
    let expected = hashes.iter().enumerate().flat_map(|(place, hash)| {
        known.get(hash).into_iter().flatten().map(move |sequence| (place, *sequence))
    });
    let found = index.candidates_of_all(&hashes, &cache).unwrap();
    assert!(found == expected.collect::<Vec<_>>());
    for hash in hashes.into_iter().step_by(7) {
        let expected = known.get(&hash).map_or(&[][..], |sequences| sequences);
        assert_eq!(index.candidates(hash, &cache).unwrap(), expected);
    }
}

#[test]
fn keys_are_found_in_runs_and_after_merges() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    // Runs of one event, of one without key, of several groups; then merges of all kinds.
    add(&index, &[1, 2, 2000, 30_000, 30_003, 41_000, 41_001]);
    check(&index, 41_001);
    for runs in [4..6, 0..2, 2..5, 0..2, 0..2] {
        let before = ranges(&index);
        merge(&index, runs.clone());
        let mut after = before.clone();
        after.splice(runs.clone(), [before[runs.start].start..before[runs.end - 1].end]);
        assert_eq!(ranges(&index), after);
        check(&index, 41_001);
        assert_eq!(names(folder.path()), after.iter().map(run_name).collect::<Vec<_>>());
    }
    assert_eq!(ranges(&index), [0..41_001]);
    assert!(index.verify(|_| {}).is_empty());
    assert_eq!(index.stats().keys, 41_001 * 4 / 5);
    drop(index);
    let OpenedIndex { index, missing, damaged } = open(folder.path(), 41_001);
    assert!(missing.is_empty() && damaged.is_empty());
    check(&index, 41_001);
}

#[test]
fn keys_with_equal_hashes_are_all_candidates() {
    // Four hashes for all, so that they go over blocks; and 256, some in each group.
    for bits in [2, 8] {
        let folder = folder();
        let hasher = KeyHasher::truncated(&KEY, bits);
        let index = open_as(folder.path(), &hasher, 0).index;
        add(&index, &[3000, 9000, 9500]);
        check_few(&index, 9500);
        assert!(index.verify(|_| {}).is_empty());
        merge(&index, 0..3);
        check_few(&index, 9500);
        assert!(index.verify(|_| {}).is_empty());
    }
}

/// [`check`] with few keys, as each has many candidates.
fn check_few(index: &DedupIndex, end: u64) {
    let hashes: Vec<_> =
        (0..end).map(|sequence| (hash_of(index.hasher(), sequence), sequence)).collect();
    for (hash, _) in hashes.iter().step_by(211) {
        let Some(hash) = *hash else { continue };
        let equal = hashes.iter().filter(|(other, _)| *other == Some(hash));
        let expected: Vec<_> = equal.map(|(_, sequence)| Sequence(*sequence)).collect();
        assert!(expected.len() > 10);
        assert!(index.candidates(hash, &cache()).unwrap() == expected);
    }
}

#[test]
fn a_key_belongs_to_its_organization() {
    let hasher = KeyHasher::new(&KEY);
    assert_ne!(hasher.hash(organization(0), b"a"), hasher.hash(organization(1), b"a"));
    // As documented: the hash of the bytes one behind the other.
    let bytes = [organization(7).0.as_bytes(), &b"external"[..]].concat();
    let expected = SipHasher13::new_with_key(&KEY).hash(&bytes);
    assert_eq!(hasher.hash(organization(7), b"external"), KeyHash(expected));
    assert_eq!(format!("{hasher:?}"), "KeyHasher(..)");
}

#[test]
fn keys_that_no_run_holds_seldom_pass_the_filters() {
    // What the filter's geometry gives: 0.09 % of the keys pass a small run's, and 0.42 % others.
    for (events, expected) in [(20_000, 0.0007..0.0012), (200_000, 0.0036..0.0049)] {
        let folder = folder();
        let index = open(folder.path(), 0).index;
        add(&index, &[events]);
        let live = &index.live().runs[0];
        let hashes = (events..events + 400_000).filter_map(|event| hash_of(index.hasher(), event));
        let (mut all, mut passed, mut glanced) = (0_u32, 0, 0);
        for hash in hashes {
            all += 1;
            passed += u32::from(live.may_hold(hash));
            glanced += u32::from(live.may_hold_at_a_glance(hash));
            assert!(live.may_hold_at_a_glance(hash) || !live.may_hold(hash));
        }
        let share = f64::from(passed) / f64::from(all);
        assert!(expected.contains(&share), "{share}");
        assert!((0.35..0.6).contains(&(f64::from(glanced) / f64::from(all))), "{glanced} of {all}");
    }
}

#[test]
fn hashes_are_divided_in_equal_parts() {
    for count in [1, 2, 3, 7, 1000, 1 << 20] {
        for index in [0, 1, count / 2, count - 1].into_iter().filter(|index| *index < count) {
            let start = part_start(index, count);
            assert_eq!(part(start, count).0, index);
            assert!(index == 0 || part(start - 1, count).0 == index - 1);
        }
        assert_eq!(part(u64::MAX, count).0, count - 1);
    }
    assert_eq!(part(u64::MAX, 0), (0, 0));
}

#[test]
fn missing_events_are_named_until_they_are_rebuilt() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    assert!(index.missing(Sequence(0)).is_empty());
    assert_eq!(index.missing(Sequence(10)), sequences(&[0..10]));
    add(&index, &[100, 200, 300, 400]);
    drop(index);
    std::fs::remove_file(folder.path().join(run_name(&(100..200)))).unwrap();
    std::fs::remove_file(folder.path().join(run_name(&(200..300)))).unwrap();
    let OpenedIndex { index, missing, damaged } = open(folder.path(), 450);
    assert!(damaged.is_empty());
    assert_eq!(missing, sequences(&[100..300, 400..450]));
    // In pieces as the owner likes.
    for range in [250..300, 400..450, 100..250] {
        index.add(builder(index.hasher(), range)).unwrap();
    }
    assert!(index.missing(Sequence(450)).is_empty());
    check(&index, 450);
    drop(index);
    assert!(open(folder.path(), 450).missing.is_empty());
}

#[test]
fn runs_of_events_that_are_not_sealed_are_deleted() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[100, 200]);
    drop(index);
    let OpenedIndex { index, missing, .. } = open(folder.path(), 150);
    assert_eq!(missing, sequences(&[100..150]));
    assert_eq!(names(folder.path()), [run_name(&(0..100))]);
    drop(index);
    assert!(open(folder.path(), 0).missing.is_empty());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn leftovers_of_a_crash_are_deleted() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[100, 200, 300]);
    let read = |name: &String| {
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    };
    let inputs: Vec<_> = names(folder.path()).iter().map(read).collect();
    merge(&index, 0..2);
    drop(index);
    // As after a crash between the merge and the deletes, and one within a write.
    for (path, bytes) in inputs {
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(folder.path().join("000000000000-000000000300.run.new"), b"half").unwrap();
    std::fs::write(folder.path().join("note.new"), b"not ours").unwrap();
    let OpenedIndex { index, missing, damaged } = open(folder.path(), 300);
    assert!(missing.is_empty() && damaged.is_empty());
    assert_eq!(ranges(&index), [0..200, 200..300]);
    let expected = [run_name(&(0..200)), run_name(&(200..300)), "note.new".to_owned()];
    assert_eq!(names(folder.path()), expected);
    check(&index, 300);
}

#[test]
fn a_damaged_successor_gives_way_to_its_runs() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[100, 200]);
    let inputs: Vec<_> = names(folder.path())
        .iter()
        .map(|name| folder.path().join(name))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    merge(&index, 0..2);
    drop(index);
    for (path, bytes) in inputs {
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(folder.path().join(run_name(&(0..200))), b"nonsense").unwrap();
    let OpenedIndex { index, missing, damaged } = open(folder.path(), 200);
    assert!(missing.is_empty());
    assert_eq!(damaged.len(), 1);
    assert_eq!(ranges(&index), [0..100, 100..200]);
    assert_eq!(names(folder.path()).len(), 2);
    check(&index, 200);
}

#[test]
fn the_runs_that_leave_least_uncovered_are_chosen() {
    let check = |runs: &[Range<u64>], end: u64, expected: &[Range<u64>]| {
        assert_eq!(cover(runs, end), expected, "{runs:?}");
    };
    check(&[], 0, &[]);
    check(&[], 5, &[]);
    check(&[0..5], 0, &[]);
    check(&[0..5, 5..9, 0..9], 9, &[0..9]);
    check(&[0..5, 5..9, 0..9], 8, &[0..5]);
    check(&[0..2, 2..4, 4..6, 0..4, 2..6], 6, &[0..2, 2..6]);
    // The widest at the start leads nowhere.
    check(&[0..10, 0..7, 7..20], 20, &[0..7, 7..20]);
    check(&[0..3, 2..9, 12..15], 20, &[2..9, 12..15]);
}

#[test]
fn names_that_are_not_exactly_those_of_runs_are_nobodys() {
    assert_eq!(range_of("000000000000-000000000100.run"), Some(0..100));
    assert_eq!(run_name(&(1..1 << 50)), "000000000001-1125899906842624.run");
    assert_eq!(range_of("000000000001-1125899906842624.run"), Some(1..1 << 50));
    for name in [
        "0-100.run",
        "000000000000-000000000000.run",
        "000000000005-000000000004.run",
        "000000000000-000000000100",
        "000000000000-000000000100.run.new",
        "+00000000000-000000000100.run",
        "000000000000-99999999999999999999.run",
    ] {
        assert_eq!(range_of(name), None, "{name}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[12_000]);
    drop(index);
    let path = folder.path().join(run_name(&(0..12_000)));
    let good = std::fs::read(&path).unwrap();
    let places = (0..good.len()).step_by(1009).chain(0..48).chain(good.len() - 60..good.len());
    let (mut at_open, mut at_verify) = (0, 0);
    for at in places {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bad).unwrap();
        let OpenedIndex { index, missing, damaged } = open(folder.path(), 12_000);
        if damaged.is_empty() {
            // Entries: read when they are needed, all of them by `verify`.
            at_verify += 1;
            assert!(missing.is_empty());
            let errors = index.verify(|_| {});
            assert!(matches!(errors[..], [BlockError::Damaged { .. }]), "{at}: {errors:?}");
            index.discard(&errors[0]).unwrap();
        } else {
            at_open += 1;
            assert_eq!((missing, damaged.len()), (sequences(&[0..12_000]), 1), "{at}");
        }
        assert!(names(folder.path()).is_empty());
        assert_eq!(index.missing(Sequence(12_000)), sequences(&[0..12_000]));
    }
    assert!(at_open > 50 && at_verify > 50, "{at_open} {at_verify}");
    std::fs::write(&path, &good).unwrap();
    check(&open(folder.path(), 12_000).index, 12_000);
}

#[test]
fn a_truncated_run_is_missing() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[5000, 5001]);
    drop(index);
    let path = folder.path().join(run_name(&(0..5000)));
    let good = std::fs::read(&path).unwrap();
    for length in (0..good.len()).step_by(4567) {
        std::fs::write(&path, &good[..length]).unwrap();
        let OpenedIndex { index, missing, damaged } = open(folder.path(), 5001);
        assert_eq!((missing, damaged.len()), (sequences(&[0..5000]), 1));
        index.add(builder(index.hasher(), 0..5000)).unwrap();
        check(&index, 5001);
    }
}

#[test]
fn a_run_of_another_key_or_another_range_is_missing() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[10, 20]);
    drop(index);
    let [first, second] = [0..10, 10..20].map(|range| folder.path().join(run_name(&range)));
    std::fs::copy(second, first).unwrap();
    let OpenedIndex { missing, damaged, .. } = open(folder.path(), 20);
    assert_eq!(missing, sequences(&[0..10]));
    let why = damaged[0].to_string();
    assert!(why.ends_with("it covers another range than its name says"), "{why}");

    let OpenedIndex { missing, damaged, .. } =
        open_as(folder.path(), &KeyHasher::new(b"some other key.."), 20);
    assert_eq!(missing, sequences(&[0..20]));
    let why = damaged[0].to_string();
    assert!(why.ends_with("it was made with another hash key"), "{why}");
    assert!(names(folder.path()).is_empty());
}

/// Damages an entry of a run that is open.
fn damage(folder: &Path, range: Range<u64>) {
    let path = folder.join(run_name(&range));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + 10] ^= 4;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_run_that_turns_out_damaged_is_rebuilt() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[1000, 3000, 4000]);
    damage(folder.path(), 1000..3000);
    let hashes: Vec<_> = (1000..3000).filter_map(|event| hash_of(index.hasher(), event)).collect();
    let merged = index.merge(&plan(&index, 0..3), &AtomicBool::new(false));
    assert!(matches!(merged, Err(BlockError::Damaged { .. })));
    assert_eq!(names(folder.path()).len(), 3);
    let error = index.candidates_of_all(&hashes, &cache()).unwrap_err();
    let failed = index.repair(error, |range| {
        assert_eq!(range, Sequence(1000)..Sequence(3000));
        // Half of it, then the disk fails.
        index.add(builder(index.hasher(), 1000..2000))?;
        Err(BlockError::io("read", folder.path())(io::Error::other("it fails once")))
    });
    assert!(matches!(failed, Err(BlockError::Io { .. })));
    // No answer rather than a wrong one; not of other runs either, as any may be asked.
    assert_eq!(index.missing(Sequence(4000)), sequences(&[2000..3000]));
    let known = hash_of(index.hasher(), 1).unwrap();
    let error = index.candidates(known, &cache()).unwrap_err();
    assert!(index.candidates_of_all(&[known], &cache()).is_err());
    // Runs on both sides of a gap are not merged over it.
    assert_eq!(index.plan_merge().map(|plan| plan.size().0), Some(2));
    index
        .repair(error, |range| index.add(builder(index.hasher(), range.start.0..range.end.0)))
        .unwrap();
    assert_eq!(ranges(&index), [0..1000, 1000..2000, 2000..3000, 3000..4000]);
    check(&index, 4000);
    merge(&index, 0..4);
    check(&index, 4000);
}

#[test]
fn an_error_of_the_disk_is_no_damage() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[100]);
    let path = folder.path().join(run_name(&(0..100)));
    let error = BlockError::io("read", &path)(io::Error::other("it fails once"));
    let repaired: Result<()> = index.repair(error, |_| panic!("nothing is to be rebuilt"));
    assert!(matches!(repaired, Err(BlockError::Io { .. })));
    check(&index, 100);
}

#[test]
fn threads_that_meet_damage_wait_until_it_is_repaired() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[1000, 3000, 4000]);
    damage(folder.path(), 1000..3000);
    let rebuilt = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let cache = cache();
                for event in (0..4000).filter(|event| event % 5 != 0) {
                    let hash = hash_of(index.hasher(), event).unwrap();
                    let found = loop {
                        match index.candidates(hash, &cache) {
                            Ok(found) => break found,
                            Err(error) => {
                                let rebuild = |range: Range<Sequence>| {
                                    rebuilt.fetch_add(1, Ordering::Relaxed);
                                    index.add(builder(index.hasher(), range.start.0..range.end.0))
                                };
                                index.repair(error, rebuild).unwrap();
                            }
                        }
                    };
                    assert_eq!(found, [Sequence(event)]);
                }
            });
        }
    });
    assert_eq!(rebuilt.load(Ordering::Relaxed), 1);
    check(&index, 4000);
}

#[test]
fn runs_are_added_while_others_are_merged() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    add(&index, &[30_000, 60_000]);
    std::thread::scope(|scope| {
        scope.spawn(|| merge(&index, 0..2));
        for i in 0..20 {
            index.add(builder(index.hasher(), 60_000 + i * 10..60_010 + i * 10)).unwrap();
        }
    });
    assert_eq!(index.stats().runs, 21);
    check(&index, 60_200);
    while let Some(plan) = index.plan_merge() {
        assert!(index.merge(&plan, &AtomicBool::new(false)).unwrap());
    }
    check(&index, 60_200);
}

#[test]
fn few_runs_are_left_and_a_key_is_rewritten_a_handful_of_times() {
    // Runs of equal size, of random sizes, and one large one followed by many small ones.
    let random = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let sizes: [(&dyn Fn(u64) -> u64, u64); 4] = [
        (&|_| 300_000, 333),
        (&|i| random(i) % 600_000, 333),
        (&|i| if i == 0 { 100_000_000 } else { 1000 }, 1000),
        (&|_| 0, 100),
    ];
    for (keys_of, count) in sizes {
        let (mut runs, mut rewritten, mut keys, mut end) = (Vec::new(), 0, 0, 0);
        for i in 0..count {
            runs.push((end..end + 1_000_000, keys_of(i)));
            end += 1_000_000;
            keys += keys_of(i);
            while let Some(window) = merge_window(&runs) {
                let merged = &runs[window.clone()];
                let sum = merged.iter().map(|(_, keys)| keys).sum();
                let range = merged[0].0.start..merged[merged.len() - 1].0.end;
                rewritten += sum;
                runs.splice(window, [(range, sum)]);
            }
            assert!(runs.len() <= 10, "{runs:?}");
        }
        assert_eq!(runs.iter().map(|(_, keys)| keys).sum::<u64>(), keys);
        assert!(rewritten <= 5 * keys, "{rewritten} of {keys}");
    }
}

#[test]
fn rebuilt_runs_are_merged_in_bounded_windows() {
    // A thousand runs at once, as after a rebuild.
    let mut runs: Vec<_> = (0..1000).map(|i| (i * 10..(i + 1) * 10, 10)).collect();
    let mut rewritten = 0;
    while let Some(window) = merge_window(&runs) {
        assert!(window.len() <= MERGE_RUNS_MAX);
        let keys = runs[window.clone()].iter().map(|(_, keys)| keys).sum();
        let range = runs[window.start].0.start..runs[window.end - 1].0.end;
        rewritten += keys;
        runs.splice(window, [(range, keys)]);
    }
    assert!(runs.len() <= 4, "{runs:?}");
    assert!(rewritten <= 45_000, "{rewritten}");
    // No run spans more than its entries can say.
    let wide = RUN_SEQUENCES_MAX / 2 + 1;
    assert_eq!(merge_window(&[(0..wide, 5), (wide..2 * wide, 5)]), None);
    let three = [(0..wide, 5), (wide..2 * wide, 5), (2 * wide..2 * wide + 9, 5)];
    assert_eq!(merge_window(&three), Some(1..3));
}

#[test]
fn planned_merges_end_in_few_exact_runs() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    let mut end = 0;
    for _ in 0..40 {
        end += 250;
        add(&index, &[end]);
        while let Some(plan) = index.plan_merge() {
            assert!(plan.size().0 >= 2);
            assert!(index.merge(&plan, &AtomicBool::new(false)).unwrap());
        }
        assert!(index.stats().runs <= 6);
    }
    assert_eq!(names(folder.path()).len(), index.stats().runs);
    assert!(index.missing(Sequence(end)).is_empty());
    check(&index, end);
}

#[test]
fn a_merge_stops_when_it_is_told_to() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    let count = STOP_ENTRIES * 5 / 4;
    add(&index, &[count / 2, count + 10]);
    let before = names(folder.path());
    assert!(!index.merge(&plan(&index, 0..2), &AtomicBool::new(true)).unwrap());
    assert_eq!(names(folder.path()), before);
    assert_eq!(ranges(&index).len(), 2);
    // A plan that was made before others merged is not followed.
    let old = plan(&index, 0..2);
    merge(&index, 0..2);
    assert!(!index.merge(&old, &AtomicBool::new(false)).unwrap());
    assert_eq!(names(folder.path()), [run_name(&(0..count + 10))]);
}

#[test]
fn readers_see_every_key_while_runs_are_merged() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    // Several groups each, so that a merge is handed over in steps.
    add(&index, &[20_000, 45_000, 60_000]);
    let hashes: Vec<_> = (0..60_000)
        .step_by(7)
        .filter_map(|sequence| Some((hash_of(index.hasher(), sequence)?, Sequence(sequence))))
        .collect();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let cache = cache();
                while !is_done.load(Ordering::Relaxed) {
                    for pairs in hashes.chunks(100) {
                        let hashes: Vec<_> = pairs.iter().map(|(hash, _)| *hash).collect();
                        let found = index.candidates_of_all(&hashes, &cache).unwrap();
                        assert!(
                            found
                                .iter()
                                .map(|(_, sequence)| sequence)
                                .eq(pairs.iter().map(|(_, sequence)| sequence))
                        );
                    }
                }
            });
        }
        merge(&index, 1..3);
        merge(&index, 0..2);
        is_done.store(true, Ordering::Relaxed);
    });
    check(&index, 60_000);
}

/// A disk of which one operation fails.
#[derive(Debug)]
struct FailingFs {
    /// Operations until then; none is left if it wrapped.
    left: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct FailingFile {
    file: Arc<dyn FsFile>,
    left: Arc<AtomicUsize>,
}

fn count_down(left: &AtomicUsize) -> io::Result<()> {
    match left.fetch_sub(1, Ordering::Relaxed) {
        0 => Err(io::Error::other("it fails once")),
        _ => Ok(()),
    }
}

impl Fs for FailingFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn FsFile>> {
        count_down(&self.left)?;
        let file = RealFs.open(path, mode)?;
        Ok(Arc::new(FailingFile { file, left: Arc::clone(&self.left) }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealFs.list(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealFs.exists(path)
    }

    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        RealFs.create_dir(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        count_down(&self.left)?;
        RealFs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        count_down(&self.left)?;
        RealFs.remove(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        count_down(&self.left)?;
        RealFs.sync_dir(folder)
    }
}

impl FsFile for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        count_down(&self.left)?;
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        count_down(&self.left)?;
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        count_down(&self.left)?;
        self.file.sync_data()
    }
}

#[test]
fn a_disk_that_fails_at_any_moment_of_a_merge_changes_no_answer() {
    let mut failures = 0;
    for moment in 0.. {
        let folder = folder();
        let never = usize::MAX / 2;
        let left = Arc::new(AtomicUsize::new(never));
        let fs = Arc::new(FailingFs { left: Arc::clone(&left) });
        let hasher = KeyHasher::new(&KEY);
        let opened = DedupIndex::open(fs, folder.path(), hasher, Sequence(0)).unwrap();
        let index = opened.index;
        add(&index, &[3000, 6500, 7000]);
        left.store(moment, Ordering::Relaxed);
        let merged = index.merge(&plan(&index, 0..3), &AtomicBool::new(false));
        left.store(never, Ordering::Relaxed);
        check(&index, 7000);
        if let Err(error) = &merged {
            assert!(matches!(error, BlockError::Io { .. }), "{error}");
            failures += 1;
        }
        // The next try ends well, unless only a delete failed.
        if ranges(&index).len() == 3 {
            merge(&index, 0..3);
        }
        assert_eq!(ranges(&index), [0..7000]);
        drop(index);
        let OpenedIndex { index, missing, damaged } = open(folder.path(), 7000);
        assert!(missing.is_empty() && damaged.is_empty());
        assert_eq!(names(folder.path()), [run_name(&(0..7000))]);
        check(&index, 7000);
        if merged.is_ok() && moment > 20 {
            break;
        }
    }
    assert!(failures > 20, "{failures}");
}

// The bytes are a contract: these are made after docs/format.md, not after the code above.
#[test]
fn a_run_has_the_documented_bytes() {
    let folder = folder();
    let index = open(folder.path(), 0).index;
    let mut builder = RunBuilder::new(Sequence(0x1000)..Sequence(0x2000));
    let hash = 0x8000_0000_0123_4567_u64;
    builder.add(KeyHash(hash), Sequence(0x1234));
    builder.add(KeyHash(5), Sequence(0x1fff));
    index.add(builder).unwrap();
    let name = "000000004096-000000008192.run";
    let file = std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(&file[..16], b"FLOEBLKS\x01\0\0\0DDUP");
    let body = &file[4096..];

    let mut expected = vec![0; 64];
    expected[..24]
        .copy_from_slice(b"\x05\0\0\0\0\0\0\0\xff\x0f\0\0\x67\x45\x23\x01\0\0\0\x80\x34\x02\0\0");
    // One block of filter: two keys.
    let mut words = [0_u64; 8];
    for hash in [5, hash] {
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(11_400_714_819_323_198_485);
        for (word, bits) in words.iter_mut().zip([58, 52, 46, 40, 34, 28, 22, 16]) {
            *word |= 1 << ((mixed >> bits) % 64);
        }
    }
    expected.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    expected.resize(4096, 0);
    // The group, its fence.
    expected.extend(b"\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x05\0\0\0\0\0\0\0");
    assert_eq!(body[..expected.len()], expected);

    let header = &body[expected.len() + 2 * 4..];
    assert_eq!(&header[..8], b"\x01\0\0\0\x01\0\0\0");
    assert_eq!(&header[8..24], b"\0\x10\0\0\0\0\0\0\0\x20\0\0\0\0\0\0");
    assert_eq!(&header[24..32], b"\x02\0\0\0\0\0\0\0");
    let check = SipHasher13::new_with_key(&KEY).hash(b"Floe deduplication key check");
    assert_eq!(header[32..40], check.to_le_bytes());
    assert_eq!(&header[40..], b"\0\x10\0\0\0\0\0\0");
}
