#!/usr/bin/env bash
# Records again what a real MinIO sends to its webhooks, as the fixtures in audit-core/tests/minio.
#
#   scripts/record-minio.sh
#
# Needs `minio` and `mc` (scripts/tools.sh test builds both, with Go). Look at the difference before you commit it, then
# take over the snapshots: INSTA_UPDATE=always cargo test -p audit-core --test recorded
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/tools.sh build
cargo run --quiet -p e2e --bin record
