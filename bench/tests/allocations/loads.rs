//! The units of work whose allocations are counted.

use std::path::Path;

use helve_engine::{Engine, EngineOptions};

use crate::Figures;
use crate::counter::{Counted, counted};
use crate::driver::{Driver, complete, schedule};

const ACTIVITIES: usize = 3;
/// Units before those that count: the first ones fill tables, caches and prepared statements.
const WARM: usize = 20;
const UNITS: usize = 150;

/// Each on an engine of its own.
pub(crate) async fn all() -> Figures {
    let mut figures = Figures::new();
    let mut note = |load: &str, counted: Counted| {
        figures.insert(load.to_owned(), counted);
    };
    note("workflow of three activities", on_an_engine(three_activities).await);
    note("start", on_an_engine(starts).await);
    note("signal with its workflow task", on_an_engine(signals).await);
    note("page of history with 100 events", on_an_engine(histories).await);
    note("page of a list with 100 executions", on_an_engine(lists).await);
    note("open execution at a restart", restart().await);
    figures
}

async fn open(folder: &Path) -> Engine {
    Engine::open(EngineOptions::new(folder)).await.unwrap()
}

async fn on_an_engine(load: impl AsyncFnOnce(&Driver) -> Counted) -> Counted {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path()).await;
    let counted = load(&Driver(engine.in_process())).await;
    engine.shutdown().await;
    counted
}

async fn workflow(driver: &Driver, workflow_id: String, activities: usize) {
    driver.start(workflow_id).await;
    for number in 0..activities {
        driver.workflow_task(vec![schedule(number)]).await;
        driver.activity_task().await;
    }
    driver.workflow_task(vec![complete()]).await;
}

async fn three_activities(driver: &Driver) -> Counted {
    for number in 0..WARM {
        workflow(driver, format!("warm-{number}"), ACTIVITIES).await;
    }
    counted(UNITS, async {
        for number in 0..UNITS {
            workflow(driver, format!("run-{number}"), ACTIVITIES).await;
        }
    })
    .await
}

async fn starts(driver: &Driver) -> Counted {
    for number in 0..WARM {
        driver.start(format!("warm-{number}")).await;
    }
    counted(UNITS, async {
        for number in 0..UNITS {
            driver.start(format!("run-{number}")).await;
        }
    })
    .await
}

/// Ten workflows: what a signal costs must not depend on how long the history is.
async fn signals(driver: &Driver) -> Counted {
    let signal = async |workflow: usize, number: usize| {
        driver.signal(&format!("listener-{workflow}"), number).await;
        driver.workflow_task(Vec::new()).await;
    };
    for workflow in 0..10 {
        driver.start(format!("listener-{workflow}")).await;
        driver.workflow_task(Vec::new()).await;
        signal(workflow, 0).await;
    }
    counted(UNITS, async {
        for number in 0..UNITS {
            signal(number % 10, number + 1).await;
        }
    })
    .await
}

async fn histories(driver: &Driver) -> Counted {
    // 23 events for three activities, 6 for each one more.
    workflow(driver, "long".to_owned(), 16).await;
    assert!(driver.history("long").await >= 100);
    counted(UNITS, async {
        for _ in 0..UNITS {
            driver.history("long").await;
        }
    })
    .await
}

async fn lists(driver: &Driver) -> Counted {
    for number in 0..100 {
        workflow(driver, format!("closed-{number}"), 0).await;
    }
    assert_eq!(driver.list().await, 100);
    counted(UNITS, async {
        for _ in 0..UNITS {
            driver.list().await;
        }
    })
    .await
}

/// What the recovery of an open execution costs, opening the engine included.
async fn restart() -> Counted {
    const OPEN: usize = 500;
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path()).await;
    let driver = Driver(engine.in_process());
    for number in 0..OPEN {
        driver.start(format!("open-{number}")).await;
        driver.workflow_task(vec![schedule(0)]).await;
    }
    engine.shutdown().await;
    drop((driver, engine));
    let mut engine = None;
    let counted = counted(OPEN, async { engine = Some(open(folder.path()).await) }).await;
    let engine = engine.unwrap();
    assert_eq!(engine.recovered(), OPEN);
    engine.shutdown().await;
    counted
}
