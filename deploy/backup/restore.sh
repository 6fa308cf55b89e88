#!/usr/bin/env bash
# Restores the databases of an installation on Kubernetes: stops what writes, restores, starts it again.
# Triton serves on meanwhile; everything else is away. Needs kubectl, and jq.
#
#   deploy/backup/restore.sh BACKUP_ID [NAMESPACE]
#
# If it is broken off, run it again: what was stopped is known by its annotation.
set -euo pipefail

backup_id=${1:?usage: restore.sh BACKUP_ID [NAMESPACE]}
namespace=${2:-visionops}
before=visionops/replicas-before-restore
poll_s=${RESTORE_POLL_S:-5}
k() { kubectl --namespace "$namespace" "$@"; }

# A wrong id should stop nothing.
[[ $backup_id =~ ^[0-9]{8}T[0-9]{6}\.[0-9]{6}Z$ ]] || { echo "$backup_id is no id of a backup." >&2; exit 2; }
k get cronjob backup >/dev/null

deployments() {
  k get deployments --selector app.kubernetes.io/part-of=visionops --output name |
    grep --invert-match --line-regexp deployment.apps/triton
}

echo "Stopping what writes."
k patch cronjob backup --patch '{"spec": {"suspend": true}}'
for deployment in $(deployments); do
  replicas=$(k get "$deployment" --output jsonpath='{.spec.replicas}')
  # Not from a second run of this script: they are at 0 then.
  [[ $replicas == 0 ]] || k annotate --overwrite "$deployment" "$before=$replicas"
  # An autoscaler leaves alone what has no replicas.
  k scale "$deployment" --replicas 0
done
# Runs and steps of Dagster; the sensors ask for what they did again.
k delete jobs --selector dagster/run-id --cascade foreground --wait
for deployment in $(deployments); do
  k wait pods --for delete --timeout 5m --selector "app.kubernetes.io/component=${deployment#*/}" || true
done

echo "Restoring $backup_id."
k delete job restore --ignore-not-found --cascade foreground --wait
k create job restore --from cronjob/backup --dry-run=client --output json |
  jq --arg id "$backup_id" '
    .spec.backoffLimit = 0 |
    .spec.template.spec.containers[0].args = ["-m", "visionops_assets", "backups", "restore", $id, "--yes"]
  ' | k create --filename -
state=
until [[ $state == *Complete* || $state == *Failed* ]]; do
  sleep "$poll_s"
  state=$(k get job restore --output jsonpath='{.status.conditions[?(@.status=="True")].type}')
done
k logs job/restore --tail 20
if [[ $state == *Failed* ]]; then
  echo "It failed, and nothing was started again: the message above names the database." >&2
  exit 1
fi

echo "Starting again."
for deployment in $(deployments); do
  replicas=$(k get "$deployment" --output json | jq --raw-output --arg key "$before" '.metadata.annotations[$key] // empty')
  [[ -z $replicas ]] || k scale "$deployment" --replicas "$replicas"
  k annotate "$deployment" "$before-"
done
k patch cronjob backup --patch '{"spec": {"suspend": false}}'
echo "Done. Go on with 'After a restore' in deploy/RUNBOOKS.md."
