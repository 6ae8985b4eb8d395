//! End-to-end tests: the helve program from outside.

mod api;
mod bench;
mod code;
mod durability;
mod findings;
mod flawless;
mod languages;
mod limits;
mod observe;
mod pages;
mod sandbox;
mod scanning;
mod storage;
mod toolbox;
mod verbs;
mod verticals;
mod workers;
mod wrong_input;
