"""Memory: does the model remember its training samples rather than describe them?

Needs the training data, except for the response to tiny steps, which unmasks a raw table alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.stats import spearmanr
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.laws.rigid_body.fit import Fit

_TINY = 1e-3  # half-widths
_MAX_ROWS = 400  # training points that are asked again


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the training data tell.

    kept_noise         correlation, over training points, of label - law with model - law: a table
                       gives back the very noise of its labels
    gap                log10 of the error at fresh points over the error at training points,
                       both against the law
    distance_link      rank correlation of the error with the distance to the nearest sample
    """

    kept_noise: float
    gap: float
    distance_link: float


def frozen_fraction(session: QuerySession, answers: Answers, scale: Tensor) -> float:
    """The fraction of tiny steps in (q, v, tau) to which the model does not respond at all."""
    n = min(16, len(answers))
    generator = torch.Generator().manual_seed(session.seed + 41)
    nv = session.robot.nv

    def step(group: str) -> Tensor:
        return (
            _TINY
            * session.half_widths(group)
            * torch.randn(n, nv, generator=generator, dtype=torch.float64)
        )

    few = answers[:n]
    moved = session.ask(session.move(few.q, step("q")), few.v + step("v"), few.tau + step("tau"))
    still = (moved.a - few.a).abs() <= 1e-12 * scale
    return float(still.all(-1).double().mean())


def measure(
    session: QuerySession, law: Fit, training: Answers, fresh: Answers, floor: float
) -> Memory:
    """Compare model, labels and law at training points and at fresh points of the region."""
    generator = torch.Generator().manual_seed(session.seed + 43)
    rows = torch.randperm(len(training), generator=generator)[:_MAX_ROWS]
    seen = training[rows]
    at_seen = session.ask(seen.q, seen.v, seen.tau)
    label = law.residual(seen)
    answer = law.residual(at_seen)
    kept = _correlation(label, answer) if float(label.square().mean().sqrt()) > 3 * floor else 0.0
    fresh_error = law.residual(fresh).square().mean(-1).sqrt()
    seen_error = answer.square().mean(-1).sqrt()
    gap = float(torch.log10((fresh_error.median() + 1e-15) / (seen_error.median() + 1e-15)))
    tree = cKDTree(_coordinates(session, training))
    distance, _ = tree.query(_coordinates(session, fresh))
    usable = bool(torch.isfinite(fresh_error).all()) and float(np.ptp(distance)) > 0
    link = float(spearmanr(distance, fresh_error.numpy()).statistic) if usable else 0.0
    return Memory(kept_noise=kept, gap=gap, distance_link=0.0 if np.isnan(link) else link)


def _coordinates(session: QuerySession, x: Answers) -> np.ndarray:
    """States in half-widths."""
    h = [session.half_widths(g) for g in ("v", "tau")]
    width = session.half_widths("q")
    q = x.q / width if x.q.shape[-1] == len(width) else x.q / width.mean()
    return torch.cat([q, x.v / h[0], x.tau / h[1]], -1).numpy()


def _correlation(x: Tensor, y: Tensor) -> float:
    x, y = x.flatten(), y.flatten()
    x, y = x - x.mean(), y - y.mean()
    size = x.norm() * y.norm()
    return float((x @ y) / size) if size > 0 else 0.0
