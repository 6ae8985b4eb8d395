//! Drives the helve program as a user does. The tests are in `tests/helve`; here is what they share.

pub mod browser;
pub mod bucket;
#[cfg(target_os = "linux")]
pub mod cluster_lab;
pub mod collector;
#[cfg(target_os = "linux")]
pub mod far;
pub mod home;
pub mod http;
#[cfg(target_os = "linux")]
pub mod lab;
#[cfg(target_os = "linux")]
pub mod lab_nodes;
pub mod nodes;
pub mod process;
pub mod server;
pub mod tls;
pub mod tree;

use std::path::{Path, PathBuf};

/// The helve program under test: `HELVE_BIN`, or the one that cargo built beside this test.
pub fn helve_program() -> PathBuf {
    if let Some(path) = std::env::var_os("HELVE_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let beside = test
        .ancestors()
        .skip(2)
        .map(|dir| dir.join(format!("helve{}", std::env::consts::EXE_SUFFIX)))
        .find(|path| path.is_file());
    beside.expect("no helve program: set HELVE_BIN or run `cargo build --workspace` first")
}

/// Root of the checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two levels deep")
}
