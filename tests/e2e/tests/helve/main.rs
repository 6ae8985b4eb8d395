//! End-to-end tests: the helve program from outside.

mod access;
mod acme;
mod api;
mod audit;
mod backup;
mod bench;
#[cfg(target_os = "linux")]
mod cluster;
mod code;
mod crashes;
mod described;
mod durability;
mod findings;
mod flawless;
#[cfg(unix)]
mod judged;
mod languages;
mod limits;
#[cfg(unix)]
mod load;
mod lost_leaders;
mod mcp;
mod mesh;
#[cfg(unix)]
mod nodes;
mod observe;
mod oidc;
mod pages;
mod queue;
#[cfg(target_os = "linux")]
mod relayed;
mod remote;
#[cfg(target_os = "linux")]
mod roaming;
mod sandbox;
mod scanning;
mod storage;
mod tls;
mod toolbox;
mod verbs;
mod verticals;
mod webhooks;
mod workers;
mod wrong_input;
