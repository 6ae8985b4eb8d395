//! The table of traps in the README is true.

use std::{fs, path::Path};

/// Every trap has tests in the table, and every test that it names is there.
#[test]
fn the_readme_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let mut tests = String::new();
    let paths = fs::read_dir(root.join("tests/promises")).unwrap();
    for path in paths.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        tests += &fs::read_to_string(path).unwrap();
    }
    for trap in 1..=17 {
        let row = readme.lines().find(|line| line.starts_with(&format!("| {trap} | `")));
        let row = row.unwrap_or_else(|| panic!("trap {trap} has no row"));
        for name in row.split('`').skip(1).step_by(2) {
            let is_there = tests.contains(&format!("#[test]\nfn {name}()"));
            assert!(is_there, "trap {trap} names the test {name}, which does not exist");
        }
    }
}
