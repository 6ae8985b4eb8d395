#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = records::checked_field(data);
    let _ = records::field(data);
});
