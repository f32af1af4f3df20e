//! The reader of what LocalScore prints to stderr before it measures: runtime, system, GPU.
//!
//! Other programs print `Version:` and `CPU:` too. So a block counts only as LocalScore prints it:
//! its title, its labels in their order and padded as there, and the line that closes it; and the
//! blocks count only in their order.

use std::{fmt, io};

use super::reader::{Begun, CaptureReader, Start, interrupts};
use super::scan::Scan;
use super::text::trim_end;
use crate::formats::{console, number};
use crate::model::{AcceleratorInfo, Environment, HeaderField, Kind, NewValue, Run, Source, Text};

pub(super) struct Reader;

impl CaptureReader for Reader {
    fn sign(&self) -> &'static [u8] {
        b"====="
    }

    fn interrupts(&self, line: &[u8]) -> bool {
        line.starts_with(b"=====")
    }

    /// Takes the block, if it is whole.
    fn begin(&self, scan: &mut Scan<'_>, title: usize) -> io::Result<Begun> {
        let Some(mut block) = Block::begin(&console::plain(&scan.input.unread()[..title])) else {
            return Ok(Begun::Nothing);
        };
        let mut end = title;
        let is_whole = loop {
            let Some(next) = scan.input.line_end_within(end, MAX_BYTES)? else {
                break false;
            };
            let step = block.push(trim_end(&console::plain(&scan.input.unread()[end..next])));
            end = next;
            match step {
                Step::More if end < MAX_BYTES => {}
                Step::Whole => break true,
                _ => break false,
            }
        };
        if is_whole && scan.banner.take(&block) {
            scan.skip(end);
        } else {
            scan.note(scan.input.line(), block.left_out());
            scan.skip(title);
        }
        Ok(Begun::Whole)
    }

    fn find(&self, scan: &mut Scan<'_>, end: usize, _: bool) -> io::Result<Option<Start>> {
        let line = trim_end(&scan.input.unread()[..end]);
        let is_title = |&at: &usize| Title::of(&console::plain(&line[at..])).is_some();
        let Some(at) = memchr::memmem::find(line, self.sign()).filter(is_title) else {
            return Ok(None);
        };
        let until = scan.next_line(end)?;
        let goes_on = false;
        Ok(Some(Start { at, until, goes_on }))
    }
}

/// The banners of the benchmark that the text is about.
#[derive(Debug, Default)]
pub(super) struct Banner {
    environment: Environment,
    /// The GPU that is used, or the first one of Apple.
    gpu: Option<AcceleratorInfo>,
    /// The block that was read last.
    last: Option<Title>,
}

/// A block that is being read.
#[derive(Debug)]
struct Block {
    title: Title,
    values: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Title {
    Runtime,
    System,
    Gpu,
    Metal,
}

/// What becomes of a block with its next line.
enum Step {
    /// It goes on.
    More,
    /// It is whole.
    Whole,
    /// It is not as LocalScore prints it.
    Broken,
}

/// A block is not longer, the lines of other programs between its own included.
const MAX_BYTES: usize = 16 << 10;

impl Title {
    fn of(line: &[u8]) -> Option<Self> {
        let inner = line.strip_prefix(b"=====")?.strip_suffix(b"=====")?;
        let title = inner.trim_ascii_start();
        let is_rule = |byte: &u8| *byte == b'=';
        let begin = title.iter().position(|byte| !is_rule(byte))?;
        let end = title.iter().rposition(|byte| !is_rule(byte))? + 1;
        match title[begin..end].trim_ascii() {
            b"LocalScore Runtime Information" => Some(Self::Runtime),
            b"System Information" => Some(Self::System),
            b"GPU information" => Some(Self::Metal),
            title => {
                let number = title.strip_prefix(b"Active GPU (GPU ")?;
                let number = number.strip_suffix(b") Information")?;
                number.iter().all(u8::is_ascii_digit).then_some(Self::Gpu)
            }
        }
    }

    /// The labels, each with the field that it tells.
    fn labels(self) -> &'static [(&'static str, Option<HeaderField>)] {
        use HeaderField as Tells;
        match self {
            Self::Runtime => &[
                ("llamafile version:", Some(Tells::RuntimeVersion)),
                ("llama.cpp commit:", Some(Tells::RuntimeCommit)),
            ],
            Self::System => &[
                ("Kernel Type:", Some(Tells::KernelType)),
                ("Kernel Release:", Some(Tells::KernelRelease)),
                ("Version:", Some(Tells::SystemVersion)),
                ("System Architecture:", Some(Tells::CpuArch)),
                ("CPU:", Some(Tells::CpuName)),
                ("RAM:", Some(Tells::RamGb)),
            ],
            Self::Gpu => &[
                ("GPU Name:", Some(Tells::AcceleratorName)),
                ("VRAM:", Some(Tells::MemoryGb)),
                ("Streaming Multiprocessors:", None),
                ("CUDA Capability:", None),
            ],
            // On Apple the accelerator is the processor with the number of its GPU cores.
            Self::Metal => &[
                ("GPU Name:", None),
                ("VRAM:", Some(Tells::MemoryGb)),
                ("Core Count:", Some(Tells::AcceleratorName)),
                ("Metal Version:", None),
                ("GPU Family:", None),
                ("Common GPU Family:", None),
            ],
        }
    }

    /// The column at which the values begin.
    fn column(self) -> usize {
        match self {
            Self::Runtime | Self::System => 21,
            Self::Gpu | Self::Metal => 27,
        }
    }

    /// Whether it may come after this one.
    fn follows(self, last: Option<Self>) -> bool {
        match self {
            Self::Runtime => true,
            Self::System => last == Some(Self::Runtime),
            Self::Gpu | Self::Metal => last == Some(Self::System),
        }
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runtime => "LocalScore Runtime Information",
            Self::System => "System Information",
            Self::Gpu => "Active GPU Information",
            Self::Metal => "GPU information",
        })
    }
}

