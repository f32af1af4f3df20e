//! Strings of captures, byte for byte.

use std::borrow::Cow;
use std::fmt;

/// A string of a capture, byte for byte: usually UTF-8, but a model file may hold anything.
///
/// The C tool loses every byte of 0x80 or more when it writes a model's strings as json: it prints
/// `\ufffff`, which reads as the noncharacter U+FFFF and an `f`. No real name contains this pair; it
/// marks a lost byte, see [`Text::LOST_BYTE`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Text(Vec<u8>);

/// A piece of a [`Text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A byte.
    Byte(u8),
    /// A byte whose value the C tool lost.
    Lost,
}

impl Text {
    /// The mark of one byte that the C tool lost: U+FFFF and `f`.
    pub(crate) const LOST_BYTE: &str = "\u{ffff}f";

    /// The bytes of the capture.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the C tool lost a byte.
    #[must_use]
    pub(crate) fn has_lost_bytes(&self) -> bool {
        memchr::memmem::find(&self.0, Self::LOST_BYTE.as_bytes()).is_some()
    }

    /// The bytes one by one, a lost byte as [`Piece::Lost`].
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            if let Some(after) = rest.strip_prefix(Self::LOST_BYTE.as_bytes()) {
                rest = after;
                return Some(Piece::Lost);
            }
            let (&byte, after) = rest.split_first()?;
            rest = after;
            Some(Piece::Byte(byte))
        })
    }

    /// The text as UTF-8: invalid bytes become U+FFFD, the marks of lost bytes stay.
    #[must_use]
    pub(crate) fn to_utf8(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The text for display: invalid UTF-8 and each lost byte become U+FFFD.
    #[must_use]
    pub(crate) fn display(&self) -> Cow<'_, str> {
        let text = self.to_utf8();
        if text.contains(Self::LOST_BYTE) {
            Cow::Owned(text.replace(Self::LOST_BYTE, "\u{fffd}"))
        } else {
            text
        }
    }

    /// The bytes for csv and tables, with U+FFFD for each lost byte.
    #[must_use]
    pub(crate) fn printed(&self) -> Cow<'_, [u8]> {
        if !self.has_lost_bytes() {
            return Cow::Borrowed(&self.0);
        }
        let mut bytes = Vec::with_capacity(self.0.len());
        for piece in self.pieces() {
            match piece {
                Piece::Byte(byte) => bytes.push(byte),
                Piece::Lost => bytes.extend_from_slice("\u{fffd}".as_bytes()),
            }
        }
        Cow::Owned(bytes)
    }

    /// Appends the bytes for a hash that does not tell whether some were lost: every byte of 0x80 or
    /// more is the same one.
    pub(crate) fn fold_into(&self, bytes: &mut Vec<u8>) {
        if self.0.is_ascii() {
            bytes.extend_from_slice(&self.0);
            return;
        }
        bytes.extend(self.pieces().map(|piece| match piece {
            Piece::Byte(byte @ ..0x80) => byte,
            Piece::Byte(_) | Piece::Lost => 0xff,
        }));
    }

    /// Whether two strings may be the same: bytes of 0x80 or more may be lost in one of them.
    #[must_use]
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let alike = |(a, b): (Piece, Piece)| match (a, b) {
            (Piece::Byte(a), Piece::Byte(b)) => a == b,
            (Piece::Byte(byte), Piece::Lost) | (Piece::Lost, Piece::Byte(byte)) => byte >= 0x80,
            (Piece::Lost, Piece::Lost) => true,
        };
        self.c_len() == other.c_len() && self.pieces().zip(other.pieces()).all(alike)
    }

    /// The first `length` bytes that the C tool had.
    #[must_use]
    pub(crate) fn cut(&self, length: usize) -> Self {
        let mut bytes = Vec::new();
        for piece in self.pieces().take(length) {
            match piece {
                Piece::Byte(byte) => bytes.push(byte),
                Piece::Lost => bytes.extend_from_slice(Self::LOST_BYTE.as_bytes()),
            }
        }
        Self(bytes)
    }

    /// The number of bytes that the C tool had, which it uses as the width.
    #[must_use]
    pub(crate) fn c_len(&self) -> usize {
        self.pieces().count()
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_byte_counts_as_one_byte_and_reads_as_one_replacement() {
        let text = Text::from("a\u{ffff}f\u{ffff}fb");
        assert_eq!(text.c_len(), 4);
        assert_eq!(text.display(), "a\u{fffd}\u{fffd}b");
        assert_eq!(&*text.printed(), "a\u{fffd}\u{fffd}b".as_bytes());
    }

    #[test]
    fn bytes_that_are_no_utf8_stay_as_they_came() {
        let text = Text::from(vec![b'a', 0xff, b'f']);
        assert_eq!(&*text.printed(), [b'a', 0xff, b'f']);
        assert_eq!(text.display(), "a\u{fffd}f");
    }
}
