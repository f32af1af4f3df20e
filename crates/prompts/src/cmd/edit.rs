use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::replaced::Replaced;
use super::{Context, Output, name, print_changed, say, section};
use crate::input::{is_stdin_read, read_file, text};
use crate::json::Object;
use crate::name::{Name, SectionPath};
use crate::problem::Entry;
use crate::record::{Bom, Record};
use base::{Error, Result, note, process};

/// Edit the override of a section in an editor
///
/// The editor is $VISUAL, else $EDITOR, else vi. It starts with the override, even a stale one, or else
/// with the template. If nothing is changed or the editor fails, nothing is written. What is refused
/// afterwards stays in a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore prompt edit demo/welcome --section system/intro")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG
    #[arg(value_name = "NAME", value_parser = name)]
    name: Name,
    /// The section of this path, such as system/intro
    #[arg(long, value_name = "PATH", value_parser = section, required = true, allow_hyphen_values = true)]
    section: SectionPath,
    #[command(flatten)]
    replaced: Replaced,
    /// The output format; json and jsonl print the record as it is then
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let (name, path) = (&args.name, &args.section);
    let entry = Entry::Section(path.join("/"));
    let documents = context.documents(Some(&name.prompt))?;
    let document = documents.try_find(&name.prompt)?;
    let section = document.map(|document| document.required_section(path));
    let section = section.transpose()?;
    let hash = section.map(|section| &section.hash);
    let expected = args.replaced.expected(name, &entry, hash)?;
    let (known, overrides) = (context.known(document), &context.overrides);
    // Whatever can be refused is refused before somebody has written a text.
    let record = match overrides.read(name, Bom::Ignore)? {
        Some(record) => record,
        None => overrides.new_record(name, known, &mut None)?,
    };
    known.check(&record)?;
    let hash = expected.hash(&entry, &record)?;
    let before = record.section(path).cloned();
    let body = |object: Option<&Object>| Some(object?.get("body")?.as_str()?.to_owned());
    let start = match (body(before.as_ref()), expected.template, section) {
        (Some(body), ..) => body,
        (None, Some(template), _) => template,
        (None, None, Some(section)) => section.template()?.to_owned(),
        (None, None, None) => {
            let what = format!("{name}: {entry}");
            return Err(
                Error::new(what, "not overridden, and no template to start from")
                    .hint("give --prompts FILE or --template FILE"),
            );
        }
    };
    let told = before
        .as_ref()
        .and_then(|object| Record::told_hash(&entry, object));
    let is_stale = told.is_some_and(|told| told != hash);
    if is_stale {
        note(&format!(
            "{name}: {entry} is stale; once changed, it applies again"
        ));
    }
    let mut draft = Draft::new(path, &start)?;
    let edited = draft.edit(&start)?;
    if edited == start {
        let stale = if is_stale { ", and still stale" } else { "" };
        say(name, format_args!("{entry} unchanged{stale}"));
        let record = overrides.read(name, Bom::Ignore)?;
        return print_changed(record, args.output, context.out);
    }
    let changed = overrides.upsert(name, known, |record| {
        if record.section(path) != before.as_ref() {
            let why = "others changed it meanwhile";
            return Err(Error::new(format!("{name}: {entry}"), why));
        }
        record.section_mut(path).set("body", edited.as_str());
        record.set_hash(&entry, &hash);
        Ok(())
    });
    let changed = changed.map_err(|error| draft.keep(error))?;
    say(name, format_args!("{entry} edited"));
    print_changed(changed.record, args.output, context.out)
}

/// A text that is edited, in a folder of its own, where an editor may leave other files.
struct Draft {
    folder: TempDir,
    file: PathBuf,
}

impl Draft {
    fn new(path: &[String], text: &str) -> Result<Self> {
        let above = std::env::temp_dir();
        let failed = |error: io::Error| Error::file(&above, &error);
        let above = std::path::absolute(&above).map_err(failed)?;
        let folder = tempfile::Builder::new()
            .prefix("localstore-")
            .tempdir_in(above);
        let folder = folder.map_err(failed)?;
        // The name is what editors show.
        let is_plain = |c: &char| c.is_alphanumeric() || "._-".contains(*c);
        let key = path.last().map_or("", String::as_str).chars();
        let key: String = key.filter(is_plain).take(40).collect();
        let file = folder.path().join(format!("section-{key}.txt"));
        let written = File::create_new(&file).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| Error::file(&file, &error))?;
        Ok(Self { folder, file })
    }

    /// What becomes of the text in the editor. A final newline that editors add goes again.
    fn edit(&mut self, start: &str) -> Result<String> {
        let editor = ["VISUAL", "EDITOR"].map(|name| std::env::var(name).unwrap_or_default());
        let editor = editor.into_iter().find(|editor| !editor.trim().is_empty());
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        let what = format!("editor '{editor}'");
        let mut command = self.command(&editor);
        // Our output is for the record.
        if !io::stdout().is_terminal() {
            command.stdout(io::stderr());
        }
        if is_stdin_read()
            && let Ok(terminal) = File::open("/dev/tty")
        {
            command.stdin(Stdio::from(terminal));
        }
        process::leave_interrupt();
        let status = command.status();
        process::end_on_interrupt();
        let status = status.map_err(|error| Error::new(&what, base::reason(&error)))?;
        let bytes = read_file(&self.file).map_err(|error| Error::file(&self.file, &error));
        if !status.success() {
            let error = Error::new(
                &what,
                format!("it failed, with exit code {}", process::exit_code(status)),
            );
            let is_changed = bytes.is_ok_and(|bytes| bytes != start.as_bytes());
            return Err(if is_changed { self.keep(error) } else { error });
        }
        let bytes = match bytes {
            Err(error) if self.file.exists() => return Err(self.keep(error)),
            bytes => bytes?,
        };
        let edited =
            text(&bytes).map_err(|error| self.keep(Error::new("the edited text", error)))?;
        let without = edited
            .strip_suffix("\r\n")
            .or_else(|| edited.strip_suffix('\n'));
        let edited = without.filter(|_| !start.ends_with('\n')).unwrap_or(edited);
        Ok(edited.to_owned())
    }

    /// Keeps the text where the error says.
    fn keep(&mut self, error: Error) -> Error {
        self.folder.disable_cleanup(true);
        error.hint(format!("the text is in {}", self.file.display()))
    }

    /// As git does it: the editor may have arguments, and is run by a shell.
    #[cfg(not(windows))]
    fn command(&self, editor: &str) -> Command {
        let mut command = process::command("sh");
        let script = format!("{editor} \"$@\"");
        command.args(["-c", &script, editor]).arg(&self.file);
        command
    }

    #[cfg(windows)]
    fn command(&self, editor: &str) -> Command {
        use std::os::windows::process::CommandExt;
        let mut command = process::command("cmd");
        // The shell takes off the outer quotes; none is in the path.
        command.raw_arg(format!("/C \"{editor} \"{}\"\"", self.file.display()));
        command
    }
}
