"""The residual force beside the bodies of a law: where it acts, and on what it depends.

Measured apart from any formula, as the joint forces that the bodies do not explain: by answers that
differ in one coordinate (dependence), in the sign of v (parity), on a grid of two coordinates (sums
and products), at a state and at multiples of it (powers, and with them the unit of the constant in
front). The numbers describe; none supports an answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import kinematics
from discover.blackbox.sampling import Batch
from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Evidence, description
from discover.judgement.thresholds import threshold
from discover.laws import RigidBodyLaw
from discover.laws.extensions.tabulated import Basis
from discover.laws.extensions.terms import coordinates
from discover.numerics import solve_or_zero

_STATES = 24
_GRID = 5
_SCALES = (0.4, 0.6, 0.9)
_MATTERS = threshold("probes.coordinate_matters")
_ACTS = threshold("probes.joint_acted_on")
_KNOTS = 7
_CLOSER = threshold("probes.scalar_closer")


@dataclass(frozen=True, kw_only=True)
class ResidualForce:
    """Dependence, parity and powers of a force.

    acts          for each joint its share of the force, as it changes accelerations
    depends       for each coordinate ("q1", "v2", "tau1" …) the share of the force that changes
                  when it alone is drawn anew: half the mean square change over the mean square
    odd           share that changes its sign with v
    rank_one      share, on a grid of the two strongest coordinates, of the best product of two
                  functions; NaN where there is only one
    additive      the same of the best sum of two functions
    powers        for each group that matters, d log |force| / d log |group|
    scalar, r_squared  the scalar that the size of the force follows most closely, and its R²
    """

    acts: tuple[float, ...]
    depends: dict[str, float]
    odd: float
    rank_one: float
    additive: float
    powers: dict[str, float]
    scalar: str
    r_squared: float

    @property
    def sentence(self) -> str:
        """In words."""
        on = [str(j + 1) for j, share in enumerate(self.acts) if share > _ACTS]
        what = [w for w, share in self.depends.items() if share > _MATTERS]
        words = (
            f"The residual force beside the bodies acts on joint {', '.join(on)} and depends on "
        )
        words += ", ".join(what) or "nothing"
        for share, kind in ((self.odd, "odd"), (1 - self.odd, "even")):
            if share > 0.9 and any(w.startswith("v") for w in what):
                words += f"; it is {kind} in v ({share:.0%})"
        if not math.isnan(self.rank_one) and max(self.rank_one, self.additive) > 0.98:
            kind = "product" if self.rank_one > self.additive else "sum"
            words += f"; in its two strongest coordinates it is a {kind} of functions of each"
        grows = ", ".join(f"|{g}|^{p:.2g}" for g, p in self.powers.items())
        words += f"; it grows about as {grows}" if grows else ""
        return words + f". Its size follows {self.scalar} best (R² {self.r_squared:.2f})."

    def describe(self) -> list[Evidence]:
        """The numbers as evidence that supports no answer."""
        rows = [
            (f"on joint {j + 1}", share, "its share, in accelerations")
            for j, share in enumerate(self.acts)
        ]
        drawn = "half the mean square change when it alone is drawn anew, over the mean square"
        rows += [(f"dependence on {word}", share, drawn) for word, share in self.depends.items()]
        rows.append(("odd in v", self.odd, "share that changes its sign with v"))
        if not math.isnan(self.rank_one):
            pair = "on a grid of its two strongest coordinates"
            rows.append(("a product", self.rank_one, f"share of the best product, {pair}"))
            rows.append(("a sum", self.additive, f"share of the best sum, {pair}"))
        for group, power in self.powers.items():
            unit = _unit(group, power)
            meaning = f"d log |force| / d log |{group}|; of a power law the constant has {unit}"
            rows.append((f"power of {group}", power, meaning))
        closest = f"R² of its size from {self.scalar}, the closest of the scalars"
        rows.append(("function of one scalar", self.r_squared, closest))
        return [description(f"residual force: {name}", x, meaning) for name, x, meaning in rows]


def hidden_by_noise(law: RigidBodyLaw, session: QuerySession, sigma: Tensor) -> bool:
    """Whether so much of the residual is noise, of deviation sigma (nv,) in the answers, that it
    would be taken for a dependence on everything. Asks _STATES states."""
    x = session.draw("leftover force", _STATES)
    H, a = kinematics.crba(law.robot, x.q), session.ask(*x).a
    inverse = solve_or_zero(H, torch.eye(H.shape[-1]).to(H).expand_as(H))
    free = (inverse @ (x.tau - kinematics.bias(law.robot, x.q, x.v)).unsqueeze(-1)).squeeze(-1)
    weight = 1.0 / a.square().mean(0).clamp_min(1e-300)
    left = torch.nan_to_num(a - free).square().mean(0)
    return bool((weight * sigma.square()).sum() > _MATTERS * (weight * left).sum())


def measure(law: RigidBodyLaw, session: QuerySession) -> ResidualForce:
    """Asks about _STATES (3 nv + 12) states. For hinges and sliders only."""
    robot, bodies = session.robot, law.robot
    nv = robot.nv

    def force(x: Batch) -> Tensor:
        """What the bodies leave over, as it changes accelerations: H^-½ (tau - H a - bias)."""
        a = session.ask(*x).a
        H = kinematics.crba(bodies, x.q)
        rest = x.tau - (H @ a.unsqueeze(-1)).squeeze(-1) - kinematics.bias(bodies, x.q, x.v)
        return torch.nan_to_num(rest, posinf=0.0, neginf=0.0)

    base = session.draw("leftover force", _STATES)
    residual, H = force(base), kinematics.crba(bodies, base.q)
    inverse = solve_or_zero(H, torch.eye(H.shape[-1]).to(H).expand_as(H))
    changes = (inverse @ torch.diag_embed(residual)).square().sum((0, 1))
    acts = changes / changes.sum().clamp_min(1e-300)
    # Forces on joints are compared by what they do to accelerations.
    weight = inverse.square().sum(1).mean(0).sqrt()
    other = session.draw("leftover force, other", _STATES)
    depends = _dependence(base, other, residual, weight, force)
    turned = force(Batch(base.q, -base.v, base.tau))
    even, odd = (((residual + s * turned) * weight).square().sum() for s in (1.0, -1.0))
    rank_one, additive = _grid(session, base, depends, weight, force)
    strong = {w.rstrip("0123456789") for w, share in depends.items() if share > _MATTERS}
    powers = _powers(base, residual, weight, [g for g in ("q", "v", "tau") if g in strong], force)
    scalar, r_squared = _scalar(law, base, other, weight, force, nv)
    return ResidualForce(
        acts=tuple(acts.tolist()),
        depends=depends,
        odd=float(odd / (odd + even).clamp_min(1e-300)),
        rank_one=rank_one,
        additive=additive,
        powers=powers,
        scalar=scalar,
        r_squared=r_squared,
    )


Force = Callable[[Batch], Tensor]


def _dependence(
    base: Batch, other: Batch, residual: Tensor, weight: Tensor, force: Force
) -> dict[str, float]:
    """Sobol's total index of every coordinate (Jansen 1999)."""
    spread = ((residual - residual.mean(0)) * weight).square().sum(-1).mean()
    size = torch.maximum(spread, 1e-6 * (residual * weight).square().sum(-1).mean()).clamp_min(
        1e-300
    )
    out = {}
    for k, group in enumerate(("q", "v", "tau")):
        for j in range(residual.shape[-1]):
            moved = [x.clone() for x in base]
            moved[k][:, j] = other[k][:, j]
            change = ((force(Batch(*moved)) - residual) * weight).square().sum(-1).mean()
            out[f"{group}{j + 1}"] = float(0.5 * change / size)
    return out


