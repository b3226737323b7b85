#!/bin/sh
# Has MinIO send its audit entries to the receiver, by mc, and proves by one download that they arrive: the set-up sidecar's program.
# `s3audit minio setup` does the same without mc. Safe to run again: what is so already is left alone.
#
#   minio-setup.sh          sets up       minio-setup.sh --check     only verifies
#
# MINIO_ENDPOINT          MinIO's S3 endpoint, such as http://minio:9000
# MINIO_ROOT_USER         keys of an administrator; each, and the token, may be in a file named by the same variable with _FILE
# MINIO_ROOT_PASSWORD
# RECEIVER_URL            the receiver as MinIO and this script reach it, such as http://receiver:8092: without a path, the path
#                         /auditlogs/processor is meant; any other is a proxy's, and entries go to it as it is
# WEBHOOK_AUTH_TOKEN      the receiver's token
# WEBHOOK_ID              name of the webhook targets (metering)
# QUEUE_DIR               directory on MinIO's servers for entries the receiver has not taken (none: they are in memory)
# BATCH_SIZE              entries in one request (100)
# HTTP_TIMEOUT            how long MinIO waits for an answer (10s)
# NOTIFY_BUCKETS          buckets that also send notifications, separated by spaces (none)
# WAIT_SECONDS            how long to wait for each thing (120)
#
# Needs mc and curl. The administrator's keys are never in an argument; mc takes the token in one, for as long as the call lasts.
set -eu

mode="${1:-}"
webhook_id="${WEBHOOK_ID:-metering}"
batch_size="${BATCH_SIZE:-100}"
http_timeout="${HTTP_TIMEOUT:-10s}"
queue_dir="${QUEUE_DIR:-}"
notify_buckets="${NOTIFY_BUCKETS:-}"
limit="${WAIT_SECONDS:-120}"
changes=0

ok() { printf 'ok  %s\n' "$*"; }
note() { printf -- '--  %s\n' "$*"; }
fail() {
    printf 'minio-setup: %s\n' "$*" >&2
    exit 1
}
changed() {
    changes=$((changes + 1))
    printf '++  %s\n' "$*"
}

# setting NAME: the variable's value, or what the file holds that NAME_FILE names.
setting() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    # shellcheck disable=SC2154  # both are set by the line above
    if [ -z "$value" ] && [ -n "$file" ]; then
        [ -r "$file" ] || fail "$1_FILE: expected the path of a file that can be read"
        value="$(cat "$file")"
    fi
    [ -n "$value" ] || fail "$1: expected a value (or $1_FILE)"
    printf '%s' "$value"
}

# until_ok WHAT COMMAND…: tries once a second.
until_ok() {
    what="$1"
    shift
    left="$limit"
    until "$@" >/dev/null 2>&1; do
        [ "$left" -gt 0 ] || return 1
        [ "$left" = "$limit" ] || [ $((left % 5)) -ne 0 ] || printf 'waiting for %s\n' "$what" >&2
        left=$((left - 1))
        sleep 1
    done
}

# The words of mc's own error on one line, without the values it was given: of a refused setting it repeats them all, the token too.
mc_says() {
    said="$(sed -n 's/.*<ERROR> //p' "$work/error" | tr '\n' ' ' | sed "s/Unable to set '.*' to server/The setting is refused/")"
    # The whole of it, and what is behind its scheme.
    for secret in "$token" "${token#* }"; do
        while [ -n "$secret" ]; do
            case "$said" in
            *"$secret"*) said="${said%%"$secret"*}${said#*"$secret"}" ;;
            *) break ;;
            esac
        done
    done
    printf '%s' "$said"
}

run_mc() { mc --config-dir "$work/mc" --no-color "$@" 2>"$work/error"; }

case "$mode" in '' | --check) ;; *) fail "expected nothing or --check" ;; esac
for program in mc curl; do
    command -v "$program" >/dev/null || fail "$program: not found on PATH"
done
case "$webhook_id" in *[!A-Za-z0-9_-]* | '') fail "WEBHOOK_ID: expected letters, digits, - and _" ;; esac

