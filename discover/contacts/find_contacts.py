"""`discover.find_contacts` on one page: from a model of next states to its hybrid law.

exam = discover.find_contacts(model, robot, region, dt=0.01)
print(exam.law, exam.modes, exam.surfaces)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import kinematics
from discover.blackbox.contract import BlackBox
from discover.blackbox.region import Region
from discover.blackbox.sampling import Batch, sample
from discover.contacts import modes as by_mode
from discover.contacts import touch_laws
from discover.contacts.free_law import Asked, FreeLaw, find_free_law
from discover.contacts.hybrid import HybridLaw
from discover.contacts.moving import Motion
from discover.contacts.result import ContactExamination
from discover.contacts.surfaces import Search, Surface, find_surfaces
from discover.contacts.touch_laws import TouchLaw
from discover.contacts.touching import Touches, designed, with_levers
from discover.errors import ModelError
from kinematics import Robot
from kinematics.contact.geometry import invweight


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How many states are asked: over the region, at rest, of designed touches, of fresh ones."""

    region: int
    rest: int
    touches: int
    fresh: int
    surfaces: int


EFFORTS = {
    "quick": Effort(region=300, rest=200, touches=80, fresh=40, surfaces=8),
    "standard": Effort(region=500, rest=300, touches=120, fresh=80, surfaces=16),
    "thorough": Effort(region=1500, rest=1000, touches=400, fresh=200, surfaces=32),
}
_LAW_ERROR = 0.1  # over which a law of touch is none
_ENOUGH = 10  # touching states at rest; with fewer, moving states are searched too


def find_contacts(
    model: Callable,
    robot: Robot | str,
    region: Region,
    *,
    dt: float,
    outputs: str = "next_state",
    budget: str = "standard",
    seed: int = 0,
    free_law: FreeLaw | None = None,
) -> ContactExamination:
    """Find what a model of next states touches, and the law of its touches.

    model     (q, v, tau) -> (q', v') after dt [s], batched; only ever asked
    robot     the tree and its geometry; inertial parameters are fitted
    region    box of states in which it is examined; some of them must be free, some in contact
    free_law  the law of free motion where it is known (from an earlier examination)
    budget    "quick", "standard" or "thorough"

    Returns a `ContactExamination`; where nothing is touched it says so. Raises ModelError on
    models that do not answer with next states, and RegionError where the region does not fit.
    """
    started = time.process_time()
    if outputs != "next_state":
        raise ModelError(
            f"expected outputs='next_state', found {outputs!r}: contact is read from steps; "
            "give a model (q, v, tau) -> (q_next, v_next) and its dt"
        )
    if budget not in EFFORTS:
        raise ModelError(f"expected a budget of {', '.join(EFFORTS)}, found {budget!r}")
    effort = EFFORTS[budget]
    robot = kinematics.load(robot) if isinstance(robot, str) else robot
    region = region.resolve(robot.nv)
    box = BlackBox(model, robot.nq, robot.nv, outputs=outputs, dt=dt, robot=robot)
    drawn = sample(region, robot, effort.region, seed)
    answers = box.ask(*drawn, strict=False)
    law = free_law or find_free_law(robot, answers, float(dt), seed)
    asked = Asked(box=box, law=law)
    search = _search(asked, region, effort, seed)
    found, left = find_surfaces(search)
    if found:
        found = with_levers(search, found, seed + 3)
        widths = [by_mode.transition(search, found, k, seed + 5) for k in range(len(found))]
        found = [replace(s, width=w) for s, w in zip(found, widths, strict=True)]
    touch, rivals = _touch(search, found, effort, seed) if found else (None, {})
    hybrid = HybridLaw(free=law, surfaces=tuple(found), touch=touch)
    fresh = sample(region, robot, max(200, effort.fresh), seed + 7)
    modes = by_mode.judged(search, hybrid, fresh, answers, effort.fresh, seed + 11)
    touching = search.met.touching
    return ContactExamination(
        law=hybrid,
        surfaces=tuple(found),
        modes=modes,
        touching=float(touching.double().mean()),
        unexplained=float(left.sum()) / max(1, int(touching.sum())),
        rivals=rivals,
        queries=box.queries,
        seconds=time.process_time() - started,
        seed=seed,
        robot_name=robot.name,
    )


