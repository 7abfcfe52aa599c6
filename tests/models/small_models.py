"""A small model of every family, and the double pendulum that it is tried on."""

from __future__ import annotations

from small_systems import double_pendulum

import kinematics
from discover import models

OPTIONS = {
    "mlp": {"width": 32, "depth": 1},
    "delan": {"width": 32, "depth": 1},
    "hnn": {"width": 32, "depth": 1},
    "lnn": {"width": 32, "depth": 1},
    "gnn": {"width": 24, "rounds": 2},
    "transformer": {"width": 24, "depth": 1, "heads": 2},
    "neural_ode": {"width": 32, "depth": 1},
    "recurrent": {"width": 24, "history": 4},
    "ensemble": {"width": 24, "depth": 1, "members": 2},
    "forest": {"trees": 10},
    "gaussian_process": {"samples": 400, "scale_samples": 100},
}
GRADIENT = sorted(k for k, f in models.FAMILIES.items() if f.trained_by == "gradient")


def small(kind: str, nv: int, **context):
    family = models.FAMILIES[kind]
    if "acceleration" not in family.may_answer:
        context = {"outputs": "next_state", "dt": 0.05, **context}
    if family.needs_robot:
        context["robot"] = kinematics.load("double_pendulum").to_dict()
    return models.build(kind, nv, nv, OPTIONS.get(kind, {}), **context)


def ask_double_pendulum(kind: str):
    """The system a family is tried on; the control has its own masses and lengths to find."""
    if not models.FAMILIES[kind].needs_robot:
        return double_pendulum
    robot = kinematics.load("double_pendulum")
    return lambda q, v, tau: kinematics.aba(robot, q, v, tau)
