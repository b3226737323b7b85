#!/bin/sh
# Makes the secrets that compose.yaml names, a file each in deploy/secrets/, random where there are none. What is there is left alone.
#
# The containers' users are not this machine's, so the files are readable by all, within a folder that only its owner may enter.
set -eu

cd "$(dirname "$0")"
install -d -m 0700 secrets

# secret NAME VALUE
secret() {
    [ ! -e "secrets/$1" ] || return 0
    printf '%s' "$2" >"secrets/$1.new"
    chmod 0644 "secrets/$1.new"
    mv "secrets/$1.new" "secrets/$1"
    echo "made deploy/secrets/$1"
}

random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

secret minio_root_user s3audit-admin
secret minio_root_password "$(random 20)"
secret webhook_auth_token "$(random 24)"
# The stand-ins' own; put your auth server's in its place.
secret client_secret local-secret
secret plausible_secret_key_base "$(random 48)"
