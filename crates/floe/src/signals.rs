//! Signals that ask a process to end.

/// Begins to listen for Ctrl-C and SIGTERM, which end the process unless somebody does. What it
/// returns is done when one of them comes.
#[cfg(unix)]
pub(crate) fn stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Begins to listen for Ctrl-C, which ends the process unless somebody does. What it returns is
/// done when it comes.
#[cfg(windows)]
pub(crate) fn stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
