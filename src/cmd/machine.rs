//! The options that describe the machine of a capture.

use crate::model::{AcceleratorInfo, Environment, RuntimeInfo, SystemInfo, Text};

/// The machine, for captures that do not name it, such as csv.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Machine, where the captures do not name it")]
pub(crate) struct Machine {
    /// The accelerator's name
    #[arg(long, value_name = "NAME")]
    accelerator: Option<String>,
    /// GPU, CPU or TPU
    #[arg(long, value_name = "TYPE", value_parser = ["GPU", "CPU", "TPU"], ignore_case = true)]
    accelerator_type: Option<String>,
    /// The accelerator's memory in GiB
    #[arg(long, value_name = "GIB", value_parser = gib)]
    memory_gb: Option<f64>,
    /// The processor's name
    #[arg(long, value_name = "NAME")]
    cpu: Option<String>,
    /// Main memory in GiB
    #[arg(long, value_name = "GIB", value_parser = gib)]
    ram_gb: Option<f64>,
    /// The runtime's version, such as 0.9.3
    #[arg(long, value_name = "VERSION")]
    runtime_version: Option<String>,
}

impl From<&Machine> for Environment {
    fn from(machine: &Machine) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Text::from);
        Self {
            runtime: RuntimeInfo {
                version: text(&machine.runtime_version),
                ..RuntimeInfo::default()
            },
            system: SystemInfo {
                cpu_name: text(&machine.cpu),
                ram_gb: machine.ram_gb,
                ..SystemInfo::default()
            },
            accelerator: AcceleratorInfo {
                name: text(&machine.accelerator),
                kind: text(
                    &machine
                        .accelerator_type
                        .as_ref()
                        .map(|kind| kind.to_uppercase()),
                ),
                memory_gb: machine.memory_gb,
                manufacturer: None,
            },
        }
    }
}

fn gib(text: &str) -> Result<f64, String> {
    let gib = text
        .parse::<f64>()
        .ok()
        .filter(|gib| gib.is_finite() && *gib >= 0.0);
    gib.ok_or_else(|| format!("'{text}' is not a number of GiB"))
}
