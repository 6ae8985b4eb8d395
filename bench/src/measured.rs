//! What a load came to, and which side was the limit.

use std::time::Instant;

use serde_json::{Value, json};

use crate::machine;

/// Above this share of the cores, there is nothing left to go faster with.
const SATURATED: f64 = 0.85;

/// One load on one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Units of work done: workflows, signals, pages of a list.
    pub(crate) done: usize,
    pub(crate) seconds: f64,
    /// How long each unit took as its client saw it, in milliseconds, sorted. Empty when units are not told apart.
    pub(crate) latencies: Vec<f64>,
    /// Processor time of the server, of the driver (client and worker), and of everything else on the machine.
    pub(crate) engine_cpu: Option<f64>,
    pub(crate) driver_cpu: Option<f64>,
    pub(crate) other_cpu: Option<f64>,
    /// Bytes that the server sent to the disk.
    pub(crate) written: Option<u64>,
    /// Figures that only this load has, by name.
    pub(crate) extra: Vec<(&'static str, f64)>,
}

/// The counters at the beginning of a load.
pub(crate) struct Meter {
    server: Option<u32>,
    began: Instant,
    engine_cpu: Option<f64>,
    driver_cpu: Option<f64>,
    machine_cpu: Option<f64>,
    written: Option<u64>,
}

impl Meter {
    /// Starts to count. Without a process id nothing is known of the server's side.
    pub(crate) fn start(server: Option<u32>) -> Self {
        Self {
            server,
            engine_cpu: server.and_then(machine::cpu_seconds),
            driver_cpu: machine::cpu_seconds(std::process::id()),
            machine_cpu: machine::machine_cpu_seconds(),
            written: server.and_then(machine::written),
            began: Instant::now(),
        }
    }

    /// What happened since the start.
    pub(crate) fn stop(self, done: usize, mut latencies: Vec<f64>) -> Measured {
        let seconds = self.began.elapsed().as_secs_f64();
        let since = |now: Option<f64>, then: Option<f64>| Some((now? - then?).max(0.0));
        let engine_cpu = since(self.server.and_then(machine::cpu_seconds), self.engine_cpu);
        let driver_cpu = since(machine::cpu_seconds(std::process::id()), self.driver_cpu);
        let machine_cpu = since(machine::machine_cpu_seconds(), self.machine_cpu);
        let ours = driver_cpu.unwrap_or(0.0) + engine_cpu.unwrap_or(0.0);
        latencies.sort_by(f64::total_cmp);
        Measured {
            done,
            seconds,
            latencies,
            engine_cpu,
            driver_cpu,
            other_cpu: machine_cpu.map(|all| (all - ours).max(0.0)),
            written: self
                .server
                .and_then(machine::written)
                .zip(self.written)
                .map(|(now, then)| now.saturating_sub(then)),
            extra: Vec::new(),
        }
    }
}

impl Measured {
    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.extra.push((name, value));
        self
    }

    pub(crate) fn extra(&self, name: &str) -> Option<f64> {
        self.extra
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.done as f64 / self.seconds
    }

    /// The latency that this share of the units stayed below, by nearest rank.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied()
    }

    /// Milliseconds of the server's processor time per unit.
    pub(crate) fn engine_ms(&self) -> Option<f64> {
        Some(self.engine_cpu? * 1e3 / self.done as f64)
    }

    /// Milliseconds of the driver's processor time per unit.
    pub(crate) fn driver_ms(&self) -> Option<f64> {
        Some(self.driver_cpu? * 1e3 / self.done as f64)
    }

    /// Which side was the limit: with all cores busy whoever used them most, else the wait for the disk (or for timers).
    pub(crate) fn limit(&self) -> &'static str {
        let all = self.seconds * machine::cores() as f64;
        let [engine, driver, other] =
            [self.engine_cpu, self.driver_cpu, self.other_cpu].map(|cpu| cpu.unwrap_or(0.0) / all);
        match () {
            () if engine + driver + other < SATURATED => "waiting",
            () if other > engine && other > driver => "other programs",
            () if self.engine_cpu.is_none() => "cpu",
            () if driver > engine => "cpu, driver",
            () => "cpu, engine",
        }
    }

    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "done": self.done,
            "seconds": self.seconds,
            "per_second": self.per_second(),
            "p50_ms": self.percentile(0.5),
            "p99_ms": self.percentile(0.99),
            "max_ms": self.percentile(1.0),
            "engine_cpu_seconds": self.engine_cpu,
            "driver_cpu_seconds": self.driver_cpu,
            "other_cpu_seconds": self.other_cpu,
            "engine_cpu_ms_each": self.engine_ms(),
            "driver_cpu_ms_each": self.driver_ms(),
            "written_bytes": self.written,
            "limit": self.limit(),
        });
        for (name, figure) in &self.extra {
            value[*name] = json!(figure);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(engine: f64, driver: f64, other: f64) -> Measured {
        let all = machine::cores() as f64;
        Measured {
            done: 10,
            seconds: 1.0,
            latencies: vec![1.0, 2.0, 3.0, 4.0],
            engine_cpu: Some(engine * all),
            driver_cpu: Some(driver * all),
            other_cpu: Some(other * all),
            ..Measured::default()
        }
    }

    #[test]
    fn the_limit_is_who_used_the_cores_when_they_were_all_busy() {
        assert_eq!(measured(0.6, 0.3, 0.0).limit(), "cpu, engine");
        assert_eq!(measured(0.3, 0.6, 0.0).limit(), "cpu, driver");
        assert_eq!(measured(0.2, 0.2, 0.6).limit(), "other programs");
        assert_eq!(measured(0.2, 0.2, 0.2).limit(), "waiting");
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let measured = measured(0.1, 0.1, 0.0);
        assert_eq!(measured.percentile(0.5), Some(2.0));
        assert_eq!(measured.percentile(0.99), Some(4.0));
        assert_eq!(Measured::default().percentile(0.5), None);
    }
}
