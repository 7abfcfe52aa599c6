"""The contract of world models, and how to add a family.

A model maps (q, v, tau) to accelerations, next states or increments. Its normalisation and its
features of q belong to it and are stored in its checkpoint.

A family is one file, `models/families/<kind>.py`, and one line in `models/registry.py`. The file
holds a subclass of `WorldModel` (or of `mechanics.Continuous`, which integrates an acceleration)
with
  kind           its name in recipes and checkpoints
  config_schema  a `ModelConfig` dataclass of its options, each with a default
  assemble()     makes its layers, from `layout`, `config`, `outputs` and `dt`
  respond(...)   the regressed vector (B, n_out) in physical units: accelerations, or for models
                 of steps displacement and change of velocity side by side
and, where it needs them, `fit` with trained_by = "fit" (learns in one go), `loss`, `calibrate`,
`may_answer`, `history` (past samples read) and `grows` (buffers sized by the data). It knows the
robot through `layout` only and never imports `kinematics`. What it learns must be parameters or
buffers: a checkpoint stores nothing else. Recipes, training, checkpoints, reports and `discover
list models` need no change.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.layout import Layout, advance, displacement, features

Outputs = Literal["acceleration", "next_state", "increment"]
OUTPUTS: tuple[Outputs, ...] = ("acceleration", "next_state", "increment")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Options of every family; each family adds fields."""

    trig: bool = False
    """Feed angles as (sine, cosine) instead of raw radians."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What a model is trained or checked on.

    q (N, nq), v (N, nv), tau (N, nv), target: accelerations (N, nv), or for models of steps the
    displacement and the change of velocity over dt, side by side (N, 2 nv). past (N, history,
    nq + nv): configurations and torques up to now, oldest first, for models with memory. future
    (N, steps, nv + nq + nv): the torque of each further step and the state it leads to.
    """

    q: Tensor
    v: Tensor
    tau: Tensor
    target: Tensor
    past: Tensor | None = None
    future: Tensor | None = None

    def __len__(self) -> int:
        return self.q.shape[0]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Samples:
        changed = {k: change(x) for k, x in vars(self).items() if x is not None}
        return Samples(**changed)

    def to(self, *args: Any) -> Samples:
        return self._each(lambda x: x.to(*args))

    def take(self, index: Tensor) -> Samples:
        return self._each(lambda x: x[index])


def read_config(family: str, schema: type[ModelConfig], options: Mapping[str, Any]) -> ModelConfig:
    """Options as the family's configuration; an unknown key names the nearest valid one."""
    valid = [field.name for field in fields(schema)]
    for key in options:
        if key not in valid:
            near = difflib.get_close_matches(key, valid, n=1) or valid
            raise ModelError(
                f"model '{family}' has no option '{key}'; did you mean '{near[0]}'? "
                f"(options: {', '.join(valid)})"
            )
    return schema(**options)


