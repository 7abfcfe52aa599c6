"""`look_inside`: does a network hold, use and follow the equation of motion's own variables?"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import kinematics
from discover.blackbox.region import Region
from discover.errors import ModelError
from discover.inside import claims as claiming
from discover.inside import counterfactuals as physics
from discover.inside.looking import Look
from discover.inside.network.capture import captured
from discover.inside.network.opening import opened
from discover.inside.pairs import drawn
from discover.inside.result import InsideReport
from discover.inside.sites import chosen, thinned
from discover.judgement.thresholds import whole
from discover.progress import Show, reported, stage
from kinematics import Robot

VARIABLES = ("roles", "factors")


@reported("look inside", "look again: the same seed gives the same answers")
def look_inside(
    network: Any,
    robot: Robot | str | os.PathLike[str],
    region: Region,
    *,
    sites: Sequence[str] | None = None,
    variables: Sequence[str] = VARIABLES,
    seeds: int = 3,
    budget_s: float = 300.0,
    outputs: str | None = None,
    dt: float | None = None,
    seed: int = 0,
    name: str | None = None,
    progress: Show = None,
) -> InsideReport:
    """What a network of (q, v, tau) -> accelerations does with the variables of the equation of
    motion: encodes, uses, follows an elimination, implements its recursion.

    network    a torch.nn.Module on batches (B, nv), a world model of this project, the path of a
               .pt2, TorchScript or ONNX file, a checkpoint or `file.py:factory`, or what
               `discover.models.load` made of one
    robot      whose equation of motion is meant: a Robot, a path or a bundled name; one coordinate
               a joint
    region     where the network was trained
    sites      names of modules or of operations; by default found; what linear maps make of one of
               them is the same site, which the notes say
    variables  "roles" (mass matrix, bias), "factors" (pivots of every elimination)
    seeds      starts of each fit: a linear probe's, and random ones
    budget_s   seconds of processor time; what it does not reach is told
    outputs, dt, name   of a module of steps, and in the report

    Claims rest on exchanges between pairs of states against controls; none of them is an answer of
    `discover.examine`, nor changes one. Raises ModelError, RegionError and RobotError.
    """
    started = time.process_time()
    body = robot if isinstance(robot, Robot) else kinematics.load(robot)
    box = _checked(body, region, variables, seeds, budget_s)
    stage("opening the network")
    found = opened(network, body, outputs, dt)
    rows = found.rows or whole("inside.rows")
    graph, remark = captured(found.module, rows, body.nv, found.dtype)
    stage("pairs of states")
    pairs = drawn(graph, body, box, seed)
    deep, same = chosen(graph, pairs, sites)
    places = thinned(deep, whole("inside.sites")) if sites is None else deep
    look = Look(graph, body, pairs, places, deep, seeds, seed, started + budget_s)
    table, windows, order = look.all(tuple(variables))
    shown = {s.name for s in places}.union(*(w.sites for w in windows))
    every = [s for s in deep if s.name in shown]
    factorisations = [*physics.orders(body), physics.COFACTORS] if body.nv > 1 else []
    measured = {r.factorisation for r in table}
    return InsideReport(
        network=name or found.name,
        robot=body.name,
        region=box.to_dict(),
        joints=body.nb,
        error=pairs.error,
        sites=tuple(s.name for s in every),
        depths=tuple(s.depth for s in every),
        claims=tuple(claiming.claims(table, windows, [f for f in factorisations if f in measured])),
        table=tuple(table),
        windows=tuple(windows),
        order=order,
        notes=(*found.remarks, *([remark] if remark else []), *same, *look.notes),
        seeds=seeds,
        seed=seed,
        steps=whole("inside.steps"),
        pairs=rows * len(pairs.train),
        seconds=time.process_time() - started,
    )


def _checked(
    robot: Robot, region: Region, variables: Sequence[str], seeds: int, budget_s: float
) -> Region:
    """The region with a side a coordinate. Raises ModelError and RegionError."""
    if robot.nq != robot.nv or robot.mimic:
        raise ModelError(
            f"expected a robot with one coordinate a joint, found {robot.name} with nq = "
            f"{robot.nq}, nv = {robot.nv}{' and mimic joints' if robot.mimic else ''}; lock or "
            "replace them"
        )
    wrong = [v for v in variables if v not in VARIABLES]
    if wrong or not variables:
        raise ModelError(f"variables: expected some of {', '.join(VARIABLES)}, found {variables!r}")
    if seeds < 1 or budget_s <= 0:
        raise ModelError(
            f"expected seeds >= 1 and budget_s > 0, found seeds = {seeds}, budget_s = {budget_s}"
        )
    if region.u is not None:
        raise ModelError("region: expected tau (joint forces), found u; give the region in tau")
    return region.resolve(robot.nv)
