//! `helve up` under load, killed over and over: what it acknowledged is there afterwards.
//!
//! `HELVE_CRASH_ROUNDS` says how often it is killed (4), `HELVE_CRASH_SEED` when.

mod actors;
mod receiver;
mod said;

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};

use actors::{ACTORS, Dice, Shared};
use said::Said;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} takes a number, not `{text}`"))
    })
}

#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed_under_load() {
    let rounds = number("HELVE_CRASH_ROUNDS").unwrap_or(4);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let seed = number("HELVE_CRASH_SEED").unwrap_or(now.subsec_nanos().into());
    println!("HELVE_CRASH_ROUNDS={rounds} HELVE_CRASH_SEED={seed}");
    let home = Home::new();
    let shared = Shared::new();
    let said = Mutex::new(Said::default());
    let mut dice = Dice::new(seed);
    for round in 0..rounds {
        let (running, api, _) = up(&home, &shared.arguments());
        if round == 0 {
            shared.prepare(&api);
        }
        let delay = Duration::from_millis(300 + dice.below(1_500));
        std::thread::scope(|scope| {
            for (number, act) in ACTORS.iter().enumerate() {
                let dice = Dice::new(seed ^ (round << 8 | number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let (api, shared, said) = (&api, &shared, &said);
                // An actor ends with the first call that is not answered.
                scope.spawn(move || act(api, shared, said, dice));
            }
            running.kill_after(delay);
        });
    }
    let (_running, api, _) = up(&home, &shared.arguments());
    let said = said.into_inner().expect("no actor panicked");
    println!("acknowledged: {}", said.counts());
    said.is_enough(rounds);
    said.check(&api, &shared);
}

/// A target of one file with one secret.
fn upload(api: &Api, name: &str, number: usize) -> std::io::Result<helve_e2e::http::Answer> {
    let text = format!("KEY = \"{}\"  # {name}\n", helve_e2e::tree::fake_key(number));
    let path = format!("/api/v1/targets?name={name}&format=file");
    api.try_send("POST", &path, &[], text.as_bytes())
}
