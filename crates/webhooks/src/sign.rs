//! The signature, as the specification at standardwebhooks.com has it: receivers check it with libraries that they have.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

/// What a secret begins with when the rest of it is the key, in base64.
const PREFIX: &str = "whsec_";

/// The value of `webhook-signature` for a body: `v1,` and the HMAC-SHA256 of `ID.SECONDS.BODY`, in base64.
///
/// A secret that does not begin with `whsec_` is the key itself.
pub fn sign(secret: &str, id: &str, seconds: i64, body: &str) -> String {
    let decoded = secret
        .strip_prefix(PREFIX)
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or(secret.as_bytes()));
    let mut context = hmac::Context::with_key(&key);
    for part in [id, ".", &seconds.to_string(), ".", body] {
        context.update(part.as_bytes());
    }
    format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_comes_out() {
        let signature = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_without_the_prefix_is_the_key_itself() {
        let whole = sign("0123456789abcdef", "a", 1, "b");
        let encoded = format!("{PREFIX}{}", BASE64_STANDARD.encode("0123456789abcdef"));
        assert_eq!(sign(&encoded, "a", 1, "b"), whole);
        assert_ne!(sign("0123456789abcdeX", "a", 1, "b"), whole);
    }
}
