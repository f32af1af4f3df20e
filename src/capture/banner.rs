//! What LocalScore prints to stderr before it measures: runtime, system, GPU.

use crate::formats::number;
use crate::model::{AcceleratorInfo, Environment, Run, Source, Text};

/// The banners of the benchmark that the text is about.
#[derive(Debug, Default)]
pub struct Banner {
    environment: Environment,
    /// The GPU that is used, or the first one of Apple.
    gpu: Option<AcceleratorInfo>,
    block: Block,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Block {
    #[default]
    Other,
    Gpu,
    Metal,
}

/// The labels, each with its colon.
const LABELS: [&str; 11] = [
    "llamafile version:",
    "llama.cpp commit:",
    "Kernel Type:",
    "Kernel Release:",
    "Version:",
    "System Architecture:",
    "CPU:",
    "RAM:",
    "GPU Name:",
    "VRAM:",
    "Core Count:",
];

impl Banner {
    /// Takes a line of the text, without escapes.
    pub fn line(&mut self, line: &[u8]) {
        // Nearly every line of a log ends here.
        match line.first() {
            Some(b'=') => self.title(line),
            Some(b'l' | b'K' | b'V' | b'S' | b'C' | b'R' | b'G') => {
                let label = LABELS
                    .iter()
                    .find(|label| line.starts_with(label.as_bytes()));
                if let Some(label) = label {
                    self.value(label, line[label.len()..].trim_ascii());
                }
            }
            _ => {}
        }
    }

    fn title(&mut self, line: &[u8]) {
        let has = |words: &str| memchr::memmem::find(line, words.as_bytes()).is_some();
        self.block = Block::Other;
        if has(" LocalScore Runtime Information ") {
            *self = Self::default();
            self.environment.runtime.name = Some("llamafile".into());
        } else if has(" Active GPU (GPU ") {
            self.block = Block::Gpu;
        } else if has(" GPU information ") {
            self.block = Block::Metal;
        }
    }

    fn value(&mut self, label: &str, value: &[u8]) {
        let text = || Some(Text::from(value.to_vec()));
        let gib = || number::parse(value.strip_suffix(b" GiB").unwrap_or(value));
        let Environment {
            runtime, system, ..
        } = &mut self.environment;
        match (label, self.block) {
            ("llamafile version:", _) => runtime.version = text(),
            ("llama.cpp commit:", _) => runtime.commit = text(),
            ("Kernel Type:", _) => system.kernel_type = text(),
            ("Kernel Release:", _) => system.kernel_release = text(),
            ("Version:", _) => system.version = text(),
            ("System Architecture:", _) => system.cpu_arch = text(),
            ("CPU:", _) => system.cpu_name = text(),
            ("RAM:", _) => system.ram_gb = gib(),
            ("GPU Name:", Block::Gpu) => {
                self.gpu = Some(AcceleratorInfo {
                    name: text(),
                    kind: Some("GPU".into()),
                    ..AcceleratorInfo::default()
                });
            }
            ("VRAM:", Block::Gpu | Block::Metal) => {
                let gpu = self.gpu.get_or_insert_default();
                gpu.memory_gb = gib();
            }
            // On Apple the accelerator is the processor with the number of its GPU cores.
            ("Core Count:", Block::Metal) => {
                let mut name = system
                    .cpu_name
                    .as_ref()
                    .map_or_else(Vec::new, |cpu| cpu.as_bytes().to_vec());
                name.extend([b"+", value, b"GPU"].concat());
                let gpu = self.gpu.get_or_insert_default();
                gpu.name = Some(name.into());
                gpu.manufacturer = Some("Apple".into());
                gpu.kind = Some("GPU".into());
            }
            _ => {}
        }
    }

    /// Fills in what the run lacks.
    pub fn complete(&self, run: &mut Run) {
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
