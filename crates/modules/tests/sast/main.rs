//! The sast module from the outside: its rules, the example target, and input that means harm.

mod config;
mod example;
mod hostile;
mod rules;
mod support;