def _grid(
    session: QuerySession, base: Batch, depends: dict[str, float], weight: Tensor, force: Force
) -> tuple[float, float]:
    """(best product, best sum) on a grid of the two strongest coordinates."""
    words = [w for w, share in sorted(depends.items(), key=lambda x: -x[1]) if share > _MATTERS]
    if len(words) < 2:
        return math.nan, math.nan
    middle = [getattr(session.support.region, g).centre for g in ("q", "v", "tau")]
    rows = [m.repeat(_GRID * _GRID, 1) for m in middle]
    for at, word in enumerate(words[:2]):
        group, j = word.rstrip("0123456789"), int(word.lstrip("qvtau")) - 1
        k = ("q", "v", "tau").index(group)
        steps = torch.linspace(-0.9, 0.9, _GRID, dtype=torch.float64)
        steps = steps * session.half_widths(group)[j] + middle[k][j]
        grid = steps.repeat_interleave(_GRID) if at == 0 else steps.repeat(_GRID)
        rows[k][:, j] = grid
    values = force(Batch(*rows)) * weight
    table = values[:, int(values.square().sum(0).argmax())].reshape(_GRID, _GRID)
    total = table.square().sum().clamp_min(1e-300)
    product = float(torch.linalg.svdvals(table)[0].square() / total)
    rest = table - table.mean(0) - table.mean(1, keepdim=True) + table.mean()
    return product, 1.0 - float(rest.square().sum() / total)