endpoint="$(setting MINIO_ENDPOINT)"
receiver="$(setting RECEIVER_URL)"
user="$(setting MINIO_ROOT_USER)"
password="$(setting MINIO_ROOT_PASSWORD)"
token="$(setting WEBHOOK_AUTH_TOKEN)"
endpoint="${endpoint%/}"
case "$receiver" in
*[?#@]*) fail "RECEIVER_URL: expected the receiver's URL without user and query" ;;
*://*/?*) entries="$receiver" ;;
*) entries="${receiver%/}/auditlogs/processor" ;;
esac
# Its other pages are beside that path; behind a proxy of another path nobody knows where they are.
case "$entries" in
*/auditlogs/processor) pages="${entries%/auditlogs/processor}" ;;
*) pages= ;;
esac
# MinIO sends for its audit webhook what is configured, verbatim: the scheme is part of it.
case "$token" in
*[\"\'\\]*) fail "WEBHOOK_AUTH_TOKEN: expected a token without quotes and backslashes" ;;
*' '*) authorization="$token" ;;
*) authorization="Bearer $token" ;;
esac

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# 1. Both answer, and the receiver takes the token.
until_ok "MinIO at $endpoint" curl -fsS -m 5 "$endpoint/minio/health/ready" ||
    fail "MINIO_ENDPOINT: no MinIO is ready at $endpoint (waited for $limit s)"
[ -z "$pages" ] || until_ok "the receiver at $pages" curl -fsS -m 5 "$pages/ready" ||
    fail "RECEIVER_URL: no receiver is ready at $pages (waited for $limit s)"
status="$(printf 'header = "Authorization: %s"\n' "$authorization" |
    curl -sS -m 10 --config - -o /dev/null -w '%{http_code}' --data '{}' "$entries")" || status=none
case "$status" in
2??) ok "the receiver is ready and takes the token" ;;
401 | 403) fail "WEBHOOK_AUTH_TOKEN: expected the token that the receiver was started with (it answers $status)" ;;
*) fail "RECEIVER_URL: expected the receiver (an empty probe is answered $status)" ;;
esac

# 2. The administrator's keys, by standard input.
printf '%s\n%s\n' "$user" "$password" | run_mc alias set minio "$endpoint" >/dev/null || {
    # Its own words may hold the secret key.
    ! grep -q 'Access Key Id you provided does not exist' "$work/error" ||
        fail "MINIO_ROOT_USER: expected an access key that MinIO knows"
    fail "MINIO_ROOT_PASSWORD: expected the secret key of MINIO_ROOT_USER"
}
run_mc admin info minio --json | grep -q '"status" *: *"success"' ||
    fail "MINIO_ROOT_USER: expected an administrator"
ok "MinIO at $endpoint answers, and these are an administrator's keys"
for bucket in $notify_buckets; do
    run_mc ls "minio/$bucket" >/dev/null || fail "NOTIFY_BUCKETS: expected a bucket that is there: $bucket"
done

# is_set SUBSYSTEM KEY=VALUE…: whether all of these are in force. Where MinIO's environment holds another value, none set from here would be.
is_set() {
    subsystem="$1"
    shift
    run_mc admin config get minio "$subsystem" >"$work/config" || fail "MinIO's configuration cannot be read: $(mc_says)"
    grep -q "^$subsystem:$webhook_id " "$work/config" || return 1
    line=" $(sed -n "s/^$subsystem:$webhook_id //p" "$work/config" | tr -d '"') "
    same=yes
    for pair in "$@" enable=on; do
        key="${pair%%=*}"
        variable="MINIO_$(printf '%s_%s' "$subsystem" "$key" | tr '[:lower:]' '[:upper:]')_$webhook_id"
        case "$(sed -n "s/^# $variable=/$key=/p" "$work/config" | tr -d '"')" in
        "$pair" | enable=true) continue ;;
        ?*) fail "$variable in MinIO's environment wins over what is stored: expected ${pair#*=} there, or no such variable" ;;
        esac
        # What is on is shown without saying so.
        case "$key $line" in
        'enable '*' enable=off '*) same=no ;;
        'enable '* | *" $pair "*) ;;
        *) same=no ;;
        esac
    done
    [ $same = yes ]
}

