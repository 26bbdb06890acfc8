use std::{fmt, time::Duration};

/// How a client talks to its service.
#[derive(Clone)]
pub struct ClientOptions {
    /// Sent as `Authorization: Bearer <token>` with every call; `None` or empty sends nothing.
    pub token: Option<String>,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for the head of an answer, and for any call whose body is in memory.
    pub timeout: Duration,
    /// The longest pause between two pieces of a streamed body, either way. A stream may go on
    /// for as long as it moves.
    pub idle_timeout: Duration,
    /// The longest wait for the answer after the last piece of a streamed upload: the store
    /// syncs, or completes a multipart upload, in this time.
    pub commit_timeout: Duration,
    /// How often a call that is safe to repeat is tried again.
    pub retries: u32,
    /// No new attempt begins later than this after the first one.
    pub retry_window: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            token: None,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            commit_timeout: Duration::from_secs(120),
            // With the pauses of `retry`, four repeats last about as long as a service takes to
            // come back after a crash.
            retries: 4,
            retry_window: Duration::from_secs(10),
        }
    }
}

impl ClientOptions {
    /// The defaults, with a token; an empty one means that there is none.
    #[must_use]
    pub fn with_token(token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..Self::default() }
    }
}

/// The token is left out: options end up in logs.
impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("commit_timeout", &self.commit_timeout)
            .field("retries", &self.retries)
            .field("retry_window", &self.retry_window)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_shown() {
        let shown = format!("{:?}", ClientOptions::with_token("s3cret"));
        assert!(shown.contains("***") && !shown.contains("s3cret"), "{shown}");
    }
}
