//! What a blob is made of, so that a piece of it can be checked alone.

use std::io::{self, Read};

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use helve_blobs::BlobId;
use serde::{Deserialize, Serialize};

/// Bytes of a piece; a power of two, so that each is a whole branch of BLAKE3's tree.
pub const PIECE: u64 = 1 << 20;
/// Pieces of the largest blob: 64 GiB. Its outline has 2 MiB.
const MAX_PIECES: u64 = 1 << 16;

/// The hashes of a blob's pieces: BLAKE3's chaining values of the subtrees, as the paper on it defines them (section 2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    size: u64,
    pieces: Vec<ChainingValue>,
}

impl Outline {
    /// Reads a whole blob.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is too large.
    pub fn of(mut blob: impl Read) -> io::Result<(Self, BlobId)> {
        let (mut size, mut pieces) = (0, Vec::new());
        let (mut buffer, mut first) = (Vec::new(), None);
        loop {
            buffer.clear();
            let read = blob.by_ref().take(PIECE).read_to_end(&mut buffer)? as u64;
            if read > 0 || pieces.is_empty() {
                first.get_or_insert_with(|| BlobId::of(&buffer));
                pieces.push(chaining_value(size, &buffer));
                size += read;
            }
            if read < PIECE {
                break;
            }
            if pieces.len() as u64 > MAX_PIECES {
                return Err(io::Error::other("blobs of more than 64 GiB are not sent"));
            }
        }
        let outline = Self { size, pieces };
        // Of a blob of one piece, the id is that piece's own.
        let id = outline.root().or(first).expect("there is one piece at least");
        Ok((outline, id))
    }

    /// Whether this is the outline of that blob. One of a single piece can only be judged with the piece.
    pub fn is_of(&self, id: &BlobId) -> bool {
        let right = self.size.div_ceil(PIECE).clamp(1, MAX_PIECES);
        self.pieces.len() as u64 == right
            && self.size <= MAX_PIECES * PIECE
            && self.root().is_none_or(|root| root == *id)
    }

    /// Bytes of the blob.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many pieces there are.
    pub fn pieces(&self) -> u64 {
        self.pieces.len() as u64
    }

    /// Bytes of a piece.
    pub fn length(&self, piece: u64) -> u64 {
        self.size.saturating_sub(piece * PIECE).min(PIECE)
    }

    /// Whether these bytes are that piece of that blob.
    pub fn matches(&self, id: &BlobId, piece: u64, bytes: &[u8]) -> bool {
        if bytes.len() as u64 != self.length(piece) {
            return false;
        }
        if self.pieces.len() == 1 {
            return BlobId::of(bytes) == *id;
        }
        let known = usize::try_from(piece).ok().and_then(|piece| self.pieces.get(piece));
        known.is_some_and(|known| *known == chaining_value(piece * PIECE, bytes))
    }

    /// The hash of the whole, when there are several pieces.
    fn root(&self) -> Option<BlobId> {
        if self.pieces.len() < 2 {
            return None;
        }
        let (left, right) = self.split(self.size, &self.pieces);
        let hash = merge_subtrees_root(&left, &right, Mode::Hash);
        hash.to_hex().parse().ok()
    }

    /// The two halves of a tree over `size` bytes.
    fn split(&self, size: u64, pieces: &[ChainingValue]) -> (ChainingValue, ChainingValue) {
        let left = left_subtree_len(size);
        let at = usize::try_from(left / PIECE).unwrap_or_default();
        // A made-up outline may have another number of pieces than bytes; it was refused before, and is wrong anyway.
        let at = at.clamp(1, pieces.len() - 1);
        (
            self.branch(left, &pieces[..at]),
            self.branch(size - left, &pieces[at..]),
        )
    }

    fn branch(&self, size: u64, pieces: &[ChainingValue]) -> ChainingValue {
        match pieces {
            [piece] => *piece,
            pieces => {
                let (left, right) = self.split(size, pieces);
                merge_subtrees_non_root(&left, &right, Mode::Hash)
            }
        }
    }
}

fn chaining_value(offset: u64, bytes: &[u8]) -> ChainingValue {
    // No tree has an empty branch; the only piece of an empty blob is judged by its id.
    if bytes.is_empty() {
        return ChainingValue::default();
    }
    let mut hasher = Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(bytes).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that differ everywhere.
    fn blob(size: u64) -> Vec<u8> {
        (0..size)
            .map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
            .collect()
    }

    #[test]
    fn the_pieces_of_a_blob_of_any_size_give_its_id() {
        for size in [
            0,
            1,
            1023,
            1024,
            PIECE - 1,
            PIECE,
            PIECE + 1,
            2 * PIECE,
            2 * PIECE + 1,
            3 * PIECE - 7,
            5 * PIECE,
            7 * PIECE + 1025,
            8 * PIECE,
        ] {
            let bytes = blob(size);
            let (outline, id) = Outline::of(&bytes[..]).unwrap();
            assert_eq!(id, BlobId::of(&bytes), "{size}");
            assert!(outline.is_of(&id), "{size}");
            assert_eq!(outline.size(), size);
            for piece in 0..outline.pieces() {
                let at = (piece * PIECE) as usize..(piece * PIECE + outline.length(piece)) as usize;
                assert!(outline.matches(&id, piece, &bytes[at]), "{size}: {piece}");
            }
        }
    }

    #[test]
    fn wrong_bytes_in_a_piece_and_pieces_at_the_wrong_place_are_found_out() {
        let bytes = blob(3 * PIECE + 5);
        let (outline, id) = Outline::of(&bytes[..]).unwrap();
        let mut piece = bytes[PIECE as usize..2 * PIECE as usize].to_vec();
        assert!(outline.matches(&id, 1, &piece));
        assert!(!outline.matches(&id, 0, &piece) && !outline.matches(&id, 2, &piece));
        assert!(!outline.matches(&id, 1, &piece[1..]) && !outline.matches(&id, 99, &piece));
        piece[77] ^= 1;
        assert!(!outline.matches(&id, 1, &piece));
        let small = blob(10);
        let (outline, id) = Outline::of(&small[..]).unwrap();
        assert!(!outline.matches(&id, 0, &[0; 10]));
    }

    #[test]
    fn an_outline_that_is_made_up_is_not_that_of_the_blob() {
        let (outline, id) = Outline::of(&blob(3 * PIECE)[..]).unwrap();
        for wrong in [
            Outline {
                size: 4 * PIECE,
                ..outline.clone()
            },
            Outline {
                size: PIECE,
                ..outline.clone()
            },
            Outline {
                size: u64::MAX,
                ..outline.clone()
            },
            Outline {
                size: 3 * PIECE,
                pieces: Vec::new(),
            },
            Outline {
                size: 3 * PIECE,
                pieces: vec![[0; 32]; 3],
            },
            Outline {
                size: 3 * PIECE - 1,
                ..outline.clone()
            },
        ] {
            let is_right = wrong.is_of(&id) && wrong.matches(&id, 2, &blob(3 * PIECE)[2 * PIECE as usize..]);
            assert!(!is_right, "{} bytes in {} pieces", wrong.size, wrong.pieces.len());
        }
    }
}
