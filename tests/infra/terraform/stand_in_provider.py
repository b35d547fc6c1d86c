"""A google provider that makes nothing: the real one's schema, so that the real terraform validates, plans and applies our files.

It speaks terraform's plugin protocol over loopback; terraform finds it through TF_REATTACH_PROVIDERS and asks for no download.
Unknown resources and arguments, missing ones, types, references between resources, variables and conditions are then
terraform's own business. Values that an argument does not take are refused here. What the cloud would fill in is made up
from the name, as Google would name it.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc  # type: ignore[import-untyped]
import msgspec
from provider_wire import FILLED_IN, UNKNOWN, Json, diagnostic, dynamic_value, message, read_message, read_value, schema

SOURCE = "hashicorp/google"
NUMBER = "123456789012"  # of every project
PROVIDER_ARGUMENTS = {name: {"type": "string"} for name in ("credentials", "project", "region", "zone")}

# What Google would answer, by resource and attribute.
MADE_UP: dict[tuple[str, str], Callable[[Json, str], str]] = {
    ("google_project", "number"): lambda values, project: NUMBER,
    ("google_service_account", "email"): lambda values, project: f"{values['account_id']}@{project}.iam.gserviceaccount.com",
    ("google_service_account", "member"): lambda values, project: (
        f"serviceAccount:{values['account_id']}@{project}.iam.gserviceaccount.com"
    ),
    ("google_service_account", "id"): lambda values, project: (
        f"projects/{project}/serviceAccounts/{values['account_id']}@{project}.iam.gserviceaccount.com"
    ),
    ("google_secret_manager_secret", "id"): lambda values, project: f"projects/{project}/secrets/{values['secret_id']}",
    ("google_secret_manager_secret", "name"): lambda values, project: f"projects/{NUMBER}/secrets/{values['secret_id']}",
    ("google_pubsub_topic", "id"): lambda values, project: f"projects/{project}/topics/{values['name']}",
    ("google_compute_global_address", "address"): lambda values, project: "203.0.113.7",
}


class StandIn:
    """`with StandIn(rows) as environment:` serves it; `environment` is what terraform has to be told."""

    def __init__(self, rows: Json, project: str) -> None:
        self._resources: Json = rows["resources"]
        self._data: Json = rows["data"]
        self._project = project
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))

    def __enter__(self) -> dict[str, str]:
        answers: dict[str, Callable[[bytes], bytes]] = {
            "GetSchema": self.schema,
            "PrepareProviderConfig": lambda asked: message((1, read_message(asked)[1][0])),
            "Configure": lambda asked: b"",
            "Stop": lambda asked: b"",
            "ValidateResourceTypeConfig": self.validate,
            "ValidateDataSourceConfig": lambda asked: b"",
            "UpgradeResourceState": self.upgrade,
            "ReadResource": lambda asked: message((1, read_message(asked)[2][0])),
            "PlanResourceChange": self.plan,
            "ApplyResourceChange": self.apply,
            "ReadDataSource": self.read_data,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(lambda asked, context, answer=answer: answer(asked))
            for name, answer in answers.items()
        }
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tfplugin5.Provider", handlers)])
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        where = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
        told = {"Protocol": "grpc", "ProtocolVersion": 5, "Pid": os.getpid(), "Test": True, "Addr": where}
        return {"TF_REATTACH_PROVIDERS": json.dumps({SOURCE: told})}

    def __exit__(self, *exception: object) -> None:
        self._server.stop(grace=0).wait(5)

    def schema(self, asked: bytes) -> bytes:
        def entry(name: str, row: Json) -> bytes:
            return message((1, name), (2, schema(row["arguments"], row["computed"])))

        return message(
            (1, schema(PROVIDER_ARGUMENTS, {})),
            *((2, entry(name, row)) for name, row in self._resources.items()),
            *((3, entry(name, row)) for name, row in self._data.items()),
        )

    def validate(self, asked: bytes) -> bytes:
        kind, values = self._asked(asked, 2)
        faults = list(wrong_values(self._resources[kind]["arguments"], values, kind))
        return message(*((1, diagnostic("value not taken", fault)) for fault in faults))

    def upgrade(self, asked: bytes) -> bytes:
        state = msgspec.json.decode(read_message(read_message(asked)[3][0])[1][0])
        return message((1, dynamic_value(state)))

    def plan(self, asked: bytes) -> bytes:
        kind, values = self._asked(asked, 3)
        if values is None:
            return message((1, dynamic_value(None)))  # to be destroyed
        left_out = UNKNOWN if self._asked(asked, 2)[1] is None else None
        return message((1, dynamic_value(self._filled(self._resources[kind], values, lambda name: left_out))))

    def apply(self, asked: bytes) -> bytes:
        kind, values = self._asked(asked, 3)
        if values is None:
            return message((1, dynamic_value(None)))
        return message((1, dynamic_value(self._filled(self._resources[kind], values, self._maker(kind, values)))))

    def read_data(self, asked: bytes) -> bytes:
        kind, values = self._asked(asked, 2)
        return message((1, dynamic_value(self._filled(self._data[kind], values, self._maker(kind, values)))))

    def _filled(self, row: Json, values: Json, make: Callable[[str], Any]) -> Json:
        return filled(values, row["arguments"], row["computed"], make)

    def _asked(self, asked: bytes, field: int) -> tuple[str, Any]:
        fields = read_message(asked)
        return fields[1][0].decode(), read_value(fields[field][0])

    def _maker(self, kind: str, values: Json) -> Callable[[str], str]:
        def made(name: str) -> str:
            rule = MADE_UP.get((kind, name))
            return rule(values, values.get("project") or self._project) if rule else f"{kind}.{name}"

        return made


def wrong_values(arguments: Json, values: Json, path: str) -> Iterator[str]:
    for name, row in arguments.items():
        value = values.get(name)
        if "block" in row:
            for inner in value if isinstance(value, list) else []:
                if isinstance(inner, dict):  # not yet known otherwise
                    yield from wrong_values(row["block"], inner, f"{path}.{name}")
        elif isinstance(value, str) and value not in row.get("values", [value]):
            yield f"{path}.{name} = {value!r}: one of {', '.join(row['values'])}"


def filled(values: Json, arguments: Json, computed: Json, make: Callable[[str], Any]) -> Json:
    """The values with those that the provider gives; write-only ones are forgotten."""
    out = dict(values)
    for name, row in arguments.items():
        if "block" in row:
            inner = row.get("computed", {})
            if not is_unknown(out.get(name)):
                given = out.get(name) or []
                out[name] = [one if is_unknown(one) else filled(one, row["block"], inner, make) for one in given]
        elif name.endswith("_wo"):
            out[name] = None
    for name, kind in {**{name: "string" for name in FILLED_IN if name in arguments}, **computed}.items():
        if out.get(name) is None or is_unknown(out[name]):
            made = make(name)
            out[name] = made if kind == "string" or is_unknown(made) else None
    return out


def is_unknown(value: Any) -> bool:
    return isinstance(value, msgspec.msgpack.Ext)
