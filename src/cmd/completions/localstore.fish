# Completions of localstore for fish.
complete --keep-order --no-files --command localstore --arguments "(COMPLETE=fish 'COMPLETER' -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token) 2>/dev/null)"
