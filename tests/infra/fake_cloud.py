"""A pretend Google Cloud for gcloud: the management APIs that infra's scripts call, as one HTTP proxy on loopback.

gcloud is pointed at `http://API.fake/` and told to use this server as its proxy, so every request arrives here with its
host and path, and no name is ever resolved (Cloud Run puts the region before the host). What is made is kept, so that a
second run finds it. `fail_once` makes one request answer 503.
"""

import base64
import hashlib
import json
import re
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

Json = dict[str, Any]
APIS = (
    "run", "firestore", "secretmanager", "iam", "cloudresourcemanager", "serviceusage", "artifactregistry", "cloudbuild",
    "storage", "cloudscheduler",
)  # fmt: skip
PROJECT_NUMBER = "100200300400"
LISTS = {"backupSchedules": "backupSchedules", "jobs": "jobs"}


class Missing(Exception):
    """404."""


class Exists(Exception):
    """409."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as gcloud made it. `path` is unquoted and without its version: projects/demo/secrets/s:addVersion."""

    method: str
    api: str
    path: str
    query: dict[str, str]
    body: Json
    raw: bytes = b""

    @property
    def line(self) -> str:
        return f"{self.method} {self.api} {self.path}"


@dataclass
class FakeCloud:
    """`things` are resources by name, `requests` what was asked; `service_url` is where deployed revisions answer."""

    service_url: str = "http://127.0.0.1:1"
    things: dict[str, Json] = field(default_factory=dict)
    policies: dict[str, Json] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _made: int = 0

    def answer(self, asked: Asked) -> tuple[int, Json]:
        with self._lock:
            self.requests.append(asked)
            for pattern in self.failing:
                if re.search(pattern, asked.line):
                    self.failing.remove(pattern)
                    return 400, error(400, "FAILED_PRECONDITION", "made to fail by the test")
            try:
                for api, method, pattern, handle in ROUTES:
                    match = re.fullmatch(pattern, asked.path)
                    if api in (asked.api, "*") and method in (asked.method, "*") and match:
                        return 200, handle(self, asked, *match.groups())
            except Missing as missing:
                return 404, error(404, "NOT_FOUND", f"Resource {missing} was not found")
            except Exists as there:
                return 409, error(409, "ALREADY_EXISTS", f"Resource {there} already exists")
            return 501, error(501, "UNIMPLEMENTED", f"the pretend cloud knows no {asked.line}")

    def changes(self) -> list[str]:
        """What was asked that changes something."""
        reading = re.compile(r":(getIamPolicy|access|testIamPermissions)$")
        return [asked.line for asked in self.requests if asked.method != "GET" and not reading.search(asked.path)]

    def thing(self, name: str) -> Json:
        if name not in self.things:
            raise Missing(name)
        return self.things[name]

    def make(self, name: str, thing: Json) -> Json:
        if name in self.things:
            raise Exists(name)
        self.things[name] = thing
        return thing

    def number(self) -> int:
        self._made += 1
        return self._made

    def below(self, collection: str) -> list[Json]:
        depth = collection.count("/") + 1
        names = [n for n in self.things if n.startswith(collection + "/") and n.count("/") == depth]
        return [self.things[name] for name in names]


def error(status: int, name: str, message: str) -> Json:
    return {"error": {"code": status, "message": message, "status": name}}


def done(response: Json, name: str = "operations/done") -> Json:
    return {"name": name, "done": True, "response": response}


