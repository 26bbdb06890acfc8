//! Moving the items of one index into another.

use lakehouse_types::vector::{AddItem, MergeResponse};

use super::collection::Collection;
use crate::{Change, Error, Result};

/// Items moved between two looks at who else wants to write: writers of either index wait for one
/// such step, not for the whole merge.
const STEP: usize = 512;

/// Copies every item of `source` whose id `dest` does not have; with `clear_source`, an item leaves
/// the source once the destination durably has it: just added, or the same already. The source's items
/// are those that it has when the merge begins, as they are when their turn comes.
pub(super) async fn merge(source: &Collection, dest: &Collection, clear_source: bool) -> Result<MergeResponse> {
    let (from, to) = (source.core.index.params(), dest.core.index.params());
    if source.core.incarnation == dest.core.incarnation && source.name() == dest.name() {
        return Err(Error::invalid("the source and the destination are the same index"));
    }
    if (from.dimension, from.distance) != (to.dimension, to.distance) {
        return Err(Error::invalid(format!(
            "`{}` has {} dimensions and {}, `{}` has {} and {}",
            source.name(),
            from.dimension,
            from.distance,
            dest.name(),
            to.dimension,
            to.distance
        )));
    }
    let mut total = MergeResponse::default();
    for ids in source.core.index.ids().chunks(STEP) {
        let step = merge_step(source, dest, ids, clear_source).await?;
        total.merged += step.merged;
        total.skipped += step.skipped;
        total.cleared += step.cleared;
        total.kept += step.kept;
    }
    Ok(total)
}

async fn merge_step(source: &Collection, dest: &Collection, ids: &[String], clear: bool) -> Result<MergeResponse> {
    // In the order of their names: two merges in opposite directions must not wait for each other.
    let _both = if source.name() < dest.name() {
        let first = source.writes.write().await;
        (first, dest.writes.write().await)
    } else {
        let first = dest.writes.write().await;
        (source.writes.write().await, first)
    };
    let items: Vec<AddItem> = ids
        .iter()
        .filter_map(|id| source.core.index.get(id))
        .map(|item| AddItem { id: item.id, vector: item.vector, metadata: item.metadata })
        .collect();
    if items.is_empty() {
        return Ok(MergeResponse::default());
    }
    let copied = if clear { items.clone() } else { Vec::new() };
    let there = dest.commit(Change::AddMissing(items)).await?;
    let mut step = MergeResponse { merged: there.added, skipped: there.kept, ..MergeResponse::default() };
    // Nobody writes to the destination until this step is over, so what it holds now it holds durably.
    let (same, other): (Vec<_>, Vec<_>) = copied.into_iter().partition(|item| dest.core.index.holds(item));
    step.kept = other.len() as u64;
    if !same.is_empty() {
        // The source may hold more than was read above: the last entry of the process before this one,
        // or a change whose caller has gone and gave its lock back. So the change itself looks again.
        let gone = source.commit(Change::DeleteSame(same)).await?;
        step.cleared = gone.deleted;
        step.kept += gone.kept;
    }
    Ok(step)
}
