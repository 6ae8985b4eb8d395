//! What Helve costs a fuzzer: executions per second of a libFuzzer target in a step, against the same program alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use helve_e2e::home::Home;
use helve_e2e::tree;
use serde_json::{Value, json};

use crate::table::{self, median};

/// The promise: executions under Helve against those alone.
const PROMISED: f64 = 0.97;
const PROGRAM: &str = "bench-fuzzer";
/// Parses a little language, so that there is something to explore, and finds nothing.
const TARGET: &str = r#"
#include <stddef.h>
#include <stdint.h>
static int value(const uint8_t *s, size_t n, size_t *i, int depth) {
  if (*i >= n) return 0;
  uint8_t c = s[(*i)++];
  if (depth > 32) return 0;
  if (c == '[' || c == '{') {
    int sum = 0;
    while (*i < n && s[*i] != ']' && s[*i] != '}') sum += value(s, n, i, depth + 1);
    if (*i < n) (*i)++;
    return sum + 1;
  }
  if (c >= '0' && c <= '9') {
    int number = c - '0';
    while (*i < n && s[*i] >= '0' && s[*i] <= '9') number = (number * 10 + (s[(*i)++] - '0')) & 0xffff;
    return number;
  }
  if (c == '"') {
    uint32_t hash = 5381;
    while (*i < n && s[*i] != '"') hash = hash * 33 + s[(*i)++];
    if (*i < n) (*i)++;
    return (int)(hash & 0xff);
  }
  return 0;
}
volatile int sink;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  size_t i = 0;
  int sum = 0;
  while (i < size) sum += value(data, size, &i, 0);
  sink = sum;
  return 0;
}
"#;

pub(crate) fn measure(quick: bool) -> Result<Value> {
    // Many short rounds: the machine is not equally fast all the time.
    let (rounds, seconds) = if quick { (1, 2) } else { (15, 3) };
    let home = Home::new();
    let tools = home.path().join("tools");
    let Some(fuzzer) = compile(&home, &tools)? else {
        println!("not measured: there is no clang with libFuzzer (`apt install clang libclang-rt-dev`)");
        return Ok(Value::Null);
    };
    let toolbox = toolbox(&home, seconds);
    let (mut alone, mut under, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let seed = round + 1;
        // Whoever is first in a round is second in the next one.
        let mut pair = [0.0; 2];
        for which in [round % 2, (round + 1) % 2] {
            pair[which] = match which {
                0 => run_alone(&home, &fuzzer, seconds, seed)?,
                _ => run_under_helve(&home, &toolbox, &tools, seed)?,
            };
        }
        alone.push(pair[0]);
        under.push(pair[1]);
        ratios.push(pair[1] / pair[0]);
        eprintln!(
            "round {seed}: {:.0} alone, {:.0} under Helve: {:.3}",
            pair[0],
            pair[1],
            pair[1] / pair[0]
        );
    }
    let worst = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let (alone, under, ratio) = (median(alone), median(under), median(ratios));
    table::print(
        &["executions per second", "alone", "under Helve", "ratio", "worst"],
        &[vec![
            "libFuzzer, one process".into(),
            format!("{alone:.0}"),
            format!("{under:.0}"),
            format!("{ratio:.3}"),
            format!("{worst:.3}"),
        ]],
    );
    println!("asked: a ratio of at least {PROMISED}");
    Ok(json!({
        "rounds": rounds,
        "seconds": seconds,
        "alone_per_second": alone,
        "under_helve_per_second": under,
        "ratio": ratio,
        "worst_ratio": worst,
    }))
}

/// The fuzzer, where Helve finds it as a tool; none if there is no compiler for it.
fn compile(home: &Home, tools: &Path) -> Result<Option<PathBuf>> {
    let source = home.path().join("target.c");
    tree::write(&source, TARGET);
    let program = tools.join(PROGRAM).join("bin").join(PROGRAM);
    fs::create_dir_all(program.parent().context("a folder")?)?;
    let compiled = Command::new("clang")
        .args(["-O2", "-g", "-fsanitize=fuzzer", "-o"])
        .args([&program, &source])
        .output();
    match compiled {
        Ok(output) if output.status.success() => Ok(Some(program)),
        Ok(output) => {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            Ok(None)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("starting clang"),
    }
}

fn options(seconds: u32, seed: &str) -> [String; 4] {
    [
        format!("-max_total_time={seconds}"),
        format!("-seed={seed}"),
        "-print_final_stats=1".to_owned(),
        "-max_len=256".to_owned(),
    ]
}

fn run_alone(home: &Home, fuzzer: &Path, seconds: u32, seed: usize) -> Result<f64> {
    let output = Command::new(fuzzer)
        .args(options(seconds, &seed.to_string()))
        .current_dir(home.path())
        .output()
        .context("starting the fuzzer")?;
    ensure!(output.status.success(), "the fuzzer failed");
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.strip_prefix("Done "));
    rate(line.context("the fuzzer's last line")?)
}

fn run_under_helve(home: &Home, toolbox: &str, tools: &Path, seed: usize) -> Result<f64> {
    let target = home.path().join("app");
    tree::write(&target.join("README"), "nothing to see\n");
    let mut command = home.command(&[
        "run",
        "fuzz",
        &target.to_string_lossy(),
        "--toolbox",
        toolbox,
        "--json",
        "--quiet",
    ]);
    command.args(["--param", &format!("seed={seed}")]);
    command.env("HELVE_TOOLS_DIR", tools);
    let result = helve_e2e::process::Running::start(&mut command)
        .wait()
        .expect_code(0)
        .json();
    let message = result["findings"][0]["message"].as_str();
    rate(message.with_context(|| format!("the fuzzer's last line in {result}"))?)
}

/// From `123 runs in 10 second(s)`.
fn rate(line: &str) -> Result<f64> {
    let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [runs, seconds, ..] if *seconds > 0.0 => Ok(runs / seconds),
        _ => bail!("`{line}` says no rate"),
    }
}

/// A workflow with one step: the fuzzer, whose last line is a finding.
fn toolbox(home: &Home, seconds: u32) -> String {
    let toolbox = home.path().join("box");
    let args: Vec<String> = options(seconds, "{{ config.seed }}")
        .iter()
        .map(|arg| format!("'{arg}'"))
        .collect();
    let time = Duration::from_secs(u64::from(seconds) + 60).as_secs();
    tree::write(
        &toolbox.join("modules/fuzz/module.yaml"),
        format!(
            "name: fuzz\nversion: '1'\ndescription: d\nkind: command\ntool: {{program: {PROGRAM}}}\nargs: [{}]\n\
             config_schema: {{type: object, additionalProperties: false, properties: {{seed: {{type: integer}}}}}}\n\
             limits: {{time: {time}s}}\n\
             output: {{from: stderr, format: lines, pattern: '^Done (?P<message>\\d+ runs in \\d+ second.*)'}}\n",
            args.join(", ")
        ),
    );
    tree::write(
        &toolbox.join("workflows/fuzz/metadata.yaml"),
        "name: fuzz\nversion: '1'\ndescription: d\n\
         parameters: {type: object, additionalProperties: false, properties: {seed: {type: integer, default: 1}}}\n",
    );
    tree::write(
        &toolbox.join("workflows/fuzz/workflow.yaml"),
        "steps: [{id: fuzz, uses: fuzz, with: {seed: '{{ params.seed }}'}}]\n",
    );
    toolbox.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_libfuzzer_is_a_rate() {
        assert_eq!(rate("1000 runs in 10 second(s)").unwrap(), 100.0);
        assert!(rate("nothing").is_err());
    }
}