class WorldModel(nn.Module, ABC):
    """Base of all families: forward(q, v, tau) -> a, or the next state, or the increment.

    q (…, nq) [rad | m], v (…, nv) [rad/s | m/s], tau (…, nv) [N·m | N], torch or numpy.
    outputs = "acceleration": a (…, nv) [rad/s² | m/s²];
    "next_state": (q_next (…, nq), v_next (…, nv)) after dt seconds;
    "increment": (displacement (…, nv), change of v (…, nv)) over dt seconds.
    The answer has the dtype and device of q; the weights keep theirs.
    """

    kind: ClassVar[str]
    config_schema: ClassVar[type[ModelConfig]] = ModelConfig
    trained_by: ClassVar[Literal["gradient", "fit"]] = "gradient"
    may_answer: ClassVar[tuple[Outputs, ...]] = OUTPUTS
    needs_robot: ClassVar[bool] = False
    """Whether it is built on the robot's description: a white-box control."""
    history: int = 1
    """Samples read at once, the present one included; more than one needs trajectories."""
    grows: ClassVar[tuple[str, ...]] = ()
    """Buffers whose size depends on the training data."""

    input_mean: Tensor
    input_scale: Tensor
    target_mean: Tensor
    target_scale: Tensor
    target_rms: Tensor

    def __init__(
        self,
        layout: Layout,
        config: ModelConfig,
        *,
        outputs: Outputs = "acceleration",
        dt: float | None = None,
    ) -> None:
        super().__init__()
        if outputs not in self.may_answer:
            raise ModelError(
                f"model '{self.kind}' answers {' or '.join(self.may_answer)}, not '{outputs}'"
            )
        if outputs != "acceleration" and not (dt is not None and dt > 0):
            raise ModelError(f"outputs '{outputs}' need a step dt > 0 in seconds, found {dt}")
        if outputs == "acceleration":
            dt = None  # accelerations know no step
        self.layout = layout
        self.config = config
        self.outputs: Outputs = outputs
        self.dt = dt
        self.card: dict[str, Any] = {}
        width = layout.nv if outputs == "acceleration" else 2 * layout.nv
        zero = torch.zeros(1, layout.nq, dtype=torch.float64)
        n_in = features(layout, zero, config.trig).shape[-1] + 2 * layout.nv
        self.register_buffer("input_mean", torch.zeros(n_in))
        self.register_buffer("input_scale", torch.ones(n_in))
        self.register_buffer("target_mean", torch.zeros(width))
        self.register_buffer("target_scale", torch.ones(width))
        self.register_buffer("target_rms", torch.ones(width))
        self.assemble()

    # ---- what a family implements -----------------------------------------------------------

    @abstractmethod
    def assemble(self) -> None:
        """Make the layers, from `layout`, `config`, `outputs` and `dt`. Raises ModelError on
        options that cannot be met."""

    @abstractmethod
    def respond(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """The regressed vector (B, n_out) in physical units; inputs are (B, …) in our dtype."""

    def fit(self, samples: Samples) -> None:
        """Learn in one go: families with trained_by = "fit". ModelError for all others."""
        raise ModelError(
            f"expected a family that learns in one go, found {self.kind!r}, which learns by "
            "gradient: use discover.training.train"
        )

    # ---- what all share ---------------------------------------------------------------------

    def inputs(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        """Observed and normalised inputs (B, n_in)."""
        x = torch.cat((features(self.layout, q, self.config.trig), v, tau), dim=-1)
        return (x - self.input_mean) / self.input_scale

    def to_units(self, y: Tensor) -> Tensor:
        """Normalised outputs (B, n_out) back in physical units."""
        return y * self.target_scale + self.target_mean

    @torch.no_grad()
    def calibrate(self, samples: Samples) -> None:
        """Set the normalisation from training samples (float64 sums, whatever the dtype)."""
        s = samples.to(torch.float64)
        x = torch.cat((features(self.layout, s.q, self.config.trig), s.v, s.tau), dim=-1)
        spread = x.std(dim=0, correction=0)
        self.input_mean.copy_(x.mean(dim=0))
        self.input_scale.copy_(torch.where(spread > 1e-9, spread, torch.ones_like(spread)))
        spread = s.target.std(dim=0, correction=0)
        rms = s.target.square().mean(dim=0).sqrt()
        self.target_mean.copy_(s.target.mean(dim=0))
        self.target_scale.copy_(torch.where(spread > 1e-12, spread, torch.ones_like(spread)))
        self.target_rms.copy_(torch.where(rms > 1e-12, rms, torch.ones_like(rms)))

    def learnable(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """Inputs and targets for families that learn in one go: normalised by these samples, in
        our dtype."""
        self.calibrate(samples)
        converted = samples.to(self.target_scale)
        y = (converted.target - self.target_mean) / self.target_scale
        return self.inputs(converted.q, converted.v, converted.tau), y

    def forward(self, q: Any, v: Any, tau: Any) -> Any:
        q, v, tau = (torch.as_tensor(x) for x in (q, v, tau))
        layout = self.layout
        for name, x, n in (("q", q, layout.nq), ("v", v, layout.nv), ("tau", tau, layout.nv)):
            if x.shape[-1:] != (n,):
                raise ModelError(
                    f"{name}: expected last axis {n}, found shape {tuple(x.shape)}; "
                    f"this model was built for nq={layout.nq}, nv={layout.nv}"
                )
        batch = torch.broadcast_shapes(q.shape[:-1], v.shape[:-1], tau.shape[:-1])
        flat = [
            x.expand(*batch, x.shape[-1]).reshape(-1, x.shape[-1]).to(self.target_scale)
            for x in (q, v, tau)
        ]
        answer = self.respond(*flat).to(q).reshape(*batch, -1)
        if self.outputs == "acceleration":
            return answer
        step, change = answer.split(layout.nv, dim=-1)
        if self.outputs == "increment":
            return step, change
        return advance(layout, q, step), v + change

    def loss(self, samples: Samples) -> Tensor:
        """Mean squared error, each coordinate in units of its root mean square: the square of the
        relative error used everywhere."""
        error = self.respond(samples.q, samples.v, samples.tau) - samples.target
        return (error / self.target_rms).square().mean()

    def rollout_loss(self, samples: Samples) -> Tensor:
        """The mean loss over several steps, each from the model's own last state."""
        if samples.future is None:
            return self.loss(samples)
        n, nq = self.layout.nv, self.layout.nq
        total = self.loss(samples)
        y = self.respond(samples.q, samples.v, samples.tau)
        q, v = advance(self.layout, samples.q, y[:, :n]), samples.v + y[:, n:]
        for ahead in samples.future.unbind(1):
            tau, q_true, v_true = ahead.split((n, nq, n), dim=-1)
            y = self.respond(q, v, tau)
            q, v = advance(self.layout, q, y[:, :n]), v + y[:, n:]
            error = torch.cat((displacement(self.layout, q_true, q), v - v_true), dim=-1)
            total = total + (error / self.target_rms).square().mean()
        return total / (1 + samples.future.shape[1])

    def target_of(self, q: Tensor, v: Tensor, q_next: Tensor, v_next: Tensor) -> Tensor:
        """What `respond` should give for a recorded transition (N, 2 nv)."""
        return torch.cat((displacement(self.layout, q, q_next), v_next - v), dim=-1)

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over stored tensors; buffers that grow with the data take the stored shape."""
        for name in self.grows:
            if name in tensors:
                self.register_buffer(name, torch.empty_like(tensors[name]))
        self.load_state_dict(dict(tensors), strict=True)

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def describe(self) -> dict[str, Any]:
        """Everything needed to build this model again, JSON-able."""
        return {
            "kind": self.kind,
            "config": asdict(self.config),
            "layout": self.layout.to_dict(),
            "outputs": self.outputs,
            "dt": self.dt,
        }
