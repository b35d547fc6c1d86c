"""Ids that look like those of the real services; Claude's are those that it has on Vertex AI."""

import random

LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _tail() -> str:
    return "".join(random.choices(LETTERS, k=22))


def request_id() -> str:
    return f"req_vrtx_011{_tail()}"


def message_id() -> str:
    return f"msg_vrtx_01{_tail()}"


def tool_use_id() -> str:
    return f"toolu_vrtx_01{_tail()}"


def server_tool_use_id() -> str:
    return f"srvtoolu_vrtx_01{_tail()}"


def first_party_request_id() -> str:
    return f"req_011{_tail()}"
