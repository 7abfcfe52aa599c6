"""Elimination orders: where each joint leaves the equations of motion, the classical orders, and
those that differ little from a given one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from kinematics.programs.elimination.mechanism import Mechanism
from kinematics.robot.joints import TURNING

OWN = "own"  # in the body's frame, its own joint included
ABOVE = "above"  # in the parent's frame, before the siblings are added
BEFORE = "before"  # in the body's frame, before its own joint is added
STAGES = (BEFORE, OWN, ABOVE)


@dataclass(frozen=True, kw_only=True)
class Order:
    """When each joint goes: ``places[i]`` is (body, stage) of joint i; how constants are made to
    vanish: ``reference`` and ``moments`` of each joint, see `reference_motion` and `regrouped`."""

    places: tuple[tuple[int, str], ...]
    reference: dict[int, str] = field(default_factory=dict)
    moments: dict[int, str] = field(default_factory=dict)
    name: str = ""


def articulated_order(model: Mechanism) -> Order:
    """Every joint at its own body: the articulated-body algorithm."""
    return Order(places=tuple((b.index, OWN) for b in model.bodies), name="aba")


def composite_order(model: Mechanism) -> Order:
    """Every joint at its root: composite rigid bodies, then LᵀDL."""
    places = tuple((model.ancestors(b.index)[-1], OWN) for b in model.bodies)
    return Order(places=places, name="crba")


def describe(model: Mechanism, order: Order) -> str:
    """The order as passes over the tree, for people."""
    lines = [
        "outward: for each body, root to leaf",
        "    angular velocity, reference angular acceleration, acceleration of the origin",
        "    wrench of the reference motion: U h + m a, axial(U J - (U J)ᵀ) + h x a",
        "inward: for each body, leaf to root",
        "    inertia and wrench: its own plus what its children hand over",
    ]
    words = {
        BEFORE: "before its own joint is added",
        OWN: "in its frame",
        ABOVE: "in its parent's frame",
    }
    for body in reversed(model.bodies):
        due = [
            (stage, [b.name for b in reversed(model.bodies) if order.places[b.index] == key])
            for stage in STAGES
            for key in [(body.index, stage)]
        ]
        gone = [f"eliminate {', '.join(names)} {words[stage]}" for stage, names in due if names]
        waiting = [
            b.name
            for b in model.bodies
            if body.index in model.ancestors(b.index)
            and order.places[b.index][0]
            not in model.ancestors(b.index)[: model.ancestors(b.index).index(body.index) + 1]
        ]
        carried = f"carry {', '.join(waiting)} to its parent" if waiting else ""
        lines.append(f"    {body.name}: {'; '.join([*gone, *([carried] if carried else [])])}")
    lines.append("outward: accelerations of the joints in reverse, each from its body's motion")
    return "\n".join(lines)


REFERENCES = ("xy", "yx", "rest")
MOMENTS = ("second moment", "Ixx", "Iyy")


def limb_orders(model: Mechanism) -> list[Order]:
    """Orders between the classical ones: towards the tips joints are carried, elsewhere not.

    With reach k the joints of every unbranched end of at most k joints leave together, at the
    body where that end begins, in its own frame or its parent's.
    """
    height = [1] * len(model.bodies)
    single = [True] * len(model.bodies)
    for body in reversed(model.bodies):
        if body.parent >= 0:
            parent = model.bodies[body.parent]
            height[parent.index] = max(height[parent.index], height[body.index] + 1)
            if len(parent.children) > 1 or not single[body.index]:
                single[parent.index] = False
    orders = []
    longest = max(height)
    for reach in range(1, min(longest, 7) + 1):
        for stage in (OWN, ABOVE):
            places = []
            for body in model.bodies:
                here = body.index
                while (
                    model.bodies[here].parent >= 0
                    and single[model.bodies[here].parent]
                    and height[model.bodies[here].parent] <= reach
                ):
                    here = model.bodies[here].parent
                tip = single[body.index] and height[body.index] <= reach
                root = model.bodies[here].parent < 0
                places.append((here, OWN if root or not tip else stage))
            if stage == OWN and reach == 1:
                continue
            orders.append(Order(places=tuple(places), name=f"ends of {reach}, {stage}"))
    return orders


def every_order(
    model: Mechanism, start: Order, most: int, *, quick: bool
) -> tuple[str, Iterable[Order]]:
    """All orders if there are at most ``most``, else (always if ``quick``) all places with the rest
    as in ``start`` if those are no more, else none; and which of these: "all", "orders" or ""."""
    places = [places_of(model, b.index) for b in model.bodies]
    turning = [b.index for b in model.bodies if b.kind in TURNING]
    orders = math.prod(map(len, places))
    if orders > most:
        return "", ()
    if quick or orders * (len(REFERENCES) * len(MOMENTS)) ** len(turning) > most:
        return "orders", (replace(start, places=p, name="") for p in itertools.product(*places))
    choices = itertools.product(
        itertools.product(*places),
        itertools.product(REFERENCES, repeat=len(turning)),
        itertools.product(MOMENTS, repeat=len(turning)),
    )
    return "all", (
        Order(
            places=p,
            reference=dict(zip(turning, r, strict=True)),
            moments=dict(zip(turning, m, strict=True)),
        )
        for p, r, m in choices
    )


def places_of(model: Mechanism, joint: int) -> list[tuple[int, str]]:
    """Everywhere a joint may be eliminated."""
    line = model.ancestors(joint)
    out = [(joint, OWN)]
    for k, body in enumerate(line):
        if k:
            out += [(body, BEFORE), (body, OWN)]
        if model.bodies[body].parent >= 0:
            out.append((body, ABOVE))
    return out


def uniform_orders(model: Mechanism, order: Order) -> Iterator[Order]:
    """The same choice for all turning joints, or for those at one height above the tips."""
    joints = [b.index for b in model.bodies if b.kind in TURNING]
    yield Order(places=order.places, reference=dict.fromkeys(joints, "yx"))
    yield Order(places=order.places, moments=dict.fromkeys(joints, "Ixx"))
    yield Order(places=order.places, moments=dict.fromkeys(joints, "Iyy"))
    tips = [j for j in joints if not model.bodies[j].children]
    yield Order(places=order.places, moments=dict.fromkeys(tips, "Iyy"))
    yield Order(places=order.places, moments=dict.fromkeys(tips, "second moment"))


def neighbours(model: Mechanism, order: Order) -> Iterator[Order]:
    """Orders that differ in one choice of one joint, or of a joint and all below it."""
    for body in model.bodies:
        if body.kind in TURNING:
            now = order.reference.get(body.index, "xy")
            for mode in REFERENCES:
                if mode != now:
                    yield replace(order, reference={**order.reference, body.index: mode}, name="")
            chosen = order.moments.get(body.index, "second moment")
            for mode in MOMENTS:
                if mode != chosen:
                    yield replace(order, moments={**order.moments, body.index: mode}, name="")
    for body in model.bodies:
        options = places_of(model, body.index)
        now_at = options.index(order.places[body.index])
        for step in (-2, -1, 1, 2):
            if 0 <= now_at + step < len(options):
                places = list(order.places)
                places[body.index] = options[now_at + step]
                yield replace(order, places=tuple(places), name="")


def merged(best: Order, start: Order, candidate: Order) -> Order:
    """The one choice in which ``candidate`` differs from ``start``, made in ``best``."""
    return replace(
        best,
        places=tuple(
            c if c != s else b
            for b, s, c in zip(best.places, start.places, candidate.places, strict=True)
        ),
        reference={
            **best.reference,
            **{k: m for k, m in candidate.reference.items() if start.reference.get(k) != m},
        },
        moments={
            **best.moments,
            **{k: m for k, m in candidate.moments.items() if start.moments.get(k) != m},
        },
        name="",
    )
