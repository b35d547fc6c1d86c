"""`python -m gateway serve`: the gateway on a laptop or in a container, with a sandbox if it has nobody to ask."""

import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway import VERSION
from gateway.app import providers_from_environment
from gateway.server import Server
from gateway.settings import Settings, SettingsFault, read
from gateway.start import state_folder
from gateway.store import open_store
