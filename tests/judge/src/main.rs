//! `helve-judge FILE`: whether a log of calls shows that every promise was kept. Exit code 1: it does not.

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use helve_judge::{Broken, Log, judge};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [file] = &arguments[..] else {
        eprintln!("usage: helve-judge FILE    a log of calls, one JSON document a line");
        return ExitCode::from(64);
    };
    let log = File::open(file)
        .map_err(Broken::from)
        .and_then(|file| Log::read(BufReader::new(file)));
    match log {
        Ok(log) => {
            let verdict = judge(&log);
            print!("{verdict}");
            ExitCode::from(u8::from(!verdict.is_good()))
        }
        Err(error) => {
            eprintln!("error: {}: {error}", file.to_string_lossy());
            ExitCode::from(64)
        }
    }
}
