"""The command line `discover`: `app` with its commands, and `main`, which ends in one line."""

from discover.cli import gradients, identify, inside, logs  # noqa: F401  # their commands
from discover.cli.app import INTERRUPTED, app, main

__all__ = ["INTERRUPTED", "app", "main"]
