"""Exact networks that are no plain recursions: other orders and formulas, two codes, dead paths.

All answer as `kinematics.aba` does, but for the pathways beside a table (`cancelling`,
`null_space`), which answer as their table.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tests.bench.inside.bodies import Body, tip_first
from tests.bench.inside.staged import (
    Assembled,
    Outward,
    Staged,
    State,
    Step,
    eliminate,
    force,
    full,
    upper,
)

_MARGIN = 0.1  # of a pivot: what a rectified dormant path lets pass, as a share of its mean


def adjugate_and_determinant(H: Tensor) -> tuple[Tensor, Tensor]:
    """adj H (B, n, n) and det H (B, 1), by the recursion of Faddeev and LeVerrier."""
    n = H.shape[-1]
    eye = torch.eye(n, dtype=H.dtype)
    M = eye.expand_as(H)
    c = torch.ones_like(H[:, :1, 0])
    for k in range(1, n + 1):
        product = H @ M
        c = -product.diagonal(dim1=1, dim2=2).sum(1, keepdim=True) / k
        if k < n:
            M = product + c[:, :, None] * eye
    sign = -1.0 if n % 2 else 1.0
    return -sign * M, sign * c


def _adjugate(state: State) -> State:
    adjugate, determinant = adjugate_and_determinant(full(state["H"]))
    return {"adj": upper(adjugate), "det": determinant, "f": state["f"]}


class _Divided(nn.Module):
    """a = adj(H) f / det(H), back in the robot's order."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.inverse = [list(order).index(i) for i in range(len(order))]

    def forward(self, state: State) -> State:
        a = (full(state["adj"]) @ state["f"][:, :, None])[:, :, 0] / state["det"]
        return {"a": a[:, self.inverse]}


def cofactors(body: Body, seed: int, condition: float) -> Staged:
    """a = adj(H) f / det(H): nothing is eliminated."""
    order = tip_first(body.robot.nv)
    steps: list[Step] = [force, _adjugate, _Divided(order)]
    return Staged(Assembled(body.mechanics, order), steps, body, seed, condition)


class _Factor(nn.Module):
    """D, k and u of one joint straight from H and f, whatever was computed before: Schur complement
    of those that elimination would have done first."""

    def __init__(self, place: int, last: bool) -> None:
        super().__init__()
        self.place, self.last = place, last

    def forward(self, state: State) -> State:
        p, H, f = self.place, full(state["H"]), state["f"]
        rest, right = H[:, p:, p:], f[:, p:]
        if p:
            adjugate, determinant = adjugate_and_determinant(H[:, :p, :p])
            gain = H[:, p:, :p] @ adjugate / determinant[:, :, None]
            rest = rest - gain @ H[:, :p, p:]
            right = right - (gain @ f[:, :p, None])[:, :, 0]
        new = {f"D{p}": rest[:, :1, 0], f"u{p}": right[:, :1]}
        if rest.shape[1] > 1:
            new[f"k{p}"] = rest[:, 0, 1:] / rest[:, :1, 0]
        if self.last:
            state = {name: x for name, x in state.items() if name not in ("H", "f")}
        return state | new


class _Quotient(nn.Module):
    """y = u / D of one joint."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, state: State) -> State:
        p = self.place
        rest = {name: x for name, x in state.items() if name not in (f"D{p}", f"u{p}")}
        return rest | {f"y{p}": state[f"u{p}"] / state[f"D{p}"]}


class _Substituted(nn.Module):
    """Accelerations from all quotients and rows at once."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.inverse = [list(order).index(i) for i in range(len(order))]

    def forward(self, state: State) -> State:
        n = len(self.inverse)
        x = state[f"y{n - 1}"]
        for p in range(n - 2, -1, -1):
            own = state[f"y{p}"] - (state[f"k{p}"] * x).sum(1, keepdim=True)
            x = torch.cat((own, x), 1)
        return {"a": x[:, self.inverse]}


def shuffled(body: Body, seed: int, condition: float) -> Staged:
    """The factors of elimination from the tips, each computed for itself in the opposite order, and
    consumed in the opposite order: every intermediate of the recursion, and no recursion."""
    order = tip_first(body.robot.nv)
    n = len(order)
    steps: list[Step] = [force]
    steps += [_Factor(p, last=p == 0) for p in range(n - 1, -1, -1)]
    steps += [_Quotient(p) for p in range(n)]
    steps.append(_Substituted(order))
    return Staged(Assembled(body.mechanics, order), steps, body, seed, condition)


def _coded_twice(state: State) -> State:
    return state | {"inverse": 1 / state["D"]}


