#!/usr/bin/env bash
# Makes deploy/.env, which compose.yaml reads, and the key that signs releases: new, once.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
new() { openssl rand -hex 24; }

if [ -e .env ]; then
  echo "deploy/.env is there already; nothing was changed." >&2
  exit 1
fi
openssl genpkey -algorithm ed25519 -out .signing.key
# Read in the container by another user than the owner of this file.
chmod 0444 .signing.key
cat >.env <<EOF
POSTGRES_PASSWORD=$(new)
S3_ACCESS_KEY_ID=$(new)
S3_SECRET_ACCESS_KEY=$(new)
TRITON_ADMIN_KEY=$(new)
ALERTS_KEY=$(new)
GRAFANA_PASSWORD=$(new)
EOF
echo "Made deploy/.env and deploy/.signing.key."
