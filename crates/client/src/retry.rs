//! When to try again, and after how long.

use std::time::Duration;

use tokio::time::Instant;

use crate::{ClientOptions, Error};

/// What a call allows after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is the same as doing it once.
    Always,
    /// Doing it twice would cost: only where the service says that it did not begin (429, 503),
    /// or no connection came to be.
    IfRefused,
    /// Doing it twice could give a wrong answer: only where no connection came to be, so that
    /// the service can't have seen it.
    IfUnsent,
}

/// What is known of a failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) fate: Fate,
}

/// How far a failed attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// There was no connection to send it over.
    Unsent,
    /// The service was too busy for it, or is starting.
    Refused,
    /// It may have been carried out, or not.
    Unknown,
    /// It was answered, and the same call would be answered in the same way.
    Final,
}

impl Repeat {
    const fn allows(self, fate: Fate) -> bool {
        match self {
            Self::Always => !matches!(fate, Fate::Final),
            Self::IfRefused => matches!(fate, Fate::Unsent | Fate::Refused),
            Self::IfUnsent => matches!(fate, Fate::Unsent),
        }
    }
}

/// The first pause; each one is twice the last, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// One call's attempts.
#[derive(Debug)]
pub(crate) struct Attempts {
    repeat: Repeat,
    left: u32,
    made: u32,
    deadline: Instant,
    doubtful: bool,
}

impl Attempts {
    pub(crate) fn new(repeat: Repeat, options: &ClientOptions) -> Self {
        let deadline = Instant::now() + options.retry_window;
        Self { repeat, left: options.retries, made: 0, deadline, doubtful: false }
    }

    /// True where an earlier attempt may have been carried out.
    pub(crate) const fn doubtful(&self) -> bool {
        self.doubtful
    }

    /// Waits before the next attempt, or gives the error back where there is none.
    pub(crate) async fn again(&mut self, failure: Failure) -> Result<(), Error> {
        self.doubtful |= failure.fate == Fate::Unknown;
        let Some(pause) = self.pause(&failure, Instant::now()) else { return Err(failure.error) };
        tracing::debug!(error = %failure.error, ?pause, attempt = self.made, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// How long to wait before the next attempt, if there is to be one.
    pub(crate) fn pause(&mut self, failure: &Failure, now: Instant) -> Option<Duration> {
        if self.left == 0 || !self.repeat.allows(failure.fate) {
            return None;
        }
        let step = FIRST_PAUSE.saturating_mul(1 << self.made.min(16)).min(MAX_PAUSE);
        // Half of it is chance, so that many callers of a service that comes back don't come at once.
        let jittered = step.mul_f64(rand::random_range(0.5..1.0));
        let asked = match &failure.error {
            Error::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let pause = jittered.max(asked);
        // What was asked for may be further off than a clock counts.
        if now.checked_add(pause).is_none_or(|then| then > self.deadline) {
            return None;
        }
        self.left -= 1;
        self.made += 1;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(fate: Fate) -> Failure {
        Failure { error: Error::Timeout { service: "x", limit: Duration::ZERO }, fate }
    }

    fn busy(retry_after: Duration) -> Failure {
        let error = Error::from_answer("x", http::StatusCode::SERVICE_UNAVAILABLE, b"", Some(retry_after));
        Failure { error, fate: Fate::Refused }
    }

    #[test]
    fn each_class_of_call_repeats_only_what_is_safe_for_it() {
        use Fate::{Final, Refused, Unknown, Unsent};
        let allowed = |repeat: Repeat| [Unsent, Refused, Unknown, Final].map(|fate| repeat.allows(fate));
        assert_eq!(allowed(Repeat::Always), [true, true, true, false]);
        assert_eq!(allowed(Repeat::IfRefused), [true, true, false, false]);
        assert_eq!(allowed(Repeat::IfUnsent), [true, false, false, false]);
    }

    #[test]
    fn the_pauses_grow_and_their_number_is_bounded() {
        let options = ClientOptions { retries: 3, ..ClientOptions::default() };
        let mut attempts = Attempts::new(Repeat::Always, &options);
        for step in [50, 100, 200] {
            let pause = attempts.pause(&failure(Fate::Unknown), Instant::now()).unwrap();
            assert!(pause >= Duration::from_millis(step / 2) && pause <= Duration::from_millis(step), "{pause:?}");
        }
        assert_eq!(attempts.pause(&failure(Fate::Unknown), Instant::now()), None);
    }

    #[test]
    fn retry_after_is_honoured_within_the_window_and_no_longer() {
        let options = ClientOptions { retry_window: Duration::from_secs(10), ..ClientOptions::default() };
        let mut attempts = Attempts::new(Repeat::Always, &options);
        let start = Instant::now();
        let six = busy(Duration::from_secs(6));
        assert_eq!(attempts.pause(&six, start), Some(Duration::from_secs(6)));
        assert_eq!(attempts.pause(&six, start + Duration::from_secs(6)), None, "it would end after the window");
        assert_eq!(attempts.pause(&busy(Duration::from_secs(u64::MAX)), start), None);
    }

    #[tokio::test]
    async fn an_attempt_of_unknown_fate_is_remembered() {
        let mut attempts = Attempts::new(Repeat::IfUnsent, &ClientOptions::default());
        attempts.again(failure(Fate::Unsent)).await.unwrap();
        assert!(!attempts.doubtful());
        let error = attempts.again(failure(Fate::Unknown)).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }) && attempts.doubtful());
    }
}
