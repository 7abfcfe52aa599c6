"""Does the model's inertia stay that of bodies outside, as configurations leave the region?

A model that is affine in tau by construction hides a table of H(q) from every test in v and tau.
Its response to forces does not hide it: H_law(q) · ∂a/∂tau is the identity where law and model
agree, and drifts from it where the model's H is a table.
"""

from __future__ import annotations

import torch

from discover.interview import Interview
from discover.laws.fit import Fit
from discover.probes.structure import force_response

_FAR = (2.0, 3.0)


def growth(interview: Interview, law: Fit, floor: float) -> float:
    """‖H_law ∂a/∂tau - 1‖ at 2–3 half-widths in q over the same inside (medians)."""
    n = interview.budget.local
    inside = interview.draw("inertia", n)
    far = interview.support.shell("q", *_FAR, n, interview.seed + 61)
    near, out = (_misfit(interview, law, x.q, x.v) for x in (inside, far))
    return max(out, floor) / max(near, floor)


def _misfit(interview: Interview, law: Fit, q: torch.Tensor, v: torch.Tensor) -> float:
    still = torch.zeros_like(v)
    response, _ = force_response(interview, q, still)
    H, _ = law.family.inertia_and_bias(law.theta, q, still, still)
    identity = torch.eye(v.shape[-1], dtype=v.dtype)
    size = (H @ response - identity).flatten(1).norm(dim=1) / v.shape[-1] ** 0.5
    size = size[torch.isfinite(size)]
    return float(size.median()) if len(size) else float("inf")
