# Completions of localstore for bash.
_localstore() {
    local word=$2 quote= words=() joined= index i
    # `--model=x`, `http://x` and `ns/key@tag` are three words here and one for the program.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if ((i > 1)) && [[ ${COMP_WORDS[i]} == [=:@] || ${COMP_WORDS[i - 1]} == [=:@] ]]; then
            words[${#words[@]} - 1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
    done
    index=$((${#words[@]} - 1))
    [[ $word == [=:@] ]] && word=
    joined=${words[index]%"${COMP_WORDS[COMP_CWORD]#[=:@]}"}
    case ${COMP_WORDS[COMP_CWORD]} in
        \"* | \'*) quote=${COMP_WORDS[COMP_CWORD]:0:1} ;;
        *) word=${word//\\/} ;;
    esac
    words[index]=$joined${word#"$quote"}
    local IFS=$'\013'
    COMPREPLY=($(_CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX="$index" COMPLETE=bash \
        "COMPLETER" -- "${words[@]}" 2>/dev/null))
    for ((i = 0; i < ${#COMPREPLY[@]}; i++)); do
        COMPREPLY[i]=${COMPREPLY[i]#"$joined"}
        [[ $quote ]] || COMPREPLY[i]=$(printf %q "${COMPREPLY[i]}")
    done
    if [[ ${COMPREPLY-} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -o bashdefault -o nosort -F _localstore localstore 2>/dev/null ||
    complete -o bashdefault -F _localstore localstore
