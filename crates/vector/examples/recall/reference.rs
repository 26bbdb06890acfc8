//! hnsw_rs, as it is: its own build and its own search.

use hnsw_rs::prelude::{DistDot, DistL2, Hnsw};
use lakehouse_types::vector::Distance;
use lakehouse_vector::Params;

use crate::data::Set;

/// Under cosine its fastest way: products of vectors of length 1.
pub(crate) enum Reference {
    Cosine(Hnsw<'static, f32, DistDot>),
    L2(Hnsw<'static, f32, DistL2>),
}

impl Reference {
    pub(crate) fn build(items: &Set, params: &Params, threads: usize, distance: Distance) -> Self {
        // It inserts with rayon's global pool.
        if let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global() {
            eprintln!("recall: hnsw_rs builds with the threads that there are: {error}");
        }
        let rows: Vec<Vec<f32>> = (0..items.len())
            .map(|n| if distance == Distance::Cosine { unit(items.row(n)) } else { items.row(n).to_vec() })
            .collect();
        let rows: Vec<(&Vec<f32>, usize)> = rows.iter().zip(0..).collect();
        match distance {
            Distance::L2 => {
                let hnsw = Hnsw::new(params.m, items.len(), 16, params.ef_construction, DistL2 {});
                hnsw.parallel_insert(&rows);
                Self::L2(hnsw)
            }
            _ => {
                let hnsw = Hnsw::new(params.m, items.len(), 16, params.ef_construction, DistDot {});
                hnsw.parallel_insert(&rows);
                Self::Cosine(hnsw)
            }
        }
    }

    pub(crate) fn search(&self, query: &[f32], k: usize, ef: usize) -> Vec<usize> {
        let found = match self {
            Self::Cosine(hnsw) => hnsw.search(&unit(query), k, ef),
            Self::L2(hnsw) => hnsw.search(query, k, ef),
        };
        found.into_iter().map(|neighbour| neighbour.d_id).collect()
    }
}

fn unit(row: &[f32]) -> Vec<f32> {
    // A little short of 1: its product distance insists on never being negative.
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt() * 1.000_001;
    row.iter().map(|x| x / length).collect()
}
