"""The curves of a Hill-type muscle, and the contract of the laws of force made of them.

A Hill-type muscle pulls with F0 (a·fl(l)·fv(v) + fp(l)) cos α through a tendon ft(s). Families
differ in their curves only, all of which are dimensionless:

    l   fibre length in optimal fibre lengths
    v   fibre velocity in maximal shortening velocities, positive where the fibre lengthens
    s   tendon length in slack lengths

All parameters are numbers a muscle, (nm,); lengths and rates have the muscle on their last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from kinematics.errors import RobotError


class Curves(Protocol):
    """The curves of the fibres of nm muscles of one family, with the slopes Newton steps need.

    velocity    force–velocity multiplier. In Thelen's family it depends on the activation too
    """

    family: str

    def active(self, length: Tensor) -> Tensor:
        """fl(l), the active force–length multiplier (…, nm)."""

    def passive(self, length: Tensor) -> Tensor:
        """fp(l), the passive force in units of F0."""

    def passive_slope(self, length: Tensor) -> Tensor:
        """dfp/dl."""

    def velocity(self, rate: Tensor, activation: Tensor) -> Tensor:
        """fv(v), 1 at rest."""

    def velocity_slope(self, rate: Tensor, activation: Tensor) -> Tensor:
        """dfv/dv."""


class TendonCurves(Curves, Protocol):
    """The curves of muscles whose tendons may stretch.

    tension_only    whether a fibre on a rigid tendon never pushes
    """

    tension_only: bool

    def rate(self, multiplier: Tensor, activation: Tensor) -> Tensor:
        """v(fv), the inverse of `velocity`, for fibres without damping."""

    def tendon(self, length: Tensor) -> Tensor:
        """ft(s), the force of the tendon in units of F0."""

    def tendon_slope(self, length: Tensor) -> Tensor:
        """dft/ds."""


class Forces(Protocol):
    """The force law of nm muscles, of whatever family.

    Where tendons stretch, the lengths of their fibres are states of their own: nf of them.
    """

    @property
    def nm(self) -> int:
        """Number of muscles."""

    @property
    def nf(self) -> int:
        """Number of fibres whose length is a state: 0 if all tendons are rigid."""

    def force(self, length: Any, rate: Any, activation: Any, fibre: Tensor | None = None) -> Tensor:
        """Tension (…, nm) [N], positive where the muscle pulls.

        length (…, nm) [m] and rate (…, nm) [m/s] of the whole path, activation (…, nm) in [0, 1],
        fibre (…, nf) [m]; without it elastic tendons are in equilibrium with fibres at rest.
        """

    def equilibrium(self, length: Any, activation: Any) -> Tensor:
        """Fibre lengths (…, nf) [m] at which fibres at rest balance their tendons."""

    def fibre_rate(self, length: Any, rate: Any, activation: Any, fibre: Any) -> Tensor:
        """Rates (…, nf) [m/s] of the fibre lengths."""

    def activation_rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (…, nm) [1/s] of excitations u (…, nm)."""


def by_muscle(nm: int, **given: Any) -> tuple[Tensor, ...]:
    """Tensors of a last axis nm, in a common dtype, of numbers, arrays or tensors. RobotError."""
    out = []
    for name, x in given.items():
        x = as_tensor(x, name)
        if x.ndim and x.shape[-1] != nm:
            raise RobotError(
                f"expected {name} of {nm} muscles, found shape {tuple(x.shape)}; the last axis is "
                "the muscle"
            )
        out.append(x if x.ndim else x.expand(nm))
    dtype = out[0].dtype
    for x in out[1:]:
        dtype = torch.promote_types(dtype, x.dtype)
    return tuple(x.to(dtype) for x in out)


def as_tensor(x: Any, name: str) -> Tensor:
    """Numbers as a floating tensor, of double precision where they say none. RobotError."""
    try:
        # torch would take Python's numbers for single precision
        x = torch.as_tensor(x, dtype=None if hasattr(x, "dtype") else torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RobotError(
            f"expected {name} as numbers, found {str(x)[:60]!r}; give one number a muscle"
        ) from error
    return x if x.is_floating_point() else x.to(torch.float64)


def parameters(nm: int | None = None, /, **given: Any) -> dict[str, Tensor]:
    """Parameters of nm muscles as float64 (nm,) each; nm follows them if it is not given."""
    held = {name: as_tensor(x, name).to(torch.float64) for name, x in given.items()}
    size = max([nm or 1, *(x.numel() for x in held.values())])
    for name, x in held.items():
        if x.ndim > 1 or x.numel() not in (1, size):
            raise RobotError(
                f"expected {name} as one number or one a muscle ({size}), found shape "
                f"{tuple(x.shape)}; give (nm,) numbers"
            )
        if not bool(torch.isfinite(x).all()):
            raise RobotError(f"expected finite {name}, found {x.tolist()}; mend the muscle")
    return {name: x.expand(size).clone() for name, x in held.items()}


def require(name: str, x: Tensor, fits: Tensor, expected: str, names: Sequence[str] = ()) -> None:
    """RobotError that says which muscle's parameter is out of its range."""
    if bool(fits.all()):
        return
    at = int(torch.nonzero(~fits)[0])
    who = names[at] if names else f"muscle {at}"
    raise RobotError(
        f"expected {name} {expected}, found {float(x[at]):g} in {who}; mend the muscle"
    )
