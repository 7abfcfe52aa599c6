"""Local roughness: does the residual of a law change from sample to sample, as a table's does?

What a law misses of another law, of an integrator or of a network is smooth: along a short line it
hardly bends. What is interpolated between samples changes from one neighbourhood to the next, a
fraction of the region apart, and repeats when asked again: it is no noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from discover.blackbox.sampling import Batch
from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Name
from discover.judgement.thresholds import threshold
from discover.laws.rigid_body.fit import Fit
from discover.probes.contract import Probe, Subject

_STATES = 24
_STEP = 0.01  # half-widths: between the knots of a tabulated function all is still smooth
_SQUARES = 6.0  # of the weights 1, -2, 1 of a second difference
_DOUBT = 3.0  # standard errors of a variance
_ROUNDING = 3.0  # times the precision of the answers, below which there is no residual
_ENOUGH = threshold("probes.residual_worth_a_look")


class LocalRoughness(Probe):
    """The share of the residual in the region that does not last for a hundredth of a half-width in
    q, or in v, beyond noise: 0 for smooth departures, near 1 for tables.

    Medians over states count: a kink or a jump of another law is met by few of them.
    """

    measures = (Name.ROUGHNESS,)

    def measure(self, subject: Subject) -> dict[Name, float]:
        """No query where (nearly) no residual is left on the held-out answers."""
        session, law, noise = subject.session, subject.law, subject.noise
        residual = law.standardised_error(subject.held_out)
        floor = _ROUNDING * max(noise.level, _ENOUGH / _ROUNDING)
        if not math.isfinite(residual) or residual <= floor:
            return {Name.ROUGHNESS: 0.0}
        states = session.draw("grain", _STATES)
        middle = _residual(session, law, states)
        whole = _typical(middle)
        generator = torch.Generator().manual_seed(session.seed + 97)
        signs = torch.randn(states.v.shape, generator=generator, dtype=torch.float64).sign()
        variance = float((noise.sigma / law.scale).square().mean())
        variance *= 1.0 + _DOUBT * math.sqrt(2.0 / middle.numel())
        shares = [0.0]
        for group in ("q", "v"):
            step = _STEP * session.half_widths(group) * signs
            ahead, behind = (
                _residual(session, law, _moved(session, states, group, side * step))
                for side in (1.0, -1.0)
            )
            bend = _typical(ahead - 2 * middle + behind) / _SQUARES
            shares.append(math.sqrt(max(bend - variance, 0.0) / max(whole, 1e-300)))
        return {Name.ROUGHNESS: max(shares)}


def _typical(r: Tensor) -> float:
    """The median over states of the mean square over coordinates."""
    return float(torch.nan_to_num(r).square().mean(-1).median())


def _moved(session: QuerySession, states: Batch, group: str, step: Tensor) -> Batch:
    if group == "q":
        return Batch(session.move(states.q, step), states.v, states.tau)
    return Batch(states.q, states.v + step, states.tau)


def _residual(session: QuerySession, law: Fit, states: Batch) -> Tensor:
    return law.residual(session.ask(*states))
