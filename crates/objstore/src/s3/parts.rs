//! How large the parts of an upload are.

const MIB: u64 = 1 << 20;
/// S3 takes no smaller part than 5 MiB, save the last.
pub(super) const SMALLEST_PART: u64 = 8 * MIB;
/// S3 takes no more of them.
const MOST_PARTS: u64 = 10_000;
/// S3 takes no larger object: 5 TiB.
pub(super) const LARGEST_OBJECT: u64 = 5 << 40;
/// After so many parts of unannounced bodies the next ones are twice as large.
const PARTS_OF_ONE_SIZE: u64 = 1_000;

/// Bytes of part `number`, which counts from 1. With the body's size known all parts are alike.
/// Without, they grow: the first 8,000 MiB go in the smallest, and nothing larger than what was
/// sent already has to be held in memory.
pub(super) fn part_bytes(number: u64, announced: Option<u64>) -> u64 {
    match announced {
        Some(size) => size.div_ceil(MOST_PARTS).next_multiple_of(MIB).max(SMALLEST_PART),
        None => SMALLEST_PART << ((number - 1) / PARTS_OF_ONE_SIZE).min(9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST_PART: u64 = 5 << 30;

    #[test]
    fn ten_thousand_parts_hold_the_largest_object() {
        let sizes: Vec<u64> = (1..=MOST_PARTS).map(|number| part_bytes(number, None)).collect();
        assert!(sizes.iter().sum::<u64>() >= LARGEST_OBJECT);
        assert!(sizes.iter().all(|size| (SMALLEST_PART..=LARGEST_PART).contains(size)));
        for size in [0, 1, SMALLEST_PART * MOST_PARTS, SMALLEST_PART * MOST_PARTS + 1, LARGEST_OBJECT] {
            let part = part_bytes(1, Some(size));
            assert!(part * MOST_PARTS >= size && (SMALLEST_PART..=LARGEST_PART).contains(&part), "{size}: {part}");
        }
    }

    #[test]
    fn usual_objects_go_in_the_smallest_parts() {
        assert_eq!(part_bytes(1000, None), SMALLEST_PART);
        assert_eq!(part_bytes(1001, None), 2 * SMALLEST_PART);
        assert_eq!(part_bytes(1, Some(64 << 30)), SMALLEST_PART);
    }
}
