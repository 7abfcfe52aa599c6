"""World models: the families we train, and everybody else's."""

from discover.models.checkpoint import save
from discover.models.contract import ModelConfig, Samples, WorldModel
from discover.models.external.adapters import load
from discover.models.layout import Layout
from discover.models.registry import FAMILIES, build

__all__ = [
    "FAMILIES",
    "Layout",
    "ModelConfig",
    "Samples",
    "WorldModel",
    "build",
    "load",
    "save",
]