# store SUBSYSTEM KEY=VALUE…: sets the target, with the token; what mc says of it is in $work/said.
store() {
    subsystem="$1"
    shift
    run_mc admin config set minio "$subsystem:$webhook_id" "$@" enable=on auth_token="\"$authorization\"" >"$work/said" ||
        fail "$subsystem:$webhook_id: MinIO refuses: $(mc_says)"
}

# differs SUBSYSTEM KEY=VALUE…: whether there is anything to set; a check ends here where there is.
differs() {
    if is_set "$@"; then
        ok "$1:$webhook_id is set"
        return 1
    fi
    [ "$mode" != --check ] || fail "$1:$webhook_id is not as wanted (run the set-up)"
}

arn() { run_mc admin info minio --json | tr -d '\n' | grep -o "arn:minio:sqs:[^\"]*:$webhook_id:webhook"; }

# young SECONDS: whether each server has been up for no longer.
young() {
    ages="$(run_mc admin info minio --json | tr -d ' \n' | grep -o '"uptime":[0-9]*')" || return 1
    for age in $ages; do
        [ "${age#*:}" -le "$1" ] || return 1
    done
}

# In a shell of its own, which is all that ends while MinIO does not answer.
back_with() { (is_set "$@") && arn; }
# It answers for a moment before it goes down.
back_since() { young $(($(date +%s) - $1)); }

restart() {
    printf 'MinIO is starting again\n' >&2
    run_mc admin service restart minio --json >/dev/null || fail "MinIO does not start again: $(mc_says)"
}

# store_audit KEY=VALUE…: before 2022-02 a change of it is in force only once MinIO has started again, and mc says so.
store_audit() {
    store audit_webhook "$@"
    grep -q restart "$work/said" || return 0
    asked="$(date +%s)"
    restart
    until_ok "MinIO to be back" back_since "$asked" || fail "MinIO did not come back (waited for $limit s)"
    changed "MinIO was started again, as this release takes up a change of its webhook only then"
}

# notified BUCKET: whether all its reads go to the ARN; one JSON object a line.
notified() {
    run_mc event list --json "minio/$1" "$arn" | tr -d '\n ' | sed 's/}{/}\n{/g' | grep '"prefix":""' |
        grep '"suffix":""' | grep -q 's3:ObjectAccessed:\(\*\|Get\)'
}

# seen: how many presigned downloads without ids the receiver has counted.
seen() {
    page="$(curl -fsS -m 10 "$pages/metrics")" || return 1
    count="$(printf '%s\n' "$page" | sed -n 's/^s3audit_skipped_total{reason="no_ids"} //p')"
    printf '%s' "${count:-0}"
}
arrived() { now="$(seen)" && [ "$now" != "$before" ]; }

# download: one small object, in a bucket of its own, through a presigned URL without ids: it is never billed.
download() {
    bucket="s3audit-probe-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')"
    [ -z "$pages" ] || before="$(seen)" || fail "RECEIVER_URL: the receiver tells no /metrics"
    run_mc mb "minio/$bucket" >/dev/null || fail "a bucket for a download cannot be made: $(mc_says)"
    {
        printf 's3audit' | run_mc pipe "minio/$bucket/probe" >/dev/null &&
            run_mc share download --json --expire 1m "minio/$bucket/probe" >"$work/share" &&
            url="$(tr -d '\n ' <"$work/share" | sed 's/.*"share":"\([^"]*\)".*/\1/; s/\\u0026/\&/g')" &&
            printf 'url = "%s"\n' "$url" | curl -fsS -m 30 -A s3audit/minio-setup --config - -o /dev/null
    } || downloaded=no
    run_mc rb --force "minio/$bucket" >/dev/null || note "the bucket $bucket, made for a download, is still there"
    [ "${downloaded:-yes}" = yes ] || fail "a presigned download fails: $(mc_says)"
    [ -n "$pages" ] || return 0
    # An entry waits a second for others of its batch, and a request that failed three.
    # In a shell of its own: what is waited for later has the usual limit.
    (limit=10 && until_ok "the entry of the download" arrived)
}
# One entry may be lost on its way to MinIO's queue.
proved() { download || download || download; }

# 3. The audit target: in force at once.
# The target without an id is shown with all keys that this release of MinIO knows; one that it does not would be taken for a part of the
# value before it. With max_retry other than 0 it drops what was not taken.
run_mc admin config get minio audit_webhook >"$work/config" || fail "MinIO's configuration cannot be read: $(mc_says)"
known=" $(sed -n 's/^audit_webhook //p' "$work/config") "
set -- "endpoint=$entries"
for pair in "batch_size=$batch_size" "http_timeout=$http_timeout" max_retry=0 ${queue_dir:+"queue_dir=$queue_dir"}; do
    case "$known" in
    '  ' | *" ${pair%%=*}="*) set -- "$@" "$pair" ;;
    *) note "this release of MinIO knows no ${pair%%=*}: docs/MINIO.md says since when there is one, and what that means" ;;
    esac
