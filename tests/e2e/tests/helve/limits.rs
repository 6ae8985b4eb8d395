//! Memory stays bounded; the disk may be full.

mod attacks;
mod doors;
mod quotas;

use std::fs;
use std::process::Command;

use helve_e2e::home::Home;
use helve_e2e::process::Running;
use helve_e2e::{helve_program, tree};

const MEBI: u64 = 1 << 20;

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_under_300_mebibytes_on_a_big_tree() {
    let home = Home::new();
    let target = home.path().join("tree");
    tree::grow(&target, 6_000, 4_000);
    // A few big files among the many small ones, and what is no source at all.
    for number in 0..4 {
        let line = format!("const value_{number} = compute(\"some text\", [1, 2, 3]);\n");
        tree::write(&target.join(format!("big_{number}.js")), line.repeat(120_000));
        tree::write(&target.join(format!("data_{number}.bin")), vec![number; 20 << 20]);
    }
    let done = home
        .run(&["run", "assessment", &target.to_string_lossy(), "--json"])
        .expect_code(0);
    assert!(
        done.json()["summary"]["total"].as_u64().unwrap() >= 1_200,
        "the flaws are found"
    );
    let peak = done.peak_memory;
    assert!(peak > 0 && peak < 300 * MEBI, "peak memory {} MiB", peak / MEBI);
}

/// Helve on a file system of its own with room for `size` bytes, inside a private mount namespace. The script sees the
/// place as `$D`. None where the system does not let us mount.
fn on_a_small_disk(home: &Home, size: u64, script: &str) -> Option<Running> {
    let root_already = fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    let namespace: &[&str] = if root_already {
        &["--mount"]
    } else {
        &["--user", "--map-root-user", "--mount"]
    };
    let disk = home.path().join("disk");
    fs::create_dir_all(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size={size} tmpfs \"$D\"");
    let command = |script: String| {
        let mut command = Command::new("unshare");
        command
            .args(namespace)
            .args(["sh", "-c", &script])
            .env("D", &disk)
            .env("HELVE", helve_program())
            .env("HELVE_DATA_DIR", disk.join("data"))
            .env("TARGET", home.path().join("tree"))
            .env("NO_COLOR", "1");
        command
    };
    let allowed = command(mount.clone())
        .output()
        .is_ok_and(|output| output.status.success());
    if !allowed {
        eprintln!("not checked: this system does not let us mount a small file system");
        return None;
    }
    Some(Running::start(&mut command(format!("{mount} || exit 99\n{script}"))))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_clear_error_and_loses_nothing() {
    let home = Home::new();
    tree::grow(&home.path().join("tree"), 40, 2_000);
    // Fill the disk to the last byte, try, make room, and see that all that was promised is there.
    let script = r#"
        "$HELVE" run assessment "$TARGET" --json --quiet > "$D/../first.json" || exit 10
        cat /dev/zero > "$D/filler" 2>/dev/null
        "$HELVE" run assessment "$TARGET" --json --quiet > "$D/../second.json" 2> "$D/../second.err"
        echo $? > "$D/../second.code"
        rm "$D/filler"
        "$HELVE" runs list --json > "$D/../listed.json" || exit 11
        "$HELVE" run assessment "$TARGET" --json --quiet > "$D/../third.json" || exit 12
    "#;
    let Some(running) = on_a_small_disk(&home, 24 * MEBI, script) else {
        return;
    };
    running.wait().expect_code(0);
    let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
    let json = |name: &str| -> serde_json::Value { serde_json::from_str(&read(name)).unwrap() };
    assert_eq!(read("second.code").trim(), "1", "{}", read("second.err"));
    let error = read("second.err");
    assert_eq!(
        error.matches("{\"error\":").count(),
        1,
        "one error, said once:\n{error}"
    );
    assert!(error.contains("space"), "it says that there is no space:\n{error}");
    assert!(
        error.contains("free some space") || error.contains("has space"),
        "it says what to do:\n{error}"
    );
    assert!(
        json("listed.json")
            .to_string()
            .contains(json("first.json")["run_id"].as_str().unwrap())
    );
    assert_eq!(json("first.json")["findings"], json("third.json")["findings"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_during_a_run_loses_nothing_and_the_scan_succeeds_when_there_is_room() {
    let home = Home::new();
    tree::grow(&home.path().join("tree"), 40, 2_000);
    // Leave a little more room each time, so that it runs out at different moments.
    let script = r#"
        for room in 64 256 768 2048; do
            rm -rf "$D/data"
            dd if=/dev/zero of="$D/room" bs=1024 count=$room 2>/dev/null
            cat /dev/zero > "$D/filler" 2>/dev/null
            rm "$D/room"
            # A run that still waits for room is killed: that must lose nothing, either.
            timeout -s KILL 30 "$HELVE" run assessment "$TARGET" --json --quiet > /dev/null 2> "$D/../error"
            code=$?
            if [ $code -eq 1 ] && [ "$(grep -c '^{"error":' "$D/../error")" -ne 1 ]; then
                echo "with $room KiB, code $code:" >&2; cat "$D/../error" >&2; exit 20
            fi
            rm "$D/filler"
            run=$("$HELVE" runs list --json | sed -n 's/.*"run_id": *"\([^"]*\)".*/\1/p' | head -1)
            # An open run goes on. One that ended because a step had no room for its result has failed for good.
            if [ -z "$run" ] || ! "$HELVE" run --resume "$run" --json --quiet > "$D/../$room.json" 2> /dev/null; then
                "$HELVE" run assessment "$TARGET" --json --quiet > "$D/../$room.json" || exit 21
            fi
        done
    "#;
    let Some(running) = on_a_small_disk(&home, 32 * MEBI, script) else {
        return;
    };
    running.wait().expect_code(0);
    let findings = |room: u32| {
        let text = fs::read_to_string(home.path().join(format!("{room}.json"))).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["findings"].clone()
    };
    for room in [64, 256, 768] {
        assert_eq!(findings(room), findings(2048), "{room} KiB");
    }
}
