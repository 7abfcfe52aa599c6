"""Variables of the equation of motion, and what would follow if one came from another state.

Two roles: the mass matrix H and the bias C, the joint forces of zero acceleration. And the
factors of H along an order in which joints are eliminated, H = L D Lᵀ: from the tips
(Featherstone's articulated inertias and the multipliers of ABA), from the base, or from the base
with the branches of a tree in another order. With 1 to 3 coordinates a division by the determinant
is a rival, too.

A counterfactual a(b, V ← s) is the acceleration at the state b that an algorithm gives whose
variable V holds its value at the state s. Blocks of V are exchanged as a whole: a mass matrix with
one foreign entry may not be positive definite, a D with foreign pivots always gives one that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from discover.blackbox.sampling import Batch
from discover.judgement.thresholds import threshold, whole
from kinematics import Robot, aba, crba

TIP_FIRST, BASE_FIRST, COFACTORS = "tip-first", "base-first", "cofactors"


class Elimination(NamedTuple):
    """H = L D Lᵀ in the order of elimination: `place` (nv,) the coordinates in that order, `blocks`
    a slice of them a joint, L (B, nv, nv) unit lower, D (B, nv, nv) block diagonal."""

    place: Tensor
    blocks: tuple[slice, ...]
    L: Tensor
    D: Tensor

    def mass_matrix(self) -> Tensor:
        """H (B, nv, nv) in the robot's order of coordinates."""
        back = torch.argsort(self.place)
        return (self.L @ self.D @ self.L.mT)[:, back][:, :, back]

    def reduced(self, force: Tensor) -> Tensor:
        """Right-hand sides w = L⁻¹ f (B, nv) as elimination leaves them, in its order."""
        return torch.linalg.solve_triangular(
            self.L, force[:, self.place].unsqueeze(-1), upper=False, unitriangular=True
        ).squeeze(-1)

    def solved(self, reduced: Tensor) -> Tensor:
        """Accelerations (B, nv) from right-hand sides w, in the robot's order of coordinates."""
        z = torch.linalg.solve(self.D, reduced.unsqueeze(-1))
        a = torch.linalg.solve_triangular(self.L.mT, z, upper=True, unitriangular=True)
        return a.squeeze(-1)[:, torch.argsort(self.place)]


def eliminate(H: Tensor, order: Sequence[int], slices: Sequence[slice]) -> Elimination:
    """The factors of H (B, nv, nv), joints eliminated in this order; slices: the coordinates of
    each joint."""
    place = torch.cat([torch.arange(slices[j].start, slices[j].stop) for j in order])
    blocks, start = [], 0
    for joint in order:
        width = slices[joint].stop - slices[joint].start
        blocks.append(slice(start, start + width))
        start += width
    rest = H[:, place][:, :, place].clone()
    L = torch.eye(len(place), dtype=H.dtype).expand_as(rest).clone()
    D = torch.zeros_like(rest)
    for block in blocks:
        below = slice(block.stop, start)
        D[:, block, block] = rest[:, block, block]
        if below.start < start:
            multiplier = torch.linalg.solve(rest[:, block, block], rest[:, block, below]).mT
            L[:, below, block] = multiplier
            rest[:, below, below] = (
                rest[:, below, below] - multiplier @ rest[:, block, block] @ multiplier.mT
            )
    return Elimination(place, tuple(blocks), L, D)


def orders(robot: Robot) -> dict[str, tuple[int, ...]]:
    """Orders of elimination that the tree allows, by name: every joint after all its children, or
    after its parent; of a branched tree also with the later branches first.

    All orders from the tips have the same factors, for branches do not act on each other before
    what carries them is eliminated.
    """
    parents = list(robot.independent_parents)
    children: dict[int, list[int]] = {j: [] for j in range(-1, len(parents))}
    for joint, parent in enumerate(parents):
        children[parent].append(joint)

    def downward(joint: int, turned: bool) -> list[int]:
        branches = children[joint][::-1] if turned else children[joint]
        return [] if not branches else [j for b in branches for j in (b, *downward(b, turned))]

    found = {
        TIP_FIRST: tuple(reversed(downward(-1, False))),
        BASE_FIRST: tuple(downward(-1, False)),
    }
    if any(len(c) > 1 for c in children.values()):
        found[f"{BASE_FIRST}, last branch first"] = tuple(downward(-1, True))
    return found


class Mechanics(NamedTuple):
    """The equation of motion at states (B): H (B, nv, nv), f = H a (B, nv), tau and a (B, nv), and
    the eliminations by name."""

    H: Tensor
    f: Tensor
    tau: Tensor
    a: Tensor
    eliminations: Mapping[str, Elimination]

    @property
    def C(self) -> Tensor:
        """Joint forces of zero acceleration (B, nv), with all that the robot's joints add."""
        return self.tau - self.f


