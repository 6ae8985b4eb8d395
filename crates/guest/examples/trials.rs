//! Not an example: a guest for the tests of the host, that behaves as its parameter `do` says.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use helve_guest::{Failure, Finding, Input, Level, Module, Result, Severity, Task, any, signal, timer, workflow};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Parameters {
    r#do: String,
    #[serde(default)]
    count: u64,
}

fn run(input: Input<Parameters>) -> Result<Value> {
    let count = input.parameters.count;
    match input.parameters.r#do.as_str() {
        "journey" => journey(&input),
        "fan-out" => fan_out(count),
        "sleep" => helve_guest::sleep(Duration::from_secs(count)).map(|()| json!("rested")),
        "nap" => {
            std::thread::sleep(Duration::from_secs(count));
            Ok(json!("rested"))
        }
        "first" => first(),
        "signals" => signals(count),
        "tidy" => tidy(),
        "world" => Ok(world()),
        "random" => Ok(json!((0..count).map(|_| helve_guest::random()).collect::<Vec<_>>())),
        "fail" => Err(Failure::new("it does not want to")),
        "same-step" => {
            let _first = Module::new("m").start();
            let _second = Module::new("m").start();
            Ok(Value::Null)
        }
        "compute" => Ok(json!(compute(count))),
        "toil" => {
            for _ in 0..count {
                compute(2_000_000);
                helve_guest::sleep(Duration::from_secs(1))?;
            }
            Ok(json!("done"))
        }
        "loop" => loop {
            std::hint::black_box(count);
        },
        "memory" => {
            let mut all: Vec<Vec<u8>> = Vec::new();
            loop {
                all.push(vec![1; 1 << 20]);
                std::hint::black_box(&all);
            }
        }
        "panic" => panic!("the sky fell on {count} heads"),
        "stack" => Ok(json!(deeper(count))),
        "file" => Ok(json!(std::fs::read_to_string("/etc/hostname")?)),
        "stdin" => Ok(json!(std::io::read_to_string(std::io::stdin())?)),
        "exit" => {
            eprintln!("nothing more to do here");
            std::process::exit(3)
        }
        "socket" => Ok(json!(std::net::TcpStream::connect("127.0.0.1:1").is_ok())),
        "emit" => {
            for _ in 0..count {
                Finding::new("r", Severity::Low, &"x".repeat(1000), "a").emit();
            }
            Ok(Value::Null)
        }
        other => Err(Failure::new(format!("it does not know how to {other}"))),
    }
}

fn compute(count: u64) -> u64 {
    (0..count).fold(1, |sum, n| std::hint::black_box(sum.wrapping_mul(31) ^ n))
}

/// A bit of everything.
fn journey(input: &Input<Parameters>) -> Result<Value> {
    helve_guest::set_status("sets out");
    helve_guest::log(Level::Info, "sets out");
    let luck = helve_guest::random();
    let slow = Module::new("scan").step("slow").start();
    let quick = Module::new("scan").step("quick").config(json!({"luck": luck})).start();
    let first = any(&[&slow, &quick]);
    helve_guest::set_progress(1, 2);
    let found = slow.wait()?.findings + quick.wait()?.findings;
    helve_guest::sleep(Duration::from_secs(60))?;
    let word = signal::<String>("word");
    let patience = timer(Duration::from_secs(3600));
    let answered = any(&[&word, &patience]) == 0;
    let word = if answered { word.wait()? } else { "none".to_owned() };
    patience.cancel();
    let child: Task<Value> = helve_guest::start_child("other", json!({"word": word}));
    let child = child.wait()?;
    Finding::new("odd", Severity::Low, "Odd.", "a.txt").line(3).emit();
    helve_guest::set_status("arrives");
    let target = input.target.as_ref().map(|target| target.name.clone());
    let now = helve_guest::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
    Ok(
        json!({"first": first, "found": found, "word": word, "child": child, "target": target, "now": now,
        "luck": [luck, helve_guest::random()]}),
    )
}

fn fan_out(count: u64) -> Result<Value> {
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            Module::new("scan")
                .step(format!("scan[{n}]"))
                .config(json!({"n": n}))
                .start()
        })
        .collect();
    let mut found = 0;
    for task in &tasks {
        found += task.wait().map_or(0, |output| output.findings);
    }
    Ok(json!(found))
}

/// The first of two that ends wins; the other is cancelled.
fn first() -> Result<Value> {
    let a = Module::new("scan").step("a").start();
    let b = Module::new("scan").step("b").start();
    let (winner, loser) = if any(&[&a, &b]) == 0 { ("a", b) } else { ("b", a) };
    loser.cancel();
    let end = loser.wait();
    Ok(json!({"winner": winner, "loser": end.err().map(|failure| failure.is_cancelled())}))
}

fn signals(count: u64) -> Result<Value> {
    // A wait that is given up takes no signal from the next.
    drop(signal::<Value>("s"));
    let all: Result<Vec<Value>> = (0..count).map(|_| helve_guest::wait_signal("s")).collect();
    Ok(json!(all?))
}

/// Cleans up when it is cancelled.
fn tidy() -> Result<Value> {
    let end = helve_guest::sleep(Duration::from_secs(1_000_000));
    if helve_guest::is_cancelled() {
        Module::new("broom").run()?;
    }
    end.map(|()| Value::Null)
}

/// All that a program can see of the world around it.
fn world() -> Value {
    let map: HashMap<u32, u32> = (0..50).map(|n| (n, n)).collect();
    let started = Instant::now();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    json!({
        "now": now.map_or(0, |now| now.as_millis() as u64),
        "elapsed": started.elapsed().as_nanos() as u64,
        "order": map.keys().collect::<Vec<_>>(),
        "environment": std::env::vars().count(),
        "arguments": std::env::args().count(),
        "nan": (-f64::NAN).to_bits(),
    })
}

#[allow(unconditional_recursion, reason = "that is what it is for")]
fn deeper(n: u64) -> u64 {
    std::hint::black_box(deeper(std::hint::black_box(n + 1)) + 1)
}

workflow!(run);
