//! A parser with planted flaws that a fuzzer must reach: see ../expected/fuzz-rust.json.

/// The field that the first byte counts: the count is believed.
pub fn field(data: &[u8]) -> Option<u8> {
    let (count, rest) = data.split_first()?;
    (!rest.is_empty()).then(|| rest[usize::from(*count)])
}

/// The same with a check.
pub fn checked_field(data: &[u8]) -> Option<u8> {
    let (count, rest) = data.split_first()?;
    rest.get(usize::from(*count)).copied()
}
