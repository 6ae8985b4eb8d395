//! Time zones, by name or by their data. From the database that is built in, so that a schedule means the same on every
//! machine.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Compiled zones are some kilobytes; nothing larger is read.
const MAX_DATA: usize = 64 << 10;
/// The longest name of a zone has 32 bytes.
const MAX_NAME: usize = 128;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The zone of this name; the empty name is UTC.
pub(crate) fn by_name(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    let unknown = || format!("unknown time zone {}", shortened(name));
    if name.len() > MAX_NAME {
        return Err(unknown());
    }
    ZONES.get(name).map_err(|_| unknown())
}

/// The zone that compiled data (RFC 8536) describe.
pub(crate) fn by_data(name: &str, data: &[u8]) -> Result<TimeZone, String> {
    let bad = |reason: String| format!("timezone_data is no compiled time zone: {reason}");
    if data.len() > MAX_DATA {
        return Err(bad(format!("it has {} bytes, {MAX_DATA} are allowed", data.len())));
    }
    TimeZone::tzif(name, data).map_err(|error| bad(error.to_string()))
}

fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}
