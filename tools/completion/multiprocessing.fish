# Completion for the programs of multiprocessing: they say themselves which options and words they take.
function __multiprocessing_words
    set -l words (commandline -opc)
    set -l help ($words[1] --help 2>/dev/null)
    or return
    set -l before $words[-1]
    if string match -q -- '--*' $before
        # `--mode serial|pool=pool`: words with a default.
        set -l choices (string replace -rf -- "^ *(?:-.,)?$before +([^ =]*\|[^ =]*).*" '$1' $help)
        if test -n "$choices"
            string split '|' $choices
            return
        end
        if string match -qr -- "^ *(?:-.,)?$before +FILE" $help
            __fish_complete_path (commandline -ct)
            return
        end
    end
    # The text behind a tab is what fish shows beside the word.
    string replace -rf -- '^ *(?:-.,)?(--[a-z-]+)(?: [A-Za-z]\S*)?(?: +(\S.*))?$' '$1\t$2' $help
end
# The file has the name of the program that it is installed for.
complete -c (string replace -r '\.fish$' '' (basename (status filename))) -f -a '(__multiprocessing_words)'
