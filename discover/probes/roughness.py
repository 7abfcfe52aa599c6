"""Has what a law leaves over the grain of remembered samples?

What a law misses of another law, of an integrator or of a network is smooth: along a short line it
hardly bends. What is interpolated between samples changes from one neighbourhood to the next, a
fraction of the region apart, and it does so again when asked again: it is no noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from discover.blackbox.contract import Answers
from discover.blackbox.sampling import Batch
from discover.blackbox.session import QuerySession
from discover.laws.rigid_body.fit import Fit
from discover.probes.noise import Floor

_STATES = 24
_STEP = 0.01  # half-widths: between the knots of a tabulated function all is still smooth
_SQUARES = 6.0  # of the weights 1, -2, 1 of a second difference
_DOUBT = 3.0  # standard errors of a variance
_BEYOND = 3.0  # times the precision of the answers, below which there is nothing left over
_ENOUGH = 1e-3  # standardised: a law that leaves no more describes the model, whatever is left


def share(session: QuerySession, law: Fit, floor: Floor, held: Answers) -> float:
    """The share of what the law leaves over in the region that does not last for _STEP half-widths
    in q, or in v, beyond noise: 0 for smooth departures, near 1 for tables.

    Medians over states count: a kink or a jump of another law is met by few of them. Nothing is
    asked where (nearly) nothing is left over on the answers `held`.
    """
    left = law.standardised_error(held)
    if not math.isfinite(left) or left <= _BEYOND * max(floor.level, _ENOUGH / _BEYOND):
        return 0.0
    states = session.draw("grain", _STATES)
    middle = _residual(session, law, states)
    whole = _typical(middle)
    generator = torch.Generator().manual_seed(session.seed + 97)
    signs = torch.randn(states.v.shape, generator=generator, dtype=torch.float64).sign()
    noise = float((floor.sigma / law.scale).square().mean())
    noise *= 1.0 + _DOUBT * math.sqrt(2.0 / middle.numel())
    found = [0.0]
    for group in ("q", "v"):
        step = _STEP * session.half_widths(group) * signs
        ahead, behind = (
            _residual(session, law, _moved(session, states, group, s * step)) for s in (1.0, -1.0)
        )
        bend = _typical(ahead - 2 * middle + behind) / _SQUARES
        found.append(math.sqrt(max(bend - noise, 0.0) / max(whole, 1e-300)))
    return max(found)


def _typical(r: Tensor) -> float:
    """The median over states of the mean square over coordinates."""
    return float(torch.nan_to_num(r).square().mean(-1).median())


def _moved(session: QuerySession, states: Batch, group: str, step: Tensor) -> Batch:
    if group == "q":
        return Batch(session.move(states.q, step), states.v, states.tau)
    return Batch(states.q, states.v + step, states.tau)


def _residual(session: QuerySession, law: Fit, states: Batch) -> Tensor:
    return law.residual(session.ask(*states))
