# Completions of localstore for nushell: `source` this file in config.nu.
let localstore_other_completer = $env.config.completions?.external?.completer?
$env.config.completions.external.enable = true
$env.config.completions.external.completer = {|spans|
    if ($spans.0 | path basename) == "localstore" {
        let words = try { with-env { COMPLETE: nushell } { ^"COMPLETER" -- ...$spans } | from json } catch { [] }
        # Where there is nothing to offer, files are.
        if ($words | is-empty) { null } else { $words }
    } else if $localstore_other_completer != null {
        do $localstore_other_completer $spans
    }
}
