"""What there is to choose from: bundled robots and recipes, families of models, probes.

Each function gives (name, one line about it) in order.
"""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Callable
from importlib import import_module

import kinematics
from discover import probes
from discover.models import FAMILIES
from discover.study.recipes import bundled_recipes, load

Listing = list[tuple[str, str]]


def robots() -> Listing:
    """Bundled robots."""
    with warnings.catch_warnings():  # what a robot leaves out is told where it is loaded
        warnings.simplefilter("ignore")
        found = [(name, kinematics.load(name)) for name in kinematics.bundled()]
    return [(name, f"{x.nb} joints, {x.nv} degrees of freedom") for name, x in found]


def recipes() -> Listing:
    """Bundled recipes."""
    return [(name, load(path).study.title) for name, path in bundled_recipes().items()]


def models() -> Listing:
    """The control and the families of models."""
    families = [(k, _summary(import_module(f.__module__))) for k, f in FAMILIES.items()]
    return [("simulator", "The reference simulator as a black box: the control"), *families]


def measurements() -> Listing:
    """The probes."""
    names = sorted(module.name for module in pkgutil.iter_modules(probes.__path__))
    return [
        (name, _summary(import_module(f"discover.probes.{name}")))
        for name in names
        if name != "contract"
    ]


LISTINGS: dict[str, Callable[[], Listing]] = {
    "robots": robots,
    "recipes": recipes,
    "models": models,
    "probes": measurements,
}


def _summary(documented: object) -> str:
    """The first line of a docstring."""
    return (documented.__doc__ or "").strip().split("\n")[0].rstrip(".")
