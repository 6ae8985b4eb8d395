//! The toolbox that is shipped in the binary.

/// Path (with forward slashes) and text of each file.
pub(crate) const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
