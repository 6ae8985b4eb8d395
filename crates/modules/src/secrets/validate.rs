//! Checks beyond a pattern: check sums, structure, encoded content.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::entropy::shannon;
use super::spec::Validator;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// What a check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Proven: a check sum fits.
    Proven,
    /// Nothing against it.
    Plausible,
    /// Perhaps made up: a check sum does not fit.
    Doubtful,
    /// Not a secret of this kind.
    Refused,
}

/// Runs one check.
pub(crate) fn check(validator: Validator, secret: &[u8]) -> Outcome {
    let plausible = |yes: bool| if yes { Outcome::Plausible } else { Outcome::Refused };
    match validator {
        Validator::Crc32Base62 => crc32_base62(secret),
        Validator::Jwt => plausible(is_jwt(secret)),
        Validator::BasicCredentials => plausible(is_basic_credentials(secret)),
        Validator::PrivateKey => plausible(is_private_key(secret)),
        Validator::BinaryBase64 => plausible(base64(secret).is_some_and(|bytes| bytes.iter().any(|b| !b.is_ascii()))),
        Validator::LettersAndDigits => {
            plausible(secret.iter().any(u8::is_ascii_alphabetic) && secret.iter().any(u8::is_ascii_digit))
        }
        Validator::MixedCase => plausible(
            secret.iter().any(u8::is_ascii_lowercase)
                && secret.iter().any(u8::is_ascii_uppercase)
                && secret.iter().any(u8::is_ascii_digit),
        ),
    }
}

/// Decodes base64 of either alphabet, with or without padding.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let engine = if text.iter().any(|b| matches!(b, b'-' | b'_')) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    engine.decode(text).ok()
}

fn crc32_base62(token: &[u8]) -> Outcome {
    let body = token
        .iter()
        .rposition(|&byte| byte == b'_')
        .map_or(token, |mark| &token[mark + 1..]);
    let Some(split) = body.len().checked_sub(6) else {
        return Outcome::Refused;
    };
    let (content, sum) = body.split_at(split);
    if base62(crc32(content)) == sum {
        Outcome::Proven
    } else {
        Outcome::Doubtful
    }
}

fn base62(mut number: u32) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = [b'0'; 6];
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    out
}

/// CRC-32 as in zip; bit by bit, since tokens are short.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    let sum = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc))
    });
    !sum
}

fn is_jwt(token: &[u8]) -> bool {
    let header = token.split(|&byte| byte == b'.').next().unwrap_or_default();
    let Some(header) = base64(header) else { return false };
    serde_json::from_slice::<serde_json::Value>(&header).is_ok_and(|header| header.get("alg").is_some())
}

fn is_basic_credentials(secret: &[u8]) -> bool {
    let Some(bytes) = base64(secret) else { return false };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return false;
    };
    let printable = text.chars().all(|c| !c.is_control());
    printable
        && text
            .split_once(':')
            .is_some_and(|(user, password)| !user.is_empty() && password.len() > 2)
}

/// The body between the marks must hold enough key material; examples in documentation hold dots or words.
fn is_private_key(block: &[u8]) -> bool {
    let Some(header_end) = block.windows(5).skip(10).position(|window| window == b"-----") else {
        return false;
    };
    let body = &block[header_end + 15..];
    let body = body
        .windows(8)
        .position(|window| window == b"-----END")
        .map_or(body, |end| &body[..end]);
    let material: Vec<u8> = body
        .iter()
        .copied()
        .filter(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b))
        .collect();
    let foreign = body
        .iter()
        .filter(|b| **b == b'.' || **b == b'<' || **b == b'$' || **b == b'{')
        .count();
    material.len() >= 40 && foreign == 0 && shannon(&material) > 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_of_a_token_proves_or_doubts_it() {
        let body = [b'a'; 30];
        let token = [b"ghp_".as_slice(), &body, &base62(crc32(&body))].concat();
        assert_eq!(check(Validator::Crc32Base62, &token), Outcome::Proven);
        let wrong = [b"ghp_".as_slice(), &body, b"000000"].concat();
        assert_eq!(check(Validator::Crc32Base62, &wrong), Outcome::Doubtful);
    }

    #[test]
    fn crc32_is_the_common_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn basic_credentials_have_a_colon() {
        assert_eq!(
            check(Validator::BasicCredentials, b"dXNlcjpodW50ZXIy"),
            Outcome::Plausible
        );
        assert_eq!(
            check(Validator::BasicCredentials, b"aGVsbG8gd29ybGQ="),
            Outcome::Refused
        );
    }
}
