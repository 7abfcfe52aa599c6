"""Inertia outside the region: does the response to forces stay that of bodies?

A model that is affine in tau by construction hides a table of H(q) from every test in v and tau.
Its response to forces shows it: H_law(q) · (∂a/∂tau · tau) is tau where law and model agree, and
drifts from it where the model's H is a table. Another law's inertia drifts as well; but a law's
response goes on changing with q far out, a table's settles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Name
from discover.judgement.thresholds import threshold
from discover.laws.rigid_body.fit import Fit
from discover.probes.contract import Probe, Subject

_SHELL = (2.0, 3.0)
_FAR = 10.0  # half-widths
_SETTLED = threshold("probes.response_settled")
_SILENT = 1e-6  # of the response inside: below this there is none
_FLOOR = 1e-9  # a misfit below this is rounding


class InertiaMisfit(Probe):
    """The misfit of the response to forces at 2–3 half-widths in q over that inside (medians),
    where the response settles far out; at most 1 where it goes on changing."""

    measures = (Name.INERTIA_MISFIT,)

    def measure(self, subject: Subject) -> dict[Name, float]:
        """Below the noise a misfit says nothing: the noise floor is the least that counts."""
        session, law = subject.session, subject.law
        floor = max(subject.noise.level, _FLOOR)
        n = max(8, 2 * session.budget.local)
        inside = session.draw("inertia", n)
        far = session.support.shell("q", *_SHELL, n, session.seed + 61)
        near, out = (_misfit(session, law, x.q, inside.tau) for x in (inside, far))
        growth = max(out, floor) / max(near, floor)
        if not _settles(session, inside.q, inside.tau):
            growth = min(growth, 1.0)
        return {Name.INERTIA_MISFIT: growth}


def _response(session: QuerySession, q: Tensor, tau: Tensor) -> Tensor:
    """∂a/∂tau · tau at rest (n, nv), by a central difference of full size."""
    still = torch.zeros(2 * len(q), session.robot.nv, dtype=q.dtype)
    answers = session.ask(torch.cat([q, q]), still, torch.cat([tau, -tau])).a
    return (answers[: len(q)] - answers[len(q) :]) / 2


def _misfit(session: QuerySession, law: Fit, q: Tensor, tau: Tensor) -> float:
    at_rest = torch.zeros(len(q), session.robot.nv, dtype=q.dtype)
    H, _ = law.family.inertia_and_bias(law.theta, q, at_rest, at_rest)
    force = (H @ _response(session, q, tau).unsqueeze(-1)).squeeze(-1)
    applied = _applied(session, tau)
    size = _size(session, applied)
    return _median(((force - applied) / size).norm(dim=-1) / (applied / size).norm(dim=-1))


def _applied(session: QuerySession, commands: Tensor) -> Tensor:
    """The part of the joint forces that turns round with the commands."""
    actuation = session.blackbox.actuation
    if actuation is None:
        return commands
    return (actuation.forces(commands) - actuation.forces(-commands)) / 2


def _size(session: QuerySession, applied: Tensor) -> Tensor:
    """What joint forces are measured by (nv,): the region's half-widths, or, of a model with
    controls, the largest that the joint has or, where it has none, that any has."""
    if not session.controlled:
        return session.half_widths("tau")
    size = applied.abs().amax(0)
    return torch.where(size > 0, size, size.max().clamp_min(1e-300))


def _settles(session: QuerySession, q: Tensor, tau: Tensor) -> bool:
    """Whether the response is the same at twice the distance, far out in q.

    A table's is, and a network's that has saturated; a law's goes on turning with the angles, or
    dies away as a power of them.
    """
    generator = torch.Generator().manual_seed(session.seed + 67)
    nv = session.robot.nv
    direction = torch.randn(len(q), nv, generator=generator, dtype=torch.float64)
    unit = direction / direction.abs().amax(-1, keepdim=True) * session.half_widths("q")
    near, there, beyond = (
        _response(session, session.move(q, far * unit), tau) for far in (0.0, _FAR, 2 * _FAR)
    )
    size = there.norm(dim=-1).clamp_min(_SILENT * _median(near.norm(dim=-1)))
    return _median((beyond - there).norm(dim=-1) / size) < _SETTLED


def _median(x: Tensor) -> float:
    x = x[torch.isfinite(x)]
    return float(x.median()) if len(x) else float("inf")
