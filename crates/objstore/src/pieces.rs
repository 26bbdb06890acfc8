use bytes::{Bytes, BytesMut};

/// A smaller piece is copied beside its neighbours: on its own it would cost more in bookkeeping
/// than it holds, and keep the whole buffer it was cut from.
const SMALL: usize = 4 << 10;

/// Pieces of a body, gathered until there are enough to write.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    whole: Vec<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Pieces {
    /// In bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if piece.len() < SMALL {
            self.tail.extend_from_slice(&piece);
            return;
        }
        if !self.tail.is_empty() {
            self.whole.push(self.tail.split().freeze());
        }
        self.whole.push(piece);
    }

    /// In the order they came.
    pub(crate) fn into_vec(mut self) -> Vec<Bytes> {
        if !self.tail.is_empty() {
            self.whole.push(self.tail.freeze());
        }
        self.whole
    }

    /// All of it in one; copies unless it is one already.
    pub(crate) fn into_bytes(self) -> Bytes {
        let len = self.len;
        let mut pieces = self.into_vec();
        if pieces.len() == 1 {
            return pieces.pop().unwrap_or_default();
        }
        let mut all = BytesMut::with_capacity(len);
        pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_lost_or_moved(sizes in prop::collection::vec(0_usize..3 * SMALL, 0..20)) {
            let (mut pieces, mut plain) = (Pieces::default(), Vec::new());
            for (i, size) in sizes.iter().enumerate() {
                let piece = vec![i as u8; *size];
                plain.extend_from_slice(&piece);
                pieces.push(piece.into());
            }
            prop_assert_eq!(pieces.len(), plain.len());
            prop_assert_eq!(pieces.into_bytes(), plain);
        }
    }

    #[test]
    fn a_crowd_of_tiny_pieces_becomes_one() {
        let mut pieces = Pieces::default();
        (0..SMALL).for_each(|_| pieces.push(Bytes::from_static(b"x")));
        assert_eq!(pieces.into_vec().len(), 1);
    }
}
