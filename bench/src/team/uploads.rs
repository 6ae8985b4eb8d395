//! Many uploads at once: the most memory that the server ever held, and how fast targets come out.

use std::io::Write;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use helve_e2e::home::Home;
use helve_e2e::http::{Api, read_answer, up};
use serde_json::{Value, json};

use super::MB;
use crate::{machine, table};

/// An upload of the largest load waits for all others to be packed.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
const FILE: usize = 1 << 20;

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let (count, files) = if quick { (20, 10) } else { (200, 100) };
    let home = Home::new();
    let (up, api, _) = up(&home, &[]);
    let before = machine::memory(up.id()).context("memory is read from /proc, on Linux")?;
    machine::forget_peak(up.id()).context("the peak of the start cannot be forgotten")?;
    let together = Arc::new(Barrier::new(count));
    let began = Instant::now();
    let uploads: Vec<_> = (0..count)
        .map(|number| {
            let (api, together) = (api.clone(), Arc::clone(&together));
            thread::Builder::new().stack_size(4 * FILE).spawn(move || {
                together.wait();
                upload(&api, number, files)
            })
        })
        .collect::<Result<_, _>>()?;
    let mut refused = 0;
    for upload in uploads {
        let status = upload.join().expect("an upload does not panic")?;
        ensure!(
            status == 201 || status == 429 || status == 503,
            "an upload was answered {status}"
        );
        refused += usize::from(status != 201);
    }
    let seconds = began.elapsed().as_secs_f64();
    let peak = machine::peak_memory(up.id()).context("memory is read from /proc, on Linux")?;
    let rate = (count - refused) as f64 * files as f64 * FILE as f64 / MB / seconds;
    table::print(
        &[
            "uploads at once",
            "each MB",
            "before MB",
            "peak MB",
            "took s",
            "MB/s",
            "refused",
        ],
        &[vec![
            count.to_string(),
            format!("{:.0}", files as f64 * FILE as f64 / MB),
            format!("{:.0}", before as f64 / MB),
            format!("{:.0}", peak as f64 / MB),
            format!("{seconds:.1}"),
            format!("{rate:.0}"),
            refused.to_string(),
        ]],
    );
    Ok(json!({
        "uploads": count, "peak_mb": peak as f64 / MB, "before_mb": before as f64 / MB, "seconds": seconds,
        "mb_per_second": rate, "refused": refused,
    }))
}

/// Sends an archive of so many files that nobody sent before; returns the status.
fn upload(api: &Api, number: usize, files: usize) -> Result<u16> {
    let length = files * (512 + FILE) + 1024;
    let mut stream = api.connect();
    stream.set_read_timeout(Some(PATIENCE))?;
    let path = format!("/api/v1/targets?name=upload-{number}&format=tar");
    let head = api.head("POST", &path, &[]);
    write!(stream, "{head}Content-Length: {length}\r\n\r\n")?;
    let mut text = source(number);
    for file in 0..files {
        let mut header = tar_header(file);
        header.set_cksum();
        stream.write_all(header.as_bytes())?;
        text[..16].copy_from_slice(format!("{number:07}/{file:07}\n").as_bytes());
        stream.write_all(&text)?;
    }
    stream.write_all(&[0; 1024])?;
    Ok(read_answer(stream).status)
}

fn tar_header(file: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_path(format!("src/file_{file}.py")).expect("a short path");
    header.set_size(FILE as u64);
    header.set_mode(0o644);
    header
}

/// A megabyte that compresses about as source does: words of a small vocabulary.
fn source(seed: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut text = Vec::with_capacity(FILE + 16);
    while text.len() < FILE {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let word = state >> 52;
        text.extend_from_slice(format!("word_{word} ").as_bytes());
        if state >> 40 & 7 == 0 {
            text.push(b'\n');
        }
    }
    text.truncate(FILE);
    text
}
