//! One run from two captures: what one lacks, the other may know.

use super::{
    AcceleratorInfo, Environment, Model, Run, RuntimeInfo, Source, SystemInfo, Test, Text,
};

impl Run {
    /// The run with what another capture of the same run knows besides; `None` if that is nothing.
    ///
    /// What is known stays: only what is missing is taken over, and strings of which the C tool
    /// lost bytes.
    #[must_use]
    pub fn completed_by(&self, other: &Self) -> Option<Self> {
        let mut run = self.clone();
        let mut changed = run.environment.complete(&other.environment);
        for (test, other) in run.tests.iter_mut().zip(&other.tests) {
            changed |= test.complete(other);
        }
        if changed && other.source == Source::Json {
            run.source = Source::Json;
        }
        changed.then_some(run)
    }
}

impl Environment {
    fn complete(&mut self, other: &Self) -> bool {
        let Self {
            runtime,
            system,
            accelerator,
        } = self;
        runtime.complete(&other.runtime)
            | system.complete(&other.system)
            | accelerator.complete(&other.accelerator)
    }
}

impl RuntimeInfo {
    fn complete(&mut self, other: &Self) -> bool {
        fill(&mut self.name, &other.name)
            | fill(&mut self.version, &other.version)
            | fill(&mut self.commit, &other.commit)
    }
}

impl SystemInfo {
    fn complete(&mut self, other: &Self) -> bool {
        fill(&mut self.cpu_name, &other.cpu_name)
            | fill(&mut self.cpu_arch, &other.cpu_arch)
            | fill(&mut self.ram_gb, &other.ram_gb)
            | fill(&mut self.kernel_type, &other.kernel_type)
            | fill(&mut self.kernel_release, &other.kernel_release)
            | fill(&mut self.version, &other.version)
    }
}

impl AcceleratorInfo {
    fn complete(&mut self, other: &Self) -> bool {
        fill(&mut self.name, &other.name)
            | fill(&mut self.manufacturer, &other.manufacturer)
            | fill(&mut self.memory_gb, &other.memory_gb)
            | fill(&mut self.kind, &other.kind)
    }
}

impl Model {
    fn complete(&mut self, other: &Self) -> bool {
        fill_text(&mut self.build_commit, &other.build_commit)
            | fill(&mut self.build_number, &other.build_number)
            | fill_text(&mut self.model_name, &other.model_name)
            | fill_text(&mut self.model_quant_str, &other.model_quant_str)
            | fill_text(&mut self.model_params_str, &other.model_params_str)
            | fill_text(&mut self.model_filename, &other.model_filename)
            | fill_text(&mut self.model_type, &other.model_type)
            | fill(&mut self.model_size, &other.model_size)
            | fill(&mut self.model_n_params, &other.model_n_params)
            | fill(&mut self.main_gpu, &other.main_gpu)
    }
}

impl Test {
    fn complete(&mut self, other: &Self) -> bool {
        self.model.complete(&other.model)
            | fill_text(&mut self.test_time, &other.test_time)
            | fill(&mut self.avg_time_ms, &other.avg_time_ms)
            | fill(&mut self.stddev_time_ms, &other.stddev_time_ms)
            | fill(&mut self.prompt_tps, &other.prompt_tps)
            | fill(&mut self.prompt_tps_watt, &other.prompt_tps_watt)
            | fill(&mut self.prompt_tps_stddev, &other.prompt_tps_stddev)
            | fill(&mut self.gen_tps, &other.gen_tps)
            | fill(&mut self.gen_tps_watt, &other.gen_tps_watt)
            | fill(&mut self.gen_tps_stddev, &other.gen_tps_stddev)
            | fill(&mut self.power_watts, &other.power_watts)
            | fill(&mut self.ttft_ms, &other.ttft_ms)
            | fill(&mut self.samples_ns, &other.samples_ns)
    }
}

fn fill<T: Clone>(known: &mut Option<T>, other: &Option<T>) -> bool {
    let better = known.is_none() && other.is_some();
    if better {
        known.clone_from(other);
    }
    better
}

fn fill_text(known: &mut Option<Text>, other: &Option<Text>) -> bool {
    if let (Some(mine), Some(whole)) = (&known, other)
        && mine.has_lost_bytes()
        && !whole.has_lost_bytes()
    {
        known.clone_from(other);
        return true;
    }
    fill(known, other)
}