def _powers(
    base: Batch, residual: Tensor, weight: Tensor, groups: list[str], force: Force
) -> dict[str, float]:
    """The slope of log size against log scale of each group, the median over states."""
    out = {}
    for group in groups:
        k = ("q", "v", "tau").index(group)
        sizes = [(residual * weight).norm(dim=-1)]
        for scale in _SCALES:
            moved = [x.clone() for x in base]
            moved[k] = scale * moved[k]
            sizes.append((force(Batch(*moved)) * weight).norm(dim=-1))
        logs = torch.stack(sizes).clamp_min(1e-300).log()
        x = torch.tensor([1.0, *_SCALES], dtype=torch.float64).log()
        x = x - x.mean()
        slopes = (x[:, None] * (logs - logs.mean(0))).sum(0) / x.square().sum()
        out[group] = float(slopes.median())
    return out


def _scalar(
    law: RigidBodyLaw, base: Batch, other: Batch, weight: Tensor, force: Force, nv: int
) -> tuple[str, float]:
    """The scalar whose flexible function comes closest to the size of the force, and its R²."""
    x = Batch(*(torch.cat(pair) for pair in zip(base, other, strict=True)))
    size = (force(x) * weight).norm(dim=-1)
    robot = law.robot
    H = kinematics.crba(robot, x.q)
    q, power = x.q[..., coordinates(robot)], (x.tau * x.v).sum(-1)
    single: dict[str, Tensor] = {}
    for j in range(nv):
        single |= {f"q{j + 1}": q[:, j], f"v{j + 1}": x.v[:, j], f"tau{j + 1}": x.tau[:, j]}
    scalars = single | {
        "kinetic energy": 0.5 * (x.v * (H @ x.v.unsqueeze(-1)).squeeze(-1)).sum(-1),
        "potential energy": kinematics.potential_energy(robot, x.q),
        "power": power,
        "|v|": x.v.norm(dim=-1),
        "|q|": q.norm(dim=-1),
        "|tau|": x.tau.norm(dim=-1),
        "|H v|": (H @ x.v.unsqueeze(-1)).squeeze(-1).norm(dim=-1),
    }
    for k, speeds in enumerate(_body_speeds(robot, x)):
        scalars[f"speed of body {k + 1}"] = speeds
    best = ("nothing", 0.0)
    for name, z in scalars.items():
        if float(z.std()) <= 0:
            continue
        B = Basis.over(z, _KNOTS)(z)
        c = torch.linalg.lstsq(B, size.unsqueeze(-1), driver="gelsd").solution.squeeze(-1)
        left, n = (size - B @ c).square().sum(), len(size)
        spread = (size - size.mean()).square().sum().clamp_min(1e-300)
        explained = 1.0 - float(left / spread) * (n - 1) / max(1, n - B.shape[1])
        if explained > best[1] + _CLOSER:
            best = name, explained
    return best


def _body_speeds(robot: kinematics.Robot, x: Batch) -> list[Tensor]:
    """The speed of every body's centre of mass: kinetic energies of unit point masses there."""
    out = []
    for k in range(robot.nb):
        pi = torch.zeros_like(robot.pi)
        c = robot.pi[k, 1:4] / robot.pi[k, 0] if float(robot.pi[k, 0]) > 1e-9 else pi[k, 1:4]
        pi[k, 0], pi[k, 1:4] = 1.0, c
        # Inertia of a unit mass at c about the frame's origin: |c|² - c cᵀ.
        inertia = c.square().sum() * torch.eye(3, dtype=pi.dtype) - torch.outer(c, c)
        order = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))
        pi[k, 4:] = torch.stack([inertia[i, j] for i, j in order])
        point = robot.replace(pi=pi, armature=torch.zeros_like(robot.armature))
        out.append((2 * kinematics.kinetic_energy(point, x.q, x.v)).clamp_min(0).sqrt())
    return out


def _unit(group: str, power: float) -> str:
    """The unit of the constant before |group|^power, for hinges."""
    base = {"q": "rad", "v": "(rad/s)", "tau": "(N·m)"}[group]
    return f"N·m/{base}^{power:.2g}"
