//! How long requests took since the server was started, in a form that tells quantiles.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use floe_core::Timestamp;
use floe_store::embedded::system_time;
use http::{Method, StatusCode};

/// Buckets for each doubling of the time: a quantile is told to within a fifth.
const BUCKETS_OF_DOUBLING: f64 = 4.0;
/// The first bucket ends here.
const FIRST_MICROS: f64 = 50.0;
/// How many there are; the last but one ends after 27 minutes.
const BUCKETS: usize = 101;

/// When the server was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    /// By the machine's clock.
    pub(crate) at: Timestamp,
    instant: Instant,
}

impl Started {
    /// Now.
    pub(crate) fn now() -> Self {
        Self { at: system_time(), instant: Instant::now() }
    }

    /// The time since then, whatever became of the machine's clock.
    pub(crate) fn elapsed(&self) -> Duration {
        self.instant.elapsed()
    }
}

/// How long requests took that were answered as they should be.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// Of ingestion.
    pub(crate) ingest: Histogram,
    /// Of reading.
    pub(crate) query: Histogram,
}

impl Latency {
    /// Notes the time from a request's head to that of its answer.
    pub(crate) fn record(&self, method: &Method, route: &str, status: StatusCode, time: Duration) {
        if !status.is_success() {
            return;
        }
        match (method, route) {
            (&Method::POST, "/v1/events/ingest" | "/v1/events/bulk") => self.ingest.record(time),
            // Its answer is empty at first.
            (_, "/v1/event-stream") => {}
            // Programs ask it again and again.
            (_, "/v1/system") => {}
            (&Method::POST, "/v1/meters/preview") => self.query.record(time),
            (&Method::GET, route) if route.starts_with("/v1/") => self.query.record(time),
            _ => {}
        }
    }
}

/// A histogram of times.
#[derive(Debug)]
pub(crate) struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// What a histogram tells.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Quantiles {
    /// How many requests there were.
    pub(crate) count: u64,
    /// Half of them took no longer, in milliseconds; null if there were none.
    #[schema(required = true)]
    pub(crate) p50_ms: Option<f64>,
    /// 99 % of them took no longer, in milliseconds; null if there were none.
    #[schema(required = true)]
    pub(crate) p99_ms: Option<f64>,
}

impl Histogram {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
    fn record(&self, time: Duration) {
        let doublings = (time.as_secs_f64() * 1e6 / FIRST_MICROS).max(1.0).log2();
        let bucket = (doublings * BUCKETS_OF_DOUBLING).ceil() as usize;
        if let Some(count) = self.0.get(bucket.min(BUCKETS - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The quantiles: upper bounds, at most a fifth above the time that was taken.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let within = |percent: u64| {
            let wanted = (count * percent).div_ceil(100);
            let mut so_far = 0;
            let bucket = counts.iter().position(|of| {
                so_far += of;
                count > 0 && so_far >= wanted
            })?;
            #[expect(clippy::cast_precision_loss, reason = "there are a hundred")]
            let end = FIRST_MICROS * (bucket as f64 / BUCKETS_OF_DOUBLING).exp2() / 1e3;
            // No digits that mean nothing.
            Some((end * 1e3).round() / 1e3)
        };
        Quantiles { count, p50_ms: within(50), p99_ms: within(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds() {
        let histogram = Histogram::default();
        let none = Quantiles { count: 0, p50_ms: None, p99_ms: None };
        assert_eq!(histogram.quantiles(), none);
        for micros in [0, 50, 51, 400] {
            histogram.record(Duration::from_micros(micros));
        }
        // 0.05 ms · 2^(1/4) would hold the third.
        let found = histogram.quantiles();
        assert_eq!(found, Quantiles { count: 4, p50_ms: Some(0.05), p99_ms: Some(0.4) });
        for _ in 0..400 {
            histogram.record(Duration::from_millis(10));
        }
        let Quantiles { count, p50_ms, p99_ms } = histogram.quantiles();
        assert_eq!(count, 404);
        for within in [p50_ms.unwrap(), p99_ms.unwrap()] {
            assert!((10.0..12.0).contains(&within), "{within}");
        }
        histogram.record(Duration::from_secs(100_000));
        assert_eq!(histogram.quantiles().count, 405);
    }

    #[test]
    fn requests_are_told_apart() {
        let latency = Latency::default();
        let record = |method: Method, route: &str, status: StatusCode| {
            latency.record(&method, route, status, Duration::from_millis(1));
        };
        record(Method::POST, "/v1/events/ingest", StatusCode::OK);
        record(Method::POST, "/v1/events/bulk", StatusCode::OK);
        record(Method::POST, "/v1/events/ingest", StatusCode::SERVICE_UNAVAILABLE);
        record(Method::GET, "/v1/meters/{id}/quantities", StatusCode::OK);
        record(Method::GET, "/v1/event-stream", StatusCode::OK);
        record(Method::GET, "/healthz", StatusCode::OK);
        record(Method::PATCH, "/v1/meters/{id}", StatusCode::OK);
        assert_eq!(latency.ingest.quantiles().count, 2);
        assert_eq!(latency.query.quantiles().count, 1);
    }
}
