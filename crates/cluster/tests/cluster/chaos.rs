//! Everything at once, by dice, while clients write and read; then what they were told is held against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use helve_db::rusqlite::Connection;
use helve_db::{Batch, CommitError, ReadError, Store};
use tokio::sync::watch;

use crate::world::{Dice, ENGINE, World, breathe};

/// What clients were told of one register, whose every change has a number that follows on the one before.
#[derive(Default)]
struct Told {
    /// Who was told that it made this change.
    acknowledged: BTreeMap<i64, i64>,
    unknown: BTreeSet<(i64, i64)>,
    refused: BTreeSet<(i64, i64)>,
    stale: Vec<String>,
}

/// A change of the register, with a row that says whose it was.
fn change(version: i64, client: i64) -> Batch {
    let mut batch = Batch::new();
    batch.run_one(
        "UPDATE registers SET version = version + 1, value = ?1 WHERE name = 'r' AND version = ?2",
        vec![client.into(), version.into()],
    );
    batch.run(
        "INSERT INTO jobs (id, payload) VALUES (?1, ?2)",
        vec![(version + 1).into(), client.to_le_bytes().to_vec().into()],
    );
    batch
}

fn version(db: &Connection) -> Result<i64, ReadError> {
    Ok(db.query_row("SELECT version FROM registers WHERE name = 'r'", [], |row| row.get(0))?)
}

fn changes(db: &Connection) -> Result<BTreeMap<i64, i64>, ReadError> {
    let mut query = db.prepare("SELECT id, payload FROM jobs")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, i64::from_le_bytes(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads the register and changes it, again and again, on whatever store is said to be the leader's.
async fn client(
    mut stores: watch::Receiver<Option<Store>>,
    name: Arc<AtomicI64>,
    newest: Arc<AtomicI64>,
    told: Arc<Mutex<Told>>,
) {
    loop {
        let Ok(store) = stores
            .wait_for(Option::is_some)
            .await
            .map(|store| store.clone().unwrap())
        else {
            return;
        };
        let before = newest.load(Ordering::SeqCst);
        let Ok(read) = store.read(version).await else {
            breathe().await;
            continue;
        };
        if read < before {
            let text = format!("read {read} after {before} had been acknowledged");
            told.lock().unwrap().stale.push(text);
        }
        // Every try has a name of its own.
        let client = name.fetch_add(1, Ordering::SeqCst);
        let result = store.commit(change(read, client)).await;
        let mut told = told.lock().unwrap();
        match result {
            Ok(()) => {
                newest.fetch_max(read + 1, Ordering::SeqCst);
                let other = told.acknowledged.insert(read + 1, client);
                assert_eq!(other, None, "two were told that change {} was theirs", read + 1);
            }
            Err(CommitError::Unknown) => drop(told.unknown.insert((read + 1, client))),
            Err(CommitError::Conflict { .. } | CommitError::LeadershipLost | CommitError::Closed) => {
                told.refused.insert((read + 1, client));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_nodes_and_network_a_register_is_what_its_clients_were_told() {
    let mut dice = Dice::new("whatever_happens");
    let mut world = World::with(3, |options| {
        options.purge_every = 100;
        options.keep_entries = 20;
    })
    .await;
    let told = Arc::new(Mutex::new(Told::default()));
    let newest = Arc::new(AtomicI64::new(0));
    let stores = watch::Sender::new(None);
    let name = Arc::new(AtomicI64::new(1));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        clients.spawn(client(stores.subscribe(), name.clone(), newest.clone(), told.clone()));
    }
    for _ in 0..12 {
        let leader = world.leader().await;
        let Ok(store) = world.nodes[&leader].store(ENGINE) else {
            continue;
        };
        stores.send_replace(Some(store));
        let enough = newest.load(Ordering::SeqCst) + 10 + dice.below(40) as i64;
        while newest.load(Ordering::SeqCst) < enough && world.nodes[&leader].store(ENGINE).is_ok() {
            breathe().await;
        }
        let victim = if dice.below(3) == 0 { 1 + dice.below(3) } else { leader };
        let other = 1 + (victim + dice.below(2)) % 3;
        match dice.below(5) {
            0 => world.isolate(victim),
            1 => world.links.cut(victim, other),
            2 => world.links.cut(other, victim),
            3 => {
                world.kill(victim).await;
                world.start(victim).await;
            }
            _ => {
                for id in 1..=3 {
                    world.kill(id).await;
                }
                for id in 1..=3 {
                    world.start(id).await;
                }
            }
        }
        // For as long as it takes to elect somebody, or not.
        let rounds = dice.below(400);
        for _ in 0..rounds {
            breathe().await;
        }
        world.links.mend();
    }
    stores.send_replace(None);
    drop(stores);
    clients.join_all().await;
    world.settled().await;
    let there = world.nodes[&1].read_stale(ENGINE, changes).await.unwrap();
    let last = world.nodes[&1].read_stale(ENGINE, version).await.unwrap();
    let told = told.lock().unwrap();
    println!(
        "{} acknowledged, {} unknown, {} refused",
        told.acknowledged.len(),
        told.unknown.len(),
        told.refused.len()
    );
    assert_eq!(
        there.keys().copied().collect::<Vec<_>>(),
        (1..=last).collect::<Vec<_>>()
    );
    assert!(told.stale.is_empty(), "{:#?}", told.stale);
    for (version, client) in &told.acknowledged {
        assert_eq!(
            there.get(version),
            Some(client),
            "change {version} was acknowledged to {client}"
        );
    }
    for change @ (version, client) in &told.refused {
        assert_ne!(there.get(version), Some(client), "{change:?} was refused");
    }
    for (version, client) in &there {
        let known = told.acknowledged.get(version) == Some(client) || told.unknown.contains(&(*version, *client));
        assert!(known, "nobody was told of change {version} by {client}");
    }
}