def mechanics(robot: Robot, states: Batch) -> Mechanics:
    """The equation of motion of a robot at states, in float64."""
    q, v, tau = (x.double() for x in states)
    H, a = crba(robot, q), aba(robot, q, v, tau)
    f = (H @ a.unsqueeze(-1)).squeeze(-1)
    slices = [robot.v_slice(name) for name in robot.independent_names]
    parts = {name: eliminate(H, order, slices) for name, order in orders(robot).items()}
    return Mechanics(H, f, tau, a, parts)


Counterfactual = Callable[[Mechanics, Mechanics], Tensor]
Numbers = Callable[[Mechanics], Tensor]


@dataclass(frozen=True, kw_only=True)
class Variable:
    """Something that an algorithm may compute on its way to the accelerations.

    kind           "role", "factor" (all pivots of an order, or the last), or "step" (one step of
                   an elimination: what windows are made of)
    factorisation  the order of elimination, None for roles
    value          (B, d): its numbers at states, for probes
    other          the same information in other numbers, of which a network may hold fewer
    kept           (B, e): what the algorithm has beside it, and an exchange leaves as it is
    counterfactual a(b, V ← s) (B, nv)
    additive       whether it is added to other things only: then a table can follow it
    """

    name: str
    kind: str
    factorisation: str | None
    value: Numbers
    kept: Numbers
    counterfactual: Counterfactual
    additive: bool = False
    other: Numbers | None = None

    @property
    def wide(self) -> bool:
        """Whether what a site holds of it may be read although the output reads it in a sum only.
        Of the bias force alone: whatever holds C and tau reads tau − C. A factor that is used is
        multiplied, so it must be read by itself; of steps a dead copy would stretch the window."""
        return self.additive and self.kind == "role"

    def forms(self, at: Sequence[Mechanics]) -> list[Tensor]:
        """Its numbers at states, each (n, d), and the same in other numbers."""
        given = (self.value, self.other)
        return [torch.cat([f(m) for m in at]) for f in given if f is not None]


def _triangle(x: Tensor) -> Tensor:
    i, j = torch.tril_indices(x.shape[-1], x.shape[-1])
    return x[:, i, j]


def _by_mass_matrix(b: Mechanics, s: Mechanics) -> Tensor:
    return torch.linalg.solve(s.H, b.f.unsqueeze(-1)).squeeze(-1)


def _by_bias(b: Mechanics, s: Mechanics) -> Tensor:
    return torch.linalg.solve(b.H, (b.tau - s.C).unsqueeze(-1)).squeeze(-1)


def roles() -> list[Variable]:
    """Mass matrix and bias, whatever the algorithm."""
    return [
        Variable(
            name="H",
            kind="role",
            factorisation=None,
            value=lambda m: _triangle(torch.linalg.inv(m.H)),
            kept=lambda m: torch.cat((m.C, m.tau, m.f), -1),
            counterfactual=_by_mass_matrix,
            other=lambda m: _triangle(m.H),
        ),
        Variable(
            name="C",
            kind="role",
            factorisation=None,
            value=lambda m: m.C,
            kept=lambda m: torch.cat((_triangle(m.H), m.tau), -1),
            counterfactual=_by_bias,
            additive=True,
        ),
    ]


def _rest(order: str, pivots: int | None = None, forces: int | None = None) -> Numbers:
    """All that an elimination has (B, e): pivots, multipliers, right-hand sides, but for the pivots
    or the right-hand side of the joint that is eliminated so many-th (−1: the last; of pivots None:
    all)."""

    def rest(m: Mechanics) -> Tensor:
        found = m.eliminations[order]
        w = found.reduced(m.f)
        parts = [found.L[:, b.stop :, b].flatten(1) for b in found.blocks]
        parts += [w[:, b] for b in found.blocks if forces is None or b != found.blocks[forces]]
        if pivots is not None:
            left = [b for b in found.blocks if b != found.blocks[pivots]]
            parts += [_triangle(found.D[:, b, b]) for b in left]
        return torch.cat(parts, dim=-1)

    return rest


def _pivots(order: str, only: int | None) -> Variable:
    """All pivots of an order, or one (−1: the last)."""

    def exchanged(b: Mechanics, s: Mechanics) -> Tensor:
        own, other = b.eliminations[order], s.eliminations[order]
        D = other.D
        if only is not None:
            block = own.blocks[only]
            D = own.D.clone()
            D[:, block, block] = other.D[:, block, block]
        return own._replace(D=D).solved(own.reduced(b.f))

    def value(m: Mechanics) -> Tensor:
        found = m.eliminations[order]
        chosen = found.blocks if only is None else (found.blocks[only],)
        return torch.cat([_triangle(found.D[:, k, k]) for k in chosen], dim=-1)

    which = "pivots" if only is None else "last pivot" if only == -1 else f"pivot {only + 1}"
    return Variable(
        name=f"{which}, {order}",
        kind="factor" if only in (None, -1) else "step",
        factorisation=order,
        value=value,
        kept=_rest(order, only),
        counterfactual=exchanged,
    )


