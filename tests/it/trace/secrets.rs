use std::path::Path;

use super::Work;

const SECRETS: [&str; 4] = [
    "sk-abcdefgh12345678",
    "ghp_0123456789abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "hunter2hunter2",
];

#[test]
fn no_secret_is_written_anywhere() {
    let work = Work::new();
    let script = r#"
        echo '{"event":"session.started","session_id":"sk-abcdefgh12345678","agent_model":"ghp_0123456789abcdef"}'
        echo '{"event":"turn.started","prompt":"use AKIAIOSFODNN7EXAMPLE","password":"hunter2hunter2"}'
        echo '{"event":"part.completed","part_type":"tool","item_type":"sk-abcdefgh12345678","summary":"ghp_0123456789abcdef"}'
        echo '{"event":"part.completed","part_type":"tool","test_call":{"path":"sk-abcdefgh12345678","timestamp":"x","duration_ms":1,"status_code":500,"error":"AKIAIOSFODNN7EXAMPLE"}}'
        echo '{"event":"new ghp_0123456789abcdef","api_key":"hunter2hunter2"}'
        echo 'plain sk-abcdefgh12345678'
        printf 'cut AKIAIOSFODNN7EXAMPLE'"#;
    let prompt = ["--prompt", "with sk-abcdefgh12345678"];
    let ran = work.record("t", &prompt, script);
    ran.ok();
    // What passes through is the agent's own.
    assert!(ran.text().contains(SECRETS[0]));
    for secret in SECRETS {
        assert!(!ran.stderr.contains(secret), "{secret}: {}", ran.stderr);
    }
    let mut files = 0;
    for folder in [work.folder("t"), work.sandbox().path().join(".llamafile")] {
        files += search(&folder);
    }
    assert!(files >= 3, "{files}");
    let trace = work.trace("t");
    assert_eq!(trace["parts"][0]["summary"], "***");
    assert_eq!(trace["turns"][0]["prompt"], "use ***");
}

/// Asserts that no file below the folder has a secret; their number.
fn search(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += search(&path);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for secret in SECRETS {
            let found = memchr::memmem::find(&bytes, secret.as_bytes());
            assert_eq!(found, None, "{secret} in {}", path.display());
        }
        files += 1;
    }
    files
}
