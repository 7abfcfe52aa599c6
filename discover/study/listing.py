"""What there is, in a few words each: robots, recipes, models, probes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    robots = "robots"
    recipes = "recipes"
    models = "models"
    probes = "probes"


def listing(kind: Kind) -> list[tuple[str, str]]:
    """Names with a few words each."""
    if kind is Kind.robots:
        import kinematics

        return [(name, _robot_words(name)) for name in kinematics.bundled()]
    if kind is Kind.recipes:
        from discover.study.recipes import bundled_recipes, load

        return [(name, load(path).study.title) for name, path in bundled_recipes().items()]
    if kind is Kind.models:
        from discover.models import FAMILIES

        told = [(name, _first_line(family)) for name, family in FAMILIES.items()]
        return [("simulator", "The reference simulator as a black box: the control."), *told]
    import pkgutil

    from discover import probes

    found = sorted(module.name for module in pkgutil.iter_modules(probes.__path__))
    return [(name, _module_words(f"discover.probes.{name}")) for name in found]


def _robot_words(name: str) -> str:
    import kinematics

    robot = kinematics.load(name)
    return f"{robot.nb} joints, {robot.nv} degrees of freedom"


def _module_words(module: str) -> str:
    from importlib import import_module

    return _first_line(import_module(module))


def _first_line(documented: Any) -> str:
    return (documented.__doc__ or "").strip().split("\n")[0]