def project(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    return {"projectId": name, "projectNumber": PROJECT_NUMBER, "lifecycleState": "ACTIVE"}


def enable(cloud: FakeCloud, asked: Asked, project: str) -> Json:
    for service in asked.body.get("serviceIds", []):
        cloud.things[f"projects/{project}/services/{service}"] = {"name": service, "state": "ENABLED"}
    return done({})


def get_policy(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    return cloud.policies.setdefault(name, {"version": 1, "etag": "AA==", "bindings": []})


def set_policy(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    cloud.policies[name] = asked.body["policy"]
    return cloud.policies[name]


def read(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    """One thing, or what a collection holds."""
    last = name.rpartition("/")[2]
    if last in LISTS and name not in cloud.things:
        return {LISTS[last]: cloud.below(name)}
    return cloud.thing(name)


def create_named(parameter: str) -> Callable[..., Json]:
    """POST COLLECTION?parameter=ID; the answer is the thing, or an operation that is done."""

    def create(cloud: FakeCloud, asked: Asked, collection: str) -> Json:
        name = f"{collection}/{asked.query[parameter]}"
        made = cloud.make(name, {**asked.body, "name": name})
        return made if parameter == "secretId" else done(made, f"{collection.rpartition('/')[0]}/operations/done")

    return create


def remove(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    cloud.thing(name)
    for inner in [n for n in cloud.things if n == name or n.startswith(name + "/")]:
        del cloud.things[inner]
    cloud.policies.pop(name, None)
    parent = name.rpartition("/")[0].rpartition("/")[0]
    return done({}, f"{parent}/operations/done") if asked.api in ("firestore", "artifactregistry") else {}


def patch(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    thing = cloud.thing(name)
    thing.update({key: value for key, value in asked.body.items() if key != "name"})
    return thing


def patch_database(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    return done(patch(cloud, asked, name), f"{name}/operations/done")


def create_account(cloud: FakeCloud, asked: Asked, project: str) -> Json:
    email = f"{asked.body['accountId']}@{project}.iam.gserviceaccount.com"
    name = f"projects/{project}/serviceAccounts/{email}"
    details = {"email": email, "name": name, "projectId": project, "uniqueId": str(cloud.number())}
    return cloud.make(name, {**asked.body.get("serviceAccount", {}), **details})


def account_name(path: str) -> str:
    """gcloud leaves the project out, for the address names it."""
    return re.sub(r"^projects/[^/]+/serviceAccounts/([^@]+)@([^./]+)", r"projects/\2/serviceAccounts/\1@\2", path)


def read_account(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    return cloud.thing(account_name(name))


def remove_account(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    return remove(cloud, asked, account_name(name))


def create_key(cloud: FakeCloud, asked: Asked, account: str) -> Json:
    name = account_name(account)
    email = cloud.thing(name)["email"]
    key_id = f"{cloud.number():040x}"
    sealed = serialization.NoEncryption()
    made = generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed).decode()
    key = {"type": "service_account", "project_id": name.split("/")[1], "private_key_id": key_id, "private_key": pem,
           "client_email": email, "token_uri": "https://oauth2.googleapis.com/token"}  # fmt: skip
    cloud.make(f"{name}/keys/{key_id}", {"name": f"{name}/keys/{key_id}", "keyType": "USER_MANAGED", "disabled": False})
    return {"name": f"{name}/keys/{key_id}", "privateKeyData": base64.b64encode(json.dumps(key).encode()).decode()}


def list_keys(cloud: FakeCloud, asked: Asked, account: str) -> Json:
    return {"keys": cloud.below(account_name(account) + "/keys")}


def switch_key(cloud: FakeCloud, asked: Asked, name: str, verb: str) -> Json:
    cloud.thing(account_name(name))["disabled"] = verb == "disable"
    return {}


def remove_key(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    return remove(cloud, asked, account_name(name))


def add_version(cloud: FakeCloud, asked: Asked, secret: str) -> Json:
    cloud.thing(secret)
    number = len(cloud.below(f"{secret}/versions")) + 1
    name = f"{secret}/versions/{number}"
    made = {"name": name, "state": "ENABLED", "createTime": f"2026-11-20T00:00:{number:02d}Z", "payload": asked.body["payload"]}
    cloud.make(name, made)
    return {"name": name, "state": "ENABLED", "clientSpecifiedPayloadChecksum": True}


def access_version(cloud: FakeCloud, asked: Asked, secret: str, version: str) -> Json:
    if version == "latest":
        version = str(len(cloud.below(secret + "/versions")))
    thing = cloud.thing(f"{secret}/versions/{version}")
    if thing["state"] != "ENABLED":
        raise Missing(f"{secret}/versions/{version}, which is disabled,")
    return {"name": thing["name"], "payload": thing["payload"]}


def list_versions(cloud: FakeCloud, asked: Asked, secret: str) -> Json:
    cloud.thing(secret)
    newest_first = reversed(cloud.below(secret + "/versions"))
    return {"versions": [{k: v for k, v in thing.items() if k != "payload"} for thing in newest_first]}


def latest_version(cloud: FakeCloud, asked: Asked, secret: str) -> Json:
    return dict(list_versions(cloud, asked, secret)["versions"][0])


def switch_version(cloud: FakeCloud, asked: Asked, name: str, verb: str) -> Json:
    cloud.thing(name)["state"] = "DISABLED" if verb == "disable" else "ENABLED"
    return cloud.thing(name)


def create_index(cloud: FakeCloud, asked: Asked, collection: str) -> Json:
    name = f"{collection}/{cloud.number()}"
    return done(cloud.make(name, {**asked.body, "name": name, "state": "READY"}))


def list_indexes(cloud: FakeCloud, asked: Asked, database: str) -> Json:
    return {"indexes": [t for n, t in cloud.things.items() if n.startswith(database) and "/indexes/" in n]}


def list_fields(cloud: FakeCloud, asked: Asked, database: str) -> Json:
    return {"fields": [t for n, t in cloud.things.items() if n.startswith(database) and "/fields/" in n]}


def patch_field(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    thing = cloud.things.setdefault(name, {"name": name})
    for member in asked.query["updateMask"].split(","):
        thing[member] = asked.body.get(member, {})
    if "ttlConfig" in thing:
        thing["ttlConfig"] = {"state": "ACTIVE"}
    return done(thing)


def create_backups(cloud: FakeCloud, asked: Asked, collection: str) -> Json:
    name = f"{collection}/{cloud.number()}"
    return cloud.make(name, {**asked.body, "name": name})


def list_tags(cloud: FakeCloud, asked: Asked, collection: str) -> Json:
    return {"tags": cloud.below(collection)}


def bucket(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    return {"name": name, "id": name, "kind": "storage#bucket", "projectNumber": PROJECT_NUMBER, "location": "EU"}


def buckets(cloud: FakeCloud, asked: Asked) -> Json:
    return {"kind": "storage#buckets", "items": [bucket(cloud, asked, asked.query.get("prefix", "bucket"))]}


def uploaded(cloud: FakeCloud, asked: Asked, name: str) -> Json:
    """One object, sent with its description as multipart/related."""
    boundary = asked.raw.partition(b"\n")[0].strip()
    data = asked.raw.split(boundary)[2]
    data = re.split(rb"\r?\n\r?\n", data, maxsplit=1)[1].removesuffix(b"\n").removesuffix(b"\r")
    cloud.uploads.append(data)
    md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    return {"bucket": name, "name": asked.query["name"], "generation": "1", "size": str(len(data)), "md5Hash": md5}


def build(cloud: FakeCloud, asked: Asked, parent: str) -> Json:
    made = {**asked.body, "id": f"build-{cloud.number()}", "projectId": parent.split("/")[1], "status": "SUCCESS"}
    made["createTime"] = "2026-11-20T00:00:00Z"
    image = made.get("substitutions", {}).get("_IMAGE", "")
    if image:
        path, _, tag = image.partition("/")[2].rpartition(":")
        digest = f"sha256:{zlib.crc32(image.encode()):064x}"
        name, repository, package = path.split("/", 2)
        folder = f"projects/{name}/locations/{image.split('-docker')[0]}/repositories/{repository}"
        cloud.things[f"{folder}/dockerImages/{package}@{digest}"] = {"uri": f"{image.rpartition(':')[0]}@{digest}", "tags": [tag]}
        cloud.things[f"{folder}/packages/{package}/tags/{tag}"] = {
            "name": f"{folder}/packages/{package}/tags/{tag}",
            "version": f"{folder}/packages/{package}/versions/{digest}",
        }
    cloud.things[f"{parent}/builds/{made['id']}"] = made
    return {
        "name": f"operations/build/{made['projectId']}/{made['id']}",
        "metadata": {"build": made},
        "done": True,
        "response": made,
    }


def run_services(cloud: FakeCloud, asked: Asked, namespace: str) -> Json:
    return {"apiVersion": "serving.knative.dev/v1", "kind": "ServiceList", "items": cloud.below(f"run/{namespace}/services")}


def put_service(cloud: FakeCloud, asked: Asked, namespace: str, *_: str) -> Json:
    """A service is ready as soon as it is written. A new revision is made when the template changes."""
    service = asked.body
    name = service["metadata"]["name"]
    key = f"run/{namespace}/services/{name}"
    before = cloud.things.get(key)
    if asked.method == "POST" and before is not None:
        raise Exists(name)
    revision = before["status"]["latestReadyRevisionName"] if before else ""
    if before is None or before["spec"]["template"] != service["spec"]["template"]:
        revision = service["spec"]["template"]["metadata"].get("name") or f"{name}-{cloud.number():05d}-abc"
    generation = (before["metadata"]["generation"] if before else 0) + 1
    service["metadata"].update(
        generation=generation, namespace=PROJECT_NUMBER, selfLink=f"/services/{name}", uid="u", resourceVersion="r"
    )
    service["metadata"].setdefault("labels", {})["cloud.googleapis.com/location"] = "europe-west1"
    ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ConfigurationsReady", "RoutesReady")]
    service["status"] = {
        "observedGeneration": generation, "conditions": ready, "url": cloud.service_url, "address": {"url": cloud.service_url},
        "latestCreatedRevisionName": revision, "latestReadyRevisionName": revision,
        "traffic": [settled(part, revision, cloud.service_url) for part in service["spec"].get("traffic", [])],
    }  # fmt: skip
    cloud.things[key] = service
    return service


def settled(part: Json, revision: str, url: str) -> Json:
    """One row of a service's traffic as its status shows it."""
    row = {"revisionName": part.get("revisionName", revision), "percent": part.get("percent", 0)}
    if part.get("latestRevision"):
        row["latestRevision"] = True
    return {**row, **({"tag": part["tag"], "url": url} if "tag" in part else {})}


def read_service(cloud: FakeCloud, asked: Asked, namespace: str, name: str) -> Json:
    return cloud.thing(f"run/{namespace}/services/{name}")


def remove_service(cloud: FakeCloud, asked: Asked, namespace: str, name: str) -> Json:
    cloud.thing(f"run/{namespace}/services/{name}")
    del cloud.things[f"run/{namespace}/services/{name}"]
    return {"status": "Success"}


def create_job(cloud: FakeCloud, asked: Asked, collection: str) -> Json:
    return cloud.make(asked.body["name"], {**asked.body, "state": "ENABLED"})


KNATIVE = r"(?:apis/serving\.knative\.dev/v1|api/v1)/namespaces/([^/]+)"
COLLECTION = r"(projects/[^:]+)"
ROUTES: tuple[tuple[str, str, str, Callable[..., Json]], ...] = (
    ("cloudresourcemanager", "GET", r"projects/([^/:]+)", project),
    ("serviceusage", "POST", r"projects/([^/]+)/services:batchEnable", enable),
    ("serviceusage", "POST", r"projects/([^/]+)/services/.+:enable", enable),
    ("run", "GET", KNATIVE + r"/services", run_services),
    ("run", "POST", KNATIVE + r"/services", put_service),
    ("run", "PUT", KNATIVE + r"/services/([^/]+)", put_service),
    ("run", "GET", KNATIVE + r"/services/([^/]+)", read_service),
    ("run", "DELETE", KNATIVE + r"/services/([^/]+)", remove_service),
    ("*", "*", r"(.+):getIamPolicy", get_policy),
    ("*", "POST", r"(.+):setIamPolicy", set_policy),
    ("storage", "GET", r"b", buckets),
    ("storage", "GET", r"b/([^/]+)", bucket),
    ("storage", "POST", r"b/([^/]+)/o", uploaded),
    ("cloudbuild", "POST", r"(projects/.+)/builds", build),
    ("cloudbuild", "GET", COLLECTION, read),
    ("iam", "POST", r"projects/([^/]+)/serviceAccounts", create_account),
    ("iam", "POST", r"(projects/[^/]+/serviceAccounts/[^/]+)/keys", create_key),
    ("iam", "GET", r"(projects/[^/]+/serviceAccounts/[^/]+)/keys", list_keys),
    ("iam", "POST", r"(projects/[^/]+/serviceAccounts/[^/]+/keys/[^/:]+):(disable|enable)", switch_key),
    ("iam", "DELETE", r"(projects/[^/]+/serviceAccounts/[^/]+/keys/[^/:]+)", remove_key),
    ("iam", "GET", r"(projects/[^/]+/serviceAccounts/[^/]+)", read_account),
    ("iam", "DELETE", r"(projects/[^/]+/serviceAccounts/[^/]+)", remove_account),
    ("artifactregistry", "GET", r"(projects/.+/packages/[^/]+/tags)", list_tags),
    ("artifactregistry", "POST", r"(projects/[^/]+/locations/[^/]+/repositories)", create_named("repositoryId")),
    ("firestore", "POST", r"(projects/[^/]+/databases)", create_named("databaseId")),
    ("firestore", "GET", r"(projects/[^/]+/databases/[^/]+)/collectionGroups/-/indexes", list_indexes),
    ("firestore", "GET", r"(projects/[^/]+/databases/[^/]+)/collectionGroups/-/fields", list_fields),
    ("firestore", "POST", r"(projects/.+/collectionGroups/[^/]+/indexes)", create_index),
    ("firestore", "POST", r"(projects/[^/]+/databases/[^/]+/backupSchedules)", create_backups),
    ("firestore", "PATCH", r"(projects/.+/collectionGroups/[^/]+/fields/[^/]+)", patch_field),
    ("firestore", "PATCH", COLLECTION, patch_database),
    ("secretmanager", "POST", r"(projects/[^/]+/secrets)", create_named("secretId")),
    ("secretmanager", "POST", r"(projects/[^/]+/secrets/[^/]+):addVersion", add_version),
    ("secretmanager", "GET", r"(projects/[^/]+/secrets/[^/]+)/versions/([^/]+):access", access_version),
    ("secretmanager", "POST", r"(projects/[^/]+/secrets/[^/]+/versions/[^/]+):(disable|enable)", switch_version),
    ("secretmanager", "GET", r"(projects/[^/]+/secrets/[^/]+)/versions", list_versions),
    ("secretmanager", "GET", r"(projects/[^/]+/secrets/[^/]+)/versions/latest", latest_version),
    ("cloudscheduler", "POST", r"(projects/[^/]+/locations/[^/]+/jobs)", create_job),
    ("*", "GET", COLLECTION, read),
    ("*", "PATCH", COLLECTION, patch),
    ("*", "DELETE", COLLECTION, remove),
)


class Handler(BaseHTTPRequestHandler):
    wbufsize = -1
    protocol_version = "HTTP/1.1"
    cloud: FakeCloud

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, told = self.cloud.answer(parse(self.command, self.path, body))
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None:
        """The cloud keeps its own list of requests."""


def parse(method: str, url: str, body: bytes) -> Asked:
    parts = urlsplit(url)
    api = (parts.hostname or "secretmanager.fake").removesuffix(".fake").rpartition("-")[2]
    path = re.sub(r"^/(?:(?:upload/|resumable/upload/)?storage/v1/|upload/|v1beta\d?/|v1/|v2/)?", "", unquote(parts.path))
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    try:
        told = json.loads(body) if body else {}
    except ValueError:  # an upload
        told = {}
    return Asked(method, api, path, query, told, body)


def start(cloud: FakeCloud) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("CloudHandler", (Handler,), {"cloud": cloud}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def gcloud_environment(port: int, folder: str) -> dict[str, str]:
    """What makes gcloud, and what else honours `http_proxy`, talk to the pretend cloud alone."""
    overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"http://{api}.fake/" for api in APIS}
    return {
        **overrides,
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": f"{folder}/access-token",
        "CLOUDSDK_CONFIG": f"{folder}/gcloud",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_PROXY_TYPE": "http",
        "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1",
        "CLOUDSDK_PROXY_PORT": str(port),
        "http_proxy": f"http://127.0.0.1:{port}",
        "no_proxy": "127.0.0.1,localhost",
    }
