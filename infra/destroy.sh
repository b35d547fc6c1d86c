#!/usr/bin/env bash
# Removes what deploy.sh made, after showing it and asking. The database stays unless --with-data is said: usage records and
# keys are not to be had again. APIs stay enabled, for others in the project may use them.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'TEXT'
usage: infra/destroy.sh PROJECT REGION [options]

  --dry-run                 say what would be removed
  --yes                     do not ask
  --with-data               the database too: keys, budgets, usage
  --name NAME               as given to deploy.sh (tollgate)
  --database DATABASE       as given to deploy.sh ("(default)")
  --scheduler-region WHERE  as given to deploy.sh (REGION)
TEXT
}

NAME=tollgate DATABASE='(default)' SCHEDULER_REGION='' WITH_DATA=no DRY_RUN=no YES=no PLACE=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --dry-run) DRY_RUN=yes ;;
    --yes) YES=yes ;;
    --with-data) WITH_DATA=yes ;;
    --help | -h) usage && exit 0 ;;
    --name | --database | --scheduler-region)
      [[ $# -ge 2 ]] || { usage >&2 && exit 2; }
      case $1 in
        --name) NAME=$2 ;;
        --database) DATABASE=$2 ;;
        --scheduler-region) SCHEDULER_REGION=$2 ;;
      esac
      shift
      ;;
    -*) printf 'unknown option %s\n' "$1" >&2 && usage >&2 && exit 2 ;;
    *) PLACE+=("$1") ;;
  esac
  shift
done
[[ ${#PLACE[@]} -eq 2 ]] || { usage >&2 && exit 2; }
PROJECT=${PLACE[0]} REGION=${PLACE[1]}
# shellcheck source=infra/lib/steps.sh
source "$HERE/lib/steps.sh"
WHERE=${SCHEDULER_REGION:-$REGION}

# made FOUND MARK: whether it is there and ours; what is somebody else's is passed over.
made() { [[ -n $1 && $1 == *"$2"* ]]; }

# list WHAT FOUND MARK: notes it for removal.
list() {
  if made "$2" "$3"; then
    FOUND+=("$1")
    note "$1"
  elif [[ -n $2 ]]; then
    note "$1 stays: deploy.sh did not make it"
  fi
}

survey() {
  step survey "looks at what deploy.sh made" "nothing"
  local id told
  told=$(look scheduler jobs describe "$NAME-sweep" --location="$WHERE" --format='value(name,description)')
  list "job $NAME-sweep" "$told" "$ACCOUNT_MARK"
  told=$(look run services describe "$NAME" --region="$REGION" --format='value(metadata.name,metadata.labels.list())')
  list "service $NAME" "$told" "made-by=$MADE_BY"
  for id in "$ADMIN_SECRET" "$KEY_SECRET"; do
    told=$(look secrets describe "$id" --format='value(name,labels.list())')
    list "secret $id" "$told" "made-by=$MADE_BY"
  done
  told=$(look artifacts repositories describe "$NAME" --location="$REGION" --format='value(name,labels.list())')
  if [[ $WITH_DATA == yes ]]; then
    id=$(look firestore databases describe --database="$DATABASE" --format='value(name)')
    list "database $DATABASE" "${id:+$id $told}" database=made
  fi
  for id in run sweep build; do
    told=$(look iam service-accounts describe "$NAME-$id@$PROJECT.iam.gserviceaccount.com" --format='value(email,description)')
    list "account $NAME-$id" "$told" "$ACCOUNT_MARK"
  done
  told=$(look artifacts repositories describe "$NAME" --location="$REGION" --format='value(name,labels.list())')
  list "repository $NAME" "$told" "made-by=$MADE_BY" # last: its labels remember the rest
}

ask() {
  if [[ $YES == yes || $DRY_RUN == yes ]]; then return; fi
  local answer
  printf '\nAll of it goes for good. Type the project id to go on: '
  read -r answer
  [[ $answer == "$PROJECT" ]] || refuse "that was not $PROJECT; nothing was removed"
}

remove() {
  step "$1" "removes it" "nothing"
  local kind=${1%% *} id=${1#* }
  case $kind in
    job) change scheduler jobs delete "$id" --location="$WHERE" ;;
    service) change run services delete "$id" --region="$REGION" ;;
    secret) change secrets delete "$id" ;;
    repository) change artifacts repositories delete "$id" --location="$REGION" ;;
    account) remove_account "$id@$PROJECT.iam.gserviceaccount.com" ;;
    database)
      change firestore databases update --database="$id" --no-delete-protection
      change firestore databases delete --database="$id"
      ;;
  esac
}

# remove_account EMAIL: its roles first, for the name of a removed account stays in the policy.
remove_account() {
  local roles role
  roles=$(look projects get-iam-policy "$PROJECT" --flatten='bindings[].members' --filter="bindings.members:serviceAccount:$1" \
    --format='value(bindings.role)')
  for role in $roles; do
    change projects remove-iam-policy-binding "$PROJECT" --member="serviceAccount:$1" --role="$role" --all
  done
  change iam service-accounts delete "$1"
}

check_place
use_names
project_number >/dev/null
FOUND=()
survey
if [[ ${#FOUND[@]} -eq 0 ]]; then
  note "nothing"
  FINISHED=yes
  exit 0
fi
ask
for thing in "${FOUND[@]}"; do remove "$thing"; done
FINISHED=yes
if [[ $DRY_RUN == yes ]]; then
  say "dry run: nothing was removed"
elif [[ $WITH_DATA == no ]]; then
  say "The database $DATABASE stays, with its backups. A later deploy takes it with --adopt-database."
fi
