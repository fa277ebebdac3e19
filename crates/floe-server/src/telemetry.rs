//! Logs and metrics.

use std::io::IsTerminal as _;
use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Bounds of histograms of seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of histograms of counts of events.
const EVENTS: [f64; 9] = [1.0, 10.0, 50.0, 100.0, 500.0, 1e3, 5e3, 1e4, 1e5];

/// Sends logs to standard error, in the form and by the filter given.
///
/// # Errors
///
/// If the filter cannot be understood, or logs were set up before.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    }
    .map_err(|error| error.to_string())?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("");
        tracing::error!(place, message, "panicked");
    }));
    Ok(())
}

/// The process's metrics. There is one recorder a process, so servers in one process share it.
pub(crate) fn metrics_handle() -> Result<Arc<PrometheusHandle>, String> {
    static HANDLE: OnceLock<Result<Arc<PrometheusHandle>, String>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let handle = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .and_then(|builder| {
                    builder.set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), &EVENTS)
                })
                .and_then(PrometheusBuilder::install_recorder)
                .map_err(|error| error.to_string())?;
            describe();
            Ok(Arc::new(handle))
        })
        .clone()
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("floe_http_requests_total", "Requests by method, route and status.");
    describe_histogram!("floe_http_request_seconds", "Time from a request's head to its answer.");
    describe_counter!("floe_events_ingested_total", "Events stored.");
    describe_counter!("floe_events_duplicate_total", "Events whose external id was known.");
    describe_histogram!("floe_commit_seconds", "Time of one commit, sync included.");
    describe_histogram!("floe_commit_events", "Events of one commit.");
    describe_gauge!("floe_tail_bytes", "Estimated bytes of events in memory.");
    describe_gauge!("floe_writing_stopped", "1 once a write failed and no event is accepted.");
    describe_gauge!("floe_journal_bytes", "Bytes of the journal's records.");
}
