#!/usr/bin/env bash
# programs_test.sh SOURCE PROGRAM...: each program's manual page and completion know all of its options, and no others.
set -euo pipefail
source=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for program in "$@"; do
    name=${program##*/}
    page=$source/docs/man/$name.1
    [[ -e $page ]] || { echo "$name has no manual page $page"; exit 1; }
    options=$("$program" --help | grep -oE -- '^ *(-.,)?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u)
    documented=$(sed 's/\\-/-/g' "$page" | sed -n '/^.SH OPTIONS/,/^.SH EXIT/p' | grep -E '^\.B' | grep -oE -- '--[a-z-]+' | sort -u)
    [[ $options == "$documented" ]] || { echo "$page differs from $name --help:"; diff <(echo "$options") <(echo "$documented"); exit 1; }

    cp "$source/tools/completion/multiprocessing.bash" "$work/$name"
    completed=$(
        source "$work/$name"
        COMP_WORDS=("$program" --) COMP_CWORD=1
        _multiprocessing
        printf '%s\n' "${COMPREPLY[@]}" | sort -u
    )
    [[ $completed == "$options" ]] || { echo "completion of $name: $completed"; exit 1; }
    if [[ $options == *--mode* && $name == primes ]]; then
        words=$(
            source "$work/$name"
            COMP_WORDS=("$program" --mode p) COMP_CWORD=2
            _multiprocessing
            echo "${COMPREPLY[*]}"
        )
        [[ $words == "process pool" ]] || { echo "completion of --mode p: $words"; exit 1; }
    fi
done
