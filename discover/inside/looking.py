"""What is measured, in which order, and what goes on: the plan of a look inside.

Everything is tried shortly at every site, and only the best sites of a variable are fitted to the
end. A claim's controls follow its exchange at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from discover.inside import counterfactuals as physics
from discover.inside.counterfactuals import Variable
from discover.inside.measuring import Bench
from discover.inside.network.capture import Network, Site
from discover.inside.pairs import Pairs
from discover.inside.records import Row, Window
from discover.inside.sites import thinned
from discover.inside.windows import kendall, window
from discover.judgement.thresholds import threshold, whole
from discover.progress import stage
from kinematics import Robot


class Look:
    """The measurements in the order of their worth, until the time is up: of each role the exchange
    and then its controls, for without them nothing is claimed; then the factors, and the order of
    those that are followed; last what is only described."""

    def __init__(
        self,
        network: Network,
        robot: Robot,
        pairs: Pairs,
        sites: Sequence[Site],
        deep: Sequence[Site],
        seeds: int,
        seed: int,
        until: float,
    ) -> None:
        """`deep`: sites for the windows of a recursion, which may take more than are looked at."""
        self.bench = Bench(network, robot, pairs, sites, seeds, seed)
        self.robot, self.pairs, self.sites, self.until = robot, pairs, list(sites), until
        self.deep = thinned(deep, whole("inside.window_sites"))
        self.notes: list[str] = []
        self.rows: dict[tuple[str, str], Row] = {}
        self.windows: list[Window] = []

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
        for role in roles:
            self._try([role], [])
            self._end([role], [])
            self._control([role])
        self._try(factors, factors)
        self._end(factors, factors)
        order = self._order()
        self._control(self._leading(factors))
        self._compare([*roles, *self._leading(factors)])
        return list(self.rows.values()), [*self._of_roles(roles), *self.windows], order

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

    def _try(self, variables: Sequence[Variable], factors: Sequence[Variable]) -> None:
        """Trials of each variable at each site, from the output backwards: there, most is
        decided."""
        for site in reversed(self.sites):
            for variable in variables:
                if self._late(f"{variable.name} at {site.name}"):
                    continue
                stage(f"exchange of {variable.name} at {site.name}")
                self._measured(variable, site, factors, ended=False)

    def _end(self, variables: Sequence[Variable], factors: Sequence[Variable]) -> None:
        """Fits to the end at the sites whose trials are the best of any of these variables: all of
        them there, so that rivals are tried as hard."""
        for site in self._promising(variables):
            for variable in variables:
                if self._late(f"a fit to the end of {variable.name} at {site.name}"):
                    continue
                stage(f"exchange of {variable.name} at {site.name}, to the end")
                self._measured(variable, site, factors, ended=True)

    def _measured(
        self, variable: Variable, site: Site, factors: Sequence[Variable], *, ended: bool
    ) -> None:
        rivals = [v for v in factors if v.factorisation != variable.factorisation]
        found = self.bench.cell(variable, site, rivals, ended=ended)
        before = self.rows[variable.name, site.name]
        self.rows[variable.name, site.name] = replace(
            found, r2=before.r2, r2_control=before.r2_control
        )

    def _promising(self, variables: Sequence[Variable]) -> list[Site]:
        """The sites with the best trials, the best first; of factors by S_r."""
        scores = {}
        for site in self.sites:
            rows = [self.rows[v.name, site.name] for v in variables]
            told = [r.S if r.S_r is None else r.S_r for r in rows]
            measured = [x for x in told if x is not None]
            if measured:
                scores[site.name] = max(measured)
        best = sorted(self.sites, key=lambda s: -scores.get(s.name, -math.inf))
        return [s for s in best if s.name in scores][: whole("inside.finalists")]

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
        """What a claim needs beside the exchange of each variable at its best site."""
        cells = []
        for row, variable, site in self._at_best(variables):
            if self._late(f"controls of {variable.name}"):
                continue
            stage(f"controls of {variable.name}")
            found = self.bench.unfiltered(
                self.bench.controlled(row, variable, site), variable, site
            )
            self.rows[variable.name, site.name] = found
            cells.append((found, variable, site))
        if cells and not self._late("the untrained control"):
            stage("the untrained control")
            for row in self.bench.untrained(cells):
                self.rows[row.variable, row.site] = row

    def _compare(self, variables: Sequence[Variable]) -> None:
        """What no claim rests on."""
        for row, variable, site in self._at_best(variables):
            if not self._late(f"{variable.name} of another robot"):
                stage(f"{variable.name} of another robot")
                found = self.bench.of_another_robot(row, variable, site)
                self.rows[variable.name, site.name] = found

    def _at_best(self, variables: Sequence[Variable]) -> list[tuple[Row, Variable, Site]]:
        found = [(self._best(v), v) for v in variables]
        sites = {s.name: s for s in self.sites}
        return [(row, v, sites[row.site]) for row, v in found if row is not None]

    def _of_roles(self, roles: Sequence[Variable]) -> list[Window]:
        """Windows of the roles; at sites that were not among the best, of trials."""
        names = [s.name for s in self.sites]
        return [
            window(v.name, None, None, names, [self.rows[v.name, s].S for s in names])
            for v in roles
        ]

    def _order(self) -> dict[str, float | None]:
        """Windows of the steps of each elimination that is followed, and their order."""
        order: dict[str, float | None] = {}
        for factorisation in self._followed():
            steps = self._steps(factorisation)
            self.windows += steps
            order[factorisation] = kendall(steps)[0]
        return order

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
        measured: list[Window] = []
        for variable in kept:
            S: list[float | None] = []
            for site in self.deep:
                if self._late(f"windows of {factorisation}"):
                    return []
                stage(f"window of {variable.name}, {factorisation}, at {site.name}")
                S.append(self.bench.step(variable, site))
            rank = ranks[variable.name]
            names = [s.name for s in self.deep]
            measured.append(window(variable.name, factorisation, rank, names, S))
        return measured
