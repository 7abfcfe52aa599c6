"""Looking for cheaper elimination orders by operation count: all of them where they are few, local
search and annealing where they are not.

A candidate is a complete order (`elimination.Order`); its cost is counted on its traced program,
so whatever sharing it makes possible is seen. The classical orders are the starting points.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from kinematics.programs.elimination import forward_dynamics
from kinematics.programs.graph import many_nodes
from kinematics.programs.mechanism import Mechanism, mechanism
from kinematics.programs.orders import ABOVE, BEFORE, OWN, Order, articulated_order, composite_order
from kinematics.programs.program import Program
from kinematics.programs.steps import TURNING

SMALL = 16  # velocities
QUICK = 24_000
THOROUGH = 4_000_000

REFERENCES = ("xy", "yx", "rest")
MOMENTS = ("second moment", "Ixx", "Iyy")


@dataclass(frozen=True, kw_only=True)
class Found:
    """The cheapest order met, its count, and the counts of the classical ones.

    ``exact``: "orders" if every place where a joint may be eliminated was tried with every other,
    "all" if with every way to make constants vanish besides, "" if only some were.
    """

    order: Order
    arithmetic: int
    classical: dict[str, int]
    tried: int
    seconds: float
    exact: str = ""

    def told(self) -> str:
        """How much was searched, in words."""
        kept = {
            "all": "none is cheaper, however constants are made to vanish",
            "orders": "every elimination order is among them",
        }
        ending = f"; {kept[self.exact]}" if self.exact else ""
        return f"cheapest of {self.tried:,} orders tried{ending}"


def named_order(made: Mechanism, name: str) -> Order:
    """ "aba" or "crba"."""
    return articulated_order(made) if name == "aba" else composite_order(made)


def limb_orders(made: Mechanism) -> list[Order]:
    """Orders between the classical ones: towards the tips joints are carried, elsewhere not.

    With reach k the joints of every unbranched end of at most k joints leave together, at the
    body where that end begins, in its own frame or its parent's.
    """
    height = [1] * len(made.bodies)
    single = [True] * len(made.bodies)
    for body in reversed(made.bodies):
        if body.parent >= 0:
            parent = made.bodies[body.parent]
            height[parent.index] = max(height[parent.index], height[body.index] + 1)
            if len(parent.children) > 1 or not single[body.index]:
                single[parent.index] = False
    orders = []
    longest = max(height)
    for reach in range(1, min(longest, 7) + 1):
        for stage in (OWN, ABOVE):
            places = []
            for body in made.bodies:
                here = body.index
                while (
                    made.bodies[here].parent >= 0
                    and single[made.bodies[here].parent]
                    and height[made.bodies[here].parent] <= reach
                ):
                    here = made.bodies[here].parent
                tip = single[body.index] and height[body.index] <= reach
                root = made.bodies[here].parent < 0
                places.append((here, OWN if root or not tip else stage))
            if stage == OWN and reach == 1:
                continue
            orders.append(Order(places=tuple(places), name=f"ends of {reach}, {stage}"))
    return orders


@many_nodes()
def better_order(
    made: Mechanism,
    *,
    budget: int,
    seed: int = 0,
    extra_force: Any = None,
    anneal: bool = False,
) -> Found:
    """The cheapest order found.

    ``budget`` is how many operations may be traced in all (about 200,000 a second): a count and
    not a time, so that the same call always finds the same order. Where it suffices for every
    order there is, the answer is exact.
    """
    begin = time.monotonic()
    tried = spent = 0

    def cost(order: Order) -> int:
        nonlocal tried, spent
        program = forward_dynamics(made, order, extra_force)
        count = program.arithmetic
        program.graph.forget()
        tried += 1
        spent += count
        return count

    def left() -> float:
        return max(0.0, 1.0 - spent / budget)

    # columns carried far cost their number times the depth: hopeless for large trees in a hurry
    short = budget <= QUICK and made.robot.nv > SMALL
    names = ("aba",) if short else ("aba", "crba")
    classical = {name: cost(named_order(made, name)) for name in names}
    if budget == QUICK:
        budget = max(budget, 8 * min(classical.values()))
    best = named_order(made, min(classical, key=lambda n: classical[n]))
    lowest = min(classical.values())
    exact, every = _every(made, best, (budget - spent) // lowest, hurry=budget <= QUICK)
    for order in every:
        count = cost(order)
        if count < lowest:
            best, lowest = order, count
    limbs = [] if exact else limb_orders(made)
    for order in limbs[:3] if short else limbs:
        if not left():
            break
        count = cost(order)
        if count < lowest:
            best, lowest = order, count
    for candidate in _uniform(made, best):
        if exact == "all" or not left():
            break
        merged = _merged(best, Order(places=best.places), candidate)
        count = cost(merged)
        if count < lowest:
            best, lowest = merged, count
    if exact != "all":
        best, lowest = _descend(made, best, lowest, cost, left)
    if anneal and exact != "all":
        best, lowest = _anneal(made, best, lowest, cost, left, seed)
    return Found(
        order=best,
        arithmetic=lowest,
        classical=classical,
        tried=tried,
        seconds=time.monotonic() - begin,
        exact=exact,
    )


def _every(made: Mechanism, start: Order, most: int, *, hurry: bool) -> tuple[str, Iterable[Order]]:
    """All orders, or (in a hurry at best) all places with the rest as in ``start``, if there are at
    most so many."""
    places = [_places(made, b.index) for b in made.bodies]
    turning = [b.index for b in made.bodies if b.kind in TURNING]
    orders = math.prod(map(len, places))
    if orders > most:
        return "", ()
    if hurry or orders * (len(REFERENCES) * len(MOMENTS)) ** len(turning) > most:
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


def _places(made: Mechanism, joint: int) -> list[tuple[int, str]]:
    """Everywhere a joint may be eliminated."""
    line = made.ancestors(joint)
    out = [(joint, OWN)]
    for k, body in enumerate(line):
        if k:
            out += [(body, BEFORE), (body, OWN)]
        if made.bodies[body].parent >= 0:
            out.append((body, ABOVE))
    return out


def _uniform(made: Mechanism, order: Order) -> Iterator[Order]:
    """The same choice for all turning joints, or for those at one height above the tips."""
    joints = [b.index for b in made.bodies if b.kind in TURNING]
    yield Order(places=order.places, reference=dict.fromkeys(joints, "yx"))
    yield Order(places=order.places, moments=dict.fromkeys(joints, "Ixx"))
    yield Order(places=order.places, moments=dict.fromkeys(joints, "Iyy"))
    tips = [j for j in joints if not made.bodies[j].children]
    yield Order(places=order.places, moments=dict.fromkeys(tips, "Iyy"))
    yield Order(places=order.places, moments=dict.fromkeys(tips, "second moment"))


def _neighbours(made: Mechanism, order: Order) -> Iterator[Order]:
    """Orders that differ in one choice of one joint, or of a joint and all below it."""
    for body in made.bodies:
        if body.kind in TURNING:
            now = order.reference.get(body.index, "xy")
            for mode in REFERENCES:
                if mode != now:
                    yield replace(order, reference={**order.reference, body.index: mode}, name="")
            chosen = order.moments.get(body.index, "second moment")
            for mode in MOMENTS:
                if mode != chosen:
                    yield replace(order, moments={**order.moments, body.index: mode}, name="")
    for body in made.bodies:
        options = _places(made, body.index)
        now_at = options.index(order.places[body.index])
        for step in (-2, -1, 1, 2):
            if 0 <= now_at + step < len(options):
                places = list(order.places)
                places[body.index] = options[now_at + step]
                yield replace(order, places=tuple(places), name="")


def _descend(
    made: Mechanism,
    best: Order,
    lowest: int,
    cost: Callable[[Order], int],
    left: Callable[[], float],
) -> tuple[Order, int]:
    improved = True
    while improved and left():
        improved = False
        start = best
        for candidate in _neighbours(made, start):
            if not left():
                break
            merged = _merged(best, start, candidate)
            count = cost(merged)
            if count < lowest:
                best, lowest, improved = merged, count, True
    return best, lowest


def _merged(best: Order, start: Order, candidate: Order) -> Order:
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


def _anneal(
    made: Mechanism,
    best: Order,
    lowest: int,
    cost: Callable[[Order], int],
    left: Callable[[], float],
    seed: int,
) -> tuple[Order, int]:
    walk = random.Random(seed)
    here, height = best, lowest
    while left():
        heat = 0.004 * lowest * left()
        candidate = walk.choice(list(_neighbours(made, here)))
        count = cost(candidate)
        if count < height or walk.random() < math.exp(min(0.0, (height - count) / (heat + 1e-9))):
            here, height = candidate, count
            if height < lowest:
                best, lowest = here, height
    return best, lowest


def cheapest_program(
    robot: Any, *, order: str = "auto", budget: int = QUICK, extra_force: Any = None
) -> Program:
    """The forward dynamics of ``robot`` by the order named "aba" or "crba", or by the cheapest
    found ("auto" with ``budget``, "search" with a hundred times as much)."""
    made = mechanism(robot)
    if order in ("aba", "crba"):
        return forward_dynamics(made, named_order(made, order), extra_force)
    many = order == "search"
    found = better_order(
        made, budget=THOROUGH if many else budget, extra_force=extra_force, anneal=many
    )
    program = forward_dynamics(made, found.order, extra_force)
    return replace(program, passes=f"{program.passes}\n{found.told()}")
