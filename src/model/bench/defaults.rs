//! The settings of llama-bench: their short names, and what they are where nothing was asked for.

/// Fields and their names as columns of a table, where these are shorter.
const SHORT: [(&str, &str); 35] = [
    ("n_gpu_layers", "ngl"),
    ("split_mode", "sm"),
    ("n_threads", "threads"),
    ("no_kv_offload", "nkvo"),
    ("flash_attn", "fa"),
    ("use_mmap", "mmap"),
    ("use_direct_io", "dio"),
    ("load_mode", "lm"),
    ("embeddings", "embd"),
    ("no_op_offload", "nopo"),
    ("no_host", "noh"),
    ("repack", "rpk"),
    ("devices", "dev"),
    ("tensor_split", "ts"),
    ("tensor_buft_overrides", "ot"),
    ("fit_target", "fitt"),
    ("fit_min_ctx", "fitc"),
    ("mul_mat_q", "mmq"),
    // Of ik_llama.cpp.
    ("mla_attn", "mla"),
    ("attn_max_batch", "amb"),
    ("reuse", "gr"),
    ("repack", "rtr"),
    ("use_thp", "thp"),
    ("fused_moe", "fmoe"),
    ("grouped_er", "ger"),
    ("no_fused_up_gate", "no-fug"),
    ("fused_up_gate", "no-fug"),
    ("no_ooae", "no-ooae"),
    ("ooae", "no-ooae"),
    ("defer_experts", "defer"),
    ("cuda_params", "cuda"),
    ("override_tensor", "ot"),
    ("model_type", "model"),
    ("model_size", "size"),
    ("model_n_params", "params"),
];

/// The name of a setting as a column of a table.
#[must_use]
pub(crate) fn short_name(field: &str) -> &str {
    let short = SHORT.iter().find(|(long, _)| *long == field);
    short.map_or(field, |(_, short)| short)
}

/// The value of a setting where nothing was asked for, in the version with this build number, as
/// csv prints it; `None` where it is not known.
#[must_use]
#[allow(clippy::match_same_arms, reason = "fields in the order of their kinds")]
pub(crate) fn default(field: &str, version: i64) -> Option<&'static str> {
    Some(match field {
        "n_batch" if version < 2413 => "512",
        "n_batch" => "2048",
        "n_ubatch" => "512",
        "type_k" | "type_v" => "f16",
        "f16_kv" | "mul_mat_q" => "1",
        // A field of the same name elsewhere is older.
        "repack" if version >= 10105 => "1",
        "low_vram" | "no_kv_offload" | "embeddings" | "no_op_offload" | "no_host"
        | "cpu_strict" | "main_gpu" | "n_cpu_moe" | "n_depth" | "fit_target" | "fit_min_ctx" => "0",
        "split_mode" => "layer",
        "tensor_split" => "0.00",
        "tensor_buft_overrides" => "none",
        "devices" | "lazy_mode" => "auto",
        "cpu_mask" => "0x0",
        "poll" => "50",
        "defrag_thold" => "-1.000000",
        "flash_attn" if version < 9437 => "0",
        "flash_attn" => "-1",
        "n_gpu_layers" if version < 9437 => "99",
        "n_gpu_layers" => "-1",
        "use_mmap" if (7755..=8246).contains(&version) => "0",
        "use_mmap" => "1",
        "use_direct_io" if version < 7755 => "1",
        "use_direct_io" => "0",
        "load_mode" if version < 10364 => "mmap",
        "load_mode" => "auto",
        _ => return None,
    })
}

/// The fields whose column in a table has this name.
pub(crate) fn long_names(column: &str) -> impl Iterator<Item = &str> {
    let long = SHORT.iter().filter(move |(_, short)| *short == column);
    long.map(|(long, _)| *long).chain([column])
}
