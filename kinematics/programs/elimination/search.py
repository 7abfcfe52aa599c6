"""Looking for cheaper elimination orders by operation count: all of them where they are few, local
search and annealing where they are not.

A candidate is a complete order (`elimination.Order`); its cost is counted on its traced program,
so whatever sharing it makes possible is seen. The classical orders are the starting points.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from kinematics.programs.elimination.elimination import forward_dynamics
from kinematics.programs.elimination.mechanism import Mechanism, mechanism
from kinematics.programs.elimination.orders import (
    Order,
    articulated_order,
    composite_order,
    every_order,
    limb_orders,
    merged,
    neighbours,
    uniform_orders,
)
from kinematics.programs.graph import many_nodes
from kinematics.programs.program import Program

FEW = 4  # orders like the articulated-body one that a quick search has to be able to trace
QUICK = 24_000
THOROUGH = 4_000_000


@dataclass(frozen=True, kw_only=True)
class SearchResult:
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

    def summary(self) -> str:
        """How many orders were tried, and whether those are all, in words."""
        kept = {
            "all": "none is cheaper, however constants are made to vanish",
            "orders": "every elimination order is among them",
        }
        ending = f"; {kept[self.exact]}" if self.exact else ""
        return f"cheapest of {self.tried:,} orders tried{ending}"


def named_order(model: Mechanism, name: str) -> Order:
    """ "aba" or "crba"."""
    return articulated_order(model) if name == "aba" else composite_order(model)


@many_nodes()
def better_order(
    model: Mechanism,
    *,
    budget: int,
    seed: int = 0,
    extra_force: Any = None,
    anneal: bool = False,
) -> SearchResult:
    """The cheapest order found.

    ``budget`` is how many operations may be traced in all (about 200,000 a second): a count and
    not a time, so that the same call always finds the same order. Where it suffices for every
    order there is, the answer is exact.
    """
    begin = time.monotonic()
    search = _Search(model, budget, extra_force)
    classical = {"aba": search.consider(named_order(model, "aba"))}
    # columns carried far cost their number times the depth: too much where few orders can be traced
    short = budget <= QUICK and FEW * search.lowest > budget
    if not short:
        classical["crba"] = search.consider(named_order(model, "crba"))
    if budget == QUICK:
        search.budget = max(budget, 8 * search.lowest)
    most = (budget - search.spent) // search.lowest
    exact, every = every_order(model, search.best, most, quick=budget <= QUICK)
    for order in every:
        search.consider(order)
    if exact != "all":
        limbs = [] if exact else limb_orders(model)
        search.look_through(limbs[:3] if short else limbs)
        search.merge(Order(places=search.best.places), uniform_orders(model, search.best))
        search.descend()
        if anneal:
            search.anneal(seed)
    return SearchResult(
        order=search.best,
        arithmetic=search.lowest,
        classical=classical,
        tried=search.tried,
        seconds=time.monotonic() - begin,
        exact=exact,
    )


class _Search:
    """The best order so far, and what is left of a budget of traced operations."""

    def __init__(self, model: Mechanism, budget: int, extra_force: Any):
        self.model = model
        self.budget = budget
        self.extra_force = extra_force
        self.tried = self.spent = 0
        self.best = Order(places=())
        self.lowest = sys.maxsize

    def left(self) -> float:
        """The share of the budget that is left."""
        return max(0.0, 1.0 - self.spent / self.budget)

    def consider(self, order: Order) -> int:
        """Count the operations of ``order``, and keep it if it is cheaper than the best."""
        program = forward_dynamics(self.model, order, self.extra_force)
        count = program.arithmetic
        program.graph.forget()
        self.tried += 1
        self.spent += count
        if count < self.lowest:
            self.best, self.lowest = order, count
        return count

    def look_through(self, orders: Iterable[Order]) -> None:
        for order in orders:
            if not self.left():
                break
            self.consider(order)

    def merge(self, start: Order, candidates: Iterable[Order]) -> None:
        """Each choice by which one of ``candidates`` differs from ``start``, made in the best."""
        self.look_through(merged(self.best, start, candidate) for candidate in candidates)

    def descend(self) -> None:
        """One choice after the other, until none makes the best cheaper."""
        before = None
        while before != self.lowest and self.left():
            before, start = self.lowest, self.best
            self.merge(start, neighbours(self.model, start))

    def anneal(self, seed: int) -> None:
        """A random walk that goes up ever less, until the budget is spent."""
        walk = random.Random(seed)
        here, height = self.best, self.lowest
        while self.left():
            heat = 0.004 * self.lowest * self.left()
            candidate = walk.choice(list(neighbours(self.model, here)))
            count = self.consider(candidate)
            rise = math.exp(min(0.0, (height - count) / (heat + 1e-9)))
            if count < height or walk.random() < rise:
                here, height = candidate, count


def cheapest_program(
    robot: Any, *, order: str = "auto", budget: int = QUICK, extra_force: Any = None
) -> Program:
    """The forward dynamics of ``robot`` by the order named "aba" or "crba", or by the cheapest
    found ("auto" with ``budget``, "search" with a hundred times as much)."""
    model = mechanism(robot)
    if order in ("aba", "crba"):
        return forward_dynamics(model, named_order(model, order), extra_force)
    many = order == "search"
    found = better_order(
        model, budget=THOROUGH if many else budget, extra_force=extra_force, anneal=many
    )
    program = forward_dynamics(model, found.order, extra_force)
    return replace(program, passes=f"{program.passes}\n{found.summary()}")
