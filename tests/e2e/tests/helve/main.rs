//! End-to-end tests: the helve program from outside.

mod access;
mod api;
mod audit;
mod backup;
mod bench;
mod code;
mod crashes;
mod described;
mod durability;
mod findings;
mod flawless;
mod languages;
mod limits;
mod pages;
mod queue;
mod sandbox;
mod scanning;
mod storage;
mod toolbox;
mod verbs;
mod verticals;
mod webhooks;
mod workers;
mod wrong_input;