def _determinant() -> Variable:
    def exchanged(b: Mechanics, s: Mechanics) -> Tensor:
        return b.a * (torch.linalg.det(b.H) / torch.linalg.det(s.H)).unsqueeze(-1)

    return Variable(
        name="determinant",
        kind="factor",
        factorisation=COFACTORS,
        value=lambda m: 1 / torch.linalg.det(m.H).unsqueeze(-1),
        kept=lambda m: m.a * torch.linalg.det(m.H).unsqueeze(-1),
        counterfactual=exchanged,
    )


def factors(robot: Robot) -> list[Variable]:
    """The pivots of every order of elimination, all and the last, and the determinant of few
    coordinates."""
    found = [_pivots(order, only) for order in orders(robot) for only in (None, -1)]
    if 1 < robot.nv <= whole("inside.cofactor_coordinates"):
        found.append(_determinant())
    return found


def steps(robot: Robot, order: str) -> list[tuple[Variable, int]]:
    """The steps of one elimination, each with its rank: pivot and right-hand side of a joint when
    it is eliminated, then the accelerations as they are substituted back, but for the last, which
    is the answer."""
    count = len(orders(robot)[order])
    found: list[tuple[Variable, int]] = []
    for k in range(count):
        found += [(_pivot_step(order, k), k), (_reduced_step(order, k), k)]
    for k in reversed(range(1, count)):
        found.append((_acceleration_step(order, k), 2 * count - 1 - k))
    return found


def _pivot_step(order: str, k: int) -> Variable:
    whole_factor = _pivots(order, k)
    return Variable(
        name=f"D{k + 1}",
        kind="step",
        factorisation=order,
        value=whole_factor.value,
        kept=whole_factor.kept,
        counterfactual=whole_factor.counterfactual,
    )


def _reduced_step(order: str, k: int) -> Variable:
    def exchanged(b: Mechanics, s: Mechanics) -> Tensor:
        own, other = b.eliminations[order], s.eliminations[order]
        w, block = own.reduced(b.f).clone(), own.blocks[k]
        w[:, block] = other.reduced(s.f)[:, block]
        return own.solved(w)

    def value(m: Mechanics) -> Tensor:
        found = m.eliminations[order]
        return found.reduced(m.f)[:, found.blocks[k]]

    return Variable(
        name=f"w{k + 1}",
        kind="step",
        factorisation=order,
        value=value,
        kept=lambda m: torch.cat((m.eliminations[order].D.flatten(1), _rest(order, 0, k)(m)), -1),
        counterfactual=exchanged,
        additive=True,
    )


def _acceleration_step(order: str, k: int) -> Variable:
    """The accelerations of the joint eliminated k-th; those substituted after it follow."""

    def exchanged(b: Mechanics, s: Mechanics) -> Tensor:
        own = b.eliminations[order]
        z = torch.linalg.solve(own.D, own.reduced(b.f).unsqueeze(-1)).squeeze(-1)
        x = b.a[:, own.place].clone()
        x[:, own.blocks[k]] = s.a[:, own.place][:, own.blocks[k]]
        for block in reversed(own.blocks[:k]):
            later = slice(block.stop, x.shape[-1])
            carried = (own.L[:, later, block].mT @ x[:, later].unsqueeze(-1)).squeeze(-1)
            x[:, block] = z[:, block] - carried
        return x[:, torch.argsort(own.place)]

    def value(m: Mechanics) -> Tensor:
        found = m.eliminations[order]
        return m.a[:, found.place][:, found.blocks[k]]

    def later(m: Mechanics) -> Tensor:
        found = m.eliminations[order]
        parts = [m.a[:, found.place][:, b] for b in found.blocks[k + 1 :]]
        return torch.cat((*parts, _rest(order)(m)), dim=-1)

    return Variable(
        name=f"a{k + 1}",
        kind="step",
        factorisation=order,
        value=value,
        kept=later,
        counterfactual=exchanged,
        additive=True,
    )


def distinct(
    variables: Sequence[Variable], b: Mechanics, s: Mechanics
) -> tuple[list[Variable], list[str]]:
    """Those whose exchange changes anything and differs from those before them; and in words what
    was left out."""
    scale = b.a.square().mean(0).clamp_min(1e-300)
    least = threshold("inside.nothing_changes")
    kept: list[tuple[Variable, Tensor]] = []
    left_out = []
    for variable in variables:
        change = variable.counterfactual(b, s) - b.a
        twins = [v for v, c in kept if ((c - change).square() / scale).mean() < least]
        if (change.square() / scale).mean() < least:
            left_out.append(f"{variable.name} is the same in all states")
        elif twins:
            left_out.append(f"{variable.name} acts as {twins[0].name}")
        else:
            kept.append((variable, change))
    return [v for v, _ in kept], left_out
