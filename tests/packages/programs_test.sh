#!/usr/bin/env bash
# programs_test.sh SOURCE PROGRAM...: each program's manual page and completions know all of its options, and no others.
set -euo pipefail
source=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complete_by_bash() {
    cp "$source/tools/completion/multiprocessing.bash" "$work/${1##*/}"
    (
        source "$work/${1##*/}"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _multiprocessing
        printf '%s\n' "${COMPREPLY[@]}" | sort -u
    )
}
complete_by_zsh() {
    zsh -f -c 'compadd() { shift; print -l -- "$@" }; file=$1; shift; words=("$@") CURRENT=$#; source $file' zsh \
        "$source/tools/completion/_multiprocessing" "$@" | sort -u
}
complete_by_fish() {
    cp "$source/tools/completion/multiprocessing.fish" "$work/${1##*/}.fish"
    HOME=$work fish --no-config -c "source $work/${1##*/}.fish; complete -C '$*'" | cut -f1 | sort -u
}

for program in "$@"; do
    name=${program##*/}
    page=$source/docs/man/$name.1
    [[ -e $page ]] || { echo "$name has no manual page $page"; exit 1; }
    options=$("$program" --help | grep -oE -- '^ *(-.,)?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u)
    documented=$(sed 's/\\-/-/g' "$page" | sed -n '/^.SH OPTIONS/,/^.SH EXIT/p' | grep -E '^\.B' | grep -oE -- '--[a-z-]+' | sort -u)
    [[ $options == "$documented" ]] || { echo "$page differs from $name --help:"; diff <(echo "$options") <(echo "$documented"); exit 1; }

    # Each shell that is here: what it offers behind these words of a command line.
    for shell in bash zsh fish; do
        type "$shell" >/dev/null 2>&1 || continue
        completed=$(complete_by_$shell "$program" --)
        [[ $completed == "$options" ]] || { echo "completion of $name by $shell: $completed"; exit 1; }
        case $name in
            primes) words=$(complete_by_$shell "$program" --mode '') expected='own pool process serial shared' ;;
            mp-top) words=$(complete_by_$shell "$program" --sort '') expected='cpu memory tasks time worker' ;;
        esac
        [[ ${words//$'\n'/ } == "$expected" ]] || { echo "completion of a choice of $name by $shell: $words"; exit 1; }
    done
done
