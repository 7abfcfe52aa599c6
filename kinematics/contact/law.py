"""The laws of touching: MuJoCo's soft one and the hard one, and the numbers of a soft constraint.

Both end in the same convex problem a step (`kinematics.contact.problem`). A soft contact is a
spring and damper that asks for an acceleration of its gap, and gives way by a compliance R; a hard
one asks for a velocity and gives way by nothing but a small regularisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kinematics.errors import RobotError

CONES = ("elliptic", "pyramidal")
FRICTIONS = ("convex", "coulomb")

_TINY = 1e-15  # mjMINVAL
_LEAST, _MOST = 1e-4, 1 - 1e-4  # mjMINIMP, mjMAXIMP


@dataclass(frozen=True, kw_only=True)
class Soft:
    """MuJoCo's law: every contact's solref and solimp say how hard it pushes at which depth.

    cone      "elliptic" (friction within a circle or ellipse) or "pyramidal" (four edges)
    impratio  frictional over normal impedance, of elliptic cones; above one friction creeps less
    refsafe   whether time constants below two steps are raised to two steps
    """

    cone: str = "elliptic"
    impratio: float = 1.0
    refsafe: bool = True

    def __post_init__(self) -> None:
        if self.cone not in CONES:
            raise RobotError(
                f"expected a cone among {', '.join(CONES)}, found {self.cone!r}; choose one"
            )
        _within("impratio", self.impratio, low=0.0, high=math.inf, open_low=True)


@dataclass(frozen=True, kw_only=True)
class Hard:
    """Bodies do not enter each other; impacts keep a share of the approach speed.

    restitution     normal speed after over before an impact, 0 to 1 (Newton)
    friction        "coulomb", or "convex": of maximal dissipation over the whole contact velocity,
                    which lifts fast sliding bodies by dt · mu · speed
    correction      share of a depth that one step undoes, where bodies overlap (Baumgarte)
    regularisation  compliance, as a share of the contact's own inverse inertia; it decides how
                    redundant contacts share a load. At least 1e-4 in float32
    """

    restitution: float = 0.0
    friction: str = "convex"
    correction: float = 0.2
    regularisation: float = 1e-6

    def __post_init__(self) -> None:
        if self.friction not in FRICTIONS:
            raise RobotError(
                f"expected a friction among {', '.join(FRICTIONS)}, found {self.friction!r}; "
                "choose one"
            )
        _within("restitution", self.restitution, low=0.0, high=1.0)
        _within("correction", self.correction, low=0.0, high=1.0)
        _within("regularisation", self.regularisation, low=1e-12, high=1.0)


def _within(name: str, x: object, *, low: float, high: float, open_low: bool = False) -> None:
    try:
        value = float(x)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not (low < value if open_low else low <= value) or not value <= high or value == math.inf:
        bound = f"above {low:g}" if open_low else f"from {low:g} to {high:g}"
        raise RobotError(f"expected {name} as a number {bound}, found {x!r}; give one")


def impedance(solimp: Tensor, depth: Tensor) -> Tensor:
    """The impedance d (…) in (0, 1) of constraints with solimp (…, 5) at ``depth`` (…) [m | rad].

    d grows from solimp[0] at zero depth to solimp[1] at depth solimp[2], along two power curves of
    exponent solimp[4] that meet at the share solimp[3] of the way (MuJoCo, "Computation",
    section Impedance). A width of zero means the mean of both ends at every depth.
    """
    least, most, width, middle, power = solimp.unbind(-1)
    least, most = least.clamp(_LEAST, _MOST), most.clamp(_LEAST, _MOST)
    middle, power = middle.clamp(_LEAST, _MOST), power.clamp_min(1.0)
    flat = (width <= _TINY) | (least == most)
    share = (depth.abs() / torch.where(flat, 1.0, width)).clamp_max(1.0)
    below = share <= middle
    # powers only of what each curve is used for: their slopes elsewhere would be nan
    low = torch.where(below, share, middle)
    high = torch.where(below, 1 - middle, 1 - share)
    curve = torch.where(
        below,
        _power(low, power) / middle ** (power - 1),
        1 - _power(high, power) / (1 - middle) ** (power - 1),
    )
    return torch.where(flat, (least + most) / 2, least + curve * (most - least))


def _power(x: Tensor, p: Tensor) -> Tensor:
    """x**p for x >= 0 and p >= 1, with the slope zero (not nan) at x = 0."""
    zero = x <= 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, x) ** p)


def spring(solref: Tensor, solimp: Tensor, dt: float, *, refsafe: bool) -> tuple[Tensor, Tensor]:
    """Stiffness k (…) [1/s²] and damping b (…) [1/s] that solref (…, 2) asks for.

    solref is (time constant [s], damping ratio), or (-stiffness, -damping) where both are
    negative; both are divided by powers of the largest impedance (MuJoCo, "Modeling", section
    Solver parameters). A constraint's acceleration at zero force is -b·rate - k·d·depth.
    """
    first, second = solref.unbind(-1)
    most = solimp[..., 1].clamp(_LEAST, _MOST)
    constant = first.clamp_min(2 * dt) if refsafe else first
    standard = first > 0
    safe = torch.where(standard, constant, 1.0)
    k = torch.where(
        standard,
        1 / (most * safe * second).square().clamp_min(_TINY),
        -first / most.square(),
    )
    b = torch.where(second > 0, 2 / (most * safe).clamp_min(_TINY), -second / most)
    return k, b
