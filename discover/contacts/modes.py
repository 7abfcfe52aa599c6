"""The hybrid law against fresh answers, mode by mode: free, impact, sliding, sticking.

Errors are of the velocity after the step, relative to what the mode changes: by free motion in a
step, or by contact. States at one, two and three times the region's speeds say how far a mode's law
reaches; a model whose free motion is a law that reaches is a simulator, never a table, whatever its
touches are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.sampling import Batch
from discover.contacts.boundary import joined
from discover.contacts.free_law import Asked
from discover.contacts.hybrid import MODES, HybridLaw
from discover.contacts.moving import Motion
from discover.contacts.surfaces import Search, Surface
from discover.contacts.touching import designed
from kinematics import integrate

SPEEDS = (1.0, 2.0, 3.0)
_HOLDS = 0.05  # relative error within which a law holds
_HOLDS_FAR = 0.10
_BREAKS = 0.30  # at three times the speed: what no law describes
_NOISY = 1e-6  # standardised residual of free answers, from which a model is asked twice
_FEWEST = 5  # states of a mode that are judged


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One mode of the model.

    share    of the region's states that are in it; states, of it that were tested
    verdict  "physics", "lookup table" or "undetermined"
    error    median, relative, in the region; nan where untested; far: at three times the speed
    reach    the greatest of 1, 2, 3 times the region's speeds up to which the law holds; 0: nowhere
    """

    name: str
    share: float
    states: int
    verdict: str
    error: float
    far: float
    reach: float


def judged(
    search: Search, law: HybridLaw, region: Batch, fitted: Answers, count: int, seed: int
) -> tuple[Mode, ...]:
    """The modes of a model beside its law; `region` are states drawn over the region."""
    share = _shares(search.asked, law, region)
    at = {}
    for speed in SPEEDS:
        at[speed] = _errors(search, law, region, count, seed + int(100 * speed), speed)
    free = at[SPEEDS[-1]][0][0]
    lawful = free <= _HOLDS_FAR or law.free.noise < 1e-4
    out = []
    for mode, name in enumerate(MODES):
        errors = [at[s][mode][0] for s in SPEEDS]
        states = sum(at[s][mode][1] for s in SPEEDS)
        reach = 0.0
        for speed, error in zip(SPEEDS, errors, strict=True):
            if not error <= (_HOLDS if speed == 1 else _HOLDS_FAR):
                break
            reach = speed
        tested = at[1.0][mode][1] >= _FEWEST
        verdict = "undetermined"
        if tested and reach == SPEEDS[-1]:
            verdict = "physics"
        elif tested and not lawful and errors[-1] > _BREAKS:
            verdict = "lookup table"
        out.append(
            Mode(name=name, share=share[mode], states=states, verdict=verdict,
                 error=errors[0], far=errors[-1], reach=reach)
        )  # fmt: skip
    return tuple(out)


def _shares(asked: Asked, law: HybridLaw, region: Batch) -> list[float]:
    """Of the region's states in each mode: touching or not by the model, which touch by the law."""
    touching = asked(region).touching
    mode = law.answer(*region)[2]
    out = [float((~touching).double().mean())]
    for k in range(1, len(MODES)):
        out.append(float((touching & (mode == k)).double().mean()))
    return out


def _errors(
    search: Search, law: HybridLaw, region: Batch, count: int, seed: int, speed: float
) -> list[tuple[float, int]]:
    """(median relative error, states) of each mode at `speed` times the region's velocities."""
    parts = [Batch(region.q[:count], speed * region.v[:count], region.tau[:count])]
    surfaces = list(law.surfaces)
    if surfaces:
        each = max(4, count // len(surfaces))
        for number, kind in enumerate(("impact", "depth")):
            found = designed(search, surfaces, kind, each, seed + number, speed)
            if found is not None:
                parts.append(found.batch)
    batch = joined(parts)
    met = search.asked(batch)
    _, v_next, mode = law.answer(*batch)
    assert met.answers.v_next is not None
    wrong = (met.answers.v_next - v_next) / search.half_v
    size = wrong.norm(dim=-1)
    if law.free.noise > _NOISY:  # what the model itself does not repeat is no error of the law
        again = search.asked(batch).answers.v_next
        assert again is not None
        noise = ((met.answers.v_next - again) / search.half_v).norm(dim=-1).median() / 2**0.5
        size = (size.square() - noise**2).clamp_min(0.0).sqrt()
    touching = met.touching | (mode > 0)
    jump = (met.jump / search.half_v).norm(dim=-1)
    rise = ((met.free - batch.v) / search.half_v).norm(dim=-1)
    out = []
    for k in range(len(MODES)):
        rows = ~touching if k == 0 else touching & (mode == k)
        if k == 3:  # a touch that the law does not have is nobody's: counted with the impacts
            rows = touching & (mode == k)
        if k == 1:
            rows = touching & ((mode == k) | (mode == 0))
        n = int(rows.sum())
        if not n:
            out.append((float("nan"), 0))
            continue
        unit = float((rise if k == 0 else jump)[rows].square().mean().sqrt())
        out.append((float(size[rows].median()) / max(unit, 1e-300), n))
    return out


def transition(search: Search, surfaces: list[Surface], number: int, seed: int) -> float | None:
    """The way [m | rad] over which an impact's jump rises from 10 to 90 %.

    At one state's velocity, as the closing gap passes zero; 0 for what rises within a millionth of
    the way moved in a step, None where no impact came out.
    """
    found = designed(search, surfaces[number : number + 1], "impact", 6, seed)
    if found is None or surfaces[number].gap.kind == "limit":
        return None
    law, gap = search.asked.law, surfaces[number].gap
    robot = law.robot
    widths = []
    for row in range(min(3, len(found))):
        q, v, tau = (x[row : row + 1] for x in found.batch)
        moved = float(found.before[row, 0].abs()) * law.dt
        exponents = torch.linspace(-6.0, 0.3, 22, dtype=torch.float64)
        steps = moved * torch.cat((-(10.0**exponents).flip(0), 10.0**exponents))
        motion = Motion.of(law, q, v, tau)
        g = gap.jacobian(motion)[:, 0] * search.half_q
        way = g / g.square().sum() * search.half_q
        shift = (steps - float(gap.value(motion)[0]))[:, None] * way
        n = len(steps)
        at = integrate(robot, q.expand(n, -1), shift, 1.0)
        met = search.asked(Batch(at, v.expand(n, -1), tau.expand(n, -1)))
        jump = (met.jump / search.half_v).norm(dim=-1)
        closing = gap.value(Motion.of(law, at, v.expand(n, -1), tau.expand(n, -1)))
        widths.append(_rise(closing, jump, 1e-5 * moved))
    widths.sort()
    return widths[len(widths) // 2]


def _rise(gap: Tensor, jump: Tensor, least: float) -> float:
    """From where the jump first passes 10 % of its plateau just inside to where it passes 90 %."""
    order = (-gap).argsort()
    gap, jump = gap[order], jump[order]
    inside = gap < 0
    top = float(jump[inside][: max(3, int(inside.sum()) * 3 // 4)].median())
    if top <= 0:
        return 0.0
    low = (jump > 0.1 * top).nonzero()[0, 0]
    high = (jump > 0.9 * top).nonzero()
    width = float(gap[low] - gap[high[0, 0]]) if len(high) else float("inf")
    return width if width > least else 0.0
