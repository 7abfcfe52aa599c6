"""Local identities that every mechanical system obeys, measured on the model.

All by finite differences of the model's own answers. They *describe* what kind of law a model is;
an architecture can build them in, so by themselves they support no answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from discover import numerics
from discover.blackbox.session import QuerySession
from discover.judgement.evidence import Evidence, description
from discover.judgement.thresholds import threshold

_TAU_STEP = 1.0  # half-widths: wide, since the error of ∂a/∂tau is 2.5 · noise / step
_Q_STEP = 1e-2
_CHRISTOFFEL_QUERIES = threshold("probes.christoffel_queries")


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Relative violations, 0 for an exact mechanical system; None where not measured.

    tau_affinity     curvature of a in tau, over its slope
    symmetry         antisymmetric part of ∂a/∂tau over all of it
    definiteness     least eigenvalue of the symmetric part over the largest (positive is right)
    v_independence   change of ∂a/∂tau with v
    quadratic_bias   part of the bias odd in v and cubic or higher, over its size
    gravity_curl     antisymmetric part of ∂(gravity force)/∂q over all of it
    power            vᵀ(c - ½ Ḣ v) over |v||c|: does inertia do no work of its own?
    christoffel      c - Γ(∂H/∂q)(v, v) over the larger of both
    """

    tau_affinity: float | None = None
    symmetry: float | None = None
    definiteness: float | None = None
    v_independence: float | None = None
    quadratic_bias: float | None = None
    gravity_curl: float | None = None
    power: float | None = None
    christoffel: float | None = None


MEANING = {
    "tau_affinity": "curvature of a in tau over its slope; 0 for mechanics",
    "symmetry": "antisymmetric part of ∂a/∂tau; 0 for mechanics",
    "definiteness": "least over largest eigenvalue of ∂a/∂tau; positive for mechanics",
    "v_independence": "change of ∂a/∂tau with v; 0 for mechanics",
    "quadratic_bias": "departure of the bias from a quadratic in v; 0 without friction",
    "gravity_curl": "antisymmetric part of ∂(gravity force)/∂q; 0 if there is a potential",
    "power": "work done by inertia itself; 0 for mechanics",
    "christoffel": "departure of the velocity forces from what H(q) demands; 0 for mechanics",
}


def describe(session: QuerySession) -> list[Evidence]:
    """The measured identities as evidence that supports no answer."""
    return [
        description(f"structure: {name.replace('_', ' ')}", value, MEANING[name], null=0.0)
        for name, value in asdict(measure(session)).items()
        if value is not None
    ]


def measure(session: QuerySession) -> Identities:
    """All identities at a few random states of the region (medians)."""
    n = session.budget.local
    states = session.draw("structure", n)
    q, v = states.q, states.v
    still = torch.zeros_like(v)
    A, bend = force_response(session, q, v)
    A_still, _ = force_response(session, q, still)
    if not bool(torch.isfinite(A).all() & torch.isfinite(A_still).all()):
        return Identities()
    symmetric = 0.5 * (A + A.mT)
    size = A.flatten(1).norm(dim=1)
    eigenvalues = torch.linalg.eigvalsh(symmetric)
    common = {
        "tau_affinity": _median(bend),
        "symmetry": _median((A - A.mT).flatten(1).norm(dim=1) / (2 * size)),
        "definiteness": float((eigenvalues[:, 0] / eigenvalues.abs().amax(-1)).min()),
        "v_independence": _median((A - A_still).flatten(1).norm(dim=1) / size),
    }
    if not bool((torch.linalg.cond(A_still) < 1e12).all()):
        return Identities(**common)
    H = torch.linalg.inv(A_still)
    return Identities(**common, **_velocity_and_gravity(session, q, v, H))


