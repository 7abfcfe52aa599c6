"""The arguments of an examination, checked before the model is asked anything: one line each."""

from __future__ import annotations

import inspect
import numbers
import os
from typing import Any

import kinematics
from discover.blackbox.contract import OUTPUTS
from discover.blackbox.region import Region
from discover.blackbox.session import BUDGETS
from discover.errors import ModelError, RegionError
from discover.models.external.declaration import INPUTS, Order
from discover.models.external.input_order import argument_names, order_of_names
from discover.observations.environment import Environment
from kinematics import Actuation, Robot

_ORDER = "the order is discover.examine(model, robot, region)"
_LARGEST_SEED = 2**31 - 1  # of the generators that are seeded with it


def check_model(model: Any, robot: Any) -> None:
    """That `model` can be called with (q, v, tau), in this order. Raises ModelError."""
    if isinstance(model, Robot | str | os.PathLike | Region):
        mend = (
            "load a model's file with discover.models.load"
            if isinstance(model, str | os.PathLike) and not callable(robot)
            else _ORDER
        )
        raise ModelError(
            f"expected a callable model(q, v, tau) first, found {_kind(model)}: {mend}"
        )
    if isinstance(model, type):
        raise ModelError(
            f"expected a model, found the class {model.__name__}: give an instance of it"
        )
    if not callable(model):
        raise ModelError(
            f"expected a callable model(q, v, tau), found {_kind(model)}: wrap it in a function"
        )
    names = argument_names(model)
    order = None if names is None else order_of_names(names)
    if names is not None and order is not None and _flat(order) != INPUTS:
        raise ModelError(
            "a model is called as model(q, v, tau), found one whose arguments are named "
            f"{', '.join(names)}: wrap it, as in lambda q, v, tau: model({', '.join(_flat(order))})"
        )


def load_described(robot: Any, root: Any) -> Robot | None:
    """The robot of a description, its path or its name, or of an environment that was read; None
    where there is none.

    root  "free" puts a description that is loaded here on a free joint; without a robot it says
          what the first coordinates are. Raises ModelError and RobotError.
    """
    if root not in (None, "free"):
        raise ModelError(f"expected root='free' or none, found {root!r}")
    if robot is None:
        return None
    if isinstance(robot, Environment):
        robot = robot.robot
    if isinstance(robot, Robot):
        if root is not None:
            raise ModelError(
                "expected root='free' only without a robot or with a description to load, found a "
                f"robot ({robot.name}), which says what its root is: kinematics.load(…, "
                "root='free') gives it a free one"
            )
        return robot
    if callable(robot) or isinstance(robot, Region):
        raise ModelError(
            f"expected a robot, its description's path or name, or None, found {_kind(robot)}: "
            f"{_ORDER}"
        )
    return kinematics.load(robot, root=root)


def actuation_of(
    model: Any, robot: Robot, region: Region, given: Any, inferred: bool
) -> Actuation | None:
    """What the model's controls do to the joints; None where it takes joint forces.

    given       by the caller, else the model's own, else, where the region names controls, the
                robot description's; without any, controls are the joint forces themselves
    inferred    whether the robot was inferred: then only joint forces can be said

    Raises ModelError and RegionError.
    """
    actuation = given if given is not None else getattr(model, "actuation", None)
    if actuation is None and region.u is None:
        return None
    if inferred:
        raise RegionError(
            "expected tau, joint forces, in the region of a model without a robot, found controls "
            "u: what they do to the joints cannot be said"
        )
    if region.u is None:
        raise RegionError(
            f"expected u, the {getattr(actuation, 'nu', '')} controls of this model, in its "
            "region, found tau, joint forces: write u in its place, as in "
            "discover.Region(q=…, v=…, u=…)"
        )
    if actuation is None:
        actuation = robot.actuation
    if actuation is None:
        if region.nu not in (None, robot.nv):
            raise RegionError(
                f"expected {robot.nv} joint forces, or an actuation, found {region.nu} controls "
                f"and nothing that says what they do to {robot.name}: give actuation="
                "kinematics.Actuation.of(lever arms, one row a control)"
            )
        actuation = Actuation.of([1.0] * robot.nv)
    if not isinstance(actuation, Actuation) or actuation.nv != robot.nv:
        found = f"one of {actuation.nv} joints" if isinstance(actuation, Actuation) else _kind(
            actuation
        )  # fmt: skip
        raise ModelError(
            f"expected a kinematics.Actuation of the {robot.nv} joint coordinates of {robot.name}, "
            f"found {found}"
        )
    return actuation


def check_choices(*, region: Any, outputs: Any, budget: Any, seed: Any, mechanism: Any) -> None:
    """Arguments that are one of few values. Raises ModelError and RegionError."""
    if not isinstance(region, Region):
        raise RegionError(
            f"expected a discover.Region, found {_kind(region)}: write "
            "discover.Region(q=1.0, v=2.0, tau=5.0)"
        )
    if not isinstance(budget, str) or budget not in BUDGETS:
        raise ModelError(f"expected a budget of {sorted(BUDGETS)}, found {budget!r}")
    if not isinstance(outputs, str) or outputs not in OUTPUTS:
        raise ModelError(f"expected outputs to be one of {OUTPUTS}, found {outputs!r}")
    whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= seed <= _LARGEST_SEED:
        raise ModelError(
            f"expected a seed from 0 to {_LARGEST_SEED}, found {seed!r}: give a whole number"
        )
    if mechanism not in (None, True, False):
        raise ModelError(f"expected mechanism to be True, False or None, found {mechanism!r}")


def _kind(given: Any) -> str:
    if isinstance(given, str):
        return f"the text {given[:60]!r}"
    if inspect.isfunction(given) or inspect.ismethod(given):
        return f"the function {given.__name__}"
    return type(given).__name__


def _flat(order: Order) -> tuple[str, ...]:
    return tuple(name for part in order for name in part)
