"""What the admin API says of itself, OpenAPI 3.1, made from the table of routes and their structs."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway import NAME, VERSION
from gateway.administration.checks import VISIBLE
from gateway.canonical.store import Json
from gateway.doors.admin.route import Query, Route

JSON = "application/json"
REF = "#/components/schemas/{name}"
ABOUT = (
    'Administration of this gateway. Lists are `{"data": […], "next_cursor": …}`; `PUT` replaces, `PATCH` merges, a second '
    "`DELETE` is 404, unknown fields and parameters are 400. Money is decimal text, moments are RFC 3339 in UTC. Every change is "
    "in the audit."
)
IN_PATH: dict[str, Json] = {
    "id": {"type": "string", "minLength": 1},
    "user": {"type": "string", "pattern": f"^(?:(?!/){VISIBLE})+$", "maxLength": 256},
}
REFUSALS = {
    400: "What was sent cannot be meant; `path` names the field",
    401: "The admin key is missing or wrong",
    404: "There is no such object or path",
    409: "It exists already, or the state of things does not allow it",
    413: "The body is larger than 1 MiB",
    503: "The store does not answer; try again",
}


class Fault(msgspec.Struct):
    """What went wrong, and what to do next. `path` is the field at fault, if it is one."""

    type: str
    message: str
    path: str | None


class Error(msgspec.Struct):
    """Every refusal."""

    error: Fault


def render_openapi(routes: Sequence[Route], prefix: str) -> Json:
    """The document; paths are relative to `prefix`, on whatever host it was fetched from."""
    shapes = list(dict.fromkeys(shape for route in routes for shape in (*_bodies(route), route.answer)))
    schemas, components = msgspec.json.schema_components([Error, *shapes], ref_template=REF)
    schema_of = dict(zip([Error, *shapes], schemas, strict=True))
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _render_operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{NAME} admin API", "version": VERSION, "description": ABOUT},
        "servers": [{"url": prefix}],
        "security": [{"admin_key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"admin_key": {"type": "http", "scheme": "bearer", "description": "GATEWAY_ADMIN_KEY"}},
            "schemas": components,
        },
    }


def _bodies(route: Route) -> tuple[Any, ...]:
    if route.body is None:
        return ()
    return route.body if isinstance(route.body, tuple) else (route.body,)


def _render_operation(route: Route, schema_of: dict[Any, Json]) -> Json:
    operation: Json = {
        "operationId": route.run.__name__,
        "summary": route.summary,
        "tags": [route.path.split("/")[1]],
        "parameters": [*_path_parameters(route.path), *map(_render_query, route.query)],
        "responses": {
            str(route.status): {"description": "So it is", "content": {JSON: {"schema": schema_of[route.answer]}}},
            **dict(_render_refusals((*route.refusals, 503), schema_of[Error])),
        },
    }
    if route.more_query:
        operation["description"] = f"Further parameters: `{route.more_query}NAME=VALUE`, a label that the calls bear."
    if route.status == 201:
        operation["responses"]["201"]["headers"] = {"location": {"schema": {"type": "string"}, "description": "Where it is"}}
    if bodies := _bodies(route):
        schemas = [schema_of[body] for body in bodies]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        operation["requestBody"] = {"required": route.body_needed, "content": {JSON: {"schema": schema}}}
    return operation


def _render_refusals(statuses: Iterable[int], schema: Json) -> Iterable[tuple[str, Json]]:
    for status in statuses:
        yield str(status), {"description": REFUSALS[status], "content": {JSON: {"schema": schema}}}


def _path_parameters(path: str) -> list[Json]:
    return [{"name": name, "in": "path", "required": True, "schema": IN_PATH[name]} for name in re.findall(r"{(\w+)}", path)]


def _render_query(query: Query) -> Json:
    return {"name": query.name, "in": "query", "description": query.help, "schema": query.shape}
