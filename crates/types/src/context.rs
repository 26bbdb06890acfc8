//! What is known of the request that the current task works for.
//!
//! It travels as a task-local, so that a call three crates down can pass the caller's request id
//! and trace on without every function in between naming it. Work that serves many requests at
//! once (a group commit, a sweep) runs without one.

use std::{future::Future, sync::Arc};

tokio::task_local! {
    static CURRENT: Arc<RequestContext>;
}

/// The identifiers of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// `x-request-id`: the caller's if it is sane, else made here.
    pub request_id: String,
    /// W3C `traceparent`, with this service's own span as the parent id, for calls further down.
    pub traceparent: Option<String>,
}

/// The context of the request that this task works for, if there is one.
#[must_use]
pub fn current() -> Option<Arc<RequestContext>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// `work`, to be run as a task of its own, with the context of the task that calls this.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let context = current();
    async move {
        match context {
            Some(context) => scope(context, work).await,
            None => work.await,
        }
    }
}

/// Runs `work` with `context` as the current one.
pub async fn scope<F: Future>(context: Arc<RequestContext>, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_context_is_seen_inside_its_scope_only() {
        let context = Arc::new(RequestContext { request_id: "r1".into(), traceparent: None });
        assert_eq!(current(), None);
        let inside = scope(Arc::clone(&context), async { current() }).await;
        assert_eq!(inside.as_ref(), Some(&context));
        assert_eq!(current(), None);
        let carried_on = scope(context, async { tokio::spawn(carried(async { current() })).await }).await;
        assert_eq!(carried_on.unwrap(), inside);
        assert_eq!(tokio::spawn(carried(async { current() })).await.unwrap(), None);
    }
}
