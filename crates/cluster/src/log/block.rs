//! The form of a segment file, and what is left of one after a crash. Pure.
//!
//! A segment is a sequence of blocks, then zeros. One append is one block under one checksum, so a block is there or it is
//! not: a crash can only leave a part of the last one.

/// Marks the beginning of a block.
const MAGIC: u32 = 0x3162_6c48;
/// Magic, length of the body, first index, number of records, checksum.
pub(crate) const HEADER: usize = 4 + 4 + 8 + 4 + 4;
/// Each record says how long it is.
const LENGTH: usize = 4;

/// Records from `first` on, in one block. None at all say that what was there from `first` on is gone.
pub(crate) fn encode(first: u64, records: &[Vec<u8>]) -> Vec<u8> {
    let body: usize = records.iter().map(|record| LENGTH + record.len()).sum();
    let mut block = Vec::with_capacity(HEADER + body);
    block.extend_from_slice(&MAGIC.to_le_bytes());
    block.extend_from_slice(&(body as u32).to_le_bytes());
    block.extend_from_slice(&first.to_le_bytes());
    block.extend_from_slice(&(records.len() as u32).to_le_bytes());
    block.extend_from_slice(&[0; 4]);
    for record in records {
        block.extend_from_slice(&(record.len() as u32).to_le_bytes());
        block.extend_from_slice(record);
    }
    let checksum = checksum(&block);
    block[HEADER - 4..HEADER].copy_from_slice(&checksum.to_le_bytes());
    block
}

/// Where in a block that [`encode`] makes the records are.
pub(crate) fn places(records: &[Vec<u8>]) -> impl Iterator<Item = (usize, usize)> {
    records.iter().scan(HEADER, |at, record| {
        let place = (*at + LENGTH, record.len());
        *at = place.0 + place.1;
        Some(place)
    })
}

/// A block in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The index of its first record, or from where on everything is gone.
    pub(crate) first: u64,
    /// Offset in the segment and length of each record.
    pub(crate) records: Vec<(usize, usize)>,
}

/// What is in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) blocks: Vec<Found>,
    /// Where the last whole block ends.
    pub(crate) end: usize,
    /// Something follows that is not a whole block: an append that a crash cut off.
    pub(crate) torn: bool,
}

/// A block in the middle cannot be read, which no crash does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) offset: usize,
}

/// Reads a segment.
pub(crate) fn scan(segment: &[u8]) -> Result<Scan, Broken> {
    let mut blocks = Vec::new();
    let mut end = 0;
    while let Some((found, length)) = block_at(segment, end) {
        blocks.push(found);
        end += length;
    }
    let rest = &segment[end..];
    let torn = rest.iter().any(|byte| *byte != 0);
    if torn && (1..rest.len()).any(|at| block_at(segment, end + at).is_some()) {
        return Err(Broken { offset: end });
    }
    Ok(Scan { blocks, end, torn })
}

/// The block that begins there, and how long it is.
fn block_at(segment: &[u8], offset: usize) -> Option<(Found, usize)> {
    let header = segment.get(offset..offset + HEADER)?;
    let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    if number(0) != MAGIC {
        return None;
    }
    let length = HEADER.checked_add(number(4) as usize)?;
    let block = segment.get(offset..offset.checked_add(length)?)?;
    if checksum(block) != number(HEADER - 4) {
        return None;
    }
    let mut records = Vec::new();
    let mut at = HEADER;
    for _ in 0..number(16) {
        let record = u32::from_le_bytes(block.get(at..at + LENGTH)?.try_into().ok()?) as usize;
        block.get(at + LENGTH..at + LENGTH + record)?;
        records.push((offset + at + LENGTH, record));
        at += LENGTH + record;
    }
    let first = u64::from_le_bytes(header[8..16].try_into().expect("eight bytes"));
    (at == length).then_some((Found { first, records }, length))
}

/// Of everything but the checksum itself.
fn checksum(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..HEADER - 4]);
    hasher.update(&block[HEADER..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn appends() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        let record = prop::collection::vec(any::<u8>(), 0..30);
        prop::collection::vec(prop::collection::vec(record, 0..4), 1..6)
    }

    /// The blocks of some appends, one after the other.
    fn write(appends: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
        let mut first = 1;
        appends
            .iter()
            .map(|records| {
                let block = encode(first, records);
                first += records.len() as u64;
                block
            })
            .collect()
    }

    proptest! {
        #[test]
        fn what_was_appended_is_found(appends in appends(), zeros in 0..100usize) {
            let mut segment = write(&appends).concat();
            let end = segment.len();
            segment.extend(vec![0; zeros]);
            let scan = scan(&segment).unwrap();
            prop_assert_eq!(scan.end, end);
            prop_assert!(!scan.torn);
            let read: Vec<Vec<Vec<u8>>> = scan
                .blocks
                .iter()
                .map(|block| block.records.iter().map(|(at, length)| segment[*at..at + length].to_vec()).collect())
                .collect();
            prop_assert_eq!(read, appends);
        }

        #[test]
        fn a_last_append_that_was_cut_off_is_dropped_whole(appends in appends(), cut in any::<prop::sample::Index>()) {
            let blocks = write(&appends);
            let whole = blocks[..blocks.len() - 1].concat();
            let kept = cut.index(blocks[blocks.len() - 1].len());
            let mut segment = whole.clone();
            segment.extend(&blocks[blocks.len() - 1][..kept]);
            segment.extend([0; 64]);
            // Zeros at the end of the block may be the very ones that were lost.
            if segment[..whole.len() + blocks[blocks.len() - 1].len().min(segment.len() - whole.len())]
                != blocks.concat()[..]
            {
                let scan = scan(&segment).unwrap();
                prop_assert_eq!(scan.end, whole.len());
                prop_assert_eq!(scan.torn, kept > 0);
            }
        }

        #[test]
        fn a_flipped_bit_before_the_last_append_is_corruption(
            appends in appends(), at in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let blocks = write(&appends);
            prop_assume!(blocks.len() > 1);
            let mut segment = blocks.concat();
            let early = segment.len() - blocks[blocks.len() - 1].len();
            segment[at.index(early)] ^= 1 << bit;
            prop_assert!(scan(&segment).is_err());
        }

        #[test]
        fn no_bytes_make_scanning_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = scan(&bytes);
        }
    }
}
