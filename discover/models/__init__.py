"""World models: the families we train, and everybody else's."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discover.models.checkpoint import save
    from discover.models.contract import ModelConfig, Samples, WorldModel
    from discover.models.external.adapters import load
    from discover.models.layout import Layout
    from discover.models.registry import FAMILIES, build, build_for

# Where each name lives. Read on first use: an examination of a function needs none of them.
_HOMES = {
    "FAMILIES": "registry",
    "Layout": "layout",
    "ModelConfig": "contract",
    "Samples": "contract",
    "WorldModel": "contract",
    "build": "registry",
    "build_for": "registry",
    "load": "external.adapters",
    "save": "checkpoint",
}

__all__ = [
    "FAMILIES",
    "Layout",
    "ModelConfig",
    "Samples",
    "WorldModel",
    "build",
    "build_for",
    "load",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'discover.models' has no attribute {name!r}")
    value = getattr(import_module(f"discover.models.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
