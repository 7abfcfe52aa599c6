"""The cells of the table: one variable at one site, its exchange, its probe and its controls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from discover.inside import controls, probes
from discover.inside.counterfactuals import Variable
from discover.inside.frames import Answer, Basis, basis
from discover.inside.network.capture import Network, Site
from discover.inside.pairs import Pair, Pairs, apart, changes
from discover.inside.projection import (
    WIDTHS,
    Exchange,
    Problem,
    Trial,
    finished,
    fit,
    patched_answer,
    raced,
)
from discover.inside.records import Row
from discover.judgement.thresholds import threshold
from kinematics import Robot

Targets = Callable[[Sequence[Pair]], list[Tensor]]


class Bench:
    """A network, pairs and seeds; what is the same for many cells is kept."""

    def __init__(
        self,
        network: Network,
        robot: Robot,
        pairs: Pairs,
        sites: Sequence[Site],
        seeds: int,
        seed: int,
    ) -> None:
        self.network, self.robot, self.pairs = network, robot, pairs
        self.sites, self.seeds, self.seed = list(sites), seeds, seed
        self.last = max([s for s in sites if s.alone] or sites, key=lambda s: s.depth)
        self._bases: dict[tuple[str, bool], Basis] = {}
        self._begun: dict[tuple[str, str], tuple[Problem, list[Trial]]] = {}
        self._changes: dict[str, list[Tensor]] = {}
        self._decodable: dict[str, float] = {}

    def basis(self, site: Site, *, varying: bool = True) -> Basis:
        """The coordinates in which a site is patched."""
        key = (site.name, varying)
        if key not in self._bases:
            answer = patched_answer(self.network, site)
            self._bases[key] = basis(answer, site, self.pairs, self.network, varying=varying)
        return self._bases[key]

    def problem(self, variable: Variable, site: Site, *, varying: bool = True) -> Problem:
        """The exchange of a variable at a site."""
        return self._problem(variable, site, self._targets(variable), varying=varying)

    def _problem(
        self, variable: Variable, site: Site, targets: Targets, *, varying: bool = True
    ) -> Problem:
        frame = self.basis(site, varying=varying)
        return Problem(
            patched_answer(self.network, site),
            site,
            frame if variable.wide else frame.narrow(),
            self.pairs,
            self.network,
            targets,
        )

    def _targets(self, variable: Variable, *, placebo: bool = False) -> Targets:
        def targets(batches: Sequence[Pair]) -> list[Tensor]:
            key = f"{variable.name}{', placebo' if placebo else ''}"
            if key not in self._changes:  # of the robot alone, whatever the network does
                self._changes[key] = changes(variable, batches, self.pairs.scale, placebo=placebo)
            return self._changes[key]

        return targets

    def _shown(self, variable: Variable) -> tuple[list[Tensor], Tensor]:
        """What starts of a fit are made from: the variable, and what stays as it is."""
        at = [p.at_base for p in self.pairs.train]
        return variable.forms(at), torch.cat([variable.kept(m) for m in at])

    def fitted(
        self, problem: Problem, variable: Variable, widths: Sequence[int] = WIDTHS
    ) -> Exchange:
        """The best exchange, as for every variable and control alike."""
        return fit(problem, *self._shown(variable), self.seeds, self.seed, widths)

    def step(self, variable: Variable, site: Site) -> float:
        """S of one step of a recursion at a site, in its own width: to the end only where a trial
        promises it, and no further than a window needs."""
        problem = self.problem(variable, site)
        trials = raced(problem, *self._shown(variable), self.seeds, self.seed, ())
        if trials[0].held >= threshold("inside.promising"):
            trials = [finished(problem, trials[:1], (1 + threshold("inside.window")) / 2)]
        found = trials[0].exchange()
        return problem.score(self.pairs.test, found.E, found.D)

    def cell(
        self, variable: Variable, site: Site, rivals: Sequence[Variable], *, ended: bool = True
    ) -> Row:
        """S and S_r of a variable at a site: of a trial, or of a fit that went to its end."""
        key = (variable.name, site.name)
        if key not in self._begun:
            problem = self.problem(variable, site)
            trials = raced(problem, *self._shown(variable), self.seeds, self.seed)
            self._begun[key] = problem, trials
        problem, trials = self._begun[key]
        best = finished(problem, trials) if ended else trials[0]
        found = best.exchange()
        test = self.pairs.test
        S = problem.score(test, found.E, found.D)
        row = Row(
            site=site.name,
            variable=variable.name,
            kind=variable.kind,
            factorisation=variable.factorisation,
            k=found.k,
            start=found.start,
            steps=found.steps,
            S=S,
        )
        if not rivals:
            return row
        far = apart(variable, rivals, self.pairs)
        S_r = 1 - problem.mean_square(test, found.E, found.D) / max(far, 1e-300)
        return replace(row, S_r=max(S_r, -100.0), contrast=far / problem.no_change(test))

    def probed(self, variable: Variable, site: Site) -> tuple[float, float]:
        """R² of a linear probe at a site, and the best of the inputs' own controls."""
        values = probes.values_of(variable, self.pairs)
        inside = probes.explained(probes.at_site(self.network, site, self.pairs), values)
        if variable.name not in self._decodable:
            features = probes.input_controls(self.pairs, self.seed)
            self._decodable[variable.name] = max(
                probes.explained(x, values) for x in features.values()
            )
        return inside, self._decodable[variable.name]

    def controlled(self, row: Row, variable: Variable, site: Site) -> Row:
        """The row with placebo, random subspace, whole layer and ceiling."""
        problem = self.problem(variable, site)
        placebo = self._problem(variable, site, self._targets(variable, placebo=True))
        against = self.fitted(placebo, variable)
        test = self.pairs.test
        return replace(
            row,
            placebo=placebo.score(test, against.E, against.D),
            random=controls.random_subspace(problem, min(row.k or 1, problem.r), self.seed),
            whole=controls.whole_layer(problem),
            ceiling=controls.ceiling(variable, self.pairs, self.seed),
        )

    def of_another_robot(self, row: Row, variable: Variable, site: Site) -> Row:
        """The row with S of the same variable of another robot."""
        targets = controls.of_another_robot(variable, self.robot, self.pairs.scale, self.seed + 1)
        foreign = self._problem(variable, site, targets)
        other = self.fitted(foreign, variable)
        return replace(row, other_robot=foreign.score(self.pairs.test, other.E, other.D))

    def unfiltered(self, row: Row, variable: Variable, site: Site) -> Row:
        """The row with S where directions that never vary on data may be used; not fitted where it
        could add too little to be flagged."""
        most = threshold("inside.flagged")
        if self.basis(site).never_vary == 0 or row.S is None or row.S + most >= 1:
            return replace(row, S_all=row.S)
        problem = self.problem(variable, site, varying=False)
        found = self.fitted(problem, variable)
        S_all = max(problem.score(self.pairs.test, found.E, found.D), row.S)
        flagged = S_all - max(row.S, 0.0) > most
        return replace(row, S_all=S_all, flags=("dormant or duplicate path",) if flagged else ())

    def untrained(self, rows: Sequence[tuple[Row, Variable, Site]]) -> list[Row]:
        """The rows with S and R² in the same network with scrambled weights and a fitted readout;
        None where the network has no weights or does not answer then."""
        with controls.scrambled(self.network, self.seed) as has_weights:
            if not has_weights:
                return [row for row, _, _ in rows]
            pairs = controls.rerun(self.network, self.pairs)
            finite = all(self.network.output(p.values).isfinite().all() for p in pairs.all)
            return [
                self._scrambled_row(row, v, site, pairs) if finite else row for row, v, site in rows
            ]

    def _scrambled_row(self, row: Row, variable: Variable, site: Site, pairs: Pairs) -> Row:
        patched, own = controls.read_out(self.network, site, self.last, pairs)

        def plain(pair: Pair) -> Tensor:
            return own(pair, controls.read(self.last, pair.values, self.network.rows))

        answer: Answer = patched
        frame = basis(answer, site, pairs, self.network)
        frame = frame if variable.wide else frame.narrow()
        problem = Problem(answer, site, frame, pairs, self.network, self._targets(variable), plain)
        found = self.fitted(problem, variable)
        S = problem.score(pairs.test, found.E, found.D)
        values = probes.values_of(variable, pairs)
        r2 = probes.explained(probes.at_site(self.network, site, pairs), values)
        return replace(row, untrained=S if math.isfinite(S) else None, r2_untrained=r2)
