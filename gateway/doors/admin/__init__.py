"""The admin API, `/admin/v1`: the use cases of administration over HTTP, for whoever holds the admin key.

One table of routes (`table.py`) is both: what is served, and what `openapi.json` says of it. `app.py` calls `open_door`, late:
the package is loaded with the first admin request.
"""

from collections.abc import Callable, Mapping

from gateway.administration.office import Office
from gateway.canonical.store import Json
from gateway.credentials.identity_tokens import GoogleIdentity
from gateway.credentials.secrets import Secrets
from gateway.doors.admin.door import AdminDoor
from gateway.doors.admin.guard import Guard
from gateway.settings import Settings

__all__ = ["AdminDoor", "Guard", "open_door"]


def open_door(
    settings: Settings, office: Office, secrets: Secrets, log_refusal: Callable[[Json], None], marks: Mapping[str, str]
) -> AdminDoor:
    """The door as the settings have it."""
    guard = Guard(
        settings.admin_key,
        secrets,
        email=GoogleIdentity(office.now).email,
        public_url=settings.public_url,
        sweep_email=settings.sweep_email,
    )
    return AdminDoor(office, guard, log_refusal, marks)
