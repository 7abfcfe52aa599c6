"""Memory of training samples: does the model return its samples rather than describe them?

Needs the training data, except for the response to tiny steps, which shows a raw table by itself.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Name
from discover.judgement.thresholds import threshold
from discover.laws.extensions.terms import joint_terms
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.selection import refit
from discover.probes.contract import Probe, Subject

_TINY = threshold("probes.tiny_step")
_STEPS = 16
_MAX_ROWS = 400  # training points that are asked again: a correlation needs no more
_ROUNDING = 1e-12  # of the spread: answers that differ by less are the same
_EXPLAINED = threshold("probes.labels_explained")
_LABELS_KNOWN = threshold("probes.label_noise_visible")


class FrozenSteps(Probe):
    """The share of tiny steps in (q, v, tau) to which the model does not respond at all."""

    measures = (Name.FROZEN_STEPS,)

    def measure(self, subject: Subject) -> dict[Name, float]:
        """Steps from the first held-out states, each in a random direction."""
        session, few = subject.session, subject.held_out[:_STEPS]
        generator = torch.Generator().manual_seed(session.seed + 41)

        def step(group: str) -> Tensor:
            width = _TINY * session.half_widths(group)
            shape = (len(few), len(width))
            return width * torch.randn(*shape, generator=generator, dtype=torch.float64)

        q, v, tau = session.move(few.q, step("q")), few.v + step("v"), few.commands + step("tau")
        frozen = (session.ask(q, v, tau).a - few.a).abs() <= _ROUNDING * subject.law.scale
        return {Name.FROZEN_STEPS: float(frozen.all(-1).double().mean())}


class TrainingMemory(Probe):
    """Model, labels and law compared at training points and at fresh points of the region.

    kept label noise  correlation, over training points, of label - law with model - law: a table
                      returns the noise of its labels; 0 where bodies and joint terms explain the
                      labels themselves to rounding, so that they carry none
    train/fresh gap   log10 of the error at fresh points over the error at training points, both
                      against the law
    error against distance  rank correlation of the error with the distance to the nearest sample
    """

    measures = (Name.KEPT_LABEL_NOISE, Name.TRAINING_GAP, Name.DISTANCE_LINK)

    def measure(self, subject: Subject) -> dict[Name, float]:
        """Nothing where the training data are not known."""
        session, law, fresh = subject.session, subject.law, subject.held_out
        training = session.training
        if training is None:
            return {}
        from scipy.spatial import cKDTree  # imported late: a second, where training data are given
        from scipy.stats import spearmanr

        generator = torch.Generator().manual_seed(session.seed + 43)
        samples = training[torch.randperm(len(training), generator=generator)[:_MAX_ROWS]]
        label = law.residual(samples)
        answer = law.residual(session.ask(samples.q, samples.v, samples.commands))
        visible = float(label.square().mean().sqrt()) > _LABELS_KNOWN * subject.noise.own
        visible = visible and not _noiseless(law, samples)
        fresh_error, sample_error = (
            r.square().mean(-1).sqrt() for r in (law.residual(fresh), answer)
        )
        gap = torch.log10((fresh_error.median() + 1e-15) / (sample_error.median() + 1e-15))
        distance, _ = cKDTree(_coordinates(session, training)).query(_coordinates(session, fresh))
        usable = bool(torch.isfinite(fresh_error).all()) and float(np.ptp(distance)) > 0
        link = float(spearmanr(distance, fresh_error.numpy()).statistic) if usable else 0.0
        return {
            Name.KEPT_LABEL_NOISE: _correlation(label, answer) if visible else 0.0,
            Name.TRAINING_GAP: float(gap),
            Name.DISTANCE_LINK: 0.0 if np.isnan(link) else link,
        }


def _noiseless(law: Fit, samples: Answers) -> bool:
    """Whether bodies and joint terms leave nothing but rounding of the labels."""
    robot = law.family.robot
    listed = [*law.family.terms, *joint_terms(robot)]
    terms = list({t.name: t for t in listed}.values())
    for kept in ([], terms):
        if refit(law, samples, kept).standardised_error(samples) < _EXPLAINED:
            return True
    return False


def _coordinates(session: QuerySession, x: Answers) -> np.ndarray:
    """States in half-widths."""
    h = [session.half_widths(g) for g in ("v", "tau")]
    width = session.half_widths("q")
    q = x.q / width if x.q.shape[-1] == len(width) else x.q / width.mean()
    return torch.cat([q, x.v / h[0], x.commands / h[1]], -1).numpy()


def _correlation(x: Tensor, y: Tensor) -> float:
    x, y = x.flatten(), y.flatten()
    x, y = x - x.mean(), y - y.mean()
    size = x.norm() * y.norm()
    return float((x @ y) / size) if size > 0 else 0.0
