//! When a call is made again.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::client::Repeat;
use crate::error::Error;

/// When a call that failed is made again, how often, and after which wait.
///
/// What changes nothing, or nothing twice, is made again if the connection broke, if no answer came
/// in time, and if the answer was 429, 502, 503 or 504: every `get` and `list`, `quantities`,
/// `state`, and [`Events::ingest`](crate::Events::ingest), whose events all have an external id;
/// also [`Customers::create`](crate::Customers::create) and
/// [`CustomerMeters::credit`](crate::CustomerMeters::credit) with an external id. Everything else is
/// made again only if no connection came to be, so that nothing was sent.
///
/// The wait before the second try is random, up to [`first_wait`](Self::first_wait). The bound
/// doubles with each try, up to [`longest_wait`](Self::longest_wait). If the server names a wait of
/// its own, the random one is added to that. When the tries or the [time](Self::total_time) are
/// used up, the last error is the call's.
///
/// ```
/// use std::time::Duration;
/// use floe_client::{Client, Retries};
///
/// # fn main() -> Result<(), floe_client::Error> {
/// let client = Client::new("http://127.0.0.1:7070", "floe_oat_0123")?
///     .with_retries(Retries::new().attempts(6).total_time(Duration::from_secs(120)));
/// let once = client.clone().with_retries(Retries::none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    attempts: u32,
    first_wait: Duration,
    longest_wait: Duration,
    total_time: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self::new()
    }
}

impl Retries {
    /// Four tries within 60 s; waits of up to 100 ms, doubling up to 10 s. A client has these
    /// unless it is told of others.
    ///
    /// ```
    /// use floe_client::Retries;
    ///
    /// assert_eq!(Retries::new(), Retries::default());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(10),
            total_time: Duration::from_secs(60),
        }
    }

    /// One try.
    ///
    /// ```
    /// use floe_client::{Client, Retries};
    ///
    /// let client = Client::new("http://127.0.0.1:7070", "floe_oat_0123")?;
    /// let once = client.with_retries(Retries::none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn none() -> Self {
        Self::new().attempts(1)
    }

    /// How many tries, the first included; 0 means 1.
    ///
    /// ```
    /// use floe_client::Retries;
    ///
    /// let patient = Retries::new().attempts(10);
    /// assert_eq!(Retries::new().attempts(1), Retries::none());
    /// ```
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The longest wait before the second try.
    ///
    /// ```
    /// use std::time::Duration;
    /// use floe_client::Retries;
    ///
    /// let gentle = Retries::new().first_wait(Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// The longest wait before any try, unless the server names a longer one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use floe_client::Retries;
    ///
    /// let brisk = Retries::new().longest_wait(Duration::from_secs(2));
    /// ```
    #[must_use]
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = wait;
        self
    }

    /// The time within which the last try begins, from the start of the first. Each try may take
    /// the [time of a call](crate::Client::with_timeout).
    ///
    /// ```
    /// use std::time::Duration;
    /// use floe_client::Retries;
    ///
    /// let all_night = Retries::new().attempts(u32::MAX).total_time(Duration::from_secs(8 * 3600));
    /// ```
    #[must_use]
    pub fn total_time(mut self, time: Duration) -> Self {
        self.total_time = time;
        self
    }

    /// How long to wait before a call that failed `failures` times is made again; `None` if it is
    /// not.
    pub(crate) fn wait(
        &self,
        error: &Error,
        repeat: Repeat,
        failures: u32,
        began: Instant,
    ) -> Option<Duration> {
        if failures >= self.attempts || !may_repeat(error, repeat) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let bound = self.first_wait.saturating_mul(doubled).min(self.longest_wait);
        let named = match error {
            Error::RateLimited { retry_after } | Error::Unavailable { retry_after, .. } => {
                retry_after.unwrap_or_default()
            }
            _ => Duration::ZERO,
        };
        let wait = named.saturating_add(random_part(bound));
        (began.elapsed().saturating_add(wait) <= self.total_time).then_some(wait)
    }
}

fn may_repeat(error: &Error, repeat: Repeat) -> bool {
    match (error, repeat) {
        (Error::Connect { .. }, _) => true,
        (_, Repeat::Unsent) => false,
        (error, Repeat::Always) => error.is_passing(),
    }
}

/// A random part of a length of time.
pub(crate) fn random_part(bound: Duration) -> Duration {
    // The last 32 bits of a random id are all random.
    let (_, low) = Uuid::new_v4().as_u64_pair();
    bound.mul_f64((low & 0xffff_ffff) as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport() -> Error {
        Error::Transport { url: String::new(), source: "broken".into() }
    }

    #[test]
    fn only_what_is_safe_is_made_again() {
        let connect = Error::Connect { url: String::new(), source: "refused".into() };
        for error in [
            transport(),
            Error::Timeout { url: String::new() },
            Error::RateLimited { retry_after: None },
            Error::Unavailable { detail: String::new(), retry_after: None },
            Error::Server { status: 502, request_id: None },
            Error::Server { status: 504, request_id: None },
        ] {
            assert!(may_repeat(&error, Repeat::Always), "{error}");
            assert!(!may_repeat(&error, Repeat::Unsent), "{error}");
        }
        assert!(may_repeat(&connect, Repeat::Unsent));
        for error in [
            Error::Server { status: 500, request_id: None },
            Error::Unauthorized,
            Error::NotFound { detail: String::new() },
            Error::Validation(Vec::new()),
        ] {
            assert!(!may_repeat(&error, Repeat::Always), "{error}");
        }
    }

    #[test]
    fn waits_are_bounded_and_heed_the_server() {
        let retries = Retries::new().first_wait(Duration::from_secs(1)).attempts(9);
        let now = Instant::now();
        for failures in 1..9 {
            let wait = retries.wait(&transport(), Repeat::Always, failures, now).unwrap();
            let bound = Duration::from_secs(1 << (failures - 1)).min(Duration::from_secs(10));
            assert!(wait <= bound, "{failures}: {wait:?}");
        }
        assert_eq!(retries.wait(&transport(), Repeat::Always, 9, now), None);
        let limited =
            |seconds| Error::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        let wait = retries.wait(&limited(7), Repeat::Always, 1, now).unwrap();
        assert!(wait >= Duration::from_secs(7) && wait <= Duration::from_secs(8));
        assert_eq!(retries.wait(&limited(61), Repeat::Always, 1, now), None);
        assert_eq!(Retries::none().wait(&transport(), Repeat::Always, 1, now), None);
    }
}
