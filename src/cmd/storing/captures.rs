//! Reads captures: files, folders, pipes.

use std::io::{self, Read};
use std::path::Path;

use super::Adder;
use crate::capture::{Capture, Found, Link, Options};
use crate::store::submissions;
use crate::submit::Site;
use base::{Error, ExitStatus, Result, Spool, printable, shell_word};

/// The beginning of every SQLite file.
pub(crate) const SQLITE: &[u8] = b"SQLite format 3\0";

/// A text with runs.
pub(crate) struct Source<'a> {
    /// Its name for people.
    pub(crate) name: &'a str,
    /// The file that a command can read again.
    pub(crate) path: Option<&'a Path>,
    /// When that file was changed: seconds since 1970. `None`: the text comes as it is made.
    pub(crate) changed_at: Option<i64>,
}

/// The files of folders, of which not all have results.
#[derive(Default)]
pub(super) struct Folders {
    pub(super) files: u64,
    pub(super) without: u64,
}

impl Adder<'_> {
    /// Tells how many bytes there will be, so that the runs can be estimated.
    pub(crate) fn expect_bytes(&mut self, bytes: Option<u64>) {
        self.bytes.0 = bytes;
    }

    /// Sums up at the end what is in folders.
    pub(crate) fn begin_folder(&mut self) {
        self.folders.get_or_insert_default();
    }

    /// Stores the runs in the spooled text. If any of it cannot be stored, the text is kept as a
    /// file, and an error names it.
    pub(crate) fn finish_with(&mut self, mut spool: Spool, name: &str) -> ExitStatus {
        let source = Source {
            name,
            path: None,
            changed_at: None,
        };
        let stored = spool
            .read()
            .and_then(|text| self.add_capture(&source, text, None))
            .and_then(|()| self.finish());
        match stored {
            Ok(ExitStatus::Success) => return ExitStatus::Success,
            Ok(_) => {}
            Err(error) => self.print_error(&error),
        }
        match spool.keep() {
            Ok(None) => {}
            Ok(Some(path)) => {
                let word = path_word(&path);
                let error = Error::new("the output was saved", path.display())
                    .hint(format!("'localstore add {word}' reads it again"));
                self.print_error(&error);
            }
            Err(error) => self.print_error(&error),
        }
        ExitStatus::Failure
    }

    /// Adds the runs in a file of a folder, where other files may be too.
    pub(crate) fn add_file_of_folder(
        &mut self,
        source: &Source<'_>,
        input: impl Read,
    ) -> Result<()> {
        self.folders.get_or_insert_default().files += 1;
        self.read(source, input, None, true)
    }

    /// Adds the runs in a capture. If it is still growing, `growing` returns whether more can be read
    /// without blocking; if not, the runs found so far are stored first.
    pub(crate) fn add_capture(
        &mut self,
        source: &Source<'_>,
        input: impl Read,
        growing: Option<&dyn Fn() -> bool>,
    ) -> Result<()> {
        self.read(source, input, growing, false)
    }

    fn read(
        &mut self,
        source: &Source<'_>,
        input: impl Read,
        growing: Option<&dyn Fn() -> bool>,
        is_in_folder: bool,
    ) -> Result<()> {
        let name = source.name;
        let mut input = Ending {
            input,
            has_ended: false,
        };
        let mut head = Vec::new();
        let limit = SQLITE.len() as u64;
        if let Err(error) = input.by_ref().take(limit).read_to_end(&mut head) {
            self.print_error(&Error::file(Path::new(name), &error));
            return Ok(());
        }
        if head == SQLITE {
            let file = source.path.map_or_else(|| "FILE".to_owned(), path_word);
            let error = Error::new(name, "a store").hint(format!("localstore merge {file}"));
            self.without_result(&error, is_in_folder);
            return Ok(());
        }
        let input = head.as_slice().chain(input);
        let options = Options {
            live: growing.is_some(),
            partial: self.options.partial,
        };
        let mut capture = Capture::new(input, options);
        self.cores.clear();
        let mut linked = false;
        loop {
            match capture.next() {
                None => return Ok(()),
                Some(Ok(Found::Run(document))) => {
                    linked = true;
                    self.take(source, document)?;
                }
                Some(Ok(Found::Bench(document))) => {
                    linked = false;
                    self.take_bench(source, *document)?;
                }
                Some(Ok(Found::Pause)) if growing.is_some_and(|is_ready| is_ready()) => {}
                Some(Ok(Found::Pause)) => self.flush()?,
                Some(Ok(Found::Link(link))) if std::mem::take(&mut linked) => self.link(&link)?,
                Some(Ok(Found::Link(_))) => {}
                Some(Ok(Found::Note { line, message })) => {
                    tracing::info!("{}", printable(&format!("{name}:{line}: {message}")));
                }
                Some(Ok(Found::Nothing(nothing))) => {
                    let error = nothing.error(name);
                    self.without_result(&error, is_in_folder);
                }
                Some(Ok(Found::Bad {
                    line,
                    why,
                    whole_tests,
                })) => {
                    linked = false;
                    let mut error = Error::new(format_args!("{name}:{line}"), why);
                    if whole_tests > 0 {
                        error = error.hint(match source.path {
                            Some(path) => format!("localstore add --partial {}", path_word(path)),
                            None => "'--partial' stores the whole tests".to_owned(),
                        });
                    }
                    self.print_error(&error);
                }
                Some(Err(error)) => {
                    self.print_error(&Error::file(Path::new(name), &error));
                    return Ok(());
                }
            }
        }
    }

    /// Reports a text without a run: in a folder it may well be.
    fn without_result(&mut self, error: &Error, is_in_folder: bool) {
        match &mut self.folders {
            Some(folders) if is_in_folder => {
                folders.without += 1;
                tracing::info!("{}", printable(&error.to_string()));
            }
            _ => self.print_error(error),
        }
    }

    /// Records the link to the result of the previous run.
    fn link(&mut self, link: &Link) -> Result<()> {
        self.flush()?;
        match (self.found.last(), &mut self.store) {
            (Some(&run), Some(store)) if !self.options.dry_run => {
                let site = Site::from_link(&link.url, link.id);
                let site = site.as_ref().map(Site::as_str);
                store
                    .write(|db| submissions::set_submitted(db, run, link.id, &link.url, site))
                    .map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// A text that is not read on behind its end: a terminal would go on.
struct Ending<R> {
    input: R,
    has_ended: bool,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_ended {
            return Ok(0);
        }
        let length = self.input.read(buffer)?;
        self.has_ended = length == 0 && !buffer.is_empty();
        Ok(length)
    }
}

/// The path as a word of a shell.
pub(crate) fn path_word(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}
