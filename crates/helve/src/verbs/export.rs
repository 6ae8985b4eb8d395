//! Writing the findings of a run to files.

use std::path::Path;

use helve_findings::export::{self, About, Format};
use helve_runs::RunResult;

use crate::cli::Export;
use crate::errors::{Problem, Result};

/// Fails before a long scan and not after it.
pub(crate) fn check_destinations(sarif: Option<&Path>, exports: &[Export]) -> Result<()> {
    let exports = exports.iter().map(|export| export.path.as_path());
    sarif.into_iter().chain(exports).try_for_each(check_destination)
}

fn check_destination(path: &Path) -> Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(Problem::new(format!("{} is a directory", path.display())).help("name a file to write to"));
    }
    match parent.is_dir() {
        true => Ok(()),
        false => Err(Problem::new(format!(
            "cannot write {}: there is no directory {}",
            path.display(),
            parent.display()
        ))
        .help("make the directory first, or name another file")),
    }
}

/// Writes all files that were asked for.
pub(crate) fn write_files(result: &RunResult, sarif: Option<&Path>, exports: &[Export]) -> Result<()> {
    let exports = exports.iter().map(|export| (export.format, export.path.as_path()));
    for (format, path) in sarif.map(|path| (Format::Sarif, path)).into_iter().chain(exports) {
        let text = text(result, format)
            .map_err(|problem| problem.detail(format!("nothing was written to {}", path.display())))?;
        std::fs::write(path, text).map_err(|error| Problem::io("write", path, &error))?;
    }
    Ok(())
}

/// The findings of a run in a format. SARIF, too, is made anew: only whoever packed knows what could not be packed.
pub(crate) fn text(result: &RunResult, format: Format) -> Result<String> {
    if !result.has_report {
        return Err(
            Problem::new(format!("run {} ({}) has no report", result.run_id, result.status))
                .help("an empty file would read as \"no findings\""),
        );
    }
    let about = About {
        run_id: result.run_id.clone(),
        workflow: result.workflow.clone(),
        workflow_version: result.workflow_version.clone(),
        status: result.status.to_owned(),
        target: result.target.as_ref().map(|target| target.name.clone()),
        finished_at: result.ended.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    };
    Ok(export::write(&result.report, format, &about))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sarif_file_in_a_missing_directory_is_refused_before_the_scan() {
        let error = check_destinations(Some(Path::new("no/such/dir/out.sarif")), &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("error: cannot write no/such/dir/out.sarif: there is no directory no/such/dir"),
            "{error}"
        );
        let export = "html=no/such/dir/out.html".parse().unwrap();
        assert!(check_destinations(None, &[export]).is_err());
        assert!(check_destination(Path::new("out.sarif")).is_ok());
    }
}
