//! From the command to the first `200` of `/readyz`, and the memory at rest.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use helve_e2e::home::Home;
use helve_e2e::server::free_port;
use serde_json::{Value, json};

use super::MB;
use crate::machine;
use crate::table::{self, median};

/// What the start needed is given back by then.
const AT_REST: Duration = Duration::from_secs(20);

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let home = Home::new();
    let (mut ready, mut resting) = (Vec::new(), Vec::new());
    // The first start makes the data directory; it counts as well.
    for round in 0..if quick { 2 } else { 10 } {
        let address = format!("127.0.0.1:{}", free_port());
        let began = Instant::now();
        let up = home.start(&["up", "--grpc", "127.0.0.1:0", "--http", &address]);
        while !is_ready(&address) {
            sleep(Duration::from_millis(1));
        }
        ready.push(began.elapsed().as_secs_f64() * 1e3);
        if round < 3 {
            sleep(if quick { AT_REST / 5 } else { AT_REST });
            let memory = machine::memory(up.id()).context("memory is read from /proc, on Linux")?;
            resting.push(memory as f64 / MB);
        }
        up.signal("INT");
        up.wait().expect_code(0);
    }
    let worst = ready.iter().copied().fold(0.0, f64::max);
    let (ready, resting) = (median(ready), median(resting));
    table::print(
        &["helve up", "median", "worst"],
        &[
            vec!["ready, ms".into(), format!("{ready:.0}"), format!("{worst:.0}")],
            vec!["at rest, MB".into(), format!("{resting:.0}"), String::new()],
        ],
    );
    Ok(json!({ "ready_ms": ready, "ready_worst_ms": worst, "at_rest_mb": resting }))
}

fn is_ready(address: &str) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}
