#!/usr/bin/env bash
# Deploys the gateway with gcloud alone: what infra/terraform makes for running it, under the same names.
# Run it as often as you like: each step looks first, makes what is missing, and leaves alone what it did not make.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'TEXT'
usage: infra/deploy.sh PROJECT REGION [options]

  --dry-run                 look, and say what would be done; nothing is changed
  --name NAME               of the service, and the beginning of every other name (tollgate)
  --image IMAGE             deploy this image; default: build one from this checkout with Cloud Build
  --vertex-location WHERE   global, us, eu or a region (global)
  --vertex-key FILE         call Vertex AI with this service-account key, kept in Secret Manager; default: no key, as the runtime account
  --database DATABASE       Firestore database (default: "(default)", whose daily quota is free)
  --database-location WHERE region, nam5 or eur3; cannot be changed later (REGION)
  --adopt-database          use the database although this script did not make it; its collections must be the gateway's
  --scheduler-region WHERE  where Cloud Run's region has no Cloud Scheduler (REGION)
  --public-url URL          what clients will use, if it is a domain of yours
  --private                 keep Cloud Run's own identity check; clients then send the gateway key in x-api-key
  --set NAME=VALUE          a further setting (docs/settings.md); may be repeated
TEXT
}

NAME=tollgate IMAGE='' VERTEX_LOCATION=global VERTEX_KEY='' DATABASE='(default)' DATABASE_LOCATION='' ADOPT=no
SCHEDULER_REGION='' PUBLIC_URL='' PRIVATE=no DRY_RUN=no SETTINGS='' PLACE=()
CPU=1 MEMORY=512Mi CONCURRENCY=250 INSTANCES_MAX=10 SWEEP_SCHEDULE='*/5 * * * *' # docs/deploy.md argues them

while [[ $# -gt 0 ]]; do
  case $1 in
    --dry-run) DRY_RUN=yes ;;
    --adopt-database) ADOPT=yes ;;
    --private) PRIVATE=yes ;;
    --help | -h) usage && exit 0 ;;
    --name | --image | --vertex-location | --vertex-key | --database | --database-location | --scheduler-region | --public-url | --set)
      [[ $# -ge 2 ]] || { usage >&2 && exit 2; }
      case $1 in
        --name) NAME=$2 ;;
        --image) IMAGE=$2 ;;
        --vertex-location) VERTEX_LOCATION=$2 ;;
        --vertex-key) VERTEX_KEY=$2 ;;
        --database) DATABASE=$2 ;;
        --database-location) DATABASE_LOCATION=$2 ;;
        --scheduler-region) SCHEDULER_REGION=$2 ;;
        --public-url) PUBLIC_URL=${2%/} ;;
        --set) SETTINGS+="|$2" ;;
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
# shellcheck source=infra/lib/release.sh
source "$HERE/lib/release.sh"

