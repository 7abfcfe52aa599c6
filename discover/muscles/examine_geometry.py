"""`discover.examine_geometry`: what a model of muscle lengths, and moment arms, has learned.

1. Noise of the answers, and which joints each muscle crosses: exact zeros against bounds.
2. Integrability: moment arms against the lengths' own slopes, their curl, loops, jumps.
3. Joints whose effects only add are taken apart; of each block, a law of paths by branch.
4. How far out its branches go on. The verdict, muscle by muscle, from these numbers alone.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from discover.blackbox.region import Region
from discover.errors import ModelError
from discover.muscles.geometry_findings import MusclePath
from discover.muscles.integrability import Geometry, Integrability, integrability
from discover.muscles.path_laws import Block, fit_block
from discover.muscles.result import GeometryExamination
from discover.report.numbers import count, number, relative
from kinematics.muscles.geometry import moment_arms
from kinematics.robot.tree import Robot, check_robot

Array = NDArray[Any]
_SAMPLES = {1: 120, 2: 400, 3: 900}  # of a block, by its joints; larger ones are not fitted
_SHELLS = (1.0, 1.25, 1.5, 2.0)
_A_SHELL = 64
_CROSSES = 0.02  # share of a muscle's largest effect from which a joint counts as crossed
_EXPLAINED = 0.95  # share of the region on a law's branches that makes it the muscle's law
_REACH = 1.5
_MET = 1e-6  # tolerance of a path law, in shares of its range
_PLATEAUS = 0.5


def examine_geometry(
    model: Any, robot: Robot, region: Any, *, names: Any = None, seed: int = 0
) -> GeometryExamination:
    """Examine a model of muscle geometry, muscle by muscle.

    model   q (n, nq) [rad | m] -> lengths (n, nm) [m], or (lengths, moment arms (n, nm, nv)),
            batches of double precision; r = -∂L/∂q
    robot   whose joints these are, of one coordinate each; its own muscles, if it has any, say
            which joints each should cross
    region  a `Region`, of which q is read, or what its q may be: where the model was trained. It
            is asked up to two half-widths out
    names   of the muscles; the robot's or numbers where they are not given

    Raises RegionError, RobotError and ModelError, in one line.
    """
    began = time.process_time()
    check_robot(robot)
    if robot.nq != robot.nv or robot.nv < 1:
        raise ModelError(
            f"expected joints with one coordinate each, found nq = {robot.nq} and nv = {robot.nv}; "
            "lock free and spherical joints"
        )
    side = region.q if isinstance(region, Region) else region
    box = Region(q=side, v=1.0, tau=1.0).resolve(robot.nv)
    asked = _Counted(model)
    geometry = Geometry(asked, box.q.low.numpy(), box.q.high.numpy())
    noise, flat = geometry.noise()
    found = integrability(geometry, noise)
    nm = len(noise)
    called = _names(robot, names, nm)
    expected = _expected(robot, geometry, nm)
    together = _interactions(geometry, noise, found.effect, seed)
    hinges = [kind != "prismatic" for kind in robot.independent_kinds]
    muscles = tuple(
        _muscle(geometry, i, called[i], found, noise, flat, together[i], hinges, expected, seed)
        for i in range(nm)
    )
    return GeometryExamination(
        robot=robot.name,
        joints=robot.independent_names,
        low=geometry.low,
        high=geometry.high,
        muscles=muscles,
        integrability=found,
        noise=noise,
        expected=expected,
        limit=_SHELLS[-1],
        notes=tuple(_notes(muscles, found, noise, expected)),
        questions=asked.questions,
        seconds=time.process_time() - began,
    )


class _Counted:
    """The model, counting what it is asked."""

    def __init__(self, model: Any) -> None:
        if not callable(model):
            raise ModelError(
                f"expected a model q -> lengths, found {type(model).__name__}; give a function"
            )
        self.model, self.questions = model, 0

    def __call__(self, q: Any) -> Any:
        self.questions += len(q)
        return self.model(q)


def _names(robot: Robot, names: Any, nm: int) -> list[str]:
    if names is None:
        own = robot.muscles.names if robot.muscles is not None else ()
        return list(own) if len(own) == nm else [f"muscle {i}" for i in range(nm)]
    if len(names) != nm:
        raise ModelError(f"expected {nm} names of muscles, found {len(names)}; give one each")
    return [str(x) for x in names]


def _expected(robot: Robot, geometry: Geometry, nm: int) -> Array | None:
    """(nm, nv) whether the robot's own muscles act on a joint anywhere in the region."""
    if robot.muscles is None or robot.muscles.nm != nm:
        return None
    q = torch.tensor(geometry.points(64, 9))
    return np.asarray((moment_arms(robot, q).abs().amax(0) > 1e-12).numpy())


