use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};

/// What a service still waits for, and what is wrong with it although it serves. Cheap to clone;
/// all clones are one.
///
/// `/livez` answers as long as the process can answer at all; `/readyz` answers 200 only when
/// nothing is waited for, and says in both cases what is waited for and what is degraded.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<String, String>,
    degraded: BTreeMap<String, String>,
    details: Map<String, Value>,
}

impl Readiness {
    /// The service can't serve before `what`; `why` is for people. Again for the same `what`: the
    /// reason is replaced.
    pub fn waiting(&self, what: &str, why: &str) {
        self.lock().waiting.insert(what.to_owned(), why.to_owned());
    }

    /// `what` is no longer waited for.
    pub fn ready(&self, what: &str) {
        self.lock().waiting.remove(what);
    }

    /// The service serves, but not all of it.
    pub fn degraded(&self, what: &str, why: &str) {
        self.lock().degraded.insert(what.to_owned(), why.to_owned());
    }

    /// `what` is well again.
    pub fn clear_degraded(&self, what: &str) {
        self.lock().degraded.remove(what);
    }

    /// A further member of `/health`.
    pub fn detail(&self, member: &str, value: impl Into<Value>) {
        self.lock().details.insert(member.to_owned(), value.into());
    }

    /// Is nothing waited for?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// The body of `/readyz`.
    #[must_use]
    pub fn report(&self) -> Value {
        let state = self.lock();
        let list = |map: &BTreeMap<String, String>| -> Vec<Value> {
            map.iter().map(|(what, why)| json!({"what": what, "why": why})).collect()
        };
        let status = if !state.waiting.is_empty() {
            "waiting"
        } else if state.degraded.is_empty() {
            "ready"
        } else {
            "degraded"
        };
        json!({"status": status, "waiting": list(&state.waiting), "degraded": list(&state.degraded)})
    }

    /// The body of `/health`.
    #[must_use]
    pub fn health(&self, service: &str) -> Value {
        let mut body = Map::new();
        body.insert("status".to_owned(), "ok".into());
        body.insert("service".to_owned(), service.into());
        body.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        body.extend(self.lock().details.clone());
        Value::Object(body)
    }

    /// The map holds plain data, so a panic of another holder leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_outranks_degraded_outranks_ready() {
        let readiness = Readiness::default();
        assert_eq!(readiness.report()["status"], "ready");
        readiness.degraded("index a", "quarantined");
        assert_eq!(readiness.report()["status"], "degraded");
        assert!(readiness.is_ready());
        readiness.waiting("catalog", "loading");
        assert_eq!(readiness.report()["status"], "waiting");
        assert!(!readiness.is_ready());
        readiness.ready("catalog");
        readiness.clear_degraded("index a");
        assert_eq!(readiness.report(), json!({"status": "ready", "waiting": [], "degraded": []}));
    }

    #[test]
    fn details_show_in_health() {
        let readiness = Readiness::default();
        readiness.detail("mode", "ephemeral");
        assert_eq!(readiness.health("vectord")["mode"], "ephemeral");
    }
}
