//! The least that durability costs: append and fdatasync, shared by all who wait.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::load::Samples;

/// Bytes of the file that is written over and over: zero-filled before, as Floe's journal is.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

type Request = (Vec<u8>, SyncSender<()>);

/// Group commits of `payload_bytes` by so many writers, for a while.
pub(crate) fn run(
    folder: &Path,
    writers: usize,
    payload_bytes: usize,
    duration: Duration,
) -> anyhow::Result<Samples> {
    let file = File::options().create(true).truncate(true).write(true).open(folder.join("bare"))?;
    let zeros = vec![0; 1 << 20];
    for megabyte in 0..FILE_BYTES >> 20 {
        file.write_all_at(&zeros, megabyte << 20)?;
    }
    file.sync_all()?;
    let (sender, receiver) = sync_channel::<Request>(writers);
    let committer = std::thread::spawn(move || commit(&file, &receiver));
    let began = Instant::now();
    let threads: Vec<_> = (0..writers)
        .map(|_| {
            let sender = sender.clone();
            std::thread::spawn(move || write(&sender, payload_bytes, began, duration))
        })
        .collect();
    drop(sender);
    let mut samples = Samples::default();
    for thread in threads {
        let latencies = thread.join().map_err(|_| anyhow::anyhow!("a writer panicked"))?;
        samples.latencies.extend(latencies);
    }
    samples.elapsed = began.elapsed();
    committer.join().map_err(|_| anyhow::anyhow!("the committer panicked"))??;
    samples.finish();
    Ok(samples)
}

fn write(
    sender: &SyncSender<Request>,
    payload_bytes: usize,
    began: Instant,
    duration: Duration,
) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while began.elapsed() < duration {
        let (reply, answer) = sync_channel(1);
        let asked = Instant::now();
        if sender.send((vec![0x5a; payload_bytes], reply)).is_err() || answer.recv().is_err() {
            break;
        }
        latencies.push(asked.elapsed());
    }
    latencies
}

fn commit(file: &File, receiver: &Receiver<Request>) -> std::io::Result<()> {
    let mut at = 0;
    while let Ok(first) = receiver.recv() {
        let mut group = vec![first];
        group.extend(receiver.try_iter());
        let bytes: Vec<u8> = group.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
        if at + bytes.len() as u64 > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        at += bytes.len() as u64;
        for (_, reply) in group {
            // A writer whose time is up needs no answer.
            let _ = reply.send(());
        }
    }
    Ok(())
}