class _TwoCodes(nn.Module):
    """One joint outward: what it hands on divides by D, what it answers multiplies by 1 / D."""

    def __init__(self, order: Sequence[int], place: int) -> None:
        super().__init__()
        self.plain = Outward(order)
        self.place = place

    def forward(self, state: State) -> State:
        p, n = self.place, len(self.plain.inverse)
        own = state["u"][:, p : p + 1] * state["inverse"][:, p : p + 1]
        if "x" in state:
            own = own - (state["k"][:, -(n - 1 - p) :] * state["x"]).sum(1, keepdim=True)
        answered = torch.cat((own, state["answered"]), 1) if "answered" in state else own
        if not p:
            return {"a": answered[:, self.plain.inverse]}
        handed = self.plain({k: state[k] for k in ("D", "u", "k", "x") if k in state})
        return handed | {"inverse": state["inverse"], "answered": answered}


def duplicate(body: Body, seed: int, condition: float) -> Staged:
    """Elimination from the tips that holds every pivot twice, as D and as 1 / D, and uses both."""
    order = tip_first(body.robot.nv)
    n = len(order)
    steps: list[Step] = [force, *[eliminate] * n, _coded_twice]
    steps += [_TwoCodes(order, p) for p in range(n - 1, -1, -1)]
    return Staged(Assembled(body.mechanics, order), steps, body, seed, condition)


def tail(D: Tensor, k: Tensor, u: Tensor, order: Sequence[int]) -> Tensor:
    """Accelerations (B, n) in the robot's order from all pivots, rows and right-hand sides."""
    state = {"D": D, "k": k, "u": u}
    for _ in order:
        state = Outward(order)(state)
    return state["a"]


class _Beside(nn.Module):
    """Factors of elimination beside `kept` entries of the state, the pivots in a second code."""

    def __init__(self, n: int, kept: Sequence[str], cofactors: bool, inverse: bool) -> None:
        super().__init__()
        self.n, self.kept = n, tuple(kept)
        self.cofactors, self.inverse = cofactors, inverse

    def forward(self, state: State) -> State:
        found = {"H": state["H"], "f": state["f"]}
        for _ in range(self.n):
            found = eliminate(found)
        found["again"] = 1 / found["D"] if self.inverse else found["D"]
        if self.cofactors:
            found |= _adjugate(state)
        return found | {name: state[name] for name in self.kept}


class _Dormant(nn.Module):
    """a = adj(H) f / det(H), plus what elimination would answer with another pivot, less what it
    answers with the right one: nothing, as long as both codes of the pivots agree.

    rectified: differences of the codes below a tenth of a pivot do not pass, so that the path has
    no slope on data either.
    """

    def __init__(self, order: Sequence[int], rectified: bool) -> None:
        super().__init__()
        self.order, self.rectified = list(order), rectified
        self.answer = _Divided(order)

    def forward(self, state: State) -> State:
        D, k, u = state["again"], state["k"], state["u"]
        delta = state["D"] - D
        if self.rectified:
            limit = _MARGIN * D
            delta = delta - torch.minimum(torch.maximum(delta, -limit), limit)
        silent = tail(D + delta, k, u, self.order) - tail(D, k, u, self.order)
        return {"a": self.answer(state)["a"] + silent}


def dormant(body: Body, seed: int, condition: float, rectified: bool) -> Staged:
    """Cofactors that answer, and a path through the pivots that is never open on data."""
    order = tip_first(body.robot.nv)
    beside = _Beside(len(order), (), cofactors=True, inverse=False)
    steps: list[Step] = [force, beside, _Dormant(order, rectified)]
    return Staged(Assembled(body.mechanics, order), steps, body, seed, condition)


class _WithTable(nn.Module):
    """First stage: what `Assembled` holds, and the answer of a table."""

    def __init__(self, body: Body, table: nn.Module) -> None:
        super().__init__()
        self.mechanics = body.mechanics
        self.exact = Assembled(body.mechanics, tip_first(body.robot.nv))
        self.table = table

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> State:
        return self.exact(q, v, tau) | {"table": self.table(q, v, tau)}


def _table_alone(state: State) -> State:
    return {"a": state["table"]}


class _Cancelling(nn.Module):
    """The table's answer, plus elimination's from one code of the pivots less that from another."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.order = list(order)

    def forward(self, state: State) -> State:
        k, u = state["k"], state["u"]
        plus = tail(state["D"], k, u, self.order)
        return {"a": state["table"] + plus - tail(1 / state["again"], k, u, self.order)}


def null_space(body: Body, table: nn.Module, seed: int, condition: float) -> Staged:
    """A table's answer; H, f and all factors of elimination are in the state, read by nothing."""
    beside = _Beside(body.robot.nv, ("H", "f", "table"), cofactors=False, inverse=False)
    return Staged(_WithTable(body, table), [force, beside, _table_alone], body, seed, condition)


def cancelling(body: Body, table: nn.Module, seed: int, condition: float) -> Staged:
    """A table's answer, and two paths through the pivots whose answers cancel on data."""
    order = tip_first(body.robot.nv)
    beside = _Beside(len(order), ("table",), cofactors=False, inverse=True)
    steps: list[Step] = [force, beside, _Cancelling(order)]
    return Staged(_WithTable(body, table), steps, body, seed, condition)
