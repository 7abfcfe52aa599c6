"""The families of force laws as functions of a vector of parameters, to be fitted side by side.

Every family is F0 (a·fl(l)·fv(v) + fp(l) + β v) cos α over a rigid tendon, with its own curves. The
parameters are those that a reader of the field asks for, and the numbers of the curves that users
set. α0 enters as sin² α0, in which the force is smooth down to zero: as an angle its derivative
vanishes there, and its interval would be nonsense.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discover.errors import LawError
from discover.records import Stored
from kinematics.muscles.activation import FirstOrderActivation, MujocoActivation
from kinematics.muscles.exponentials import DeGrooteFreglyCurves, ThelenCurves
from kinematics.muscles.millard import MillardCurves
from kinematics.muscles.mujoco import MujocoCurves, MujocoForces
from kinematics.muscles.tendon import HillForces

Array = NDArray[Any]
_STEEPEST = math.sin(math.radians(60)) ** 2  # of pennation, as sin² α0


@dataclass(frozen=True)
class Parameter:
    """A fitted number: its bounds, where it starts, and how it is told.

    log      whether it is positive and fitted as its logarithm
    standard its value in the family's standard curves; None where it always is fitted
    """

    name: str
    unit: str
    low: float
    high: float
    start: float
    log: bool = True
    standard: float | None = None

    def inside(self, x: float) -> float:
        """As the fit has it."""
        return math.log(x) if self.log else x

    def outside(self, x: float) -> float:
        """As it is told."""
        return math.exp(x) if self.log else x


def _muscle(span: float, longest: float, force: float) -> list[Parameter]:
    return [
        Parameter("F0", "N", 1e-3 * force, 1e3 * force, force),
        Parameter("l_opt", "m", 0.05 * span, 20 * span, span),
        Parameter("v_max", "l_opt/s", 0.1, 100.0, 8.0),
        Parameter("l_slack", "m", 0.0, longest, 0.5 * longest, log=False),
        Parameter("sin² α0", "1", 0.0, _STEEPEST, 0.05, log=False),
        Parameter("β", "F0", 0.0, 1.0, 0.05, log=False),
    ]


def _curve(name: str, low: float, high: float, standard: float) -> Parameter:
    return Parameter(name, "1", low, high, standard, standard=standard)


_CURVES: dict[str, list[Parameter]] = {
    "MuJoCo": [
        _curve("shortest", 0.05, 0.95, 0.5),
        _curve("longest", 1.05, 4.0, 1.6),
        _curve("passive_at_longest", 0.01, 20.0, 1.3),
        _curve("lengthening", 1.01, 4.0, 1.2),
    ],
    "Millard": [
        _curve("passive_one", 0.3, 1.5, 0.7),
        _curve("lengthening", 1.1, 2.0, 1.4),
    ],
    "Thelen": [
        _curve("width", 0.1, 2.0, 0.45),
        _curve("passive_one", 0.2, 2.0, 0.6),
        _curve("curvature", 0.05, 1.0, 0.25),
        _curve("lengthening", 1.1, 3.0, 1.4),
    ],
    "De Groote–Fregly": [
        _curve("width", 0.5, 2.0, 1.0),
        _curve("passive_one", 0.2, 2.0, 0.6),
    ],
}
FAMILIES = tuple(_CURVES)
_HILL: dict[str, Callable[..., Any]] = {
    "Millard": MillardCurves.of,
    "Thelen": ThelenCurves.of,
    "De Groote–Fregly": DeGrooteFreglyCurves.of,
}


def parameters_of(family: str, region: Any, force: float) -> tuple[Parameter, ...]:
    """The parameters of a family for a muscle of this region and size of force [N]."""
    low, high = region.length
    muscle = _muscle(high - low, high, max(force, 1e-12))
    if family == "MuJoCo":
        # no tendon and no pennation: the path length at normalised length zero is what is left of
        # MuJoCo's ranges, and may be negative
        muscle = [
            *muscle[:3],
            Parameter("l_zero", "m", -20 * high, high, 0.0, log=False),
        ]
    return (*muscle, *_CURVES[family])


def forces(family: str, values: Mapping[str, Any]) -> HillForces | MujocoForces:
    """The force law of muscles with these parameters, numbers or one a muscle. Raises LawError,
    RobotError."""
    if family not in _CURVES:
        raise LawError(
            f"expected a family among {', '.join(FAMILIES)}, found {family!r}; choose one"
        )
    held = {name: np.atleast_1d(np.asarray(x, dtype=float)) for name, x in values.items()}
    shape = tuple((p.name, tuple(_one_if_equal(held[p.name]))) for p in _CURVES[family])
    v = {name: torch.as_tensor(x) for name, x in held.items()}
    if family == "MuJoCo":
        return MujocoForces(
            curves=MujocoCurves.of(**{name: list(x) for name, x in shape}),
            dynamics=MujocoActivation.of(),
            strength=v["F0"],
            optimal=v["l_opt"],
            start=v["l_zero"],
            low=torch.zeros_like(v["F0"]),
            quickest=v["v_max"],
        )
    return HillForces.of(
        _hill_curves(family, shape),
        FirstOrderActivation.of(),
        strength=v["F0"],
        optimal=v["l_opt"],
        slack=v["l_slack"],
        pennation=torch.asin(v["sin² α0"].sqrt()),
        quickest=v["v_max"],
        damping=v["β"],
    )


def _one_if_equal(x: Array) -> Array:
    return x[:1] if (x == x[0]).all() else x


@lru_cache(maxsize=64)  # Millard's are tables, which cost more than what is asked of them
def _hill_curves(family: str, shape: tuple[tuple[str, tuple[float, ...]], ...]) -> Any:
    return _HILL[family](**{name: list(x) for name, x in shape})


@dataclass(frozen=True, kw_only=True)
class FamilyLaw(Stored):
    """A force law of a family, with numbers: `law(length, rate, activation) -> tension [N]`."""

    family: str
    values: dict[str, float]

    @property
    def forces(self) -> HillForces | MujocoForces:
        """The law as the simulator has it, see `kinematics.muscles`."""
        return forces(self.family, self.values)

    @property
    def formula(self) -> str:
        """In one line."""
        v = self.values
        if self.family == "MuJoCo":
            n = f"(L − {v['l_zero']:.4g})/{v['l_opt']:.4g}"
            body = f"{v['F0']:.4g} (a·fl({n}) fv(v) + fp({n}))"
        else:
            angle = math.degrees(math.asin(math.sqrt(v["sin² α0"])))
            body = (
                f"{v['F0']:.4g} (a·fl(n) fv(v) + fp(n) + {v['β']:.3g} v) cos α, l_opt = "
                f"{v['l_opt']:.4g} m, l_slack = {v['l_slack']:.4g} m, α0 = {angle:.3g}°"
            )
        return f"F = {body}, v_max = {v['v_max']:.4g} l_opt/s; curves of {self.family}"

    def __call__(self, length: Any, rate: Any, activation: Any) -> Tensor:
        """Tensions [N] of batches of one muscle, any shape that broadcasts."""
        given = [torch.as_tensor(x) for x in (length, rate, activation)]
        given = [x if x.is_floating_point() else x.to(torch.float64) for x in given]
        wide = torch.broadcast_tensors(*given)
        return self.forces.force(*(x[..., None] for x in wide))[..., 0]

    def at(self, points: Array) -> Array:
        """Tensions (n,) at points (n, 3)."""
        return self(*torch.tensor(np.ascontiguousarray(points.T))).numpy()


def law_at(family: str, parameters: Sequence[Parameter], x: Array) -> FamilyLaw:
    """The law of a fitted vector."""
    values = {p.name: p.outside(float(y)) for p, y in zip(parameters, x, strict=True)}
    return FamilyLaw(family=family, values=values)


def tensions(family: str, parameters: Sequence[Parameter], X: Array, points: Array) -> Array:
    """Tensions (n, k) at points (n, 3) of k fitted vectors (k, parameters), all at once. Raises
    RobotError where one of them makes no muscle."""
    columns = {p.name: np.exp(X[:, i]) if p.log else X[:, i] for i, p in enumerate(parameters)}
    law = forces(family, columns)
    given = torch.tensor(points)[:, None, :].expand(-1, len(X), -1)
    return np.asarray(law.force(*given.unbind(-1)).numpy())
