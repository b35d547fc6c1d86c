#!/usr/bin/env bash
# Asks a deployed gateway the few questions that a broken one answers wrongly. Needs no key and costs nothing.
#   infra/smoke.sh URL
# SMOKE_TOKEN: a Google identity token, for a service that is closed by IAM (gcloud auth print-identity-token).
set -euo pipefail

URL=${1:?usage: infra/smoke.sh URL}
TRIES=${SMOKE_TRIES:-10}

# The token goes by a file descriptor, for the list of processes shows arguments to everyone.
ask() {
  curl --silent --show-error --max-time 20 --output /dev/null --write-out '%{http_code}' \
    --config <([[ -z ${SMOKE_TOKEN:-} ]] || printf 'header = "X-Serverless-Authorization: Bearer %s"\n' "$SMOKE_TOKEN") "$@" || true
}

# expect STATUS WHAT CURL-ARGUMENTS…: with patience, for an instance may have to start.
expect() {
  local status=$1 what=$2 got='' try
  shift 2
  for ((try = 1; try <= TRIES; try++)); do
    got=$(ask "$@")
    if [[ $got == "$status" ]]; then
      printf '    %s: %s\n' "$what" "$got"
      return 0
    fi
    sleep "${SMOKE_PAUSE_S:-3}"
  done
  printf 'error: %s: %s, not %s. Its log says why: gcloud run services logs read SERVICE --region=REGION\n' "$what" "$got" "$status" >&2
  exit 1
}

expect 200 'it runs (/livez)' "$URL/livez"
expect 200 'it reaches its store (/readyz)' "$URL/readyz"
expect 401 'it refuses an unknown key' "$URL/v1/messages" \
  --header 'x-api-key: gw-0000000000000000000000000000000000000000000' --header 'content-type: application/json' \
  --data '{"model":"claude-sonnet-4-6","max_tokens":1,"messages":[{"role":"user","content":"Hello"}]}'
