//! What the sandbox costs per start of a tool: `true` bare and at each level, in turns, with the same runtime; with a
//! supervisor started for it, and with one that was kept ready.
//!
//! `cargo run --release -p helve-sandbox --example overhead [ROUNDS]`

use std::time::{Duration, Instant};

use helve_sandbox::{Level, Options, Sandbox, Spec};

/// Between two starts, so that what is kept ready is ready.
const PAUSE: Duration = Duration::from_millis(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(100), |rounds| rounds.parse())?;
    let mut sandboxes = Vec::new();
    for (level, keep_ready) in Level::ALL.into_iter().flat_map(|level| [(level, false), (level, true)]) {
        let sandbox = Sandbox::open(Options {
            at_most: Some(level),
            keep_ready,
            ..Options::default()
        })
        .await?;
        if sandbox.level() == level {
            let name = format!("{level}{}", if keep_ready { ", kept ready" } else { "" });
            sandboxes.push((name, sandbox, Vec::new()));
        } else {
            println!("{level}: not on this machine: {:?}", sandbox.support().missing);
        }
    }
    let mut bare = Vec::new();
    for _ in 0..rounds {
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        let output = tokio::process::Command::new("/usr/bin/true").output().await?;
        assert!(output.status.success());
        bare.push(began.elapsed());
        for (_, sandbox, times) in &mut sandboxes {
            tokio::time::sleep(PAUSE).await;
            let began = Instant::now();
            let output = sandbox.run(&Spec::new(["/usr/bin/true"])).await?;
            assert!(output.outcome.is_clean_exit(), "{:?}", output.outcome);
            times.push(began.elapsed());
        }
    }
    let bare = print("bare", &mut bare, Duration::ZERO);
    for (name, _, times) in &mut sandboxes {
        print(name, times, bare);
    }
    Ok(())
}

/// Prints the distribution, and what the median is above `bare`; returns the median.
fn print(name: &str, times: &mut [Duration], bare: Duration) -> Duration {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{name:>20}: median {:>6.2} ms  p90 {:>6.2} ms  max {:>6.2} ms  overhead {:>6.2} ms",
        ms(at(50)),
        ms(at(90)),
        ms(at(100)),
        ms(at(50).saturating_sub(bare))
    );
    at(50)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