def _search(asked: Asked, region: Region, effort: Effort, seed: int) -> Search:
    """States over the region at rest, with moving ones where hardly any of those touch."""
    robot = asked.law.robot
    drawn = sample(region, robot, effort.rest, seed + 1)
    batch = Batch(drawn.q, 0 * drawn.v, 0 * drawn.tau + region.tau.centre)
    met = asked(batch)
    if int(met.touching.sum()) < _ENOUGH:
        more = sample(region, robot, effort.rest, seed + 2)
        batch = Batch(
            torch.cat((batch.q, more.q)),
            torch.cat((batch.v, more.v)),
            torch.cat((batch.tau, 0 * more.tau + region.tau.centre)),
        )
        met = asked(batch)
    return Search(
        asked=asked, met=met, motion=Motion.of(asked.law, *batch), seed=seed, most=effort.surfaces,
        half_q=region.q.half_width, half_v=region.v.half_width,
    )  # fmt: skip


def _touch(
    search: Search, surfaces: list[Surface], effort: Effort, seed: int
) -> tuple[TouchLaw | None, dict[str, float]]:
    """(the law of touch that predicts fresh touches best, what each law leaves of them)."""
    each = max(8, effort.touches // len(surfaces))
    impacts = designed(search, surfaces, "impact", each, seed + 21)
    inside = designed(search, surfaces, "depth", each, seed + 22)
    candidates: list[TouchLaw] = []
    if impacts is not None and len(impacts) >= 10:
        candidates.append(touch_laws.hard(impacts))
    if inside is not None and len(inside) >= 16:
        candidates.append(touch_laws.penalty(inside))
        candidates.append(touch_laws.soft(inside, _weights(search, surfaces, inside)))
    tests = [
        x
        for number, kind in enumerate(("impact", "depth"))
        if (x := designed(search, surfaces, kind, max(4, each // 3), seed + 31 + number))
    ]
    if not candidates or not tests:
        return None, {}
    scores = {}
    for law in candidates:
        # touches from outside are asked of every law: one that starts with the overlap fails them
        scores[law.kind] = max(_left(search, surfaces, law, x) for x in tests)
    if impacts is not None and len(impacts) >= 10 and scores.get("hard", 1.0) > _LAW_ERROR:
        # overlaps may be mended otherwise than ours are, while impacts are as they are
        scores["hard"] = min(scores["hard"], _left(search, surfaces, candidates[0], tests[0]))
    best = min(candidates, key=lambda x: scores[x.kind])
    return (best if scores[best.kind] <= _LAW_ERROR * 3 else None), scores


def _left(search: Search, surfaces: list[Surface], touch: TouchLaw, test: Touches) -> float:
    """Median error of a law's velocities after touches, over the rms of what they changed."""
    law = HybridLaw(free=search.asked.law, surfaces=tuple(surfaces), touch=touch)
    free = search.asked.law
    q_next, v_next = law(*test.batch)
    x = free.carried(test.batch.q, q_next, v_next)
    jump = x - free.free(*test.batch)
    wrong = ((jump - test.jump) / search.half_v).norm(dim=-1)
    unit = (test.jump / search.half_v).norm(dim=-1).square().mean().sqrt()
    return float(wrong.median() / unit.clamp_min(1e-300))


def _weights(search: Search, surfaces: list[Surface], touches: Touches) -> Tensor:
    """Inverse weight (n,) [1/kg] of each touch, as the soft law scales its give."""
    robot = search.asked.law.robot
    scene = HybridLaw(free=search.asked.law, surfaces=tuple(surfaces), touch=None).scene
    planes = iter(invweight(robot, scene).tolist()) if scene.nc else iter(())
    own = torch.linalg.inv(search.asked.law.mass(robot.neutral()[None].double()))[0].diagonal()
    each = [float(own[s.gap.dof]) if s.gap.kind == "limit" else next(planes) for s in surfaces]
    return torch.tensor(each, dtype=torch.float64)[touches.surface]
