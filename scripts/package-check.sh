#!/usr/bin/env bash
# Proves that the packages are reproducible: builds the current commit in two folders of different names and depths, and
# compares. Takes two whole release builds.
#
#   scripts/package-check.sh [arm64|x86_64]
set -euo pipefail

cd "$(dirname "$0")/.."
unset CARGO_TARGET_DIR
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT

sums=()
for folder in "$place/a" "$place/another/and/deeper/checkout"; do
    mkdir -p "$folder"
    git archive HEAD | tar -x -C "$folder"
    "$folder/scripts/package.sh" "$@"
    sums+=("$(cd "$folder/target/lambda" && sha256sum ./*/bootstrap.zip)")
    for function in "$folder"/target/lambda/*/bootstrap; do
        if grep -aqF -e "$place" -e "$HOME/" "$function"; then
            printf 'package-check: %s has a path of this machine in it\n' "$function" >&2
            exit 1
        fi
    done
    rm -rf "$folder/target/"{release,*-unknown-linux-gnu}
done
if [ "${sums[0]}" != "${sums[1]}" ]; then
    printf 'package-check: the packages differ\n%s\n%s\n' "${sums[@]}" >&2
    exit 1
fi
printf 'reproducible: two checkouts gave the same packages\n%s\n' "${sums[0]}"
