"""Reads `gcloud run services describe --format=json` on stdin and prints what the deploy scripts ask about it, as shell words:
release, url, candidate, candidate_url, serving.

`serving` is the revision that gets all traffic, empty if it is divided; `candidate` the newest one, empty unless it is ready.
"""

import json
import shlex
import sys
from typing import Any

LABEL = "release"
TAG = "candidate"


def state_of(service: dict[str, Any]) -> dict[str, str]:
    """All values are texts; empty where there is nothing. An empty object is a service that is not there."""
    status = service.get("status", {})
    traffic = status.get("traffic", [])
    made, ready = status.get("latestCreatedRevisionName", ""), status.get("latestReadyRevisionName", "")
    serving = [row.get("revisionName", "") for row in traffic if row.get("percent") == 100]
    tagged = [row.get("url", "") for row in traffic if row.get("tag") == TAG and row.get("revisionName") == ready]
    return {
        "release": service.get("metadata", {}).get("labels", {}).get(LABEL, ""),
        "url": status.get("url", ""),
        "candidate": ready if ready == made else "",
        "candidate_url": tagged[0] if tagged else "",
        "serving": serving[0] if serving else "",
    }


if __name__ == "__main__":
    text = sys.stdin.read().strip()
    for name, value in state_of(json.loads(text) if text else {}).items():
        sys.stdout.write(f"{name}={shlex.quote(value)}\n")
