"""Leave one joint out: does a law hold on all joints but one?

A joint whose answers are looked up spoils a fit of all joints together, and then a model seems to
follow no law anywhere. A fit without that joint's answers shows the law of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from discover.blackbox.contract import Answers, relative_error
from discover.laws.rigid_body.fit import Fit, fit

_SUSPECTS = 2  # joints whose answers are left out in turn, those that are furthest from the law
_UNSEEN = 1e12  # times a joint's spread: its residual counts for nothing


@dataclass(frozen=True, kw_only=True)
class LawOfOthers:
    """The law of all joints but `joint`, and its error (standardised) on their held-out answers."""

    law: Fit
    joint: int
    error: float

    def relative(self, x: Answers) -> float:
        """The law's relative error on the answers of those joints."""
        kept = [j for j in range(x.a.shape[-1]) if j != self.joint]
        return relative_error(self.law.predict(x.q, x.v, x.tau)[:, kept], x.a[:, kept])


def law_of_the_others(law: Fit, answers: Answers, held: Answers) -> LawOfOthers | None:
    """The best law of all joints but one; None for a lone joint, or where nothing is finite."""
    nv = answers.v.shape[-1]
    size = law.residual(held).square().mean(0)
    if nv < 2 or not bool(torch.isfinite(size).all()):
        return None
    laws = []
    for j in torch.argsort(size, descending=True, stable=True)[:_SUSPECTS].tolist():
        scale = law.scale.clone()
        scale[j] *= _UNSEEN
        again = fit(
            law.family,
            answers,
            start=law.theta,
            scale=scale,
            step=law.step,
        )
        r = again.residual(held)[:, [i for i in range(nv) if i != j]]
        error = float(r.square().mean().sqrt()) if bool(torch.isfinite(r).all()) else float("inf")
        laws.append(LawOfOthers(law=replace(again, scale=law.scale), joint=j, error=error))
    return min(laws, key=lambda f: f.error)
