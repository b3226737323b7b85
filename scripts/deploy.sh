#!/usr/bin/env bash
# Packages both functions for the architecture that samconfig.toml names, and deploys the stack.
#
#   scripts/deploy.sh [ENVIRONMENT]     a section of samconfig.toml; default: default
set -euo pipefail

cd "$(dirname "$0")/.."
environment="${1:-default}"
if [ ! -f samconfig.toml ]; then
    printf 'deploy: no samconfig.toml: cp samconfig.example.toml samconfig.toml, and fill it in\n' >&2
    exit 1
fi
# The section's own parameters, without comments; of the forms that sam takes, each has the name, then the value.
arch="$(awk -v section="[$environment." 'index($0, "[") == 1 { own = index($0, section) == 1 } own && !/^[ \t]*#/' samconfig.toml |
    sed -n 's/.*Architecture[^a-z0-9]*\(arm64\|x86_64\).*/\1/p' | head -n 1)"
arch="${arch:-arm64}"
if [ -n "${ARCH:-}" ] && [ "$ARCH" != "$arch" ]; then
    printf 'deploy: ARCH is %s, but the stack is for %s: expected Architecture=%s among the parameters in samconfig.toml\n' \
        "$ARCH" "$arch" "$ARCH" >&2
    exit 1
fi
scripts/package.sh "$arch"
SAM_CLI_TELEMETRY=0 exec sam deploy --config-file samconfig.toml --config-env "$environment"
