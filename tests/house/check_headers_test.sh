#!/usr/bin/env bash
# tools/check-headers accepts headers without thread_local and call_once, and names file and line of those with.
set -euo pipefail
check=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/include/mp"
echo '// no thread_local here; not_thread_locally is a name' >"$tree/include/mp/good.hpp"
"$check" "$tree" || { echo "a good tree was refused"; exit 1; }
for line in 'inline thread_local int x;' 'std::call_once(flag, f);' '__thread int x;'; do
    printf '\n%s\n' "$line" >"$tree/include/mp/bad.hpp"
    if output=$("$check" "$tree"); then echo "accepted: $line"; exit 1; fi
    [[ $output == "include/mp/bad.hpp:2: $line" ]] || { echo "printed: $output"; exit 1; }
done