check_arguments() {
  check_place
  [[ -z $VERTEX_KEY || -r $VERTEX_KEY ]] || refuse "$VERTEX_KEY cannot be read; --vertex-key wants the path of a key file"
  [[ -z $SETTINGS || $SETTINGS =~ ^(\|(GATEWAY|VERTEX|OTEL)_[A-Z_]+=[^|]*)+$ ]] || refuse "--set wants NAME=VALUE with a name of docs/settings.md, without a |"
  use_names
  NUMBER=$(project_number)
  PUBLIC_URL=${PUBLIC_URL:-https://$NAME-$NUMBER.$REGION.run.app}
  STORE=firestore://$PROJECT/$DATABASE
  ATTACHED="app=$NAME,made-by=$MADE_BY"
}

apis() {
  step apis "enables the APIs that the gateway stands on" "nothing"
  change services enable artifactregistry.googleapis.com cloudbuild.googleapis.com cloudscheduler.googleapis.com \
    firestore.googleapis.com iam.googleapis.com run.googleapis.com secretmanager.googleapis.com aiplatform.googleapis.com
}

registry() {
  step registry "a place for images; its labels also remember what this script made" "half a GB is free, then \$0.10 per GB and month"
  local found
  found=$(look artifacts repositories describe "$NAME" --location="$REGION" --format='value(name,labels.list())')
  if ours "Artifact Registry repository $NAME" "$found" "made-by=$MADE_BY"; then
    note "there already"
  else
    change artifacts repositories create "$NAME" --location="$REGION" --repository-format=docker --labels="$ATTACHED" \
      --description="Images of $NAME"
  fi
}

accounts() {
  step accounts "service accounts: the gateway's own, the scheduler's, the builder's" "nothing"
  account "$NAME-run" "the gateway itself"
  account "$NAME-sweep" "the scheduler that asks for the sweep"
  account "$NAME-build" "builds and deploys images"
}

# account ID WHAT
account() {
  local found
  found=$(look iam service-accounts describe "$1@$PROJECT.iam.gserviceaccount.com" --format='value(email,description)')
  if ours "service account $1" "$found" "$ACCOUNT_MARK"; then
    note "$1: there already"
  else
    change iam service-accounts create "$1" --display-name="$NAME: $2" --description="$ACCOUNT_MARK"
  fi
}

roles() {
  step roles "what those accounts may do, and no more" "nothing"
  local own="resource.name == \"projects/$PROJECT/databases/$DATABASE\" || resource.name.startsWith(\"projects/$PROJECT/databases/$DATABASE/\")"
  grant "$RUN_ACCOUNT" roles/datastore.user "^;^title=$NAME: its own database;expression=$own"
  if [[ -z $VERTEX_KEY ]]; then grant "$RUN_ACCOUNT" roles/aiplatform.user None; fi
  grant "$BUILD_ACCOUNT" roles/logging.logWriter None
  grant "$BUILD_ACCOUNT" roles/storage.objectViewer None
  change artifacts repositories add-iam-policy-binding "$NAME" --location="$REGION" \
    --member="serviceAccount:$BUILD_ACCOUNT" --role=roles/artifactregistry.writer
}

# grant ACCOUNT ROLE CONDITION: in the project, because Google offers no narrower place for these roles.
grant() {
  change projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$1" --role="$2" --condition="$3"
}

database() {
  step database "Firestore, where keys, budgets and usage are kept" \
    "20,000 writes and 50,000 reads a day are free in (default); then \$0.09 and \$0.03 per 100,000"
  local found known
  found=$(look firestore databases describe --database="$DATABASE" --format='value(name,type)')
  known=$(look artifacts repositories describe "$NAME" --location="$REGION" --format='value(labels.database)')
  if [[ -n $found && -z $known && $ADOPT == no ]]; then
    refuse "the database $DATABASE exists and was not made by deploy.sh. Its TTL policies would delete documents: choose another with" \
      "--database, or say --adopt-database if its collections are the gateway's"
  fi
  if [[ -n $found ]]; then
    [[ $found == *FIRESTORE_NATIVE* ]] || refuse "the database $DATABASE is not in native mode; choose another with --database"
    note "there already"
    if [[ -z $known ]]; then change artifacts repositories update "$NAME" --location="$REGION" --update-labels=database=adopted; fi
    return
  fi
  change artifacts repositories update "$NAME" --location="$REGION" --update-labels=database=made
  change firestore databases create --database="$DATABASE" --location="${DATABASE_LOCATION:-$REGION}" --type=firestore-native \
    --delete-protection
}

indexes() {
  step indexes "indexes, exemptions and TTL policies of infra/firestore.indexes.json, built in the background" "deletes by TTL \$0.01 per 100,000"
  local dry=''
  if [[ $DRY_RUN == yes ]]; then dry=--dry-run; fi
  GOOGLE_ACCESS_TOKEN=$(cloud auth print-access-token) "$PYTHON" "$HERE/lib/indexes.py" "$PROJECT" "$DATABASE" $dry
}

backups() {
  step backups "a daily backup of the database, kept for a week" "\$0.03 per GB and month"
  local found
  found=$(look firestore backups schedules list --database="$DATABASE" --format='value(name)')
  if [[ -n $found ]]; then
    note "there is a schedule already"
  else
    change firestore backups schedules create --database="$DATABASE" --recurrence=daily --retention=7d
  fi
}

secrets() {
  step secrets "the admin key, made here and shown nowhere; with --vertex-key that key too" "\$0.06 per version and month"
  local count
  secret "$ADMIN_SECRET"
  count=$(versions "$ADMIN_SECRET")
  if [[ $count -eq 0 ]]; then
    note "a random admin key goes into $ADMIN_SECRET"
    if [[ $DRY_RUN == no ]]; then
      "$PYTHON" -c 'import secrets; print(secrets.token_urlsafe(32), end="")' | cloud secrets versions add "$ADMIN_SECRET" --data-file=- >/dev/null
    fi
  fi
  [[ -n $VERTEX_KEY ]] || return 0
  secret "$KEY_SECRET"
  count=$(versions "$KEY_SECRET")
  if [[ $count -gt 0 ]]; then
    note "$KEY_SECRET has a key already; infra/rotate-key.sh exchanges it"
  else
    change secrets versions add "$KEY_SECRET" --data-file="$VERTEX_KEY"
  fi
}

# secret ID: made empty, readable by the gateway alone.
secret() {
  local found
  found=$(look secrets describe "$1" --format='value(name,labels.list())')
  if ours "secret $1" "$found" "made-by=$MADE_BY"; then
    note "$1: there already"
  else
    change secrets create "$1" --replication-policy=automatic --labels="$ATTACHED"
  fi
  change secrets add-iam-policy-binding "$1" --member="serviceAccount:$RUN_ACCOUNT" --role=roles/secretmanager.secretAccessor
}

# versions SECRET: how many it has that can be read.
versions() {
  look secrets versions list "$1" --filter='state=ENABLED' --format='value(name)' | wc -l
}

image() {
  if [[ -n $IMAGE ]]; then return; fi
  step image "builds the image with Cloud Build, unless this source was built already" "two build minutes; 2,500 a month are free, then \$0.006 each"
  local repository=$REGION-docker.pkg.dev/$PROJECT/$NAME tag found
  tag=$("$PYTHON" "$HERE/lib/source_hash.py")
  IMAGE=$repository/gateway:$tag
  found=$(look artifacts docker tags list "$repository/gateway" --filter="tag:$tag" --format='value(tag)')
  if [[ -n $found ]]; then
    note "$IMAGE: there already"
    return
  fi
  change builds submit "$HERE/.." --config="$HERE/image.yaml" --ignore-file=.dockerignore --region="$REGION" \
    --service-account="projects/$PROJECT/serviceAccounts/$BUILD_ACCOUNT" --substitutions="_IMAGE=$IMAGE"
}

# flags: how the service runs. GATEWAY_… values may hold commas, hence the other separator.
flags() {
  local env
  env="GOOGLE_CLOUD_PROJECT=$PROJECT|GATEWAY_STORE=$STORE|GATEWAY_PUBLIC_URL=$PUBLIC_URL"
  env+="|GATEWAY_ADMIN_KEY=projects/$PROJECT/secrets/$ADMIN_SECRET/versions/latest"
  env+="|VERTEX_PROJECT_ID=$PROJECT|VERTEX_REGION=$VERTEX_LOCATION"
  if [[ -n $VERTEX_KEY ]]; then env+="|VERTEX_SERVICE_ACCOUNT_JSON=projects/$PROJECT/secrets/$KEY_SECRET/versions/latest"; fi
  if [[ $PRIVATE == no ]]; then env+="|GATEWAY_SWEEP_EMAIL=$SWEEP_ACCOUNT"; fi
  FLAGS=(
    "--image=$IMAGE" "--service-account=$RUN_ACCOUNT" "--cpu=$CPU" "--memory=$MEMORY" "--concurrency=$CONCURRENCY"
    "--max-instances=$INSTANCES_MAX" --timeout=3600 --port=8080 --cpu-throttling --cpu-boost --ingress=all
    "--startup-probe=httpGet.path=/livez,periodSeconds=1,timeoutSeconds=1,failureThreshold=60"
    "--liveness-probe=httpGet.path=/livez,periodSeconds=30,timeoutSeconds=10,failureThreshold=3"
    "--update-env-vars=^|^$env$SETTINGS"
  )
  if [[ $PRIVATE == yes ]]; then FLAGS+=(--invoker-iam-check); else FLAGS+=(--no-invoker-iam-check); fi
}

service() {
  step service "a revision on Cloud Run; callers stay where they are" "nothing at rest; about \$0.09 an hour while an instance answers"
  local found wanted
  found=$(look run services describe "$NAME" --region="$REGION" --format='value(metadata.name,metadata.labels.list())')
  flags
  wanted=$(printf '%s\n' "${FLAGS[@]}" | "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:12])')
  if ! ours "Cloud Run service $NAME" "$found" "made-by=$MADE_BY"; then
    change run deploy "$NAME" --region="$REGION" "${FLAGS[@]}" --labels="$ATTACHED,release=$wanted" --tag=candidate # the first takes the traffic
    return
  fi
  read_service
  if [[ $release == "$wanted" && -n $candidate ]]; then
    note "$candidate runs this image with these settings already"
  else
    change run deploy "$NAME" --region="$REGION" "${FLAGS[@]}" --labels="$ATTACHED,release=$wanted" --tag=candidate --no-traffic
  fi
}

sweep() {
  step sweep "asks every five minutes for what lost instances left behind" "\$0.10 a month; three jobs are free"
  if [[ $PRIVATE == yes ]]; then note "left out: behind Cloud Run's identity check the gateway cannot see who asks; docs/deploy.md" && return; fi
  local found where=${SCHEDULER_REGION:-$REGION} verb=create
  found=$(look scheduler jobs describe "$NAME-sweep" --location="$where" --format='value(name,description)')
  if ours "scheduler job $NAME-sweep" "$found" "$ACCOUNT_MARK"; then verb=update; fi
  change scheduler jobs "$verb" http "$NAME-sweep" --location="$where" --schedule="$SWEEP_SCHEDULE" --time-zone=Etc/UTC \
    --uri="$PUBLIC_URL/admin/v1/sweep" --http-method=POST --attempt-deadline=300s --max-retry-attempts=2 --min-backoff=10s \
    --oidc-service-account-email="$SWEEP_ACCOUNT" --oidc-token-audience="$PUBLIC_URL" --description="$ACCOUNT_MARK"
}

doctor() {
  step doctor "looks at the endpoint and all it stands on, as you" "nothing"
  if [[ $DRY_RUN == yes ]]; then note "python -m gateway doctor --url $PUBLIC_URL" && return; fi
  local told=("GATEWAY_STORE=$STORE" "GATEWAY_ADMIN_KEY=projects/$PROJECT/secrets/$ADMIN_SECRET/versions/latest"
    "GATEWAY_PUBLIC_URL=$PUBLIC_URL" "VERTEX_PROJECT_ID=$PROJECT" "VERTEX_REGION=$VERTEX_LOCATION" "GOOGLE_CLOUD_PROJECT=$PROJECT")
  cd "$HERE/.."
  if ! "$PYTHON" -m gateway doctor --help 2>/dev/null | grep -q -- --url; then
    note "left out: no environment here to run it in; make test builds one"
  elif ! env "${told[@]}" "$PYTHON" -m gateway doctor --url "$url"; then
    note "deployed, but something is left to mend; see above"
  fi
}

farewell() {
  local at=$PUBLIC_URL key='export ANTHROPIC_AUTH_TOKEN=gw-…'
  if [[ $PRIVATE == yes ]]; then # Cloud Run wants a Google token where the key would stand
    # shellcheck disable=SC2016
    key='export ANTHROPIC_API_KEY=gw-… ANTHROPIC_AUTH_TOKEN=$(gcloud auth print-identity-token)'
  fi
  cat <<TEXT

The gateway: $at

The first key (your own Google account needs roles/datastore.user; gcloud auth application-default login):
  export GATEWAY_STORE='$STORE' GATEWAY_PUBLIC_URL=$at
  python -m gateway project create demo
  python -m gateway key create --project demo --user you@example.com

Claude Code, with the key it prints:
  export ANTHROPIC_BASE_URL=$at
  $key
  claude

The admin API at $at/admin/v1, with the key that this prints:
  gcloud secrets versions access latest --secret=$ADMIN_SECRET --project=$PROJECT
TEXT
}

check_arguments
if [[ $DRY_RUN == yes ]]; then say "dry run: nothing is changed"; fi
for part in apis registry accounts roles database indexes backups secrets image service smoke traffic sweep doctor; do $part; done
FINISHED=yes
if [[ $DRY_RUN == no ]]; then farewell; fi
