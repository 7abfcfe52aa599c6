"""`look_inside`: does a network hold, use and follow the equation of motion's own variables?"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import kinematics
from discover.blackbox.region import Region
from discover.errors import ModelError
from discover.inside import claims as claiming
from discover.inside import counterfactuals as physics
from discover.inside.counterfactuals import Variable
from discover.inside.measuring import Bench
from discover.inside.network.capture import Network, Site, captured
from discover.inside.network.opening import opened
from discover.inside.pairs import Pairs, drawn
from discover.inside.records import Row, Window
from discover.inside.result import InsideReport
from discover.inside.sites import chosen, thinned
from discover.inside.windows import kendall, window
from discover.judgement.thresholds import threshold, whole
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
    sites      names of modules or of operations; by default found
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
    places = chosen(graph, pairs, sites)
    look = _Look(graph, body, pairs, places, seeds, seed, started + budget_s)
    table, windows, order = look.all(tuple(variables))
    factorisations = [*physics.orders(body), physics.COFACTORS] if body.nv > 1 else []
    measured = {r.factorisation for r in table}
    return InsideReport(
        network=name or found.name,
        robot=body.name,
        region=box.to_dict(),
        joints=body.nb,
        error=pairs.error,
        sites=tuple(s.name for s in places),
        depths=tuple(s.depth for s in places),
        claims=tuple(claiming.claims(table, windows, [f for f in factorisations if f in measured])),
        table=tuple(table),
        windows=tuple(windows),
        order=order,
        notes=(*found.remarks, *([remark] if remark else []), *look.notes),
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


class _Look:
    """The measurements in the order of their worth, until the time is up."""

    def __init__(
        self,
        network: Network,
        robot: Robot,
        pairs: Pairs,
        sites: Sequence[Site],
        seeds: int,
        seed: int,
        until: float,
    ) -> None:
        self.bench = Bench(network, robot, pairs, sites, seeds, seed)
        self.robot, self.pairs, self.sites, self.until = robot, pairs, list(sites), until
        self.notes: list[str] = []
        self.rows: dict[tuple[str, str], Row] = {}

    def all(
        self, wanted: tuple[str, ...]
    ) -> tuple[list[Row], list[Window], dict[str, float | None]]:
        """Rows, windows and the order of each elimination that is followed."""
        listed = physics.roles() if "roles" in wanted else []
        listed += physics.factors(self.robot) if "factors" in wanted else []
        first = self.pairs.test[0]
        known, left_out = physics.distinct(listed, first.at_base, first.at_source)
        self.notes += left_out
        roles = [v for v in known if v.kind == "role"]
        factors = [v for v in known if v.kind == "factor"]
        self._probe(known)
        self._exchange(roles, factors)
        self._control(roles)
        self._exchange(factors, factors)
        self._control(self._leading(factors))
        windows, order = self._windows(roles)
        return list(self.rows.values()), windows, order

    def _late(self, what: str) -> bool:
        if time.process_time() < self.until:
            return False
        note = f"not reached within the budget: {what}"
        if note not in self.notes:
            self.notes.append(note)
        return True

    def _probe(self, variables: Sequence[Variable]) -> None:
        stage("linear probes")
        for variable in variables:
            for site in self.sites:
                r2, control = self.bench.probed(variable, site)
                self.rows[variable.name, site.name] = Row(
                    site=site.name,
                    variable=variable.name,
                    kind=variable.kind,
                    factorisation=variable.factorisation,
                    r2=r2,
                    r2_control=control,
                )

    def _exchange(self, variables: Sequence[Variable], factors: Sequence[Variable]) -> None:
        """S of each variable at each site, from the output backwards: there, most is decided."""
        for site in reversed(self.sites):
            for variable in variables:
                if self._late(f"{variable.name} at {site.name}"):
                    continue
                stage(f"exchange of {variable.name} at {site.name}")
                rivals = [
                    v
                    for v in factors
                    if variable.kind == "factor" and v.factorisation != variable.factorisation
                ]
                found = self.bench.cell(variable, site, rivals)
                before = self.rows[variable.name, site.name]
                self.rows[variable.name, site.name] = replace(
                    found, r2=before.r2, r2_control=before.r2_control
                )

    def _best(self, variable: Variable) -> Row | None:
        rows = [r for (v, _), r in self.rows.items() if v == variable.name and r.S is not None]
        return max(rows, key=lambda r: r.S or 0.0, default=None)

    def _leading(self, factors: Sequence[Variable]) -> list[Variable]:
        """The factor whose counterfactual is met best beside its rivals'."""
        scored = [
            (r.S_r, v)
            for v in factors
            for r in [self._best(v)]
            if r is not None and r.S_r is not None
        ]
        return [max(scored, key=lambda pair: pair[0])[1]] if scored else []

    def _control(self, variables: Sequence[Variable]) -> None:
        """Controls of each variable at its best site."""
        cells = []
        for variable in variables:
            row = self._best(variable)
            if row is None or self._late(f"controls of {variable.name}"):
                continue
            stage(f"controls of {variable.name}")
            site = next(s for s in self.sites if s.name == row.site)
            row = self.bench.unfiltered(self.bench.controlled(row, variable, site), variable, site)
            self.rows[variable.name, site.name] = row
            cells.append((row, variable, site))
        if cells and not self._late("the untrained control"):
            stage("the untrained control")
            for row in self.bench.untrained(cells):
                self.rows[row.variable, row.site] = row

    def _windows(self, roles: Sequence[Variable]) -> tuple[list[Window], dict[str, float | None]]:
        """Windows of the roles, and of the steps of each elimination that is followed."""
        names = [s.name for s in self.sites]
        found = [
            window(v.name, None, None, names, [self.rows[v.name, s].S for s in names])
            for v in roles
        ]
        order: dict[str, float | None] = {}
        for factorisation in self._followed():
            steps = self._steps(factorisation)
            found += steps
            order[factorisation] = kendall(steps)[0]
        return found, order

    def _followed(self) -> list[str]:
        best: dict[str, float] = {}
        for row in self.rows.values():
            if row.factorisation is not None and row.S_r is not None:
                best[row.factorisation] = max(row.S_r, best.get(row.factorisation, row.S_r))
        least = threshold("inside.follows")
        return [f for f, s in best.items() if s >= least and f != physics.COFACTORS]

    def _steps(self, factorisation: str) -> list[Window]:
        first = self.pairs.test[0]
        planned = physics.steps(self.robot, factorisation)
        kept, _ = physics.distinct([v for v, _ in planned], first.at_base, first.at_source)
        ranks = {v.name: rank for v, rank in planned}
        sites = thinned(self.sites, whole("inside.window_sites"))
        measured: list[Window] = []
        for variable in kept:
            S: list[float | None] = []
            for site in sites:
                if self._late(f"windows of {factorisation}"):
                    return []
                stage(f"window of {variable.name}, {factorisation}, at {site.name}")
                problem = self.bench.problem(variable, site)
                width = variable.value(first.at_base).shape[-1]
                exchange = self.bench.fitted(problem, variable, (width,))
                S.append(problem.score(self.pairs.test, exchange.E, exchange.D))
            rank = ranks[variable.name]
            measured.append(window(variable.name, factorisation, rank, [s.name for s in sites], S))
        return measured
