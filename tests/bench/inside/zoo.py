"""The zoo: planted networks by kind, each with what is true of it by construction.

A `Plant` is a network with forward(q, v, tau) → a, its body, and its `Truth`. Truths are what was
built in, not what a measurement said; where construction does not decide (ordinary training), the
truth is None, and nothing is scored. Looked at by developers while the instrument was being built:
nothing here is held out, except by kinds and seeds left out of a fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from tests.bench.inside import altered, staged, tables, trained
from tests.bench.inside.bodies import SHAPES, Body, draw, tip_first

STRICT_STEPS, TAUGHT_STEPS = 2000, 1500  # of training; about 20 s and 10 s on one busy core
_CONDITIONS = (1.0, 3.0, 10.0)  # of the matrices that mix states, in turn over seeds
COFACTOR_JOINTS = 3  # beyond, "cofactors" is no hypothesis of the instrument
_ANOTHER = 7919  # added to the seed of a body: another robot of the same shape


@dataclass(frozen=True)
class Truth:
    """What a plant does, by construction.

    roles          {"H": whether the mass matrix acts apart from the forces, "C": bias likewise};
                   None where construction does not say
    factorisation  "tip-first", "base-first", "cofactors", or "none"; None: not decided
    recursion      whether the steps stand, and are consumed, in that order over depth
    flags          "dormant": a path that data never open, or that cancels on data; "duplicate"
    """

    roles: dict[str, bool | None]
    factorisation: str | None
    recursion: bool | None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plant:
    """A planted network. `sites`: modules at whose answers the truth can be tested."""

    kind: str
    shape: str
    seed: int
    condition: float
    network: nn.Module
    body: Body
    truth: Truth
    sites: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.shape}_{self.seed}"


USED = {"H": True, "C": True}
UNUSED = {"H": False, "C": False}
UNDECIDED = {"H": None, "C": None}

# In the recursion over spatial vectors bodies' wrenches depend on the transforms that inertias use:
# neither H nor C is formed, and whether either can be exchanged is not decided by construction.
TRUTHS = {
    "articulated": Truth(UNDECIDED, "tip-first", True),
    "tip_first": Truth(USED, "tip-first", True),
    "base_first": Truth(USED, "base-first", True),
    "cofactors": Truth(USED, "cofactors", False),
    "shuffled": Truth(USED, "tip-first", False),
    "duplicate": Truth(USED, "tip-first", True, frozenset({"duplicate"})),
    "dormant": Truth(USED, "cofactors", False, frozenset({"dormant"})),
    "dormant_rectified": Truth(USED, "cofactors", False, frozenset({"dormant"})),
    "strict_tip": Truth(USED, "tip-first", False),
    "strict_base": Truth(USED, "base-first", False),
    "null_space": Truth(UNUSED, "none", False),
    "cancelling": Truth(UNUSED, "none", False, frozenset({"dormant"})),
    "table": Truth(UNUSED, "none", False),
    "nearest": Truth(UNUSED, "none", False),
    "kernel": Truth(UNUSED, "none", False),
    "experts": Truth(UNUSED, "none", False),
    "untrained": Truth(UNUSED, "none", False),
    "other_robot": Truth(UNUSED, "none", False),
    "imitator": Truth(UNDECIDED, None, False),
    "trained": Truth(UNDECIDED, None, None),
}
KINDS = tuple(TRUTHS)
TRAINED = ("strict_tip", "strict_base", "imitator", "trained")  # the dear ones


def plant(
    kind: str, shape: str, seed: int, *, steps: int | None = None, condition: float | None = None
) -> Plant:
    """A plant of `KINDS` on a fresh body of `SHAPES`; the same arguments give the same plant.

    steps      of training, for the kinds that are trained
    condition  of the mixing; 1, 3 and 10 in turn over seeds unless it is given
    """
    if kind not in TRUTHS or shape not in SHAPES:
        raise ValueError(
            f"expected a kind of {', '.join(KINDS)} and a shape of "
            f"{', '.join(SHAPES)}, found {kind!r} and {shape!r}"
        )
    body = draw(shape, seed)
    mixing = _CONDITIONS[seed % len(_CONDITIONS)] if condition is None else condition
    network = _BUILT[kind](body, seed, mixing, steps).eval()
    truth = TRUTHS[kind]
    if shape == "2R" and truth.factorisation not in ("none", None):
        # one pivot that varies: that it stands before it is consumed shows no order
        truth = Truth(truth.roles, truth.factorisation, None, truth.flags)
    if len(SHAPES[shape]) > COFACTOR_JOINTS and truth.factorisation == "cofactors":
        truth = Truth(truth.roles, "none", truth.recursion, truth.flags)  # no name for it there
    return Plant(kind, shape, seed, mixing, network, body, truth, key_sites(kind, network))


def key_sites(kind: str, network: nn.Module) -> tuple[str, ...]:
    """Names of modules at whose answers the truth can be tested: of exact networks the first mixed
    state, where H, C and tau stand beside each other, and that in which all factors stand; the last
    two hidden layers of perceptrons; the distances of tables, the experts' answers."""
    if isinstance(network, staged.Staged):
        whole = _FACTORS_STAND.get(kind, lambda n: n + 1)(len(network.first.mechanics.parents))
        return tuple(f"mixed.{k}" for k in ([whole] if kind == "articulated" else [0, whole]))
    if isinstance(network, trained.Interchanged):
        return ("mixed",)
    layers = getattr(network, "layers", None)
    if isinstance(layers, nn.Sequential):
        hidden = [f"layers.{k}" for k, m in enumerate(layers) if isinstance(m, nn.Tanh)]
        return tuple(hidden[-2:])
    return ("experts",) if isinstance(network, tables.Experts) else ("apart",)


