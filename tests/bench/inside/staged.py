"""Exact algorithms as deep networks: one stage a step, the state mixed obliquely between stages.

Between two stages the whole state passes through a random matrix of chosen condition, so no unit
holds a variable, and the directions that hold two variables are not orthogonal. The mixed state is
the output of a submodule `mixed.K`; stage K reads it and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tests.bench.inside.bodies import Body, Mechanics, base_first, tip_first

_CONSTANT = 1e-9  # spread over size of an entry that never varies: its size is its unit

State = dict[str, Tensor]  # name -> (B, ...)
Step = Callable[[State], State]


class Staged(nn.Module):
    """forward(q, v, tau) -> a (B, nv), through `steps`, each state but the last packed and mixed.

    first      (q, v, tau) -> state
    steps      state -> state; the last one's has the entry "a"
    condition  of each mixing matrix, in coordinates of unit spread over the region,
               of unit size where an entry never varies
    """

    def __init__(
        self, first: nn.Module, steps: Sequence[Step], body: Body, seed: int, condition: float
    ) -> None:
        super().__init__()
        self.first = first
        self.steps = list(steps)
        for k, step in enumerate(self.steps):
            if isinstance(step, nn.Module):
                self.add_module(f"step_{k}", step)
        rng = np.random.default_rng([seed, 11])
        self.shapes: list[dict[str, tuple[int, ...]]] = []
        mixed, back = [], []
        with torch.no_grad():
            state = first(*body.states(512, seed + 1))
            for step in self.steps:
                self.shapes.append({k: tuple(x.shape[1:]) for k, x in state.items()})
                flat = pack(state)
                spread = flat.std(0)
                size = flat.abs().amax(0)
                spread = torch.where(spread > _CONSTANT * size, spread, size)
                spread = torch.where(size > 0, spread, 1.0)
                there, again = oblique(flat.shape[1], condition, rng)
                mixed.append(_linear(there / spread))
                back.append(_linear(spread[:, None] * again))
                state = step(state)
        self.mixed = nn.ModuleList(mixed)
        self.unmixed = nn.ModuleList(back)

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
        state = self.first(q, v, tau)
        for k, step in enumerate(self.steps):
            flat = self.mixed[k](pack(state))
            state = step(unpack(self.unmixed[k](flat), self.shapes[k]))
        return state["a"]

    def states(self, q: Tensor, v: Tensor, tau: Tensor) -> list[State]:
        """The state before each step, by name: what the network holds, for tests of the plant."""
        found = [self.first(q, v, tau)]
        for step in self.steps[:-1]:
            found.append(step(found[-1]))
        return found

    def after(self, k: int, state: State) -> Tensor:
        """The answer (B, nv) that follows from a state before step k: what an alteration does."""
        for step in self.steps[k:]:
            state = step(state)
        return state["a"]


def oblique(size: int, condition: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random matrix (size, size) of this condition, and its inverse; float64."""
    left = np.linalg.qr(rng.normal(size=(size, size)))[0]
    right = np.linalg.qr(rng.normal(size=(size, size)))[0]
    stretch = np.geomspace(1.0, condition, size)
    matrix = torch.tensor(left * stretch @ right)
    return matrix, torch.tensor(right.T / stretch @ left.T)


def pack(state: State) -> Tensor:
    """All entries side by side (B, n)."""
    return torch.cat([x.flatten(1) for x in state.values()], 1)


