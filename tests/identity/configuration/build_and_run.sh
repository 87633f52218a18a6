#!/usr/bin/env bash
# Builds the identity and worker-mode parts of the library and program.cpp in one configuration, and runs the program.
#   build_and_run.sh ROOT COMPILER CONFIGURATION [DIRECTORY]
# Exit code 0 when the program says that identity holds, 77 (skipped) when the machine lacks a tool, which is named.
set -euo pipefail
root=$1 compiler=$2 configuration=$3
work=${4:-$(mktemp -d)}
mkdir -p "$work"
[[ -n ${4:-} ]] || trap 'rm -rf "$work"' EXIT
here=$root/tests/identity/configuration

skip() { echo "skipped: $1"; exit 77; }
need() { command -v "$1" > /dev/null || skip "no $1 on this machine"; }
need "$compiler"
case $compiler in
    *clang*) ar=llvm-ar${compiler##*clang++}; gcc=; lto_linker=(-fuse-ld=lld) ;;
    *) ar=gcc-ar; gcc=1; lto_linker=() ;;
esac
command -v "$ar" > /dev/null || ar=ar

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
    "$compiler" -std=c++20 -Wall -Wextra "${flags[@]}" "${@:3}" -I"$root/include" -I"$root/src" -c "$1" -o "$work/$2"
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

run=("$work/program")
case $configuration in
    other-path) mv "$work/program" "$work/renamed"; run=("$work/renamed") ;;
    valgrind) run=(valgrind --quiet --error-exitcode=9 "$work/program") ;;
    ld.so) run=("$(ldd "$work/program" | sed -n 's@^[[:space:]]*\(/[^ ]*ld[^ ]*\).*@\1@p')" "$work/program") ;;
esac
output=$(timeout 60 "${run[@]}" 2>&1) || true
echo "$output"
grep -qF -- "$expected" <<< "$output" || { echo "expected: $expected"; exit 1; }