impl Block {
    /// The block of which this line, without escapes, is the title.
    fn begin(line: &[u8]) -> Option<Self> {
        Some(Self {
            title: Title::of(line)?,
            values: Vec::new(),
        })
    }

    /// Takes the next line, without escapes.
    fn push(&mut self, line: &[u8]) -> Step {
        let labels = self.title.labels();
        if line.len() >= 70 && line.iter().all(|&byte| byte == b'=') {
            let is_whole = self.values.len() == labels.len();
            return if is_whole { Step::Whole } else { Step::Broken };
        }
        // Another program may print between two lines, but nothing begins there.
        if Title::of(line).is_some() || (!line.starts_with(b"=") && interrupts(line)) {
            return Step::Broken;
        }
        let label = labels
            .iter()
            .position(|(label, _)| line.starts_with(label.as_bytes()));
        let Some(label) = label else {
            return Step::More;
        };
        let length = labels[label].0.len();
        let (padding, value) = match line.split_at_checked(self.title.column()) {
            Some((head, value)) => (&head[length..], value),
            None => (&line[length..], &[][..]),
        };
        if label != self.values.len() || !padding.iter().all(|&byte| byte == b' ') {
            return Step::Broken;
        }
        self.values.push(value.trim_ascii_end().to_vec());
        Step::More
    }

    /// What is said of a block that is not taken.
    fn left_out(&self) -> String {
        format!(
            "'{}' is not as LocalScore prints it, and is left out",
            self.title
        )
    }
}

impl Banner {
    /// Takes a whole block; false if it is not in its place.
    fn take(&mut self, block: &Block) -> bool {
        if !block.title.follows(self.last) {
            return false;
        }
        let mut told = Environment::default();
        for ((_, field), value) in block.title.labels().iter().zip(&block.values) {
            if let Some(field) = field {
                let value = match field.kind() {
                    Kind::Text => Some(NewValue::Text(value.clone().into())),
                    _ => gib(value).map(NewValue::Number),
                };
                field.set(&mut told, value);
            }
        }
        let gpu = &mut told.accelerator;
        gpu.kind = Some("GPU".into());
        match block.title {
            Title::Runtime => {
                // LocalScore prints the banner anew for each run.
                *self = Self::default();
                told.runtime.name = Some("llamafile".into());
                self.environment.runtime = told.runtime;
            }
            Title::System => self.environment.system = told.system,
            Title::Gpu => self.gpu = Some(told.accelerator),
            Title::Metal => {
                let text = |text: &Option<Text>| text.clone().unwrap_or_default();
                let (cpu, cores) = (text(&self.environment.system.cpu_name), text(&gpu.name));
                let name = [cpu.as_bytes(), b"+", cores.as_bytes(), b"GPU"].concat();
                gpu.name = Some(name.into());
                gpu.manufacturer = Some("Apple".into());
                self.gpu = Some(told.accelerator);
            }
        }
        self.last = Some(block.title);
        true
    }

    /// Fills in what the run lacks.
    pub(super) fn complete(&self, run: &mut Run) {
        // A json document knows it all.
        if run.source == Source::Json || self.environment == Environment::default() {
            return;
        }
        let system = &self.environment.system;
        let accelerator = self.gpu.clone().unwrap_or_else(|| AcceleratorInfo {
            name: system.cpu_name.clone(),
            memory_gb: system.ram_gb,
            kind: Some("CPU".into()),
            manufacturer: None,
        });
        let on_cpu = |run: &Run| run.tests.iter().all(|t| t.model.main_gpu == Some(-1));
        let is_it = match &run.environment.accelerator.name {
            Some(name) if Some(name) == accelerator.name.as_ref() => true,
            // The banner of another machine.
            Some(_) => return,
            None => self.gpu.is_some() || on_cpu(run),
        };
        let mut environment = self.environment.clone();
        if is_it {
            environment.accelerator = accelerator;
        }
        run.environment.complete(&environment);
    }
}

fn gib(value: &[u8]) -> Option<f64> {
    number::parse(value.strip_suffix(b" GiB")?)
}
