"""A recording stand-in for gcloud: fast, for machines without gcloud, and for failures at any step.

What changes something is written to STAND_IN_FOLDER/changes.txt, a line for each; what looks is answered from those lines. The
change whose line matches STAND_IN_FAIL (a regular expression) fails, without having happened; what STAND_IN_FOREIGN looks for
was made by somebody else.
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path

LOG = Path(os.environ["STAND_IN_FOLDER"]) / "changes.txt"
LOOKS = re.compile(r" (describe|list|list-vulnerabilities|scan|get-iam-policy|print-access-token|print-identity-token|access) ?")
IMAGES = "artifacts docker tags list"
# What is there once a change was made: the words that look for it, the words that made it, and what is told.
THERE = (
    ("artifacts repositories describe", "artifacts repositories create", "tollgate app=tollgate,made-by=deploy-sh"),
    ("firestore databases describe", "firestore databases create", "projects/demo-project/databases/(default) FIRESTORE_NATIVE"),
    ("firestore backups schedules list", "firestore backups schedules create", "schedule"),
    ("secrets versions list", "secrets versions add", "1"),
    ("secrets describe", "secrets create", "tollgate-admin-key app=tollgate,made-by=deploy-sh"),
    (IMAGES, "builds submit", "tag"),
    ("scheduler jobs describe", "scheduler jobs create", "sweep made by deploy.sh"),
)


def main(arguments: list[str]) -> int:
    words = [word for word in arguments if word != "--quiet" and not word.startswith("--project=")]
    line = shlex.join(words)
    if LOOKS.search(f" {' '.join(words[:5])} "):
        sys.stdout.write(look(words, line, LOG.read_text().splitlines() if LOG.exists() else []))
        return 0
    failing = os.environ.get("STAND_IN_FAIL")
    if failing and re.search(failing, line):
        sys.stderr.write("ERROR: (gcloud) made to fail by the test\n")
        return 1
    if "--data-file=-" in words:
        sys.stdin.read()
    with LOG.open("a") as log:
        log.write(line + "\n")
    return 0


def look(words: list[str], line: str, made: list[str]) -> str:
    foreign = os.environ.get("STAND_IN_FOREIGN")
    if foreign and line.startswith(foreign) and "labels.database" not in line:
        return "somebody's FIRESTORE_NATIVE\n"
    if line.startswith("projects describe"):
        return "100200300400\n"
    if " scan " in line:
        return "scans/1\n"
    if "list-vulnerabilities" in line:
        return f"{os.environ.get('STAND_IN_VULNERABLE', '')} openssl\n"
    if "print-" in line:
        return "not-a-token\n"
    if line.startswith("iam service-accounts describe"):
        account = words[3].partition("@")[0]
        return f"{words[3]} made by deploy.sh\n" if any(f"service-accounts create {account} " in row for row in made) else ""
    if line.startswith("run services describe"):
        return service(line, made)
    if "labels.database" in line:
        return "".join(re.findall(r"update-labels=database=(\w+)", " ".join(made))[-1:])
    marked = ",database=made" if any("update-labels=database=made" in row for row in made) else ""
    for looking, making, told in THERE:
        if line.startswith(looking):
            told += marked if looking.startswith("artifacts repositories") else ""
            return f"{told}\n" if any(row.startswith(making) for row in made) else ""
    return ""


def service(line: str, made: list[str]) -> str:
    """The newest deployed revision is ready; traffic is with the first one until it is told otherwise."""
    deployed = [row for row in made if row.startswith("run deploy")]
    if not deployed:
        return ""
    if "json" not in line:
        return "tollgate app=tollgate,made-by=deploy-sh\n"
    moved = [row for row in made if "update-traffic" in row]
    serving = re.search(r"to-revisions=(\S+?)=100", moved[-1])[1] if moved else "revision-1"  # type: ignore[index]
    newest = f"revision-{len(deployed)}"
    url = os.environ["STAND_IN_URL"]
    candidate = os.environ.get("STAND_IN_CANDIDATE_URL", url)
    release = re.findall(r"release=(\w+)", " ".join(deployed))[-1]  # a deploy that sets no label keeps the one before
    traffic = [{"revisionName": serving, "percent": 100}, {"revisionName": newest, "tag": "candidate", "url": candidate}]
    status = {"url": url, "latestReadyRevisionName": newest, "latestCreatedRevisionName": newest, "traffic": traffic}
    return json.dumps({"metadata": {"labels": {"release": release}}, "status": status})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
