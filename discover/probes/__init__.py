"""Probes: measurements on a model, one idea a file.

A probe whose number the verdict depends on is a `contract.Probe` and stands in the registry below.
The others describe: local identities, full circles, the residual force.
"""

from __future__ import annotations

from discover.probes.contract import Probe, Subject, measured
from discover.probes.far_curvature import FarCurvature
from discover.probes.inertia import InertiaMisfit
from discover.probes.memory import FrozenSteps, TrainingMemory
from discover.probes.roughness import LocalRoughness

# Positive evidence of a lookup table, in the order of its cost: measured until one supports it.
TABLE_EVIDENCE: tuple[Probe, ...] = (FrozenSteps(), FarCurvature(), InertiaMisfit())
TRAINING_MEMORY: tuple[Probe, ...] = (TrainingMemory(),)
ROUGHNESS: tuple[Probe, ...] = (LocalRoughness(),)
REGISTRY = (*TABLE_EVIDENCE, *TRAINING_MEMORY, *ROUGHNESS)

__all__ = [
    "REGISTRY",
    "ROUGHNESS",
    "TABLE_EVIDENCE",
    "TRAINING_MEMORY",
    "Probe",
    "Subject",
    "measured",
]
