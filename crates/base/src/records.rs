//! A long list of records in little memory.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use crate::error::{Error, Result};

/// From this many bytes on, the records are in a temporary file.
const IN_MEMORY: usize = 8 << 20;

/// Records of bytes in the order in which they came. Many of them lie in a temporary file that has no
/// name.
#[derive(Debug, Default)]
pub struct Records {
    /// The records that are not in the file, each behind its length.
    bytes: Vec<u8>,
    file: Option<BufWriter<File>>,
    count: u64,
}

impl Records {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds a record; an error if the temporary file cannot be written.
    pub fn push(&mut self, record: &[u8]) -> Result<()> {
        let length = u32::try_from(record.len()).map_err(|error| Error::new("a record", error))?;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(record);
        self.count += 1;
        if self.bytes.len() >= IN_MEMORY {
            self.spill().map_err(failed)?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        file.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }

    /// Hands over each record in its order.
    pub fn each<E: From<Error>>(
        &mut self,
        mut work: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut record = Vec::new();
        if let Some(file) = &mut self.file {
            file.flush().map_err(failed)?;
            let file = file.get_mut();
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            let mut reader = BufReader::with_capacity(1 << 16, &mut *file);
            while read(&mut reader, &mut record).map_err(failed)? {
                work(&record)?;
            }
            file.seek(SeekFrom::End(0)).map_err(failed)?;
        }
        let mut bytes = self.bytes.as_slice();
        while read(&mut bytes, &mut record).map_err(failed)? {
            work(&record)?;
        }
        Ok(())
    }
}

fn failed(error: io::Error) -> Error {
    Error::new("a temporary file", error)
}

/// Reads the next record; false at the end.
fn read(reader: &mut impl Read, record: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; 4];
    if reader.read(&mut length[..1])? == 0 {
        return Ok(false);
    }
    reader.read_exact(&mut length[1..])?;
    record.resize(u32::from_le_bytes(length) as usize, 0);
    reader.read_exact(record)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_their_order_from_memory_and_file() {
        let mut records = Records::default();
        let record = |number: u32| [vec![7; 1 << 17], number.to_le_bytes().to_vec()].concat();
        for round in 1..=3 {
            for number in (round - 1) * 50..round * 50 {
                records.push(&record(number)).unwrap();
            }
            let mut numbers = Vec::new();
            let each: Result<()> = records.each(|bytes| {
                let (fill, number) = bytes.split_at(1 << 17);
                assert!(fill.iter().all(|byte| *byte == 7));
                numbers.push(u32::from_le_bytes(number.try_into().unwrap()));
                Ok(())
            });
            each.unwrap();
            assert_eq!(numbers, (0..round * 50).collect::<Vec<_>>());
            assert_eq!(records.count(), u64::from(round * 50));
        }
        assert!(records.file.is_some());
    }
}