_FACTORS_STAND: dict[str, Callable[[int], int]] = {
    "articulated": lambda n: n,
    "duplicate": lambda n: n + 2,
    "cofactors": lambda n: 2,
    "dormant": lambda n: 2,
    "dormant_rectified": lambda n: 2,
    "null_space": lambda n: 2,
    "cancelling": lambda n: 2,
}


Builder = Callable[[Body, int, float, int | None], nn.Module]


def _other_robot(body: Body, seed: int, condition: float, steps: int | None) -> nn.Module:
    """An exact recursion, of another robot of the same shape: it uses H, but not this one's."""
    foreign = draw(_shape_of(body), seed + _ANOTHER)
    return staged.elimination(foreign, tip_first(body.robot.nv), seed, condition)


def _shape_of(body: Body) -> str:
    return body.robot.name.removeprefix("zoo_")


def _elimination(factorisation: str) -> Builder:
    def built(body: Body, seed: int, condition: float, steps: int | None) -> nn.Module:
        order = trained.order_of(factorisation, body.robot.nv)
        return staged.elimination(body, order, seed, condition)

    return built


def _strict(factorisation: str) -> Builder:
    def built(body: Body, seed: int, condition: float, steps: int | None) -> nn.Module:
        order = trained.order_of(factorisation, body.robot.nv)
        count = STRICT_STEPS if steps is None else steps
        return trained.strict(body, order, seed, steps=count, condition=condition)

    return built


def _taught(imitating: bool) -> Builder:
    def built(body: Body, seed: int, condition: float, steps: int | None) -> nn.Module:
        teacher = tables.Table(body, seed, nearest=False) if imitating else None
        count = TAUGHT_STEPS if steps is None else steps
        return trained.taught(body, seed, steps=count, teacher=teacher)

    return built


def _dormant(rectified: bool) -> Builder:
    return lambda body, seed, condition, steps: altered.dormant(body, seed, condition, rectified)


def _table(body: Body, seed: int) -> nn.Module:
    return tables.Table(body, seed, nearest=False)


_BUILT: dict[str, Builder] = {
    "articulated": lambda b, seed, c, _: staged.articulated(b, seed, c),
    "tip_first": _elimination("tip-first"),
    "base_first": _elimination("base-first"),
    "cofactors": lambda b, seed, c, _: altered.cofactors(b, seed, c),
    "shuffled": lambda b, seed, c, _: altered.shuffled(b, seed, c),
    "duplicate": lambda b, seed, c, _: altered.duplicate(b, seed, c),
    "dormant": _dormant(False),
    "dormant_rectified": _dormant(True),
    "strict_tip": _strict("tip-first"),
    "strict_base": _strict("base-first"),
    "null_space": lambda b, seed, c, _: altered.null_space(b, _table(b, seed), seed, c),
    "cancelling": lambda b, seed, c, _: altered.cancelling(b, _table(b, seed), seed, c),
    "table": lambda b, seed, c, _: _table(b, seed),
    "nearest": lambda b, seed, c, _: tables.Table(b, seed, nearest=True),
    "kernel": lambda b, seed, c, _: tables.Kernel(b, seed),
    "experts": lambda b, seed, c, _: tables.Experts(b, seed),
    "untrained": lambda b, seed, c, _: tables.Untrained(b, seed),
    "other_robot": _other_robot,
    "imitator": _taught(True),
    "trained": _taught(False),
}


def error(network: nn.Module, body: Body, seed: int, count: int = 512) -> float:
    """Root mean squared error of the answers over their spread, on fresh states of the region."""
    import kinematics

    states = body.states(count, seed + 909)
    with torch.no_grad():
        found = network(*states)
    a = kinematics.aba(body.robot, *states)
    return float(((found - a) ** 2).mean(0).div(a.var(0)).mean().sqrt())
