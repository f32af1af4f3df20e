//! Which version of llama-bench printed a row.

use std::collections::BTreeSet;

use super::Schema;

/// The changes of the output: the build that made them, the fields that it added, and those that it
/// removed.
const CHANGES: &[(i64, &str, &str)] = &[
    (
        0,
        "build_commit build_number cuda opencl metal gpu_blas blas cpu_info gpu_info model_filename \
         model_type n_batch n_threads f16_kv n_gpu_layers main_gpu mul_mat_q low_vram tensor_split \
         n_prompt n_gen test_time avg_ns stddev_ns avg_ts stddev_ts",
        "",
    ),
    (1065, "model_size model_n_params", ""),
    (1289, "", "low_vram"),
    (1619, "type_k type_v", "f16_kv"),
    (1786, "no_kv_offload", ""),
    (1843, "split_mode", ""),
    (1996, "vulkan", ""),
    (2027, "kompute", ""),
    (2042, "sycl use_mmap", ""),
    (2303, "", "mul_mat_q"),
    (2360, "embeddings", ""),
    (2413, "n_ubatch", ""),
    (2771, "flash_attn", ""),
    (2843, "", ""),
    (3036, "rpc", ""),
    (3083, "", ""),
    (3086, "", "opencl"),
    (3131, "", ""),
    (3644, "cpu_mask cpu_strict poll", ""),
    (3661, "", ""),
    (
        4080,
        "backends",
        "cuda vulkan kompute metal sycl rpc gpu_blas blas",
    ),
    (5200, "tensor_buft_overrides", ""),
    (5212, "n_depth", ""),
    (5346, "no_op_offload", ""),
    (5361, "defrag_thold", ""),
    (6065, "", ""),
    (6245, "", "defrag_thold"),
    (6490, "n_cpu_moe", ""),
    (6522, "devices", ""),
    (6700, "no_host", ""),
    (7718, "use_direct_io", ""),
    (8679, "fit_target fit_min_ctx", ""),
    (9437, "", ""),
    (10105, "load_mode", "use_mmap use_direct_io"),
    // The build is not known; that of no row depends on it.
    (10500, "lazy_mode repack", ""),
];

/// The version of the row with these fields and this build number, as a build number.
///
/// That is the row's own if its fields are those of llama.cpp at that build. Shallow checkouts,
/// packages and forks number otherwise: then it is the last build with just these fields, where other
/// names than llama.cpp's do not count; if there is none, the row's own.
#[must_use]
pub(crate) fn version(schema: &Schema, build_number: i64) -> i64 {
    let mut all = BTreeSet::new();
    for (_, added, _) in CHANGES {
        all.extend(added.split_whitespace());
    }
    let named = schema.columns().iter().filter_map(|column| {
        let name = std::str::from_utf8(column.name.as_bytes()).ok()?;
        all.get(name).copied()
    });
    let named: BTreeSet<&str> = named.collect();
    let mut fields = BTreeSet::new();
    let mut last_with_these = None;
    let mut is_own = false;
    for (index, (build, added, removed)) in CHANGES.iter().enumerate() {
        fields.extend(added.split_whitespace());
        for field in removed.split_whitespace() {
            fields.remove(field);
        }
        if fields == named {
            last_with_these = Some(*build);
            let next = CHANGES
                .get(index + 1)
                .map_or(i64::MAX, |(build, ..)| *build);
            is_own |= (*build..next).contains(&build_number);
        }
    }
    match last_with_these {
        Some(last) if !is_own => last,
        _ => build_number,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Kind};
    use super::*;

    fn schema(names: &str) -> Schema {
        let column = |name: &str| Column {
            name: name.into(),
            kind: Kind::Text,
            width: None,
        };
        Schema::new(names.split_whitespace().map(column).collect(), None)
    }

    const B1065: &str = "build_commit build_number cuda opencl metal gpu_blas blas cpu_info gpu_info \
        model_filename model_type model_size model_n_params n_batch n_threads f16_kv n_gpu_layers \
        main_gpu mul_mat_q low_vram tensor_split n_prompt n_gen test_time avg_ns stddev_ns avg_ts \
        stddev_ts";
    const B5361: &str = "build_commit build_number cpu_info gpu_info backends model_filename \
        model_type model_size model_n_params n_batch n_ubatch n_threads cpu_mask cpu_strict poll \
        type_k type_v n_gpu_layers split_mode main_gpu no_kv_offload flash_attn tensor_split \
        tensor_buft_overrides defrag_thold use_mmap embeddings no_op_offload n_prompt n_gen n_depth \
        test_time avg_ns stddev_ns avg_ts stddev_ts";

    #[test]
    fn a_build_number_counts_if_the_fields_are_those_of_that_build() {
        assert_eq!(version(&schema(B1065), 1100), 1100);
        assert_eq!(version(&schema(B5361), 5500), 5500);
        // A shallow checkout: the last build with these fields.
        assert_eq!(version(&schema(B5361), 1), 6065);
        assert_eq!(version(&schema(B5361), 9999), 6065);
        // Other names do not count, but a missing one does.
        assert_eq!(version(&schema(&format!("{B5361} mine")), 1), 6065);
        assert_eq!(version(&schema("n_prompt n_gen avg_ts"), 1), 1);
    }
}
