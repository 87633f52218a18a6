# Completion for the programs of multiprocessing: they say themselves which options and words they take.
_multiprocessing() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} help words
    help=$("${COMP_WORDS[0]}" --help 2>/dev/null) || return
    if [[ $before == --* ]]; then
        # `--mode serial|pool=pool`: words with a default.
        words=$(sed -nE "s/^ *(-.,)?${before} +([^ =]*\|[^ =]*)(=.*)?( .*)?$/\2/p" <<<"$help")
        if [[ -n $words ]]; then
            mapfile -t COMPREPLY < <(compgen -W "${words//|/ }" -- "$word")
            return
        fi
        if grep -qE -- "^ *(-.,)?${before} +FILE" <<<"$help"; then
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$(grep -oE -- '^ *(-.,)?--[a-z-]+' <<<"$help" | grep -oE -- '--[a-z-]+')" -- "$word")
}
# The file has the name of the program that it is installed for.
complete -F _multiprocessing "${BASH_SOURCE[0]##*/}"
