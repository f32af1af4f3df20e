//! Values, and how they are in JSON.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// A value of SQLite.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// No value.
    Null,
    /// An integer.
    Integer(i64),
    /// A real number, finite when it is sent: the protocol cannot carry others.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Base64 as the protocol wants it: without padding, and read with or without it.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            Self::Null => map.serialize_entry("type", "null")?,
            Self::Integer(value) => {
                map.serialize_entry("type", "integer")?;
                map.serialize_entry("value", &value.to_string())?;
            }
            Self::Real(value) if !value.is_finite() => {
                return Err(S::Error::custom(
                    "a number that is not finite cannot be sent",
                ));
            }
            Self::Real(value) => {
                map.serialize_entry("type", "float")?;
                map.serialize_entry("value", value)?;
            }
            Self::Text(value) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("value", value)?;
            }
            Self::Blob(value) => {
                map.serialize_entry("type", "blob")?;
                map.serialize_entry("base64", &BASE64.encode(value))?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let typed = Typed::deserialize(deserializer)?;
        let invalid = || de::Error::custom(format_args!("invalid value of type '{}'", typed.kind));
        match (&*typed.kind, typed.value, typed.base64) {
            ("integer", Some(Scalar::Text(text)), _) => {
                text.parse().map(Self::Integer).map_err(|_| invalid())
            }
            ("integer", Some(Scalar::Integer(value)), _) => Ok(Self::Integer(value)),
            // A number that JSON cannot carry comes as null.
            ("null", ..) | ("float", None, _) => Ok(Self::Null),
            ("float", Some(Scalar::Real(value)), _) => Ok(Self::Real(value)),
            #[allow(
                clippy::cast_precision_loss,
                reason = "it is a real number without a fraction"
            )]
            ("float", Some(Scalar::Integer(value)), _) => Ok(Self::Real(value as f64)),
            ("text", Some(Scalar::Text(text)), _) => Ok(Self::Text(text.into_owned())),
            ("blob", _, Some(text)) => {
                let bytes = BASE64.decode(text.as_bytes());
                bytes.map(Self::Blob).map_err(|_| invalid())
            }
            _ => Err(invalid()),
        }
    }
}

/// A value as it is in JSON.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    base64: Option<Cow<'a, str>>,
}

enum Scalar<'a> {
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

struct ScalarVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for ScalarVisitor<'a> {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(value))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "only a real number can be so large"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Scalar::Real(value as f64), Scalar::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Real(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }
}