done
before="$(sed -n "s/^audit_webhook:$webhook_id .*queue_dir=\(\"[^\"]*\"\|[^ ]*\).*/\1/p" "$work/config" | tr -d '"')"
if [ -z "$queue_dir" ]; then
    note "no QUEUE_DIR: what MinIO has not sent is lost when it ends"
elif [ "$mode" != --check ] && [ -n "$before" ] && [ "$before" != "$queue_dir" ]; then
    note "entries that wait in $before are not sent from there any more: set it again to have them sent"
fi
fresh=no
if differs audit_webhook "$@"; then
    store_audit "$@"
    is_set audit_webhook "$@" || fail "audit_webhook:$webhook_id: MinIO took it, but does not show it"
    changed "audit_webhook:$webhook_id is set now"
    fresh=yes
fi

# 4. The notification target: it is in force, is shown and has its ARN only once MinIO has started again.
see_to_notifications() {
    set -- notify_webhook "endpoint=$entries" ${queue_dir:+"queue_dir=$queue_dir"}
    if differs "$@"; then
        store "$@"
    elif arn >/dev/null; then
        ok "its ARN is $(arn)"
        return
    fi
    [ "$mode" != --check ] || fail "notify_webhook:$webhook_id has no ARN (run the set-up)"
    restart
    until_ok "MinIO to be back with notify_webhook:$webhook_id" back_with "$@" ||
        fail "MinIO came back without notify_webhook:$webhook_id, or did not come back"
    changed "notify_webhook:$webhook_id is set now, and MinIO was started again; its ARN is $(arn)"
}
if [ -n "$notify_buckets" ]; then
    see_to_notifications
    arn="$(arn)"
    for bucket in $notify_buckets; do
        if notified "$bucket"; then
            ok "reads of $bucket are notified of"
            continue
        fi
        [ "$mode" != --check ] || fail "reads of $bucket are not notified of (run the set-up)"
        run_mc event add "minio/$bucket" "$arn" --event get >/dev/null || fail "$bucket: its events cannot be set: $(mc_says)"
        notified "$bucket" || fail "$bucket: MinIO took the event, but does not show it"
        changed "reads of $bucket are notified of now"
    done
fi

# 5. The proof. MinIO never shows the token, so where nothing had to be changed and nothing arrives, it is stored again.
# A variable of MinIO's environment wins over the stored token, and MinIO shows neither.
elsewhere="or MINIO_AUDIT_WEBHOOK_AUTH_TOKEN_$webhook_id in MinIO's environment holds another token"
if proved; then
    arrived=yes
elif [ "$mode" != --check ] && [ $fresh = no ]; then
    store_audit "$@"
    proved || fail "no entry of a download arrives: MinIO cannot reach $entries from where it runs, $elsewhere, or older entries are before it"
    changed "audit_webhook:$webhook_id was stored again: its token was another"
else
    fail "no entry of a download arrives: MinIO cannot reach $entries from where it runs, another token is stored, $elsewhere"
fi
if [ -z "$pages" ]; then
    note "the receiver's /metrics are not known behind a path of its own, so nobody saw whether the entry of the download arrived"
elif [ "${arrived:-no}" = yes ]; then
    ok "a presigned download was seen to arrive"
fi
case "$mode:$changes" in
:0) echo "nothing to change: MinIO was set up already" ;;
:1) echo "set up: 1 change" ;;
:*) echo "set up: $changes changes" ;;
esac