def unpack(flat: Tensor, shapes: dict[str, tuple[int, ...]]) -> State:
    """The state of these names and shapes; the inverse of `pack`."""
    sizes = [int(np.prod(s)) for s in shapes.values()]
    parts = flat.split(sizes, 1)
    return {
        name: part.reshape(-1, *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def _linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
    return layer


class Assembled(nn.Module):
    """First stage: H (upper triangle, in the order of elimination), C and tau."""

    def __init__(self, mechanics: Mechanics, order: Sequence[int]) -> None:
        super().__init__()
        self.mechanics = mechanics
        self.order = list(order)

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> State:
        H = self.mechanics.mass(q)[:, self.order][:, :, self.order]
        C = self.mechanics.bias(q, v)[:, self.order]
        return {"H": upper(H), "C": C, "tau": tau[:, self.order]}


def upper(H: Tensor) -> Tensor:
    """The upper triangle (B, n (n + 1) / 2) of symmetric matrices (B, n, n)."""
    n = H.shape[-1]
    return torch.stack([H[:, i, j] for i in range(n) for j in range(i, n)], 1)


def full(entries: Tensor) -> Tensor:
    """The symmetric matrices (B, n, n) of an upper triangle."""
    n = round((2 * entries.shape[1] + 0.25) ** 0.5 - 0.5)
    number = {ij: k for k, ij in enumerate((i, j) for i in range(n) for j in range(i, n))}
    rows = [[entries[:, number[min(i, j), max(i, j)]] for j in range(n)] for i in range(n)]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def force(state: State) -> State:
    """f = tau − C takes the place of both."""
    rest = {k: x for k, x in state.items() if k not in ("C", "tau")}
    return rest | {"f": state["tau"] - state["C"]}


def eliminate(state: State) -> State:
    """Eliminate the first remaining joint: its pivot into D, its row into k, its force into u."""
    H, f = full(state["H"]), state["f"]
    D, u = H[:, :1, 0], f[:, :1]
    found = {"D": _with(state, "D", D), "u": _with(state, "u", u)}
    if H.shape[1] > 1:
        row = H[:, 0, 1:]
        k = row / D
        found["k"] = _with(state, "k", k)
        found["H"] = upper(H[:, 1:, 1:] - row[:, :, None] * k[:, None])
        found["f"] = f[:, 1:] - k * u
    elif "k" in state:
        found["k"] = state["k"]
    return found


def _with(state: State, name: str, new: Tensor) -> Tensor:
    return torch.cat((state[name], new), 1) if name in state else new


class Outward(nn.Module):
    """The last eliminated joint's acceleration, from the last D, u and row of k left in the state;
    with the last joint the accelerations go back into the robot's order, as "a"."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.inverse = [list(order).index(i) for i in range(len(order))]

    def forward(self, state: State) -> State:
        D, u = state["D"], state["u"]
        after = len(self.inverse) - D.shape[1]  # joints eliminated later, whose accelerations stand
        own = u[:, -1:] / D[:, -1:]
        if after:
            own = own - (state["k"][:, -after:] * state["x"]).sum(1, keepdim=True)
        x = torch.cat((own, state["x"]), 1) if after else own
        if D.shape[1] == 1:
            return {"a": x[:, self.inverse]}
        left = {"D": D[:, :-1], "u": u[:, :-1], "x": x}
        k = state["k"]
        return left | {"k": k[:, : k.shape[1] - after] if after else k}


def elimination(body: Body, order: Sequence[int], seed: int, condition: float) -> Staged:
    """H and C assembled, joints eliminated in this order, then accelerations outward."""
    n = len(order)
    steps: list[Step] = [force, *[eliminate] * n, *[Outward(order)] * n]
    return Staged(Assembled(body.mechanics, order), steps, body, seed, condition)


class _ArticulatedStart(nn.Module):
    """Cosines and sines of q, the wrenches of bodies at rest, tau."""

    def __init__(self, mechanics: Mechanics) -> None:
        super().__init__()
        self.mechanics = mechanics

    def forward(self, q: Tensor, v: Tensor, tau: Tensor) -> State:
        cos, sin = torch.cos(q), torch.sin(q)
        wrenches = self.mechanics.wrenches(self.mechanics.transforms(cos, sin), v)
        return {"cos": cos, "sin": sin, "p": torch.stack(wrenches, 1), "tau": tau}


class _Inward(nn.Module):
    """One body of the articulated-body recursion: D, u, k = U / D; the rest to its parent.

    The state holds articulated inertias only of bodies of which a child was done ("I0", "I1", …).
    """

    def __init__(self, mechanics: Mechanics, joint: int) -> None:
        super().__init__()
        self.mechanics = mechanics
        self.joint = joint

    def forward(self, state: State) -> State:
        i, parent = self.joint, self.mechanics.parents[self.joint]
        axis = self.mechanics.axis[i]
        rigid = self.mechanics.inertia
        own = state.get(f"I{i}", rigid[i].expand(state["p"].shape[0], 6, 6))
        wrench = state["p"][:, i]
        U = own @ axis
        D = (U * axis).sum(1, keepdim=True)
        k = U / D
        u = state["tau"][:, i, None] - (wrench * axis).sum(1, keepdim=True)
        kept = {name: x for name, x in state.items() if name != f"I{i}"}
        if parent >= 0:
            X = self.mechanics.transforms(state["cos"], state["sin"])[i]
            down = X.transpose(1, 2)
            inertia = down @ (own - U[:, :, None] * k[:, None]) @ X
            before = state.get(f"I{parent}", rigid[parent])
            kept[f"I{parent}"] = before + inertia
            moved = (down @ (wrench + k * u)[:, :, None])[:, :, 0]
            rows = [state["p"][:, j] + (moved if j == parent else 0) for j in range(i)]
            kept["p"] = torch.stack(rows, 1)
        else:
            rows = [state["p"][:, j] for j in range(i)]
            kept.pop("p")
            if rows:
                kept["p"] = torch.stack(rows, 1)
        kept["tau"] = state["tau"][:, :i]
        if not i:
            kept.pop("tau")
        new = {"D": D, "u": u, "k": k[:, None]}
        return kept | {
            name: torch.cat((x, state[name]), 1) if name in state else x for name, x in new.items()
        }


class _Motions(nn.Module):
    """One body outward: its joint's acceleration from D, u and k, then its own motion "m0", …"""

    def __init__(self, mechanics: Mechanics, joint: int) -> None:
        super().__init__()
        self.mechanics = mechanics
        self.joint = joint

    def forward(self, state: State) -> State:
        i, parent = self.joint, self.mechanics.parents[self.joint]
        own = state["u"][:, :1] / state["D"][:, :1]
        motion = self.mechanics.axis[i] * own
        if parent >= 0:
            X = self.mechanics.transforms(state["cos"], state["sin"])[i]
            carried = (X @ state[f"m{parent}"][:, :, None])[:, :, 0]
            own = own - (state["k"][:, 0] * carried).sum(1, keepdim=True)
            motion = carried + self.mechanics.axis[i] * own
        a = torch.cat((state["a"], own), 1) if "a" in state else own
        if i == self.mechanics.nv - 1:
            return {"a": a}
        kept = {name: x for name, x in state.items() if name not in ("D", "u", "k", "a")}
        left = {name: state[name][:, 1:] for name in ("D", "u", "k")}
        return kept | left | {f"m{i}": motion, "a": a}


def articulated(body: Body, seed: int, condition: float) -> Staged:
    """The articulated-body algorithm in spatial vectors, one body a stage; H is never formed."""
    mechanics = body.mechanics
    order = tip_first(mechanics.nv)
    steps: list[Step] = [_Inward(mechanics, i) for i in order]
    steps += [_Motions(mechanics, i) for i in base_first(mechanics.nv)]
    return Staged(_ArticulatedStart(mechanics), steps, body, seed, condition)
