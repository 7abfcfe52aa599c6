"""Which of a model's inputs is q, which v, which tau: as declared, or by clear names in its file.

Inputs are never taken by position where a file names them otherwise: a network that is given
torques for angles answers all the same.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

from torch import nn

from discover.errors import ModelError
from discover.models.external.declaration import INPUTS, Declaration, Order

_NAMES = {
    "q": "q qpos pos position positions angle angles theta configuration",
    "v": "v qvel vel velocity velocities qd dq qdot dqdt speed speeds omega thetadot dtheta",
    "tau": "tau torque torques force forces effort efforts u ctrl control controls action actions",
}
_MEANING = {name: symbol for symbol, names in _NAMES.items() for name in names.split()}
_FILLING = {"joint", "joints", "in", "input", "inputs", "generalized", "generalised", "t"}
EXAMPLE = 'order = [["q", "v"], "tau"] where the first holds q and v side by side'


def input_order(source: str, names: tuple[str, ...] | None, declared: Declaration) -> Order:
    """The inputs of the call in order, each as the parts that it holds side by side.

    names: those in the file, or None where it has none (then q, v, tau unless declared). Inputs
    that the file no longer has, since they are not used, are left out. Raises ModelError, one line,
    where the names leave it open.
    """
    order = declared.order
    if declared.joined:
        if names is not None and len(names) != 1:
            raise ModelError(f"{source} takes {len(names)} inputs, declared is one joined input")
        parts = order or tuple((name,) for name in INPUTS)
        return (tuple(name for part in parts for name in part),)
    if names is None:
        return order or tuple((name,) for name in INPUTS)
    clear = order_of_names(names)
    if order is None:
        if clear is None:
            raise ModelError(_open(source, names))
        return clear
    if len(order) != len(names):
        raise ModelError(
            f"{source} takes {_inputs(names)}, declared is an order of {len(order)}; declare one "
            f"entry an input, such as {EXAMPLE}"
        )
    if clear is not None and set(names) <= set(INPUTS) and order != clear:
        raise ModelError(
            f"{source} names its inputs {', '.join(names)}, declared is the order "
            f"{', '.join('+'.join(part) for part in order)}; leave the order out"
        )
    return order


def argument_names(model: Callable) -> tuple[str, ...] | None:
    """The names of the arguments that a Python callable is given; None where it does not say, as
    with `*args`, or where three names leave it open: then they are q, v, tau, as everywhere.
    """
    call = model.forward if isinstance(model, nn.Module) else model
    try:
        given = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):  # not all compiled code has a signature
        return None
    if any(p.kind in (p.VAR_POSITIONAL, p.KEYWORD_ONLY) for p in given):
        return None
    taken = [p for p in given if p.kind is not p.VAR_KEYWORD]
    needed = [p for p in taken if p.default is p.empty]
    if len(needed) <= len(INPUTS) <= len(taken):
        names = tuple(p.name for p in taken[: len(INPUTS)])
        return None if order_of_names(names) is None else names
    return tuple(p.name for p in needed)


def keyword_names(model: Callable) -> tuple[str, ...] | None:
    """The names of the arguments that a Python callable takes by name only; None where it takes
    some by position."""
    call = model.forward if isinstance(model, nn.Module) else model
    try:
        given = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in given):
        return None
    return tuple(p.name for p in given if p.kind is p.KEYWORD_ONLY and p.default is p.empty) or None


def order_of_names(names: tuple[str, ...]) -> Order | None:
    """The order by the names in the file; None where a name is not clear, or two mean the same."""
    meanings = [_meaning(name) for name in names]
    if not names or None in meanings or len(set(meanings)) < len(meanings):
        return None
    return tuple((meaning,) for meaning in meanings if meaning is not None)


def _meaning(name: str) -> str | None:
    """The symbol that a name stands for, if it is clear: of `joint_pos`, `input.q_1`, `qPos`."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    words = [word for word in words if word not in _FILLING] or words
    return _MEANING.get("".join(words)) if words else None


def _open(source: str, names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return (
            f"{source} takes {_inputs(names)}, expected q, v and tau; declare joined = true and "
            "the order in which they stand side by side"
        )
    plainly = 'order = ["q", "v", "tau"], or ' if len(names) == len(INPUTS) else ""
    return (
        f"{source} takes {_inputs(names)}, which does not say which is q, v and tau; declare their "
        f"order, such as {plainly}{EXAMPLE}; of a network over observations, its layout: "
        "discover.wrap(net, robot, observation=[…])"
    )


def _inputs(names: tuple[str, ...]) -> str:
    return f"{len(names)} input{'s' if len(names) != 1 else ''} ({', '.join(names)})"
