//! Who used the cores during a round. From /proc, so on Linux; elsewhere the bottleneck is not known.

use std::fs;
use std::num::NonZeroUsize;

/// Linux counts processor time in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;
/// Above this share of the cores, there is nothing left to go faster with.
const SATURATED: f64 = 0.85;
/// Above this share of the cores' time, waiting for the disk is what holds everything up.
const DISK_BOUND: f64 = 0.2;

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Cores that were busy on average; none where the system does not tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shares {
    /// This process: the engine, and the clients that wait for the jobs.
    pub(super) engine: Option<f64>,
    pub(super) workers: Option<f64>,
    /// All of the machine.
    machine: Option<f64>,
    /// Cores that had nothing to do but wait for the disk.
    disk: Option<f64>,
}

/// What holds the jobs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bottleneck {
    EngineCpu,
    WorkerCpu,
    OtherPrograms,
    Disk,
    /// Too few workers, or steps that wait.
    Workers,
    Unknown,
}

impl Bottleneck {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EngineCpu => "cpu (engine)",
            Self::WorkerCpu => "cpu (workers)",
            Self::OtherPrograms => "cpu (other programs)",
            Self::Disk => "disk",
            Self::Workers => "workers",
            Self::Unknown => "unknown",
        }
    }
}

impl Shares {
    pub(super) fn bottleneck(&self) -> Bottleneck {
        self.bottleneck_of(cores() as f64)
    }

    fn bottleneck_of(&self, cores: f64) -> Bottleneck {
        let (Some(engine), Some(workers), Some(machine)) = (self.engine, self.workers, self.machine) else {
            return Bottleneck::Unknown;
        };
        let others = (machine - engine - workers).max(0.0);
        match () {
            () if machine >= SATURATED * cores && others > engine.max(workers) => Bottleneck::OtherPrograms,
            () if machine >= SATURATED * cores && engine > workers => Bottleneck::EngineCpu,
            () if machine >= SATURATED * cores => Bottleneck::WorkerCpu,
            () if self.disk.unwrap_or(0.0) >= DISK_BOUND * cores => Bottleneck::Disk,
            () => Bottleneck::Workers,
        }
    }
}

/// The counters at the beginning of a round.
pub(super) struct Meter {
    pids: Vec<u32>,
    begin: Counters,
}

#[derive(Clone, Copy)]
struct Counters {
    engine: Option<f64>,
    workers: Option<f64>,
    machine: Option<f64>,
    disk: Option<f64>,
}

impl Meter {
    pub(super) fn start(pids: Vec<u32>) -> Self {
        let begin = Counters::read(&pids);
        Self { pids, begin }
    }

    pub(super) fn stop(self, seconds: f64) -> Shares {
        let end = Counters::read(&self.pids);
        let busy = |end: Option<f64>, begin: Option<f64>| Some((end? - begin?).max(0.0) / seconds);
        Shares {
            engine: busy(end.engine, self.begin.engine),
            workers: busy(end.workers, self.begin.workers),
            machine: busy(end.machine, self.begin.machine),
            disk: busy(end.disk, self.begin.disk),
        }
    }
}

impl Counters {
    fn read(pids: &[u32]) -> Self {
        let machine = fs::read_to_string("/proc/stat").ok();
        let machine = machine.as_deref().and_then(machine_seconds);
        Self {
            engine: process_seconds(std::process::id()),
            workers: pids.iter().map(|pid| process_seconds(*pid)).sum(),
            machine: machine.map(|(busy, _)| busy),
            disk: machine.map(|(_, disk)| disk),
        }
    }
}

fn process_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the command comes second and may hold spaces and brackets.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Seconds that all cores were busy, and that they had nothing to do but wait for the disk.
fn machine_seconds(stat: &str) -> Option<(f64, f64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user, nice, system; idle; waiting for the disk; interrupts, and what the host took away.
    let busy = ticks.iter().take(3).sum::<f64>() + ticks.iter().skip(5).take(3).sum::<f64>();
    Some((busy / TICKS_PER_SECOND, ticks.get(4)? / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(engine: f64, workers: f64, machine: f64, disk: f64) -> Bottleneck {
        let shares = Shares {
            engine: Some(engine),
            workers: Some(workers),
            machine: Some(machine),
            disk: Some(disk),
        };
        shares.bottleneck_of(2.0)
    }

    #[test]
    fn the_bottleneck_is_who_has_nothing_left() {
        assert_eq!(of(1.2, 0.7, 1.95, 0.0), Bottleneck::EngineCpu);
        assert_eq!(of(0.3, 1.6, 1.95, 0.0), Bottleneck::WorkerCpu);
        assert_eq!(of(0.3, 0.4, 1.95, 0.0), Bottleneck::OtherPrograms);
        assert_eq!(of(0.3, 0.4, 0.8, 0.7), Bottleneck::Disk);
        assert_eq!(of(0.3, 0.4, 0.8, 0.1), Bottleneck::Workers);
        assert_eq!(Shares::default().bottleneck_of(2.0), Bottleneck::Unknown);
    }

    #[test]
    fn the_first_line_of_the_machine_is_read() {
        let stat = "cpu  100 50 25 1000 40 1 2 3 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(machine_seconds(stat), Some((1.81, 0.4)));
    }
}
