//! How fast a directory is packed and unpacked: `cargo run --release -p helve-blobs --example pack_rate DIR`.

use std::path::Path;
use std::time::Instant;

use helve_blobs::{BlobStore, Control, PackOptions, UnpackLimits, pack, unpack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).ok_or("usage: pack_rate DIR")?;
    let scratch = tempfile::tempdir()?;
    let store = BlobStore::open(scratch.path().join("store"))?;
    for round in 1..=3 {
        let started = Instant::now();
        let packed = pack(Path::new(&target), &PackOptions::default(), &store, &Control::none())?;
        let (took, files, bytes) = (started.elapsed(), packed.files, packed.bytes);
        println!(
            "pack {round}: {files} files, {bytes} bytes to {} in {took:?}, reused {}",
            packed.packed_bytes, packed.reused
        );

        let started = Instant::now();
        let workspace = scratch.path().join(format!("workspace-{round}"));
        unpack(
            &store,
            &packed.id,
            &workspace,
            &UnpackLimits::default(),
            &Control::none(),
        )?;
        println!("unpack {round}: {:?}", started.elapsed());
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status
            .lines()
            .filter(|line| line.starts_with("VmHWM"))
            .for_each(|line| println!("peak memory: {line}"));
    }
    Ok(())
}
