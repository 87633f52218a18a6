#!/usr/bin/env bash
# Builds the identity and worker-mode parts of the library and program.cpp in one configuration, and runs the program; then
# pool_program.cpp with the whole library, which is not compiled anew: an installed one is not either.
#   build_and_run.sh ROOT COMPILER CONFIGURATION ARCHIVE [DIRECTORY]
# ARCHIVE: libmultiprocessing.a, or empty when there is none to be had.
# Exit code 0 when the programs say that all is well, 77 (skipped) when the machine lacks a tool, which is named.
set -euo pipefail
root=$1 compiler=$2 configuration=$3
archive=${4:-}
work=${5:-$(mktemp -d)}
mkdir -p "$work"
[[ -n ${5:-} ]] || trap 'rm -rf "$work"' EXIT
here=$root/tests/identity/configuration

skip() { echo "skipped: $1"; exit 77; }
need() { command -v "$1" > /dev/null || skip "no $1 on this machine"; }
need "$compiler"
case $compiler in
    *clang*) ar=llvm-ar${compiler##*clang++}; gcc=; lto_linker=(-fuse-ld=lld)
        [[ $configuration != *lto ]] || need "ld.lld${compiler##*clang++}" ;;  # an older one cannot read its bitcode
    *) ar=gcc-ar; gcc=1; lto_linker=() ;;
esac
command -v "$ar" > /dev/null || ar=ar

cache=()
! command -v ccache > /dev/null || cache=(ccache)

flags=(-O1)   # of every compilation and link
link=()       # of the link of the program alone
kind=archive  # how the program gets the library: archive or shared
hooks=1       # whether the start hooks are in it
expected="identity holds"
case $configuration in
    O0) flags=(-O0) ;;
    O2) flags=(-O2) ;;
    O3-lto) flags=(-O3 -flto "${lto_linker[@]}"); [[ $gcc ]] || need ld.lld ;;
    icf-gold) need ld.gold; flags=(-O2 -ffunction-sections -fdata-sections); link=(-fuse-ld=gold -Wl,--icf=all -Wl,--gc-sections) ;;
    icf-lld) need ld.lld; flags=(-O2 -ffunction-sections -fdata-sections)
        link=(-fuse-ld=lld -Wl,--icf=all,--gc-sections) ;;
    icf-data) need ld.lld; flags=(-O2 -ffunction-sections -fdata-sections -DFOLDS_DATA -fno-pie)
        link=(-no-pie -fuse-ld=lld -Wl,--icf=all,--ignore-data-address-equality,--gc-sections) ;;
    icf-mold) need mold; flags=(-O2 -ffunction-sections -fdata-sections)
        link=(-fuse-ld=mold -Wl,--icf=all,--gc-sections) ;;
    static) link=(-static -Wl,--wrap=main -Wl,-lc) ;;
    static-pie) flags=(-O1 -fPIE); link=(-static-pie -Wl,--wrap=main -Wl,-lc) ;;
    static-lto) flags=(-O2 -flto "${lto_linker[@]}"); [[ $gcc ]] || need ld.lld; link=(-static -Wl,--wrap=main -Wl,-lc) ;;
    static-libstdc++) link=(-static-libstdc++ -static-libgcc) ;;
    no-pie) flags=(-O1 -fno-pie); link=(-no-pie) ;;
    stripped) link=(-s) ;;
    hidden) flags=(-O1 -fvisibility=hidden -fvisibility-inlines-hidden) ;;
    exported) link=(-rdynamic) ;;
    shared) kind=shared ;;
    shared-now) kind=shared; link=(-Wl,-z,now -Wl,--as-needed) ;;
    asan) flags=(-O1 -fsanitize=address,undefined) ;;
    tsan) flags=(-O1 -fsanitize=thread) ;;
    explicit-init) hooks=; flags=(-O1 -DSAY_INIT) ;;
    init-beside-hook) flags=(-O1 -DSAY_INIT) ;;
    no-hook) hooks=; expected="this process was started as a worker but reached main: call mp::init" ;;
    no-build-id) link=(-Wl,--build-id=none); expected="link it with -Wl,--build-id" ;;
    static-unprepared) link=(-static); expected='multiple definition of `__libc_start_main' ;;
    other-path) ;;  # moved before it runs
    valgrind) need valgrind ;;
    ld.so) ;;
    *) echo "unknown configuration $configuration" >&2; exit 2 ;;
esac

compile() {  # SOURCE OBJECT
    "${cache[@]}" "$compiler" -std=c++20 -Wall -Wextra "${flags[@]}" "${@:3}" -I"$root/include" -I"$root/src" -c "$1" -o "$work/$2"
}
pic=()
[[ $kind == archive ]] || pic=(-fPIC)  # not hidden: the program uses internals too
compile "$here/library.cpp" library.o "${pic[@]}"
compile "$here/program.cpp" program.o
objects=("$work/library.o")
if [[ $hooks ]]; then
    compile "$root/src/process/start_hook.cpp" start_hook.o "${pic[@]}"
    compile "$root/src/process/start_hook_static.cpp" start_hook_static.o "${pic[@]}"
    objects+=("$work/start_hook.o" "$work/start_hook_static.o")
fi

[[ " ${link[*]} " == *--build-id=none* ]] || link+=(-Wl,--build-id)
rm -f "$work/libidentity.a"
if [[ $kind == archive ]]; then
    "$ar" rcs "$work/libidentity.a" "${objects[@]}"
    library=("$work/libidentity.a")
else
    # The library calls run_marked_copy, which the program brings: allowed to be undefined, and found when it runs.
    "$compiler" "${flags[@]}" -shared "${objects[@]}" -o "$work/libidentity.so" -Wl,--build-id
    library=("$work/libidentity.so" "-Wl,-rpath,$work" -rdynamic)
fi
"$compiler" "${flags[@]}" "${link[@]}" "$work/program.o" "${library[@]}" -o "$work/program" 2> "$work/link.txt" ||
    { cat "$work/link.txt"; grep -qF -- "$expected" "$work/link.txt"; exit; }

# Runs the program the configuration's way; it must say `expected`.
run_program() {  # PROGRAM EXPECTED
    local program=$1 run output
    run=("$program")
    case $configuration in
        other-path) mv "$program" "$program-renamed"; run=("$program-renamed") ;;
        valgrind) run=(valgrind --quiet --error-exitcode=9 "$program") ;;
        ld.so) run=("$(ldd "$program" | sed -n 's@^[[:space:]]*\(/[^ ]*ld[^ ]*\).*@\1@p')" "$program") ;;
    esac
    output=$(timeout 60 "${run[@]}" 2>&1) || true
    echo "$output"
    grep -qF -- "$2" <<< "$output" || { echo "expected: $2"; exit 1; }
}
run_program "$work/program" "$expected"

[[ -n $archive && $expected == "identity holds" && $hooks ]] || exit 0
# The sanitizers have test runs of their own for the whole library; here it would not be instrumented.
[[ $configuration != tsan ]] || exit 0
compile "$here/pool_program.cpp" pool_program.o
if [[ $kind == archive ]]; then
    library=("$archive" -pthread -ldl)
else
    "$compiler" -shared -Wl,--whole-archive "$archive" -Wl,--no-whole-archive -o "$work/libwhole.so" -Wl,--build-id \
        -pthread -ldl
    library=("$work/libwhole.so" "-Wl,-rpath,$work" -pthread)
fi
"$compiler" "${flags[@]}" "${link[@]}" "$work/pool_program.o" "${library[@]}" -o "$work/pool_program"
run_program "$work/pool_program" "the pool works"
