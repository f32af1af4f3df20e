//! Decodes UTF-16, which PowerShell's `>` writes, and recordings; other text stays as it is.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::recording::Recording;

/// Longer lines of a recording are not decoded.
const LONGEST_LINE: usize = 1 << 20;

/// The byte order mark of UTF-8, which Windows programs write.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Reads a text as UTF-8; UTF-16 is detected with or without a byte order mark.
pub(super) struct Decoder<R> {
    inner: R,
    encoding: Encoding,
    /// Bytes that have been read and not been decoded yet.
    raw: Vec<u8>,
    /// Bytes that have been decoded and not been returned yet.
    decoded: VecDeque<u8>,
}

#[derive(Clone, Copy)]
enum Encoding {
    /// Too few bytes have been read.
    Unknown,
    Bytes,
    Utf16(fn([u8; 2]) -> u16),
    Recording(Recording),
}

impl<R: Read> Decoder<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            encoding: Encoding::Unknown,
            raw: Vec::new(),
            decoded: VecDeque::new(),
        }
    }

    /// Reads enough to detect the encoding: two bytes, or the first line of a recording.
    fn read_begin(&mut self) -> io::Result<()> {
        while self.raw.len() < 2 || self.raw == BOM[..2] || Recording::may_be(&self.raw) {
            let mut byte = [0];
            if self.inner.read(&mut byte)? == 0 {
                break;
            }
            self.raw.push(byte[0]);
        }
        Ok(())
    }

    fn detect(&mut self) -> io::Result<()> {
        self.read_begin()?;
        if self.raw == BOM {
            self.raw.clear();
            self.read_begin()?;
        }
        self.encoding = match self.raw[..] {
            // Only UTF-16 has a zero among its first two bytes.
            [0xff, 0xfe] => Encoding::Utf16(u16::from_le_bytes),
            [0xfe, 0xff] => Encoding::Utf16(u16::from_be_bytes),
            [low, 0] if low != 0 => Encoding::Utf16(u16::from_le_bytes),
            [0, low] if low != 0 => Encoding::Utf16(u16::from_be_bytes),
            _ => Recording::detect(&self.raw).map_or(Encoding::Bytes, Encoding::Recording),
        };
        match self.encoding {
            Encoding::Bytes => self.decoded = std::mem::take(&mut self.raw).into(),
            Encoding::Utf16(_) if self.raw.contains(&0xff) => self.raw.clear(),
            _ => {}
        }
        Ok(())
    }

    /// Decodes the complete lines that have been read.
    fn decode_lines(&mut self, recording: Recording, ended: bool) {
        let whole = memchr::memrchr(b'\n', &self.raw).map_or(0, |at| at + 1);
        let all = ended || self.raw.len() - whole > LONGEST_LINE;
        let length = if all { self.raw.len() } else { whole };
        for line in self.raw[..length].split_inclusive(|&byte| byte == b'\n') {
            recording.decode(line, &mut self.decoded);
        }
        self.raw.drain(..length);
    }

    /// Decodes the complete characters that have been read.
    fn decode(&mut self, unit: fn([u8; 2]) -> u16, ended: bool) {
        let mut length = self.raw.len() / 2 * 2;
        let last = length
            .checked_sub(2)
            .map(|at| unit([self.raw[at], self.raw[at + 1]]));
        if !ended && last.is_some_and(|unit| (0xd800..0xdc00).contains(&unit)) {
            length -= 2;
        }
        let units = self.raw[..length]
            .chunks_exact(2)
            .map(|pair| unit([pair[0], pair[1]]));
        for c in char::decode_utf16(units) {
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.decoded.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.raw.drain(..length);
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.decoded.is_empty() {
                return self.decoded.read(buffer);
            }
            match self.encoding {
                Encoding::Unknown => self.detect()?,
                Encoding::Bytes => return self.inner.read(buffer),
                encoding => {
                    let before = self.raw.len();
                    self.raw.resize(before + (16 << 10), 0);
                    let read = self.inner.read(&mut self.raw[before..]);
                    self.raw.truncate(before + *read.as_ref().unwrap_or(&0));
                    let ended = read? == 0;
                    match encoding {
                        Encoding::Utf16(unit) => self.decode(unit, ended),
                        Encoding::Recording(recording) => self.decode_lines(recording, ended),
                        Encoding::Unknown | Encoding::Bytes => {}
                    }
                    if ended && self.decoded.is_empty() {
                        return Ok(0);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }

    fn decoded(bytes: &[u8]) -> Vec<u8> {
        let mut slowly = Vec::new();
        Decoder::new(Slowly(bytes))
            .read_to_end(&mut slowly)
            .unwrap();
        let mut at_once = Vec::new();
        Decoder::new(bytes).read_to_end(&mut at_once).unwrap();
        assert_eq!(slowly, at_once);
        slowly
    }

    #[test]
    fn both_byte_orders_are_decoded_and_all_else_stays() {
        let text = "GeForce® 😀\r\n";
        let le = text.encode_utf16().flat_map(u16::to_le_bytes);
        let be = text.encode_utf16().flat_map(u16::to_be_bytes);
        let le: Vec<u8> = [0xff, 0xfe].into_iter().chain(le).collect();
        let be: Vec<u8> = [0xfe, 0xff].into_iter().chain(be).collect();
        assert_eq!(decoded(&le), text.as_bytes());
        assert_eq!(decoded(&be), text.as_bytes());
        assert_eq!(decoded(&le[2..]), text.as_bytes());
        assert_eq!(decoded(&be[2..]), text.as_bytes());
        // Half a character at the end is lost, half a surrogate pair becomes U+FFFD.
        assert_eq!(decoded(&[0xff, 0xfe, b'a', 0, b'b']), b"a");
        assert_eq!(decoded(&[0xff, 0xfe, 0x3d, 0xd8]), "\u{fffd}".as_bytes());
        for plain in [&b""[..], b"a", b"\xff", b"ab\xff\xfe", b"\xef\xbbx"] {
            assert_eq!(decoded(plain), plain);
        }
        assert_eq!(decoded("\u{feff}x".as_bytes()), b"x");
    }
}
