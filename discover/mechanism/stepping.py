"""Accelerations out of a model of steps: what a step adds to them, taken off by a law of steps.

A model that answers with next states shows (v' - v) / dt, the mean over a step: near the
acceleration, but not affine in tau. A law found from that is near enough to tell the difference of
both, and a law found from the corrected answers nearer still (defect correction).
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from discover.blackbox.contract import Answers, BlackBox
from discover.blackbox.region import Region
from discover.laws.rigid_body.family import Family
from discover.laws.rigid_body.fit import Fit, fit_step_map
from discover.mechanism.geometry.canonical import answers
from discover.mechanism.inference import Structure, infer
from discover.mechanism.probing import Prober
from discover.mechanism.renumbering import configuration_order

_ROUNDS = 6
_BETTER = 0.5  # of the misfit of a = A tau + c, that a round must leave at most
_EXACT, _ROUGH = 1e-9, 0.05  # misfits with nothing left to correct, and too large for it


class Instantaneous(BlackBox):
    """A respondent of steps asked for accelerations, by a law of its steps.

    order   the model's coordinate behind each of the law's
    """

    def __init__(self, asked: BlackBox, law: Fit, order: tuple[int, ...]):
        super().__init__(asked.model, asked.nq, asked.nv, outputs=asked.outputs, dt=asked.dt)
        self.asked, self.law, self.order = asked, law, list(order)
        self._tally = asked._tally  # one count for the model

    def ask(self, q: Tensor, v: Tensor, tau: Tensor, *, strict: bool = True) -> Answers:
        """The model's answers with what a step of the law adds to its acceleration taken off."""
        told = self.asked.ask(q, v, tau, strict=strict)
        states = (
            q[:, configuration_order(self.order, self.nq)],
            v[:, self.order],
            tau[:, self.order],
        )
        law = self.law
        added = law.predict(*states) - law.family.acceleration(law.theta, *states)
        a = told.a.clone()
        a[:, self.order] -= added
        return replace(told, a=a)


def infer_from_steps(blackbox: BlackBox, region: Region, seed: int = 0) -> Structure:
    """Tree and geometry of a model that answers with next states."""
    found = infer(blackbox, region, seed)
    for _ in range(_ROUNDS):
        if not _EXACT < found.tree.noise < _ROUGH:
            break
        prober = Prober(blackbox=blackbox, region=region, seed=seed + 1)
        asked, _ = answers(prober, found.exact, found.order)
        assert blackbox.dt is not None
        law = fit_step_map(Family.of(found.exact), asked, blackbox.dt)
        again = infer(Instantaneous(blackbox, law, found.order), region, seed)
        if again.tree.noise > _BETTER * found.tree.noise:
            break
        found = again
    return replace(found, queries=blackbox.queries)
