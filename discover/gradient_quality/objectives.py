"""What is differentiated: scalar functions of a model's answers, in half-widths of a region.

An objective maps displacements x from a set of starts to numbers, through any model: one linear
function of one answer (`OneAnswer`), or the cost of a roll-out as a function of its controls
(`RollOut`). Model, simulator and estimators share it, so that they are asked the same questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.blackbox.region import Region
from discover.errors import ModelError
from kinematics import Robot, difference, integrate

Cost = Callable[[Tensor, Tensor, Tensor], Tensor]
_CHUNK = 32768  # states a call: memory


class Asked:
    """A model that is asked with its gradient kept: `queries` counts the states.

    model(q, v, u) -> a (B, nv), or (q_next, v_next). Questions go to it in its own dtype and on its
    own device; answers come back in float64 on the CPU. What it raises becomes one ModelError.
    """

    def __init__(
        self, model: Callable, robot: Robot, outputs: str, dt: float | None, name: str
    ) -> None:
        if not callable(model):
            raise ModelError(
                f"{name}: expected a callable model(q, v, tau), found {type(model).__name__}: wrap "
                "it in a function"
            )
        self.model, self.robot, self.outputs, self.dt, self.name = model, robot, outputs, dt, name
        self.queries = 0
        self.differentiable = True  # until an answer comes without a gradient
        held: list[Tensor] = []
        if isinstance(model, torch.nn.Module):
            held = [x for x in (*model.parameters(), *model.buffers()) if x.is_floating_point()]
        self.dtype = held[0].dtype if held else torch.float64
        self.device = held[0].device if held else torch.device("cpu")

    def __call__(self, q: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, ...]:
        """(a,) or (q_next, v_next) of states (B, nq), (B, nv), (B, nu)."""
        parts = [
            self._ask(q[i : i + _CHUNK], v[i : i + _CHUNK], u[i : i + _CHUNK])
            for i in range(0, len(q), _CHUNK)
        ]
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    def _ask(self, *state: Tensor) -> tuple[Tensor, ...]:
        n = len(state[0])
        self.queries += n
        given = [x.to(dtype=self.dtype, device=self.device) for x in state]
        followed = torch.is_grad_enabled() and any(x.requires_grad for x in given)
        try:
            out = self._called(given, followed)
        except (Exception, SystemExit) as error:  # not ours: whatever it raises is its answer
            said = " ".join(str(error).split())[:200] or "no message"
            raise ModelError(
                f"{self.name} raised {type(error).__name__} on a batch of {n} states: {said}"
            ) from error
        steps = self.outputs == "next_state"
        answers = out if isinstance(out, tuple | list) else (out,)
        widths = (self.robot.nq, self.robot.nv) if steps else (self.robot.nv,)
        right = len(answers) == len(widths) and all(
            isinstance(a, Tensor | np.ndarray) and tuple(a.shape) == (n, w)
            for a, w in zip(answers, widths, strict=True)
        )
        if not right:
            wanted = "(q_next, v_next)" if steps else "accelerations"
            shapes = ", ".join(f"({n}, {w})" for w in widths)
            found = ", ".join(str(tuple(getattr(a, "shape", ()))) for a in answers)
            raise ModelError(
                f"{self.name}: expected {wanted} of shape {shapes} for {n} states, found {found}; "
                "outputs= says what it answers"
            )
        tensors = tuple(torch.as_tensor(a).to("cpu", torch.float64) for a in answers)
        if followed:
            self.differentiable &= all(a.requires_grad for a in tensors)
        return tensors

    def _called(self, given: list[Tensor], followed: bool) -> Any:
        """The model's answer; where it refuses tensors with a gradient, without one."""
        if followed and not self.differentiable:
            given, followed = [x.detach() for x in given], False
        try:
            return self.model(*given)
        except RuntimeError:
            if not followed:
                raise
            self.differentiable = False
            return self.model(*(x.detach() for x in given))

    def step(self, q: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The next state; of accelerations by one semi-implicit Euler step."""
        if self.outputs == "next_state":
            q_next, v_next = self(q, v, u)
            return q_next, v_next
        assert self.dt is not None
        v_next = v + self.dt * self(q, v, u)[0]
        return integrate(self.robot, q, v_next, self.dt), v_next


@dataclass(frozen=True, kw_only=True, eq=False)
class Starts:
    """S states q (S, nq), v (S, nv) and controls u (S, nu), and half-widths (nv,), (nv,), (nu,)."""

    q: Tensor
    v: Tensor
    u: Tensor
    half: tuple[Tensor, Tensor, Tensor]
    commanded: str = "tau"

    def __len__(self) -> int:
        return len(self.q)


@dataclass(frozen=True, kw_only=True, eq=False)
class OneAnswer:
    """A linear function, drawn for each start, of how one answer changes the state.

    x (S, N, 2 nv + nu) displaces q (in the tangent space), v and u, in half-widths. Of a step the
    change (q_next ⊖ q, v_next − v) counts, for the state that is merely carried over would drown
    the rest. `weights` (S, ny).
    """

    robot: Robot
    starts: Starts
    weights: Tensor

    @property
    def dim(self) -> int:
        """Coordinates of x."""
        return 2 * self.robot.nv + self.starts.u.shape[1]

    @property
    def directions(self) -> dict[str, Tensor]:
        """Unit directions (dim,) by name: one a coordinate."""
        nv, unit = self.robot.nv, torch.eye(self.dim, dtype=torch.float64)
        names = [f"{g}[{k}]" for g in ("q", "v") for k in range(nv)]
        names += [f"{self.starts.commanded}[{k}]" for k in range(self.dim - 2 * nv)]
        return dict(zip(names, unit, strict=True))

    def __call__(self, asked: Asked, x: Tensor) -> Tensor:
        """(S, N) of displacements (S, N, dim)."""
        return (self.changes(asked, x) * self.weights[:, None]).sum(-1)

    def changes(self, asked: Asked, x: Tensor) -> Tensor:
        """What one answer changes (S, N, ny), unweighted: a, or (q_next ⊖ q, v_next − v)."""
        s, n = x.shape[:2]
        nv, at = self.robot.nv, self.starts
        parts = (x[..., :nv], x[..., nv : 2 * nv], x[..., 2 * nv :])
        dq, dv, du = (p * h for p, h in zip(parts, at.half, strict=True))
        q = integrate(self.robot, at.q[:, None].expand(s, n, -1), dq)
        v, u = at.v[:, None] + dv, at.u[:, None] + du
        flat = [y.reshape(s * n, -1) for y in (q, v, u)]
        answers = asked(*flat)
        if len(answers) == 2:
            moved = difference(self.robot, flat[0], answers[0])
            answers = (torch.cat((moved, answers[1] - flat[1]), -1),)
        return answers[0].view(s, n, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class RollOut:
    """A cost of K steps as a function of their controls.

    x (S, N, K nu) displaces the controls u (S, K, nu) of the starts, in half-widths.
    `cost(q, v, u)` takes (B, K + 1, nq), (B, K + 1, nv), (B, K, nu) and gives (B,). Give it the
    task's own term: a price on controls has a gradient everywhere and hides dead ones.
    """

    robot: Robot
    starts: Starts
    controls: Tensor
    cost: Cost

    @property
    def dim(self) -> int:
        """Coordinates of x."""
        return self.controls.shape[1] * self.controls.shape[2]

    @property
    def directions(self) -> dict[str, Tensor]:
        """Unit directions (dim,) by name: each control, the same in all steps."""
        steps, nu = self.controls.shape[1:]
        unit = torch.eye(nu, dtype=torch.float64).repeat(1, steps) / steps**0.5
        return {f"{self.starts.commanded}[{k}]": unit[k] for k in range(nu)}

    def __call__(self, asked: Asked, x: Tensor) -> Tensor:
        """(S, N) of displacements (S, N, dim)."""
        s, n = x.shape[:2]
        steps, nu = self.controls.shape[1:]
        u = self.controls[:, None] + x.view(s, n, steps, nu) * self.starts.half[2]
        u = u.reshape(s * n, steps, nu)
        q = self.starts.q[:, None].expand(s, n, -1).reshape(s * n, -1)
        v = self.starts.v[:, None].expand(s, n, -1).reshape(s * n, -1)
        path = [(q, v)]
        for k in range(steps):
            path.append(asked.step(*path[-1], u[:, k]))
        states = [torch.stack(column, 1) for column in zip(*path, strict=True)]
        value = self.cost(states[0], states[1], u)
        if not (isinstance(value, Tensor) and tuple(value.shape) == (s * n,)):
            raise ModelError(
                f"expected cost(q, v, u) as a tensor ({s * n},) for {s * n} roll-outs, found "
                f"{tuple(getattr(value, 'shape', ())) or type(value).__name__}"
            )
        return value.view(s, n)


Objective = OneAnswer | RollOut


@dataclass(kw_only=True)
class Contenders:
    """Model, simulator and whatever else is judged beside them, by name."""

    model: Asked
    truth: Asked
    beside: Mapping[str, Asked] = field(default_factory=dict)


def starts_of(robot: Robot, box: Region, given: int | tuple[Any, Any, Any], seed: int) -> Starts:
    """Starts drawn in the box, or the given (q, v, u). Raises RegionError and ModelError."""
    from discover.blackbox.sampling import sample

    if isinstance(given, int):
        batch = sample(box, robot, given, seed)
        q, v, u = batch.q, batch.v, batch.tau
    else:
        q, v, u = (torch.as_tensor(x, dtype=torch.float64) for x in given)
        widths = (robot.nq, robot.nv, len(box.tau.low))
        found = tuple(tuple(x.shape) for x in (q, v, u))
        if len({len(x) for x in (q, v, u)}) > 1 or any(
            x.ndim != 2 or x.shape[1] != w for x, w in zip((q, v, u), widths, strict=True)
        ):
            raise ModelError(
                f"starts: expected q (S, {widths[0]}), v (S, {widths[1]}), controls "
                f"(S, {widths[2]}), found {found}"
            )
        if not all(bool(torch.isfinite(x).all()) for x in (q, v, u)):
            raise ModelError(
                "starts: expected finite numbers, found NaN or infinity; leave them out"
            )
    half = (box.q.half_width, box.v.half_width, box.tau.half_width)
    return Starts(q=q, v=v, u=u, half=half, commanded="tau" if box.u is None else "u")
