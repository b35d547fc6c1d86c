# How deploy.sh, destroy.sh and rotate-key.sh speak, look and change. To be sourced: each of them reads top to bottom in its
# own file, and what a script has not made it leaves alone.
# shellcheck shell=bash

: "${DRY_RUN:=no}" "${PAUSE_S:=10}"
NOTES=$(mktemp)
STEP=start
PYTHON=$([[ -x $HERE/../.venv/bin/python ]] && printf '%s' "$HERE/../.venv/bin/python" || printf python3)
MADE_BY=deploy-sh # the value of label made-by
FINISHED=no
trap 'finish $?' EXIT

finish() {
  rm -f "$NOTES"
  if [[ $1 -ne 0 && $FINISHED == no && $STEP != start ]]; then
    printf '\nstopped in step "%s". Mend what the message says and run the same command again: finished steps are recognised.\n' "$STEP" >&2
  fi
}

say() { printf '%s\n' "$*"; }

note() { printf '    %s\n' "$*"; }

refuse() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# step NAME WHAT COST
step() {
  STEP=$1
  printf '\n%s: %s\n    costs: %s\n' "$1" "$2" "$3"
}

cloud() { gcloud --quiet --project="$PROJECT" "$@"; }

# look ARGUMENTS…: prints what gcloud tells; nothing if the thing is not there. Any other failure is one.
look() {
  if cloud "$@" 2>"$NOTES"; then return 0; fi
  if grep -qiE 'not[ _]found|cannot find|does not exist|has not been used|SERVICE_DISABLED' "$NOTES"; then return 0; fi
  cat "$NOTES" >&2
  return 1
}

# change ARGUMENTS…: what changes something. What was made a moment ago is not known everywhere at once, hence the tries.
change() {
  note "gcloud $(quoted "$@")"
  if [[ $DRY_RUN == yes ]]; then return 0; fi
  local try
  for try in 1 2 3 4 5 6; do
    if cloud "$@" >/dev/null 2>"$NOTES"; then return 0; fi
    if [[ $try == 6 ]] || ! grep -qiE 'does not exist|has not been used|SERVICE_DISABLED' "$NOTES"; then break; fi
    note "not known everywhere yet; again in $PAUSE_S s"
    sleep "$PAUSE_S"
  done
  cat "$NOTES" >&2
  return 1
}

quoted() {
  local text
  text=$(printf ' %q' "$@")
  printf '%s' "${text# }"
}

# ours WHAT FOUND MARK: yes if it is there and bears our mark, no if it is missing; ends the script if it is somebody else's.
ours() {
  if [[ -z $2 ]]; then return 1; fi
  if [[ $2 != *"$3"* ]]; then
    refuse "$1 exists and was not made by deploy.sh, so it is left alone. Choose another name with --name, or remove it yourself"
  fi
}

# project_number: prints it; the project must exist and be ours to see.
project_number() {
  local number
  number=$(look projects describe "$PROJECT" --format='value(projectNumber)')
  if [[ -z $number ]]; then
    refuse "there is no project $PROJECT that you may see. \`gcloud projects list\` shows yours, \`gcloud auth login\` changes who you are"
  fi
  printf '%s' "$number"
}

# use_names: what everything is called; the terraform configuration says the same names.
use_names() {
  RUN_ACCOUNT=$NAME-run@$PROJECT.iam.gserviceaccount.com
  SWEEP_ACCOUNT=$NAME-sweep@$PROJECT.iam.gserviceaccount.com
  BUILD_ACCOUNT=$NAME-build@$PROJECT.iam.gserviceaccount.com
  ADMIN_SECRET=$NAME-admin-key
  KEY_SECRET=$NAME-vertex-key
  ACCOUNT_MARK="made by deploy.sh"
  export PYTHON RUN_ACCOUNT SWEEP_ACCOUNT BUILD_ACCOUNT ADMIN_SECRET KEY_SECRET ACCOUNT_MARK MADE_BY
}

check_place() {
  [[ $PROJECT =~ ^[a-z][a-z0-9-]{4,28}[a-z0-9]$ ]] || refuse "'$PROJECT' is no project id (6 to 30 of a-z, 0-9 and -); \`gcloud projects list\` shows yours"
  [[ $REGION =~ ^[a-z]+-[a-z]+[0-9]{1,2}$ ]] || refuse "'$REGION' is no region, such as europe-west1; \`gcloud run regions list\` shows them"
  [[ $NAME =~ ^[a-z][a-z0-9-]{1,18}[a-z0-9]$ ]] || refuse "'$NAME' is no name: 3 to 20 of a-z, 0-9 and -, beginning with a letter"
  command -v gcloud >/dev/null || refuse "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
}
