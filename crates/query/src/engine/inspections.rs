use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::gate::Inspection;

/// Statements longer than this are seldom sent twice.
const MAX_SQL: usize = 4 << 10;

/// Verdicts that are kept; with the limit above, a few megabytes at most.
const MAX_KEPT: usize = 1_024;

/// Verdicts of the gate. They depend on the text alone, so they hold for as long as the process
/// runs; that the datasets exist is checked each time.
#[derive(Debug, Default)]
pub(super) struct Inspections(Mutex<HashMap<Box<str>, Arc<Inspection>>>);

impl Inspections {
    pub(super) fn get(&self, sql: &str) -> Option<Arc<Inspection>> {
        self.0.lock().get(sql).cloned()
    }

    pub(super) fn insert(&self, sql: &str, inspection: Inspection) -> Arc<Inspection> {
        let inspection = Arc::new(inspection);
        if sql.len() <= MAX_SQL {
            let mut kept = self.0.lock();
            // All at once is as good as one by one: what is in use comes back with its next query.
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert(sql.into(), Arc::clone(&inspection));
        }
        inspection
    }
}
