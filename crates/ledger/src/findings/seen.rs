//! The set of findings that a run saw, packed: some bytes each, since every run keeps its set.

use helve_findings::Severity;

use crate::{
    error::Error,
    findings::{SuppressedBy, life::Sight},
};

/// A finding as a run saw it, by the numbers of finding and module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) finding: i64,
    pub(crate) module: i64,
    pub(crate) severity: Severity,
    pub(crate) suppressed: Option<SuppressedBy>,
}

impl Member {
    pub(crate) fn sight(&self, workflow: i64) -> Sight {
        Sight {
            severity: self.severity,
            suppressed: self.suppressed,
            lane: (workflow, self.module),
        }
    }
}

/// Packs a set. Sorts it by the numbers of findings.
pub(crate) fn pack(members: &mut [Member]) -> Vec<u8> {
    members.sort_by_key(|member| member.finding);
    let mut bytes = Vec::with_capacity(members.len() * 5);
    let mut last = 0;
    for member in members {
        write(&mut bytes, (member.finding - last) as u64);
        write(&mut bytes, member.module as u64);
        let suppressed = match member.suppressed {
            None => 0,
            Some(SuppressedBy::File) => 1,
            Some(SuppressedBy::Inline) => 2,
        };
        bytes.push(member.severity as u8 * 3 + suppressed);
        last = member.finding;
    }
    bytes
}

/// Unpacks a set, in the order of the numbers of findings.
pub(crate) fn unpack(mut bytes: &[u8]) -> Result<Vec<Member>, Error> {
    let damaged = || Error::corrupt("what a run saw");
    let mut members = Vec::with_capacity(bytes.len() / 4);
    let mut last = 0;
    while !bytes.is_empty() {
        let finding = last + read(&mut bytes).ok_or_else(damaged)? as i64;
        let module = read(&mut bytes).ok_or_else(damaged)? as i64;
        let (&how, rest) = bytes.split_first().ok_or_else(damaged)?;
        bytes = rest;
        last = finding;
        members.push(Member {
            finding,
            module,
            severity: *Severity::ALL.get(usize::from(how / 3)).ok_or_else(damaged)?,
            suppressed: [None, Some(SuppressedBy::File), Some(SuppressedBy::Inline)][usize::from(how % 3)],
        });
    }
    Ok(members)
}

/// Seven bits a byte, lowest first.
fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// None if it ends early or is over 42 bits, which no number here is.
fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..42).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member() -> impl Strategy<Value = Member> {
        (1..1i64 << 40, 1..5000i64, 0..5usize, 0..3usize).prop_map(|(finding, module, severity, suppressed)| Member {
            finding,
            module,
            severity: Severity::ALL[severity],
            suppressed: [None, Some(SuppressedBy::File), Some(SuppressedBy::Inline)][suppressed],
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(mut members in proptest::collection::vec(member(), 0..50)) {
            let packed = pack(&mut members);
            prop_assert_eq!(unpack(&packed).unwrap(), members);
        }

        #[test]
        fn damaged_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let _ = unpack(&bytes);
        }
    }
}
