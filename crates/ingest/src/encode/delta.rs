//! DELTA_BINARY_PACKED: blocks of 128 differences, each less the block's smallest one, in four
//! miniblocks of as many bits as their largest needs.

use super::bits::{pack_u64, push_varint, push_zigzag, width_of};

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// Appends `values`. For a 32-bit column they must be so close that each difference fits 32 bits,
/// as dates and lengths are.
pub(super) fn encode(values: &[i64], out: &mut Vec<u8>) {
    push_varint(BLOCK as u64, out);
    push_varint(MINIBLOCKS as u64, out);
    push_varint(values.len() as u64, out);
    push_zigzag(values.first().copied().unwrap_or(0), out);
    let mut deltas = [0_i64; BLOCK];
    let mut rest = values;
    while rest.len() > 1 {
        let count = (rest.len() - 1).min(BLOCK);
        for (delta, pair) in deltas.iter_mut().zip(rest.windows(2)) {
            // Differences wrap around, and so do the sums of whoever reads them.
            *delta = pair[1].wrapping_sub(pair[0]);
        }
        push_block(&deltas[..count], out);
        rest = &rest[count..];
    }
}

fn push_block(deltas: &[i64], out: &mut Vec<u8>) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    push_zigzag(least, out);
    let widths_at = out.len();
    out.extend_from_slice(&[0; MINIBLOCKS]);
    let mut lifted = [0_u64; MINIBLOCK];
    for (i, miniblock) in deltas.chunks(MINIBLOCK).enumerate() {
        // A miniblock that is not full is padded with zeros; one that is empty has no bytes at all.
        lifted.fill(0);
        for (lifted, delta) in lifted.iter_mut().zip(miniblock) {
            *lifted = delta.wrapping_sub(least).cast_unsigned();
        }
        let width = width_of(lifted.iter().fold(0, |all, value| all | value));
        out[widths_at + i] = width;
        pack_u64(&lifted, width, out);
    }
}
