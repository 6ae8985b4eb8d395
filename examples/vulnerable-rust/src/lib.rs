//! A small library with planted flaws: see ../expected/vulnerable-rust.json.
#![allow(clippy::all, clippy::restriction, clippy::pedantic)]

pub fn first(numbers: *const u32) -> u32 {
    unsafe { *numbers }
}

pub fn as_words(bytes: &[u8]) -> *const u32 {
    bytes.as_ptr().cast::<u32>()
}

#[allow(invalid_value)]
pub fn buffer() -> [String; 2] {
    // SAFETY: there is none.
    unsafe { std::mem::MaybeUninit::uninit().assume_init() }
}

pub fn keep(value: Vec<u8>) {
    std::mem::forget(value);
}

/// Nothing is wrong from here on.
///
/// # Safety
///
/// `numbers` points to a number.
pub unsafe fn second(numbers: *const u32) -> u32 {
    // SAFETY: the caller promised it.
    unsafe { *numbers }
}

pub fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|chunk| u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]))
        .collect()
}
