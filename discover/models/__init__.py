"""World models: the families we train, and everybody else's."""

from discover.models.checkpoint import save
from discover.models.contract import ModelConfig, Samples, WorldModel
from discover.models.external.adapters import load
from discover.models.layout import Layout
from discover.models.registry import FAMILIES, build, build_for

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