def force_response(session: QuerySession, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """(∂a/∂tau by central differences (n, nv, nv), relative second difference (n,))."""
    nv, n = session.robot.nv, len(q)
    step = _TAU_STEP * session.half_widths("tau")
    offsets = torch.cat([torch.diag(step), -torch.diag(step), torch.zeros(1, nv).to(step)])
    rows = len(offsets)
    answers = session.ask(
        q.repeat_interleave(rows, 0), v.repeat_interleave(rows, 0), offsets.repeat(n, 1)
    ).a.reshape(n, rows, nv)
    plus, minus, centre = answers[:, :nv], answers[:, nv : 2 * nv], answers[:, 2 * nv :]
    slope = (plus - minus) / 2
    bend = (plus + minus - 2 * centre) / 2
    relative = bend.flatten(1).norm(dim=1) / slope.flatten(1).norm(dim=1).clamp_min(1e-300)
    return (slope / step[:, None]).mT, relative


def _velocity_and_gravity(session: QuerySession, q: Tensor, v: Tensor, H: Tensor) -> dict:
    nv = v.shape[-1]
    zero = torch.zeros_like(v)

    def rest(at: Tensor, w: Tensor) -> Tensor:
        return session.ask(at, w, torch.zeros_like(w)).a

    still = rest(q, zero)
    forward, backward, double = (rest(q, s * v) for s in (1.0, -1.0, 2.0))
    bend = forward + backward - 2 * still
    wide = double + rest(q, -2.0 * v) - 2 * still
    size = bend.norm(dim=-1)
    if not bool((size > 1e-9 * still.norm(dim=-1).clamp_min(1e-300)).all()):
        quadratic = None
    else:
        odd = (forward - backward).norm(dim=-1)
        quadratic = _median((wide - 4 * bend).norm(dim=-1) / (4 * size) + odd / size)
    result: dict[str, float | None] = {"quadratic_bias": quadratic}
    affordable = 4 * nv**2 <= _CHRISTOFFEL_QUERIES * session.budget.local
    several = session.budget.local > 1 or affordable
    gradient = _gravity_gradient(session, q) if several else None
    if gradient is not None:
        total = gradient.flatten(1).norm(dim=1)
        if bool((total > 1e-9).all()):
            result["gravity_curl"] = _median(
                (gradient - gradient.mT).flatten(1).norm(dim=1) / (2 * total)
            )
    c = -(H @ (0.5 * bend).unsqueeze(-1)).squeeze(-1)
    dH = _inertia_derivative(session, q, v)
    work = (v * (c - 0.5 * (dH @ v.unsqueeze(-1)).squeeze(-1))).sum(-1).abs()
    strength = v.norm(dim=-1) * torch.maximum(
        c.norm(dim=-1), (dH @ v.unsqueeze(-1)).squeeze(-1).norm(dim=-1)
    )
    if bool((strength > 1e-12).all()):
        result["power"] = _median(work / strength)
        if affordable:
            expected = _christoffel_force(session, q, v)
            size = torch.maximum(c.norm(dim=-1), expected.norm(dim=-1)).clamp_min(1e-300)
            result["christoffel"] = _median((c - expected).norm(dim=-1) / size)
    return result


def _inertia(session: QuerySession, q: Tensor) -> Tensor:
    A, _ = force_response(session, q, torch.zeros(len(q), session.robot.nv).to(q))
    return numerics.pinv(A)


def _inertia_derivative(session: QuerySession, q: Tensor, v: Tensor) -> Tensor:
    """dH/dt along v (n, nv, nv)."""
    h = _Q_STEP * session.half_widths("q").mean() / v.abs().amax(-1, keepdim=True)
    ahead, behind = (session.move(q, s * h * v) for s in (1.0, -1.0))
    return (_inertia(session, ahead) - _inertia(session, behind)) / (2 * h[..., None])


def _christoffel_force(session: QuerySession, q: Tensor, v: Tensor) -> Tensor:
    """The velocity-product force that follows from H alone, for coordinates that are lengths or
    angles: c_k = Σ (∂_i H_kj - ½ ∂_k H_ij) v_i v_j."""
    n, nv = v.shape
    derivatives = []
    for i in range(nv):
        h = float(_Q_STEP * session.half_widths("q")[i])
        unit = torch.zeros(n, nv, dtype=torch.float64)
        unit[:, i] = h
        ahead, behind = session.move(q, unit), session.move(q, -unit)
        derivatives.append((_inertia(session, ahead) - _inertia(session, behind)) / (2 * h))
    dH = torch.stack(derivatives, 1)  # n, i, j, k
    return torch.einsum("nikj,ni,nj->nk", dH, v, v) - 0.5 * torch.einsum("nkij,ni,nj->nk", dH, v, v)


def _gravity_gradient(session: QuerySession, q: Tensor) -> Tensor | None:
    """∂(H a(q, 0, 0))/∂q (n, nv, nv), for robots whose coordinates are lengths and angles."""
    robot = session.robot
    if robot.nq != robot.nv:
        return None
    n, nv = len(q), robot.nv
    zero = torch.zeros(n, nv, dtype=torch.float64)
    columns = []
    for i in range(nv):
        h = float(_Q_STEP * session.half_widths("q")[i])
        unit = zero.clone()
        unit[:, i] = h
        sides = []
        for s in (1.0, -1.0):
            at = session.move(q, s * unit)
            a = session.ask(at, zero, zero).a
            sides.append((_inertia(session, at) @ a.unsqueeze(-1)).squeeze(-1))
        columns.append((sides[0] - sides[1]) / (2 * h))
    return torch.stack(columns, -1)


def _median(x: Tensor) -> float:
    return float(x.median())
