//! Tokens as a server of a lab gives them out: JWTs signed by an Ed25519 key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{KeyPair, PKCS_ED25519, SigningKey};
use serde_json::{Value, json};

/// Who gives out tokens.
pub(crate) struct Issuer(KeyPair);

impl Issuer {
    /// One with a new key.
    pub(crate) fn new() -> Self {
        Self(KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    /// The key by which a server knows these tokens, as PEM.
    pub(crate) fn key(&self) -> String {
        self.0.public_key_pem()
    }

    /// A token that may all, for an hour.
    pub(crate) fn full(&self) -> String {
        self.token(&json!({"a": "rw", "exp": from_now(3600)}))
    }

    /// One that may only read.
    pub(crate) fn read_only(&self) -> String {
        self.token(&json!({"a": "ro", "exp": from_now(3600)}))
    }

    /// One whose time is over, by more than servers forgive.
    pub(crate) fn expired(&self) -> String {
        self.token(&json!({"a": "rw", "exp": from_now(-3600)}))
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let head = base64url(br#"{"alg":"EdDSA","typ":"JWT"}"#);
        let signed = format!("{head}.{}", base64url(claims.to_string().as_bytes()));
        let signature = self.0.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(&signature))
    }
}

/// A time, in seconds of the Unix clock.
fn from_now(seconds: i64) -> i64 {
    let now: Duration = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |group: &[u8]| {
        let mut three = [0; 3];
        three[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        let digit = |place| char::from(DIGITS[(bits >> (18 - 6 * place)) as usize % 64]);
        (0..=group.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}
