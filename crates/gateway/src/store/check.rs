//! Whether the rows of this room are what the program writes.

use rusqlite::Connection;

use super::backends;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, with the id: `key 3`.
    pub place: String,
    /// What is wrong there.
    pub what: &'static str,
}

/// Each a place, what is wrong there, and the rows where it is. Foreign keys are checked with all others of the
/// store. An alias or a fallback whose model is not there is no error: an agent may bring the model again.
const SHAPES: &[(&str, &str, &str)] = &[
    (
        "'backend ' || id",
        "its filters are no JSON object",
        "localstore_gateway_backends WHERE filters IS NOT NULL
           AND CASE WHEN json_valid(filters) THEN json_type(filters) <> 'object' ELSE 1 END",
    ),
    (
        "'backend ' || id",
        "its URL is not a valid base URL",
        "localstore_gateway_backends
         WHERE NOT (url GLOB 'http://?*' OR url GLOB 'https://?*') OR url GLOB '*/'
           OR instr(substr(url, instr(url, '://') + 3), '@')
             BETWEEN 1 AND instr(substr(url, instr(url, '://') + 3) || '/', '/')",
    ),
    (
        "'backend ' || id",
        "it has no model, no name there, or no place for a request",
        "localstore_gateway_backends WHERE model = '' OR upstream = ''
           OR typeof(parallel) <> 'integer' OR parallel NOT BETWEEN 1 AND 4294967295",
    ),
    (
        "'model ' || alias",
        "it is another name of itself",
        "localstore_gateway_aliases WHERE alias = model",
    ),
    (
        "'key ' || id",
        "its hash has not 32 bytes",
        "localstore_gateway_keys WHERE typeof(hash) <> 'blob' OR length(hash) <> 32",
    ),
    (
        "'key ' || id",
        "more or less of it is stored than its first 10 characters",
        "localstore_gateway_keys WHERE length(prefix) <> 10 OR prefix NOT GLOB 'sk-ls-*'",
    ),
    (
        "'key ' || id",
        "its models are no JSON array: it gives no right",
        "localstore_gateway_keys
         WHERE CASE WHEN json_valid(models) THEN json_type(models) <> 'array' ELSE 1 END",
    ),
    (
        "'key ' || id",
        "its name, its requests a minute or a time is of another type",
        "localstore_gateway_keys
         WHERE typeof(name) NOT IN ('null', 'text') OR typeof(rpm) NOT IN ('null', 'integer')
           OR rpm NOT BETWEEN 1 AND 4294967295 OR typeof(created_at) <> 'integer'
           OR typeof(expires_at) NOT IN ('null', 'integer')
           OR typeof(revoked_at) NOT IN ('null', 'integer')
           OR typeof(last_used_at) NOT IN ('null', 'integer')",
    ),
    (
        "'agent ' || name",
        "its models are no JSON array",
        "localstore_gateway_agents
         WHERE CASE WHEN json_valid(models) THEN json_type(models) <> 'array' ELSE 1 END",
    ),
    (
        // What SQLite tells of foreign keys names no row of a table without row ids.
        "'agent ' || name",
        "the key that it registered with is not there",
        "localstore_gateway_agents
         WHERE key_id IS NOT NULL AND key_id NOT IN (SELECT id FROM localstore_gateway_keys)",
    ),
    (
        "'usage of ' || day",
        "its times have another form",
        "localstore_gateway_usage_days WHERE typeof(ttft) <> 'blob' OR length(ttft) <> 128",
    ),
    (
        "'generation'",
        "it is not one number: gateways do not see changes of models",
        "(SELECT count(*) AS rows, min(typeof(generation)) AS type
           FROM localstore_gateway_generation) WHERE rows <> 1 OR type <> 'integer'",
    ),
];

/// Reports what is wrong with the rows.
pub fn check(db: &Connection, found: &mut dyn FnMut(Problem)) -> rusqlite::Result<()> {
    for (place, what, rows) in SHAPES {
        let mut wrong = db.prepare(&format!("SELECT CAST({place} AS TEXT) FROM {rows}"))?;
        for place in wrong.query_map([], |row| row.get(0))? {
            let place = place?;
            found(Problem { place, what });
        }
    }
    // What cannot be read has been found by its shape.
    let registry = backends::registry(db).unwrap_or_default();
    for model in registry.fallbacks.keys() {
        if registry.fallback_loop(model).is_some() {
            let place = format!("model {model}");
            let what = "its fallbacks lead back to it";
            found(Problem { place, what });
        }
    }
    Ok(())
}
