use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A time limit that is moved for every request and nearly never reached.
///
/// Moving tokio's timer costs a lock and a place in its wheel. This one stays where it is, and
/// only when it fires looks whether the limit has moved on meanwhile.
#[derive(Debug)]
pub(super) struct Deadline {
    at: Instant,
    /// Armed for `at` or earlier.
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(super) fn new() -> Self {
        let at = Instant::now();
        Self { at, timer: Box::pin(sleep_until(at)) }
    }

    /// The limit is now `after` from now.
    pub(super) fn set(&mut self, after: Duration) {
        self.at = Instant::now() + after;
        if self.timer.deadline() > self.at {
            self.timer.as_mut().reset(self.at);
        }
    }

    /// Ready once the limit is reached.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= self.at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Moves `deadline` by `after` and waits for it; how long that took, in milliseconds.
    async fn reached(deadline: &mut Deadline, after: u64) -> u128 {
        let start = Instant::now();
        deadline.set(Duration::from_millis(after));
        poll_fn(|cx| deadline.poll(cx)).await;
        start.elapsed().as_millis()
    }

    #[tokio::test]
    async fn it_is_reached_at_the_last_limit_set_and_not_before() {
        let mut deadline = Deadline::new();
        deadline.set(Duration::from_secs(3600));
        for after in [30, 5, 40] {
            let took = reached(&mut deadline, after).await;
            assert!((u128::from(after)..60_000).contains(&took), "{after} ms took {took} ms");
        }
    }

    #[tokio::test]
    async fn moving_it_on_while_it_is_waited_for_counts() {
        let start = Instant::now();
        let mut deadline = Deadline::new();
        deadline.set(Duration::from_millis(60));
        for _ in 0..4 {
            // Whether it comes to the limit of 60 ms in these 20 depends on how busy the machine is.
            let _ = tokio::time::timeout(Duration::from_millis(20), poll_fn(|cx| deadline.poll(cx))).await;
            deadline.set(Duration::from_millis(60));
        }
        poll_fn(|cx| deadline.poll(cx)).await;
        assert!(start.elapsed() >= Duration::from_millis(4 * 20 + 60));
    }
}
