# How callers come to a new revision: it is asked under an address of its own, then gets the traffic, and loses it again if it
# fails there. To be sourced after steps.sh; deploy.sh and release.sh do it alike.
# shellcheck shell=bash

: "${PRIVATE:=no}"

# read_service: release, url, candidate, candidate_url and serving, as they are now.
read_service() {
  local words
  words=$(look run services describe "$NAME" --region="$REGION" --format=json)
  words=$("$PYTHON" "$HERE/lib/service_state.py" <<<"$words")
  release='' url='' candidate='' candidate_url='' serving=''
  eval "$words"
  : "$release"
}

# identify: a closed service wants to know who asks.
identify() {
  if [[ $PRIVATE == yes ]]; then
    SMOKE_TOKEN=$(cloud auth print-identity-token)
    export SMOKE_TOKEN
  fi
}

smoke() {
  step smoke "asks the new revision whether it runs, under an address of its own" "nothing"
  if [[ $DRY_RUN == yes ]]; then note "infra/smoke.sh URL-OF-THE-REVISION" && return; fi
  read_service
  [[ -n $candidate ]] || refuse "the newest revision did not start; its log says why: gcloud run services logs read $NAME --region=$REGION --project=$PROJECT"
  identify
  "$HERE/smoke.sh" "${candidate_url:-$url}"
}

traffic() {
  step traffic "sends callers to the new revision; back to the old one if it fails there" "nothing"
  if [[ $DRY_RUN == yes ]]; then note "gcloud run services update-traffic $NAME --to-revisions=NEW=100" && return; fi
  if [[ $serving == "$candidate" ]]; then note "$candidate has it already" && return; fi
  local before=$serving
  change run services update-traffic "$NAME" --region="$REGION" --to-revisions="$candidate=100"
  if "$HERE/smoke.sh" "$url"; then return; fi
  if [[ -n $before ]]; then change run services update-traffic "$NAME" --region="$REGION" --to-revisions="$before=100"; fi
  refuse "$candidate failed with traffic; ${before:-nothing} serves again"
}
