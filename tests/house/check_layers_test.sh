#!/usr/bin/env bash
# tools/check-layers accepts a small good tree and names the file and line of each breach put into it.
set -euo pipefail
check=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

good_tree() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree"/src/{base,os,pool} "$tree/include/multiprocessing"
    cat >"$tree/src/LAYERS" <<'END'
# comment
base :
os   : base
pool : base os
header base : multiprocessing/export.hpp
header pool : multiprocessing/pool.hpp
END
    echo '#pragma once' >"$tree/include/multiprocessing/export.hpp"
    printf '#include <vector>\n#include <multiprocessing/export.hpp>\n' >"$tree/include/multiprocessing/pool.hpp"
    echo '#include <string>' >"$tree/src/base/bytes.hpp"
    printf '#include <unistd.h>\n#include "base/bytes.hpp"\n' >"$tree/src/os/pipe.hpp"
    printf '#include <multiprocessing/pool.hpp>\n#include "os/pipe.hpp"\n' >"$tree/src/pool/pool.cpp"
}

# refuses TEXT: the check must fail and its output contain TEXT.
refuses() {
    local output
    if output=$("$check" "$tree" 2>&1); then
        echo "accepted, but expected: $1"
        failures=1
    elif [[ $output != *"$1"* ]]; then
        printf 'expected: %s\nprinted:  %s\n' "$1" "$output"
        failures=1
    fi
    good_tree
}

good_tree
"$check" "$tree" || { echo "refused the good tree"; failures=1; }

echo '#include "os/pipe.hpp"' >>"$tree/src/base/bytes.hpp"
refuses 'src/base/bytes.hpp:2: layer base may not include os/pipe.hpp, of layer os'

echo '  #  include <os/pipe.hpp>' >>"$tree/src/base/bytes.hpp"
refuses 'src/base/bytes.hpp:2: layer base may not include os/pipe.hpp, of layer os'

echo '#include <multiprocessing/pool.hpp>' >>"$tree/src/os/pipe.hpp"
refuses 'src/os/pipe.hpp:3: layer os may not include multiprocessing/pool.hpp, a header of layer pool'

echo '#include "../base/bytes.hpp"' >>"$tree/src/os/pipe.hpp"
refuses 'src/os/pipe.hpp:3: "../base/bytes.hpp" is no file of a layer'

echo '#include <base/bytes.hpp>' >>"$tree/include/multiprocessing/pool.hpp"
refuses 'include/multiprocessing/pool.hpp:3: a public header includes the internal base/bytes.hpp'

echo '#include "export.hpp"' >>"$tree/include/multiprocessing/pool.hpp"
refuses 'include/multiprocessing/pool.hpp:3: a public header includes "export.hpp"'

echo '#include <multiprocessing/gone.hpp>' >>"$tree/include/multiprocessing/pool.hpp"
refuses 'include/multiprocessing/pool.hpp:3: there is no public header multiprocessing/gone.hpp'

mkdir "$tree/src/extra" && touch "$tree/src/extra/thing.cpp" && echo '#include <string>' >"$tree/src/extra/thing.cpp"
refuses 'src/extra/thing.cpp: belongs to no layer'

echo 'net : pool queue' >>"$tree/src/LAYERS"
refuses '"net" may not include "queue", which is not described before it'

echo 'header os : multiprocessing/gone.hpp' >>"$tree/src/LAYERS"
refuses 'there is no public header multiprocessing/gone.hpp'

echo 'what is this' >>"$tree/src/LAYERS"
refuses 'cannot understand this line'

exit $failures
