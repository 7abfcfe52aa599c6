"""The grammar of passes over a tree: typed terms, and their values at sampled states.

Outward, a body has motions: its joint's own, S s with s one of the joints' q, v or a; its parent's;
sums carried outward with either sign; products x × y. Inward, it has wrenches: I m, the rate
x ×* I y, and a number times a motion (a rotor r m, a drag d m, a spring k m). Each stays with its
body or is carried inward with either sign, and tau is Sᵀ of what arrives. Types are motion and
wrench, each with its degree in v and in a. A block is one carried wrench: what it adds to tau is
linear in the inertial parameters, or in numbers of its own.

Conventions, which the whole of `recursion` shares: motions and wrenches are 6-vectors (angular,
linear) in the body's frame, which at the reference pose is the reference frame (`ScrewTree`); X
carries a motion from the parent's frame to the body's, Xᵀ a wrench back. The textbook's recursion
(Featherstone 2008, chapter 5) is A = X A + S a + T × S v with T = X T + S v, and inward
F = I A + T ×* I T.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from discover.mechanism.geometry.screws import Array, ScrewTree, pair_features

CARRIES = (1, -1, 0)
SOURCES = {"rotor": "a", "drag": "v", "spring": "q"}
"""The source of the motion of each form with one number a body."""


@dataclass(frozen=True)
class Motion:
    """A motion of each body.

    kind     "joint" (S s), "root" (a free vector at the base), "carried" (sign · X parent + local),
             "parent" (X of the parent's) or "product" (first × second)
    source   of "joint": "q", "v" or "a"
    sign     of "carried": 1 or -1
    parts    the motions that it is made of
    """

    kind: str
    source: str = ""
    sign: int = 0
    parts: tuple[Motion, ...] = field(default=())

    @cached_property
    def degree(self) -> tuple[int, int, int]:
        """Degrees in (v, a, root)."""
        if self.kind == "joint":
            return (int(self.source == "v"), int(self.source == "a"), 0)
        if self.kind == "root":
            return (0, 0, 1)
        degrees = [p.degree for p in self.parts]
        return tuple(int(x) for x in np.sum(degrees, axis=0))  # type: ignore[return-value]

    @cached_property
    def size(self) -> int:
        """Symbols it takes to write down."""
        return 1 + sum(p.size for p in self.parts) + (self.sign < 0)


@dataclass(frozen=True)
class Block:
    """A wrench and how it is carried inward.

    form      "inertia" (I m), "rate" (x ×* I y), or one of `SOURCES` (a number times m)
    motions   (m,) or (x, y)
    carry     1 or -1: carried inward with this sign; 0: stays with its body
    """

    form: str
    motions: tuple[Motion, ...]
    carry: int

    @cached_property
    def size(self) -> int:
        """Symbols it takes to write down."""
        return 2 + sum(m.size for m in self.motions) + (self.carry < 0)


@dataclass(frozen=True, eq=False)
class ScalarTerm:
    """A block of one number a body (rotor, drag or spring), with its numbers (nb,)."""

    block: Block
    numbers: Array


def joint(source: str) -> Motion:
    """S s with s = "q", "v" or "a"."""
    return Motion("joint", source)


def carried(local: Motion, sign: int) -> Motion:
    """The sum m = sign · X m_parent + local."""
    return Motion("carried", sign=sign, parts=(local,))


def inherited(motion: Motion) -> Motion:
    """X of the parent's motion."""
    return Motion("parent", parts=(motion,))


def product(first: Motion, second: Motion) -> Motion:
    """first × second."""
    return Motion("product", parts=(first, second))


def linear_motions(source: str) -> list[Motion]:
    """All motions of first degree in one source, up to two sums deep, the shortest first."""
    rate = joint(source)
    once = [carried(rate, 1), carried(rate, -1), rate]
    simple = [*once, *(inherited(m) for m in once)]
    deeper = [carried(m, sign) for m in simple if m != rate for sign in (1, -1)]
    return [*simple, *deeper]


def quadratic_motions(first: Sequence[Motion]) -> list[Motion]:
    """Products of first-degree motions: local, carried, or the parent's; the shortest first."""
    motions = []
    for x in first:
        for y in first:
            if x != y:
                p = product(x, y)
                motions += [p, carried(p, 1), carried(p, -1), inherited(p)]
    return sorted(motions, key=lambda m: m.size)


def blocks_of(motions: Sequence[Motion], form: str = "inertia") -> Iterator[Block]:
    """Blocks of one motion each, with every way to carry."""
    for m in motions:
        for c in CARRIES:
            yield Block(form, (m,), c)


def velocity_blocks() -> list[Block]:
    """All blocks of second degree in v, the shortest first."""
    simple = linear_motions("v")[:6]
    rates = [Block("rate", (x, y), c) for x in simple for y in simple for c in CARRIES]
    return sorted([*rates, *blocks_of(quadratic_motions(simple))], key=lambda b: b.size)


def acceleration_blocks() -> list[Block]:
    """All blocks of first degree in a, the shortest first."""
    return sorted(blocks_of(linear_motions("a")), key=lambda b: b.size)


def root_blocks() -> list[Block]:
    """All blocks of a free vector at the base."""
    root = Motion("root")
    motions = [carried(root, 1), carried(root, -1)]
    return list(blocks_of([*motions, *(inherited(m) for m in motions)]))


def scalar_blocks(form: str) -> list[Block]:
    """All blocks of a form with one number a body (of `SOURCES`), the shortest first."""
    return sorted(blocks_of(linear_motions(SOURCES[form]), form), key=lambda b: b.size)


class Samples:
    """Values of motions and blocks at n states (q, v) of a tree with screws (nb, 6).

    Motions are (n, nb, 6, k): k = 1 for those of q and v, nv for those of a (unit accelerations),
    6 for those of the root (unit vectors). Values are kept.
    """

    def __init__(self, tree: ScrewTree, screws: Array, q: Array, v: Array):
        self.tree, self.screws, self.q, self.v = tree, tree.unit(screws), q, v
        self.n, self.nb = len(q), len(tree.parents)
        self.X = tree.placements(self.screws, q)
        self.J = tree.columns(self.screws, q)[..., :-1]
        depth = tree.above.sum(1)
        distance = depth[:, None] - depth[None, :]
        body = list(tree.body_of)
        self._factor = {
            c: np.where(tree.above, float(c) ** np.maximum(distance, 0), 0.0)[:, body]
            for c in CARRIES
        }
        self._kept: dict[Motion, Array] = {}
        self._rotors: tuple[Block, Block] | None = None

    def with_rotors(self, inertia: Block, rotor: Block) -> Samples:
        """The same with one more parameter a body, after all others: that of the rotors `rotor`,
        which add to the block `inertia`."""
        other = copy(self)
        other._rotors = (inertia, rotor)
        return other

    @property
    def parameters(self) -> int:
        """How many parameters the bodies have together."""
        return (10 if self._rotors is None else 11) * self.nb

    def motion(self, m: Motion) -> Array:
        """The values of a motion (n, nb, 6, k)."""

        if m not in self._kept:
            self._kept[m] = self._motion(m)
        return self._kept[m]

    def _motion(self, m: Motion) -> Array:
        if m.kind == "joint":
            if m.source != "a":
                rates = self.v if m.source == "v" else self._turned()
                return self.tree.own_motions(self.screws, rates)[..., None]
            units = self.tree.own_units(self.screws)
            return np.broadcast_to(units, (self.n, *units.shape))
        if m.kind == "root":
            return np.zeros((self.n, self.nb, 6, 6))
        if m.kind == "product":
            x, y = (self.motion(p) for p in m.parts)
            return cross_motion(x, y)
        local = self.motion(m.parts[0])
        if m.kind == "parent":
            above = [
                self._base(m.parts[0], local) if p < 0 else local[:, p] for p in self.tree.parents
            ]
            return np.stack([self.X[:, j] @ above[j] for j in range(self.nb)], 1)
        summed: Array = np.zeros(np.broadcast_shapes(local.shape, (self.n, self.nb, 6, 1)))
        for j in self.tree.order:
            p = self.tree.parents[j]
            onto = summed[:, p] if p >= 0 else self._base(m.parts[0], local)
            summed[:, j] = m.sign * self.X[:, j] @ onto + local[:, j]
        return summed

    def _turned(self) -> Array:
        """(n, nv): the coordinates of the joints, nothing for a free base."""
        joints = self.nb - (len(self.tree.body_of) > self.nb)
        out = np.zeros_like(self.v)
        out[:, out.shape[1] - joints :] = self.q[:, self.q.shape[1] - joints :]
        return out

    def _base(self, m: Motion, local: Array) -> Array:
        """What the base itself has: nothing, but for the free vector."""
        rooted = m.kind == "root" or (m.kind == "carried" and m.parts[0].kind == "root")
        if rooted:
            return np.broadcast_to(np.eye(6), (self.n, 6, 6))
        return np.zeros((self.n, 6, local.shape[-1]))

    def block(self, b: Block) -> Array:
        """(n, nv, k, p): what a block adds to tau, by unit of each parameter (10 a body; one a body
        for the forms of `SOURCES`)."""
        factor = self._factor[b.carry].T[None, :, :]  # (1, nv, nb)
        if b.form in SOURCES:
            m = self.motion(b.motions[0])
            return np.einsum("nbij,nbik,zjb->njkb", self.J, m, factor)
        left, right = self.J, self.motion(b.motions[-1])
        if b.form == "rate":
            left = -cross_motion(self.motion(b.motions[0]), self.J)
        f = pair_features(left, right)  # (n, nb, 10, nv, k)
        f = f * self._factor[b.carry][None, :, None, :, None]
        n, nb, ten, nv, k = f.shape
        values = np.moveaxis(f, (3, 4), (1, 2)).reshape(n, nv, k, nb * ten)
        if self._rotors is None:
            return values
        inertia, rotor = self._rotors
        more = self.block(rotor) if b == inertia else np.zeros((n, nv, k, nb))
        return np.concatenate([values, more], -1)


def cross_motion(x: Array, y: Array) -> Array:
    """x × y of motions (..., 6, k); the last axes broadcast."""
    x, y = np.broadcast_arrays(x, y) if x.shape != y.shape else (x, y)
    w, u = np.moveaxis(x[..., :3, :], -2, -1), np.moveaxis(x[..., 3:, :], -2, -1)
    z, t = np.moveaxis(y[..., :3, :], -2, -1), np.moveaxis(y[..., 3:, :], -2, -1)
    top, bottom = np.cross(w, z), np.cross(w, t) + np.cross(u, z)
    return np.moveaxis(np.concatenate([top, bottom], -1), -1, -2)
