#!/usr/bin/env bash
# Exchanges the service-account key that the gateway calls Vertex AI with. No call fails: both keys are good until every
# instance has read the new one, and the old one is only disabled, so that it can come back.
#
# Instances read `latest` again after at most five minutes, and at once when a key is refused. Access tokens made with the
# old key stay good until they expire (Google, "Disable and enable service account keys", 2026-11-20).
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'TEXT'
usage: infra/rotate-key.sh PROJECT [options]

  --dry-run      say what would be done
  --name NAME    as given to deploy.sh (tollgate)
  --secret ID    the secret that holds the key (NAME-vertex-key)
  --url URL      of the gateway: it is asked while waiting, and with the admin key whether its provider works afterwards
  --provider ID  the provider to test (vertex)
  --wait-s N     until every instance has read the new key (420)
TEXT
}

NAME=tollgate SECRET='' URL='' PROVIDER=vertex WAIT_S=420 DRY_RUN=no PROJECT=''
while [[ $# -gt 0 ]]; do
  case $1 in
    --dry-run) DRY_RUN=yes ;;
    --help | -h) usage && exit 0 ;;
    --name | --secret | --url | --provider | --wait-s)
      [[ $# -ge 2 ]] || { usage >&2 && exit 2; }
      case $1 in
        --name) NAME=$2 ;;
        --secret) SECRET=$2 ;;
        --url) URL=${2%/} ;;
        --provider) PROVIDER=$2 ;;
        --wait-s) WAIT_S=$2 ;;
      esac
      shift
      ;;
    -*) printf 'unknown option %s\n' "$1" >&2 && usage >&2 && exit 2 ;;
    *) [[ -z $PROJECT ]] || { usage >&2 && exit 2; } && PROJECT=$1 ;;
  esac
  shift
done
[[ -n $PROJECT ]] || { usage >&2 && exit 2; }
REGION=europe-west1 # nothing here has one, but the check of names wants it
# shellcheck source=infra/lib/steps.sh
source "$HERE/lib/steps.sh"
POLL_S=${POLL_S:-15}

# field NAME: of the key file on stdin. The private key goes no further.
field() { "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1], ""))' "$1"; }

# stored FIELD: of the key that the secret holds now.
stored() { cloud secrets versions access latest --secret="$SECRET" | field "$1"; }

survey() {
  step survey "which key is in use" "nothing"
  ACCOUNT=$(stored client_email)
  OLD=$(stored private_key_id)
  [[ -n $ACCOUNT && -n $OLD ]] || refuse "$SECRET holds no service-account key; the gateway may be keyless, which needs no rotation"
  OLD_VERSION=$(cloud secrets versions describe latest --secret="$SECRET" --format='value(name)')
  OLD_VERSION=${OLD_VERSION##*/}
  note "key $OLD of $ACCOUNT, version $OLD_VERSION of $SECRET"
}

# A run that was broken off after the exchange is taken up again: the version before the newest names the key to retire.
resume() {
  local before
  before=$(look secrets versions list "$SECRET" --filter='state=ENABLED' --sort-by='~createTime' --format='value(name)' | sed -n 2p)
  [[ -n $before ]] || return 1
  NEW=$OLD
  OLD_VERSION=${before##*/}
  OLD=$(cloud secrets versions access "$OLD_VERSION" --secret="$SECRET" | field private_key_id)
  step exchange "takes up a rotation that was broken off: version $OLD_VERSION still stands beside the new one" "nothing"
}

exchange() {
  step exchange "makes a key and stores it as the newest version, without a file in between" "\$0.06 a month while both stand"
  if [[ $DRY_RUN == yes ]]; then
    note "gcloud iam service-accounts keys create - --iam-account=$ACCOUNT | gcloud secrets versions add $SECRET --data-file=-"
    return
  fi
  if ! cloud iam service-accounts keys create - --iam-account="$ACCOUNT" 2>"$NOTES" | cloud secrets versions add "$SECRET" --data-file=- >/dev/null; then
    cat "$NOTES" >&2
    refuse "the new key was not stored. A key that was made for nothing is the newest of: gcloud iam service-accounts keys list" \
      "--iam-account=$ACCOUNT --managed-by=user --project=$PROJECT"
  fi
  NEW=$(stored private_key_id)
  [[ -n $NEW && $NEW != "$OLD" ]] || refuse "$SECRET still holds key $OLD; nothing was disabled"
  note "key $NEW"
}

wait_for_it() {
  step wait "gives every instance time to read it: $WAIT_S s" "nothing"
  if [[ $DRY_RUN == yes ]]; then return; fi
  local waited
  for ((waited = 0; waited < WAIT_S; waited += POLL_S)); do
    sleep "$POLL_S"
    if [[ -n $URL ]] && ! curl --silent --fail --max-time 20 --output /dev/null "$URL/readyz"; then
      refuse "$URL/readyz fails; both keys stay good. Look at the gateway, then run this again"
    fi
  done
  works || refuse "the gateway's provider fails with the new key; the old one stays good"
}

# works: whether the provider answers, asked with the admin key; unknown counts as yes.
works() {
  if [[ -z $URL ]]; then return 0; fi
  local key told state
  key=$(look secrets versions access latest --secret="$NAME-admin-key")
  if [[ -z $key ]]; then return 0; fi
  told=$(curl --silent --max-time 60 --request POST --config <(printf 'header = "Authorization: Bearer %s"\n' "$key") \
    "$URL/admin/v1/providers/$PROVIDER/test") || return 1
  state=$("$PYTHON" -c 'import json, sys; print(json.load(sys.stdin).get("state", "fail"))' <<<"$told") || return 1
  note "provider $PROVIDER: $state"
  [[ $state != fail ]]
}

retire() {
  step retire "disables the old key and its version; neither is deleted" "nothing"
  change iam service-accounts keys disable "$OLD" --iam-account="$ACCOUNT"
  if [[ $DRY_RUN == no ]] && ! works; then
    change iam service-accounts keys enable "$OLD" --iam-account="$ACCOUNT"
    refuse "the provider fails without the old key, which is good again. Look at the gateway's log for what still uses it"
  fi
  change secrets versions disable "$OLD_VERSION" --secret="$SECRET"
}

check_place
use_names
SECRET=${SECRET:-$KEY_SECRET}
project_number >/dev/null
survey
resume || exchange
wait_for_it
retire
FINISHED=yes
say ""
say "Done. In a day, when nothing misses it:"
say "  gcloud iam service-accounts keys delete $OLD --iam-account=$ACCOUNT --project=$PROJECT"
