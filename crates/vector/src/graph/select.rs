//! Choosing links.

use super::Graph;
use crate::{pool::Candidate, probe::between, values::Values};

impl Graph {
    /// Of candidates sorted by their score to one node, the at most `width` to link it with: the
    /// nearest, and then only those that are nearer to the node than to any chosen before. Links
    /// then lead in different directions, and what is passed over stays reachable through a
    /// chosen one. Among vectors that are nearly the same the rule leaves hardly any, and what is
    /// passed over is not reachable after all: half of the width is filled up with the nearest.
    pub(crate) fn select(&self, values: &Values, candidates: &[Candidate], width: usize) -> Vec<u32> {
        let longest = self.longest();
        let mut chosen: Vec<u32> = Vec::with_capacity(width);
        for candidate in candidates {
            if chosen.len() == width {
                break;
            }
            let (slot, score) = (candidate.slot(), candidate.score());
            if !chosen.iter().any(|&other| between(values, slot, other, longest) < score) {
                chosen.push(slot);
            }
        }
        for candidate in candidates {
            if chosen.len() >= width / 2 {
                break;
            }
            if !chosen.contains(&candidate.slot()) {
                chosen.push(candidate.slot());
            }
        }
        chosen
    }
}