def _interactions(geometry: Geometry, noise: Array, effect: Array, seed: int) -> Array:
    """(nm, nv, nv) whether two joints do more to a length than the sum of what each does.

    L(q + d + e) - L(q + d) - L(q + e) + L(q) with steps as wide as the region vanishes exactly
    where effects add.
    """
    rng = np.random.default_rng(seed)
    nv, n = len(geometry.low), 12
    base = geometry.points(n, 13)
    other = geometry.points(n, 17)
    pairs = [(i, j) for i in range(nv) for j in range(i)]
    out = np.zeros((len(noise), nv, nv), bool)
    if not pairs:
        return out
    rng.shuffle(other)
    one = np.repeat(base[:, None], nv, 1)
    one[:, range(nv), range(nv)] = other
    two = np.repeat(base[:, None], len(pairs), 1)
    for k, (i, j) in enumerate(pairs):
        two[:, k, i], two[:, k, j] = other[:, i], other[:, j]
    L = geometry.lengths(np.concatenate((base, one.reshape(-1, nv), two.reshape(-1, nv))))
    L0, L1 = L[:n], L[n : n + n * nv].reshape(n, nv, -1)
    L2 = L[n + n * nv :].reshape(n, len(pairs), -1)
    for k, (i, j) in enumerate(pairs):
        mixed = np.abs(L2[:, k] - L1[:, i] - L1[:, j] + L0).max(0)
        out[:, i, j] = out[:, j, i] = mixed > np.maximum(1e-8 * effect.max(1), 10 * noise) + 1e-13
    return out


def _muscle(
    geometry: Geometry, i: int, name: str, found: Integrability, noise: Array, flat: Array,
    together: Array, hinges: list[bool], expected: Array | None, seed: int,
) -> MusclePath:  # fmt: skip
    effect = found.effect[i]
    zero = 1e-9 * effect.max() + 1e-10 + 30 * noise[i] / geometry.share(noise)
    most = max(float(effect.max()), 1e-300)
    crosses = tuple(int(j) for j in np.flatnonzero((effect > zero) & (effect > _CROSSES * most)))
    slight = tuple(int(j) for j in np.flatnonzero((effect > zero) & (effect <= _CROSSES * most)))
    if expected is not None:  # the robot's own paths say which joints a muscle may act on
        acts = effect > zero
        crosses = tuple(int(j) for j in np.flatnonzero(acts & expected[i]))
        slight = tuple(int(j) for j in np.flatnonzero(acts & ~expected[i]))
    centre = float(geometry.lengths(geometry.centre[None])[0, i])
    blocks = []
    for joints in _components(crosses, together):
        blocks.append(_block(geometry, i, joints, hinges, noise[i], centre, seed))
    explained, residual, reach = _held(geometry, i, centre, blocks, crosses, noise[i])
    path = MusclePath(
        name=name, verdict="", reason="", crosses=crosses, slight=slight, centre=centre,
        blocks=tuple(blocks), explained=explained, residual=residual, reach=reach,
    )  # fmt: skip
    broken = bool(found.broken(noise)[i])
    # a table's differences vanish where its lengths do not stay
    lengths = geometry.lengths(geometry.points(64, 3))[:, i]
    varies = float(np.ptp(lengths)) > 1e-9 + 30 * noise[i]
    verdict, reason = _judge(path, varies, broken, float(flat[i]), float(found.jumps[i]), found, i)
    return MusclePath(**{**path.__dict__, "verdict": verdict, "reason": reason})


def _components(joints: tuple[int, ...], together: Array) -> list[tuple[int, ...]]:
    """Groups of joints that are linked by interactions."""
    left, out = set(joints), []
    while left:
        group, edge = set(), {min(left)}
        while edge:
            group |= edge
            edge = {k for k in left - group if any(together[k, g] for g in group)}
        out.append(tuple(sorted(group)))
        left -= group
    return out


def _block(
    geometry: Geometry, i: int, joints: tuple[int, ...], hinges: list[bool], noise: float,
    centre: float, seed: int,
) -> Block:  # fmt: skip
    own = tuple(hinges[j] for j in joints)
    n = _SAMPLES.get(len(joints), 64)
    q = np.tile(geometry.centre, (n, 1))
    q[:, joints] = geometry.points(n, 31 + seed)[:, joints]
    y = geometry.lengths(q)[:, i] - centre
    if len(joints) not in _SAMPLES:
        return Block(
            joints=joints, hinges=own, pieces=(), at=q[:, joints], branch=np.full(n, -1),
            explained=0.0, residual=0.0,
        )  # fmt: skip
    tolerance = max(_MET * float(np.ptp(y)), 6 * noise, 1e-12)
    return fit_block(joints, own, q[:, joints], y, tolerance, seed)


