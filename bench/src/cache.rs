//! How long a step waits for a target that its worker has in the cache, and for one that has to be fetched.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use helve_blobs::{BlobStore, StoreOptions};
use helve_e2e::bucket::S3Server;
use serde_json::{Value, json};

use crate::table::{self, median};

const MIB: usize = 1 << 20;
/// Sizes of packed targets: a small project, a large one, a very large one.
const SIZES: [usize; 3] = [MIB / 4, 4 * MIB, 64 * MIB];

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let Some(server) = S3Server::start() else {
        return Ok(Value::Null);
    };
    server.make_bucket("bench");
    let dir = tempfile::tempdir()?;
    let open = |cache: &str| {
        BlobStore::connect(StoreOptions {
            place: "s3://bench".parse().expect("a bucket"),
            cache: dir.path().join(cache),
            cache_limit: u64::MAX,
            variables: server.variables().map(|(name, value)| (name.to_owned(), value)).into(),
        })
    };
    let near = open("near")?;
    let (mut rows, mut figures) = (Vec::new(), BTreeMap::new());
    for size in SIZES {
        let mut bytes = vec![0; size];
        // Not compressible, as packed targets are.
        let mut state = size as u64;
        for byte in &mut bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        let id = near.put_bytes(&bytes)?.id;
        let far = open(&format!("far-{size}"))?;
        let millis = |began: Instant| began.elapsed().as_secs_f64() * 1e3;
        let began = Instant::now();
        far.reader(&id)?.verify()?;
        let fetched = millis(began);
        let (mut found, mut read) = (Vec::new(), Vec::new());
        for _ in 0..if quick { 5 } else { 50 } {
            let began = Instant::now();
            let mut reader = far.reader(&id)?;
            found.push(millis(began));
            reader.verify()?;
            read.push(millis(began));
        }
        let worst = found.iter().copied().fold(0.0, f64::max);
        let (found, read) = (median(found), median(read));
        rows.push(vec![
            format!("{:.2} MiB", size as f64 / MIB as f64),
            table::number(found),
            table::number(worst),
            table::number(read),
            table::number(fetched),
        ]);
        figures.insert(
            size.to_string(),
            json!({ "hit_ms": found, "worst_hit_ms": worst, "hit_read_and_checked_ms": read, "fetched_and_checked_ms": fetched }),
        );
    }
    println!("packed targets, on a server of this machine that is slow itself; a hit asks nobody");
    table::print(
        &[
            "target",
            "hit ms",
            "worst ms",
            "hit, all read and checked ms",
            "fetched and checked ms",
        ],
        &rows,
    );
    Ok(json!(figures))
}
