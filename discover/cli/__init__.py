"""The command line `discover`: `app` with its commands, and `main`, which turns errors to a line."""

from discover.cli import logs  # noqa: F401  # its command
from discover.cli.app import INTERRUPTED, app, main

__all__ = ["INTERRUPTED", "app", "main"]
