"""From the name of a benchmark to the module that measures it."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

from discover.errors import RecipeError

SUBJECTS = (
    "dynamics",
    "verdict",
    "laws",
    "models",
    "published",
    "structure",
    "networks",
    "distilled",
)


def measure(subject: str, **options: Any) -> None:
    """Run discover.bench.<subject>.main with these options; RecipeError for one it has not."""
    if subject not in SUBJECTS:
        raise RecipeError(f"bench: expected one of {', '.join(SUBJECTS)}, found {subject!r}")
    measured = import_module(f"discover.bench.{subject}").main
    for name in options:
        if name not in signature(measured).parameters:
            raise RecipeError(f"bench: {subject} has no option --{name}; leave it out")
    if "device" in options:
        from discover.train import choose_device

        options["device"] = choose_device(options["device"]).type
    measured(**options)
