"""Fibre and tendon in series: pennation, rigid and elastic tendons, the length of the fibre.

The fibre pulls at an angle α on the tendon; its height over it, h = l_opt sin α0, is constant:

    fibre · sin α = h,     path = tendon + fibre · cos α

A rigid tendon keeps its slack length, so the path moves the fibre. Of an elastic tendon the length
of the fibre is a state, and its rate v balances both forces:

    (a fl(l) fv(v) + fp(l) + β v) cos α = ft(s)

With damping β > 0 the left side rises with v everywhere, and a fixed number of Newton steps from
rest solves it; without, fv has to be inverted, which has no answer where a·fl vanishes.

Source: Millard et al. (2013), equations 1 to 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinematics.muscles.activation import Activation
from kinematics.muscles.curves import TendonCurves, by_muscle, parameters, require

# Newton's steps from rest that reach rounding error in all families (Thelen's needs 7 and De Groote
# and Fregly's 6 of the first, measured over 20,000 states): with damping as in OpenSim's default,
# and with the smallest that OpenSim knows
_STEPS = {0.1: 8, 0.001: 12}
_HALVINGS = 60
_LEAST_LENGTH = 1e-9  # [m], of a fibre


@dataclass(frozen=True, kw_only=True, eq=False)
class HillForces:
    """The force law of nm Hill-type muscles of one family, see `curves.Forces`.

    curves, dynamics    their curves and activation dynamics
    strength    (nm,) F0 [N]
    optimal     (nm,) optimal fibre length l_opt [m]
    slack       (nm,) slack length of the tendon [m]
    pennation   (nm,) α0 at the optimal fibre length [rad]
    quickest    (nm,) v_max [l_opt/s]
    damping     (nm,) β, force in F0 at v = 1
    shortest    (nm,) the shortest fibre [m]; shorter ones bear no force
    least       (nm,) the smallest activation that acts
    compliant   True for elastic tendons, False for rigid ones
    """

    curves: TendonCurves
    dynamics: Activation
    strength: Tensor
    optimal: Tensor
    slack: Tensor
    pennation: Tensor
    quickest: Tensor
    damping: Tensor
    shortest: Tensor
    least: Tensor
    compliant: bool

    @classmethod
    def of(
        cls,
        curves: TendonCurves,
        dynamics: Activation,
        *,
        strength: Any,
        optimal: Any,
        slack: Any,
        pennation: Any = 0.0,
        quickest: Any = 10.0,
        damping: Any = 0.1,
        shortest: Any = 0.0,
        least: Any = 0.0,
        compliant: bool = False,
    ) -> HillForces:
        """From numbers, or one number a muscle. Raises RobotError.

        The shortest fibre is never below its height h.
        """
        values = parameters(
            strength=strength, optimal=optimal, slack=slack, pennation=pennation,
            quickest=quickest, damping=damping, shortest=shortest, least=least,
        )  # fmt: skip
        for name in ("strength", "optimal", "quickest"):
            require(name, values[name], values[name] > 0, "> 0")
        require("slack", values["slack"], values["slack"] >= 0, "≥ 0 m")
        if compliant:
            require("slack", values["slack"], values["slack"] > 0, "> 0 m of an elastic tendon")
        require("damping", values["damping"], values["damping"] >= 0, "≥ 0")
        angle = values["pennation"]
        require("pennation", angle, (angle >= 0) & (angle < torch.pi / 2), "in [0, π/2) rad")
        height = values["optimal"] * torch.sin(angle)
        values["shortest"] = torch.maximum(values["shortest"], height).clamp(min=_LEAST_LENGTH)
        return cls(curves=curves, dynamics=dynamics, compliant=compliant, **values)

    @property
    def nm(self) -> int:
        """Number of muscles."""
        return len(self.strength)

    @property
    def nf(self) -> int:
        """Number of fibres whose length is a state."""
        return self.nm if self.compliant else 0

    def force(self, length: Any, rate: Any, activation: Any, fibre: Tensor | None = None) -> Tensor:
        """Tension (…, nm) [N], see `curves.Forces.force`."""
        length, rate, a = by_muscle(self.nm, length=length, rate=rate, activation=activation)
        if not self.compliant:
            return self._rigid(length, rate, a)
        fibre = self.equilibrium(length, a) if fibre is None else fibre
        fibre = torch.maximum(torch.as_tensor(fibre).to(length), self.shortest.to(length))
        return self.strength.to(length) * self.curves.tendon(self._tendon_length(length, fibre))

    def _rigid(self, length: Tensor, rate: Tensor, a: Tensor) -> Tensor:
        along = length - self.slack.to(length)
        shortest = self.shortest.to(length)
        height = self._height(length)
        taut = along > torch.sqrt((shortest**2 - height**2).clamp(min=0))
        # where the fibre is slack its length is held, so that no gradient is lost to a root at zero
        along = torch.where(taut, along, shortest.clamp(min=_LEAST_LENGTH))
        fibre = torch.sqrt(along**2 + height**2)
        cosine = along / fibre
        optimal = self.optimal.to(length)
        n, v = fibre / optimal, rate * cosine / (optimal * self.quickest.to(length))
        a = self._acting(a)
        moving = self.curves.velocity(v, a)
        if self.curves.tension_only:
            moving = moving.clamp(min=0)
        force = a * self.curves.active(n) * moving + self.curves.passive(n)
        force = force + self.damping.to(length) * v
        if self.curves.tension_only:
            force = force.clamp(min=0)
        return torch.where(taut, self.strength.to(length) * force * cosine, torch.zeros_like(n))

    def equilibrium(self, length: Any, activation: Any) -> Tensor:
        """Fibre lengths (…, nf) [m] at which fibres at rest balance their tendons.

        By halving between the shortest fibre and one that leaves the tendon slack. Where even the
        shortest fibre is too strong for its tendon, or even a slack tendon is (a DeGroote tendon
        pushes), that end is the answer.
        """
        length, a = by_muscle(self.nm, length=length, activation=activation)
        if not self.compliant:
            return length[..., :0]
        a = self._acting(a)
        low = self.shortest.to(length).expand_as(length)
        along = (length - self.slack.to(length)).clamp(min=0)
        high = torch.maximum(torch.sqrt(along**2 + self._height(length) ** 2), low)
        rest = torch.zeros_like(length)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            strong = self._pull(length, a, middle, rest)[0] > 0  # the fibre gives way by shortening
            high = torch.where(strong, middle, high)
            low = torch.where(strong, low, middle)
        return 0.5 * (low + high)

    def fibre_rate(self, length: Any, rate: Any, activation: Any, fibre: Any) -> Tensor:
        """Rates (…, nf) [m/s] of the fibre lengths; the rate of the path does not enter."""
        if not self.compliant:
            return self.equilibrium(length, activation)
        length, a, fibre = by_muscle(self.nm, length=length, activation=activation, fibre=fibre)
        a, shortest = self._acting(a), self.shortest.to(length)
        held = torch.maximum(fibre, shortest)
        v = torch.zeros_like(length)
        for _ in range(self._steps):
            excess, slope = self._pull(length, a, held, v)
            v = v - excess / slope
        free = self._undamped(length, a, held)
        v = torch.where(self.damping.to(length) > 0, v, free)
        stopped = (fibre < shortest) | ((fibre <= shortest) & (v <= 0))
        v = torch.where(stopped, torch.zeros_like(v), v)
        return v * self.optimal.to(length) * self.quickest.to(length)

    def activation_rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (…, nm) [1/s] of excitations u (…, nm)."""
        return self.dynamics.rate(u, activation)

    @property
    def _steps(self) -> int:
        damped = self.damping[self.damping > 0]
        return min([n for least, n in _STEPS.items() if bool((damped >= least).all())] or [12])

    def _pull(self, length: Tensor, a: Tensor, fibre: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """How much more the fibre pulls than its tendon, in F0, and the slope of that in v."""
        cosine, n = self._cosine(fibre), fibre / self.optimal.to(length)
        active, damping = a * self.curves.active(n), self.damping.to(length)
        force = active * self.curves.velocity(v, a) + self.curves.passive(n) + damping * v
        slope = (active * self.curves.velocity_slope(v, a) + damping) * cosine
        tendon = self.curves.tendon(self._tendon_length(length, fibre))
        return force * cosine - tendon, slope

    def _undamped(self, length: Tensor, a: Tensor, fibre: Tensor) -> Tensor:
        """The rate v of fibres without damping: force–velocity, inverted."""
        n = fibre / self.optimal.to(length)
        tendon = self.curves.tendon(self._tendon_length(length, fibre))
        wanted = tendon / self._cosine(fibre) - self.curves.passive(n)
        return self.curves.rate(wanted / (a * self.curves.active(n)), a)

    def _tendon_length(self, length: Tensor, fibre: Tensor) -> Tensor:
        """In slack lengths."""
        return (length - fibre * self._cosine(fibre)) / self.slack.to(length)

    def _cosine(self, fibre: Tensor) -> Tensor:
        return torch.sqrt((1 - (self._height(fibre) / fibre) ** 2).clamp(min=1e-12))

    def _height(self, like: Tensor) -> Tensor:
        return self.optimal.to(like) * torch.sin(self.pennation.to(like))

    def _acting(self, a: Tensor) -> Tensor:
        """The activation that acts: within its limits in the families of pulling fibres."""
        return torch.maximum(a, self.least.to(a)).clamp(max=1) if self.curves.tension_only else a
