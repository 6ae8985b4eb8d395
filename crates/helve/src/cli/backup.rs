//! `helve backup` and `helve restore`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

const BACKUP_HELP: &str = "\
Works while `helve up` runs, and when it does not: what was acknowledged before is in the backup. Blobs that are there already
are not copied again, so a backup to the same directory every night is quick. docs/operations.md says more.

  helve backup /mnt/backup/helve
  helve backup verify /mnt/backup/helve
  helve restore /mnt/backup/helve --data-dir /var/lib/helve

Not in it: admin.token (made anew), unfinished uploads, tools, caches; and blobs in a bucket, which has to be kept by other means.";

/// `helve backup`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = BACKUP_HELP)]
pub(crate) struct BackupArgs {
    /// Where to: a directory of its own, made when it is not there
    #[arg(required = true, value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Snapshots that are kept there; older ones are removed
    #[arg(long, value_name = "N", default_value = "7")]
    pub(crate) keep: NonZeroUsize,
    #[command(subcommand)]
    pub(crate) verb: Option<BackupVerb>,
}

/// What else there is to do with backups.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BackupVerb {
    /// List the snapshots of a backup, with their ages
    List {
        /// The backup
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Compare every byte of a snapshot with its digest
    Verify {
        /// The backup
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Which snapshot [default: the newest]
        #[arg(long, value_name = "NAME")]
        snapshot: Option<String>,
    },
}

const RESTORE_HELP: &str = "\
The data directory must be new or empty. Every byte is compared with its digest before anything is written, and nothing is left
half done. `helve up` then goes on where the backup was made: open runs finish, tokens work. It writes a new admin.token; the
old one works too, for who still has it.";

/// `helve restore`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RESTORE_HELP)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Which snapshot [default: the newest]
    #[arg(long, value_name = "NAME")]
    pub(crate) snapshot: Option<String>,
}
