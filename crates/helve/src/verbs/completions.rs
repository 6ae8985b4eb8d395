//! `helve completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::errors::Result;
use crate::terminal::print;

pub(crate) fn completions(shell: Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "helve", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(0)
}
