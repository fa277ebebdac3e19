//! What the system says of a process, from `/proc`.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// CPU time of a process and all its threads so far, in user and system mode.
///
/// In steps of 10 ms: what is to be measured must take some hundred milliseconds, or be done
/// often enough.
pub(crate) fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // User and system time are the 14th and 15th fields; the name, which may have spaces, is the
    // second.
    let (_, behind_name) = stat.rsplit_once(')').context("no name in stat")?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<u32> { Ok(fields.next().context("no time")?.parse()?) };
    Ok(f64::from(ticks()? + ticks()?) / 100.0)
}

/// Resident memory of a process that no file is behind, in bytes.
pub(crate) fn anonymous_bytes(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.context("no RssAnon in status")?.trim().trim_end_matches(" kB");
    Ok(kibibytes.parse::<u64>()? * 1024)
}

/// The most resident memory that a process ever had, in bytes.
pub(crate) fn peak_bytes(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.context("no VmHWM in status")?.trim().trim_end_matches(" kB");
    Ok(kibibytes.parse::<u64>()? * 1024)
}

/// Waits until a process has used no CPU time for a while; at most a minute.
pub(crate) fn wait_until_idle(process: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut before = cpu_seconds(process)?;
    while began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(300));
        let now = cpu_seconds(process)?;
        if now <= before {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// What something costs, each time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU time of the process that does it, in milliseconds.
    pub(crate) cpu_ms: f64,
    /// Time until it is done, in milliseconds.
    pub(crate) wall_ms: f64,
}

/// Does something again and again for so long, at least once, in a process: what it cost, and its
/// last result.
pub(crate) fn measure<T>(
    process: u32,
    at_least: Duration,
    mut work: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<(Cost, T)> {
    let cpu = cpu_seconds(process)?;
    let began = Instant::now();
    let mut times = 0_u32;
    loop {
        let result = work()?;
        times += 1;
        let elapsed = began.elapsed();
        if elapsed >= at_least {
            let cpu_ms = (cpu_seconds(process)? - cpu) * 1000.0 / f64::from(times);
            let wall_ms = elapsed.as_secs_f64() * 1000.0 / f64::from(times);
            return Ok((Cost { cpu_ms, wall_ms }, result));
        }
    }
}
