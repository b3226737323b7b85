#!/usr/bin/env bash
# Builds the packages of both functions with cargo-lambda: target/lambda/NAME/bootstrap.zip.
#
#   scripts/package.sh [arm64|x86_64]     default: the architecture of this machine
#
# The same sources give the same bytes, wherever and whenever they are built: no path of this machine is compiled in, and the
# time in the zip is always the same. That takes the same Rust; the same cargo-lambda and zig, which scripts/tools.sh pins; and
# a Python with the same zlib, which compresses.
set -euo pipefail

cd "$(dirname "$0")/.."
functions=(lambda-cloudtrail lambda-minio-http)
max_bytes=5000000

fail() {
    printf 'package: %s\n' "$*" >&2
    exit 1
}

case "${1:-$(uname -m)}" in
arm64 | aarch64) arch=arm64 target=aarch64-unknown-linux-gnu ;;
x86_64 | amd64) arch=x86_64 target=x86_64-unknown-linux-gnu ;;
*) fail "ARCH: expected arm64 or x86_64" ;;
esac

library="$(rustc --print target-libdir --target "$target")"
compgen -G "$library/libstd-*.rlib" >/dev/null ||
    fail "the Rust standard library for $target is missing: rustup target add $target (without rustup: the package of your
distribution that has it, such as libstd-rust-dev:arm64)"

# Where things are here, and what they are called in the binary instead; the longest first, since the last that fits is taken.
here="$(pwd -P)"
target_dir="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
cargo_home="$(realpath -m "${CARGO_HOME:-$HOME/.cargo}")"
rust="$(rustc --print sysroot)"
flags=() c_flags=()
for pair in "$rust=/rust" "$cargo_home=/cargo" "$target_dir=/build/target" "$here=/build"; do
    case "$pair" in *' '*) fail "no path may have a space in it: ${pair%=*}" ;; esac
    flags+=("--remap-path-prefix=$pair")
    c_flags+=("-ffile-prefix-map=$pair")
done
export RUSTFLAGS="${flags[*]}" CFLAGS="${c_flags[*]} ${CFLAGS:-}"
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS

for function in "${functions[@]}"; do
    # One after the other, so that none has features in it that only the other needs.
    cargo lambda build --release --locked --skip-target-check --target "$target" --lambda-dir target/lambda \
        --package "$function" --bin "$function"
    python3 scripts/zip.py "$arch" "target/lambda/$function/bootstrap" "target/lambda/$function/bootstrap.zip"
done

for function in "${functions[@]}"; do
    zip="target/lambda/$function/bootstrap.zip"
    bytes="$(wc -c <"$zip")"
    printf '%s  %s  %9d bytes  %s\n' "$(sha256sum "$zip" | cut -d' ' -f1)" "$arch" "$bytes" "$zip"
    if [ "$bytes" -gt "$max_bytes" ]; then
        printf 'package: %s is larger than the %d bytes that it is meant to have\n' "$zip" "$max_bytes" >&2
    fi
done