def _held(
    geometry: Geometry, i: int, centre: float, blocks: list[Block], crosses: tuple[int, ...],
    noise: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Share of the region on the law's branches, the largest miss there [m], and its reach."""
    if not crosses:
        return 1.0, 0.0, _SHELLS[-1]
    explained, residual, reach = min(b.explained for b in blocks), 0.0, 0.0
    if explained == 0:
        return 0.0, 0.0, 0.0
    residual = sum(b.residual for b in blocks)
    for shell in _SHELLS:
        share = 1.0
        for block in blocks:
            q = np.tile(geometry.centre, (_A_SHELL, 1))
            q[:, block.joints] = geometry.points(_A_SHELL, 41, shell)[:, block.joints]
            if shell > 1:  # on the faces, not within
                u = (q - geometry.centre) / geometry.half
                own = u[:, block.joints]
                own = own * (shell / np.maximum(np.abs(own).max(1), 1e-9))[:, None]
                q[:, block.joints] = (geometry.centre + 0 * u)[:, block.joints] + own * (
                    geometry.half[list(block.joints)]
                )
            y = geometry.lengths(q)[:, i] - centre
            allowed = max(1e-5 * float(np.ptp(y)), 20 * noise)
            share = min(share, float((block.nearest(q[:, block.joints], y) <= allowed).mean()))
        if share < 0.5:
            break
        reach = shell
    return explained, residual, reach


def _judge(
    path: MusclePath,
    varies: bool,
    broken: bool,
    flat: float,
    jump: float,
    found: Integrability,
    i: int,
) -> tuple[str, str]:
    kinds = {p.kind for b in path.blocks for p in b.pieces}
    law = path.explained >= _EXPLAINED and path.reach >= _REACH
    apart = max(float(found.apart[i].max()), float(found.curl[i]), float(found.loops[i]))
    if flat > _PLATEAUS and (path.crosses or path.slight or varies):
        return "lookup table", f"{relative(flat)} of neighbouring configurations have one length"
    if not path.crosses and not path.slight and not varies:
        return "physics", "crosses no joint, constant"
    if law and "polynomial" in kinds:
        return "alternative law", f"{path.words}, exactly"
    if law and not path.slight:
        if broken:
            return (
                "alternative law",
                f"lengths are a path's ({path.words}), but its moment arms are not their slopes: "
                f"{relative(apart)} apart",
            )
        return "physics", path.words
    if path.slight:
        size = float(found.effect[i][list(path.slight)].max() / found.effect[i].max())
        return (
            "lookup table",
            f"depends on {count(len(path.slight), 'joint')} that it does not cross, by up to "
            f"{relative(size)} of its moment arm"
            + (f"; moment arms {relative(apart)} apart from its slopes" if broken else ""),
        )
    said = f"not integrable ({relative(apart)} apart), " if broken else ""
    if path.explained > 0:
        return (
            "undetermined",
            f"{said}{path.words} explains {relative(path.explained)} of the region and reaches "
            f"{number(path.reach, 2)} half-widths",
        )
    return "undetermined", f"{said}no law of one path piece a block of joints meets it"


def _notes(
    muscles: tuple[MusclePath, ...], found: Integrability, noise: Array, expected: Array | None
) -> list[str]:
    notes = []
    broken = found.broken(noise)
    if broken.any():
        names = ", ".join(m.name for m, b in zip(muscles, broken, strict=True) if b)
        notes.append(f"not integrable, moment arms are no slopes of the lengths: {names[:160]}")
    if (found.jumps > 0).any():
        names = ", ".join(m.name for m, x in zip(muscles, found.jumps, strict=True) if x > 0)
        notes.append(f"lengths jump in {names[:160]}")
    if expected is not None:
        lost = [
            m.name
            for m, row in zip(muscles, expected, strict=True)
            if not set(np.flatnonzero(row)) <= {*m.crosses, *m.slight}
        ]
        if lost:
            notes.append(f"joints that the robot's muscle crosses have no effect: {lost}")
    notes.append(
        "a length scale a muscle and an offset shared with the tendon's slack length cannot be "
        "told from joints alone; here lengths are given in m"
    )
    return notes
