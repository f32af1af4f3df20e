//! The reader of the banners that LocalScore prints to stderr at its start: runtime, system, GPU.
//!
//! Other programs print `Version:` and `CPU:`, too. So a block must be exactly as LocalScore prints
//! it: title, labels in their order and with their padding, and closing line; and the blocks must
//! come in their order.

use std::io;

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

    /// Reads the block, if it is complete.
    fn begin(&self, scan: &mut Scan<'_>, title: usize) -> io::Result<Begun> {
        let Some(name) = Title::read(&console::plain(&scan.input.unread()[..title])) else {
            return Ok(Begun::Nothing);
        };
        let mut block = Block {
            title: name,
            values: Vec::new(),
        };
        let mut end = title;
        let is_complete = loop {
            let Some(next) = scan.input.line_end_within(end, MAX_BYTES)? else {
                break false;
            };
            let step = block.push(trim_end(&console::plain(&scan.input.unread()[end..next])));
            end = next;
            match step {
                Step::More if end < MAX_BYTES => {}
                Step::Complete => break true,
                _ => break false,
            }
        };
        if is_complete && scan.banner.add(&block) {
            scan.skip(end);
        } else {
            let name = block.title.name();
            let note = format!("'{name}' is not as LocalScore prints it, and is left out");
            scan.note(scan.input.line(), note);
            scan.skip(title);
        }
        Ok(Begun::Complete)
    }

    fn find(&self, scan: &mut Scan<'_>, end: usize, _: bool) -> io::Result<Option<Start>> {
        let line = trim_end(&scan.input.unread()[..end]);
        let is_title = |&at: &usize| Title::read(&console::plain(&line[at..])).is_some();
        let at = memchr::memmem::find(line, self.sign()).filter(is_title);
        scan.start(at, end)
    }
}

/// The banners of the current benchmark.
#[derive(Debug, Default)]
pub(super) struct Banner {
    environment: Environment,
    /// The active GPU, or the first one on Apple.
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

/// The state of a block after a line.
enum Step {
    /// It continues.
    More,
    /// It is complete.
    Complete,
    /// It is not as LocalScore prints it.
    Broken,
}

/// The longest block, including other programs' lines between its own.
const MAX_BYTES: usize = 16 << 10;

impl Title {
    fn read(line: &[u8]) -> Option<Self> {
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

    /// The labels, each with its field.
    fn labels(self) -> &'static [(&'static str, Option<HeaderField>)] {
        use HeaderField as Field;
        match self {
            Self::Runtime => &[
                ("llamafile version:", Some(Field::RuntimeVersion)),
                ("llama.cpp commit:", Some(Field::RuntimeCommit)),
            ],
            Self::System => &[
                ("Kernel Type:", Some(Field::KernelType)),
                ("Kernel Release:", Some(Field::KernelRelease)),
                ("Version:", Some(Field::SystemVersion)),
                ("System Architecture:", Some(Field::CpuArch)),
                ("CPU:", Some(Field::CpuName)),
                ("RAM:", Some(Field::RamGb)),
            ],
            Self::Gpu => &[
                ("GPU Name:", Some(Field::AcceleratorName)),
                ("VRAM:", Some(Field::MemoryGb)),
                ("Streaming Multiprocessors:", None),
                ("CUDA Capability:", None),
            ],
            // On Apple the accelerator is the processor and the number of its GPU cores.
            Self::Metal => &[
                ("GPU Name:", None),
                ("VRAM:", Some(Field::MemoryGb)),
                ("Core Count:", Some(Field::AcceleratorName)),
                ("Metal Version:", None),
                ("GPU Family:", None),
                ("Common GPU Family:", None),
            ],
        }
    }

    /// The column of the values.
    fn column(self) -> usize {
        match self {
            Self::Runtime | Self::System => 21,
            Self::Gpu | Self::Metal => 27,
        }
    }

    /// Whether the block may come after this one.
    fn follows(self, last: Option<Self>) -> bool {
        match self {
            Self::Runtime => true,
            Self::System => last == Some(Self::Runtime),
            Self::Gpu | Self::Metal => last == Some(Self::System),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Runtime => "LocalScore Runtime Information",
            Self::System => "System Information",
            Self::Gpu => "Active GPU Information",
            Self::Metal => "GPU information",
        }
    }
}

impl Block {
    /// Reads the next line, from which escape sequences have been removed.
    fn push(&mut self, line: &[u8]) -> Step {
        let labels = self.title.labels();
        if line.len() >= 70 && line.iter().all(|&byte| byte == b'=') {
            let is_complete = self.values.len() == labels.len();
            return if is_complete {
                Step::Complete
            } else {
                Step::Broken
            };
        }
        // Another program may print lines in between, but no document begins there.
        if Title::read(line).is_some() || (!line.starts_with(b"=") && interrupts(line)) {
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
}

impl Banner {
    /// Adds a complete block; returns false if it comes out of order.
    fn add(&mut self, block: &Block) -> bool {
        if !block.title.follows(self.last) {
            return false;
        }
        let mut new = Environment::default();
        for ((_, field), value) in block.title.labels().iter().zip(&block.values) {
            if let Some(field) = field {
                let value = match field.kind() {
                    Kind::Text => Some(NewValue::Text(value.clone().into())),
                    _ => gib(value).map(NewValue::Number),
                };
                field.set(&mut new, value);
            }
        }
        let gpu = &mut new.accelerator;
        gpu.kind = Some("GPU".into());
        match block.title {
            Title::Runtime => {
                // LocalScore prints the banner again for each run.
                *self = Self::default();
                new.runtime.name = Some("llamafile".into());
                self.environment.runtime = new.runtime;
            }
            Title::System => self.environment.system = new.system,
            Title::Gpu => self.gpu = Some(new.accelerator),
            Title::Metal => {
                let text = |text: &Option<Text>| text.clone().unwrap_or_default();
                let (cpu, cores) = (text(&self.environment.system.cpu_name), text(&gpu.name));
                let name = [cpu.as_bytes(), b"+", cores.as_bytes(), b"GPU"].concat();
                gpu.name = Some(name.into());
                gpu.manufacturer = Some("Apple".into());
                self.gpu = Some(new.accelerator);
            }
        }
        self.last = Some(block.title);
        true
    }

    /// Fills in what is missing in the run.
    pub(super) fn complete(&self, run: &mut Run) {
        // Nothing is missing in a json document.
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
        let is_known = match &run.environment.accelerator.name {
            Some(name) if Some(name) == accelerator.name.as_ref() => true,
            // The banner of another machine.
            Some(_) => return,
            None => self.gpu.is_some() || on_cpu(run),
        };
        let mut environment = self.environment.clone();
        if is_known {
            environment.accelerator = accelerator;
        }
        run.environment.complete(&environment);
    }
}

fn gib(value: &[u8]) -> Option<f64> {
    number::parse(value.strip_suffix(b" GiB")?)
}
