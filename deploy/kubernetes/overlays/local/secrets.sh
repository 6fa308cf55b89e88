#!/usr/bin/env bash
# Makes the secrets of the local overlay, with new passwords: once, before `kubectl apply -k`.
set -euo pipefail
namespace=visionops
new() { openssl rand -hex 24; }

kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f -
if kubectl -n "$namespace" get secret visionops >/dev/null 2>&1; then
  echo "The secret visionops is there already; nothing was changed." >&2
  exit 1
fi
password=$(new)
access_key=$(new)
secret_key=$(new)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 077

# By files, since a command line is visible to every user of the machine.
cat >"$folder/visionops" <<EOF
VISIONOPS_POSTGRES_URL=postgresql+psycopg://visionops:$password@postgresql:5432/visionops
VISIONOPS_DAGSTER_POSTGRES_URL=postgresql+psycopg2://visionops:$password@postgresql:5432/dagster
VISIONOPS_TRITON_ADMIN_KEY=$(new)
AWS_ACCESS_KEY_ID=$access_key
AWS_SECRET_ACCESS_KEY=$secret_key
VISIONOPS_S3_ACCESS_KEY_ID=$access_key
VISIONOPS_S3_SECRET_ACCESS_KEY=$secret_key
EOF
cat >"$folder/services" <<EOF
MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://visionops:$password@postgresql:5432/mlflow
VISIONOPS_ALERTS_KEY=$(new)
POSTGRES_PASSWORD=$password
EOF
openssl genpkey -algorithm ed25519 -out "$folder/signing.key"

kubectl -n "$namespace" create secret generic visionops --from-env-file="$folder/visionops"
kubectl -n "$namespace" create secret generic visionops-services --from-env-file="$folder/services"
kubectl -n "$namespace" create secret generic visionops-signing-key \
  --from-file=signing.key="$folder/signing.key"
