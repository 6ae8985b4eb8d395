//! Not an example: a program for the tests of modules of kind `wasm`, that tries what its first argument says.

use std::io::Write;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

/// Whether it could, as an exit code.
fn could<T, E: std::fmt::Display>(result: Result<T, E>) -> ExitCode {
    match result {
        Ok(_) => ExitCode::from(42),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::SUCCESS
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (what, with) = (
        arguments.next().unwrap_or_default(),
        arguments.next().unwrap_or_default(),
    );
    match what.as_str() {
        "read" => could(fs::read(with)),
        "write" => could(fs::write(with, "x")),
        "connect" => could(TcpStream::connect(with)),
        "environment" => {
            env::vars().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        "loop" => loop {
            std::hint::black_box(&what);
        },
        "sleep" => {
            std::thread::sleep(Duration::from_secs(3600));
            ExitCode::SUCCESS
        }
        "nap" => {
            std::thread::sleep(Duration::from_secs(with.parse().expect("seconds")));
            println!("rested");
            ExitCode::SUCCESS
        }
        "memory" => {
            let mut all: Vec<Vec<u8>> = Vec::new();
            loop {
                all.push(vec![1; 1 << 20]);
                std::hint::black_box(&all);
            }
        }
        "print" => loop {
            println!("{}", "x".repeat(1000));
        },
        "fill" => {
            let mut file = fs::File::create(with).expect("a private folder");
            loop {
                file.write_all(&[1; 1 << 16]).expect("room");
            }
        }
        "panic" => panic!("the sky fell"),
        other => {
            eprintln!("it does not know how to {other}");
            ExitCode::from(3)
        }
    }
}
