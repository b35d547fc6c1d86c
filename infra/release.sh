#!/usr/bin/env bash
# Brings callers to the newest revision of a service that was deployed with --no-traffic --tag=candidate.
#   infra/release.sh PROJECT REGION NAME
# PRIVATE=yes: the service is closed by Cloud Run's identity check.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ $# -eq 3 ]] || { printf 'usage: infra/release.sh PROJECT REGION NAME\n' >&2 && exit 2; }
PROJECT=$1 REGION=$2 NAME=$3
# shellcheck source=infra/lib/steps.sh
source "$HERE/lib/steps.sh"
# shellcheck source=infra/lib/release.sh
source "$HERE/lib/release.sh"

check_place
smoke
traffic
FINISHED=yes
