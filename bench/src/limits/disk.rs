//! How often per second this disk makes a write permanent.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Appends a page and waits for the disk, over and over.
pub(super) fn syncs_per_second(folder: &Path, time: Duration) -> Result<f64> {
    let path = folder.join("syncs");
    let mut file = std::fs::File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    let page = [7_u8; 4096];
    let began = Instant::now();
    let mut count = 0_u32;
    while began.elapsed() < time {
        file.write_all(&page)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
