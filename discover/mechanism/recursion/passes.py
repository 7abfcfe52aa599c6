"""A recursion as a program that runs: on tensors, or straight-line.

The passes are evaluated body by body on scalars of any kind that know + - * and .sin(), .cos():
batched tensors, or the nodes of a straight-line program, which is then counted, printed as SymPy
or source, and compiled. Motions and wrenches are lists of six scalars; exact zeros and ones are
left out, so that a traced program has no operation for them. A free base has a placement (position,
unit quaternion wxyz) and a twist of its own; all other bodies have one coordinate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.mechanism.geometry.screws import rigid, skew
from discover.mechanism.recursion.grammar import SOURCES, Block, Motion
from discover.mechanism.recursion.pretty_printing import pretty_print
from discover.mechanism.recursion.search import Recursion
from discover.mechanism.tree.floating import BASE_Q, BASE_V, FloatingTree
from kinematics.programs import Graph, Program, make_program
from kinematics.programs.elimination.frames import quaternion_matrix
from kinematics.programs.tracing import solve_symmetric

Place = tuple[list[list[Any]], list[Any]]  # rows of the rotation, body to parent; the offset


def down(place: Place, m: list[Any]) -> list[Any]:
    """A motion of the parent's frame in the body's."""
    rotation, p = place
    w, u = m[:3], m[3:]
    lifted = [plus(x, y) for x, y in zip(u, cross3(w, p), strict=True)]
    return [_back(rotation, w, c) for c in range(3)] + [
        _back(rotation, lifted, c) for c in range(3)
    ]


def up(place: Place, f: list[Any]) -> list[Any]:
    """A wrench on the body in the parent's frame."""
    rotation, p = place
    n = [dot(row, f[3:]) for row in rotation]
    m = [plus(dot(row, f[:3]), x) for row, x in zip(rotation, cross3(p, n), strict=True)]
    return [*m, *n]


def _back(rotation: Any, x: list[Any], c: int) -> Any:
    return dot([rotation[r][c] for r in range(3)], x)


def cross(x: list[Any], y: list[Any]) -> list[Any]:
    """x × y of two motions."""
    w, u, z, t = x[:3], x[3:], y[:3], y[3:]
    low = [plus(p, r) for p, r in zip(cross3(w, t), cross3(u, z), strict=True)]
    return [*cross3(w, z), *low]


def cross3(x: Any, y: Any) -> list[Any]:
    """x × y of three scalars each."""

    def term(i: int, j: int) -> Any:
        return plus(times(x[i], y[j]), times(-1.0, times(x[j], y[i])))

    return [term(1, 2), term(2, 0), term(0, 1)]


def dot(x: Any, y: Any) -> Any:
    """Σ x y."""
    total: Any = 0.0
    for p, r in zip(x, y, strict=True):
        total = plus(total, times(p, r))
    return total


def times(x: Any, y: Any) -> Any:
    """x y, with exact zeros and ones left out."""
    for p, r in ((x, y), (y, x)):
        if isinstance(p, (int, float)):
            if p == 0:
                return 0.0
            if p == 1:
                return r
            if p == -1:
                return -r
            return r * float(p)
    return x * y


def plus(x: Any, y: Any) -> Any:
    """x + y, with exact zeros left out."""
    if isinstance(x, (int, float)) and x == 0:
        return y
    if isinstance(y, (int, float)) and y == 0:
        return x
    return x + y


def joint_forces(recursion: Recursion, q: Any, v: Any, a: Any) -> list[Any]:
    """tau as a list of nv scalars, from lists of nq, nv and nv scalars (tensors or nodes)."""
    tree, nb = recursion.tree, len(recursion.tree.parents)
    inertias = [rigid(p[None])[0] for p in recursion.parameters]
    rows = _coordinates(recursion)
    place = [
        _placement(recursion, j, q[:BASE_Q] if len(at) > 1 else q[at[0] - len(v)])
        for j, at in enumerate(rows)
    ]
    kept: dict[Motion, list[list[Any]]] = {}

    def motion(m: Motion) -> list[list[Any]]:
        if m not in kept:
            kept[m] = make(m)
        return kept[m]

    def make(m: Motion) -> list[list[Any]]:
        if m.kind == "joint":
            # A free base has no coordinates to turn by.
            turned = [0.0] * BASE_V + list(q[BASE_Q:]) if len(q) > len(v) else q
            s = {"q": turned, "v": v, "a": a}[m.source]
            return [
                list(s[:BASE_V]) if len(at) > 1 else [times(c, s[at[0]]) for c in screw]
                for screw, at in zip(recursion.screws, rows, strict=True)
            ]
        if m.kind == "root":
            return [[0.0] * 6 for _ in range(nb)]
        if m.kind == "product":
            x, y = motion(m.parts[0]), motion(m.parts[1])
            return [cross(x[j], y[j]) for j in range(nb)]
        local = motion(m.parts[0])
        base = [float(x) for x in recursion.root_vector] if _rooted(m) else [0.0] * 6
        out: list[Any] = [None] * nb
        for j in tree.order:
            p = tree.parents[j]
            if m.kind == "parent":
                out[j] = down(place[j], local[p] if p >= 0 else base)
            else:
                above = down(place[j], out[p] if p >= 0 else base)
                out[j] = [plus(times(m.sign, x), y) for x, y in zip(above, local[j], strict=True)]
        return out

    tau: list[Any] = [0.0] * len(v)
    terms = [
        (1.0, recursion.inertia),
        *zip(recursion.coefficients.tolist(), recursion.velocity, strict=True),
    ]
    if recursion.root is not None:
        terms.append((1.0, recursion.root))
    terms += [(1.0, term.block) for term in recursion.scalar_terms]
    for carry in (1, -1, 0):
        mine = [(c, b) for c, b in terms if b.carry == carry]
        if not mine:
            continue
        wrenches = []
        for j in range(nb):
            total: list[Any] = [0.0] * 6
            for c, b in mine:
                total = [
                    plus(t, w)
                    for t, w in zip(
                        total, wrench(recursion, b, c, j, motion, inertias), strict=True
                    )
                ]
            wrenches.append(total)
        for j in reversed(tree.order):
            for i, unit in zip(rows[j], _units(recursion, j), strict=True):
                tau[i] = plus(tau[i], dot(unit, wrenches[j]))
            p = tree.parents[j]
            if p >= 0 and carry:
                sent = up(place[j], wrenches[j])
                wrenches[p] = [
                    plus(t, times(carry, w)) for t, w in zip(wrenches[p], sent, strict=True)
                ]
    return tau


def wrench(
    recursion: Recursion, b: Block, c: float, j: int, motion: Any, inertias: Any
) -> list[Any]:
    """The wrench of one block on body j, times c, as six scalars."""
    last = motion(b.motions[-1])[j]
    if b.form in SOURCES:
        (numbers,) = (term.numbers for term in recursion.scalar_terms if term.block == b)
        return [times(c * numbers[j], x) for x in last]
    f = [dot(c * row, last) for row in inertias[j]]
    if b.form == "inertia":
        return f
    x = motion(b.motions[0])[j]
    w, u, m, n = x[:3], x[3:], f[:3], f[3:]
    top = [plus(p, r) for p, r in zip(cross3(w, m), cross3(u, n), strict=True)]
    return [*top, *cross3(w, n)]


def torch_forces(recursion: Recursion, q: Tensor, v: Tensor, a: Tensor) -> Tensor:
    """tau (…, nv) of the program on batched tensors."""
    columns = joint_forces(recursion, *(list(x.unbind(-1)) for x in (q, v, a)))
    return torch.stack(
        [c if isinstance(c, Tensor) else torch.full_like(q[..., 0], c) for c in columns], -1
    )


def trace_recursion(recursion: Recursion, what: str = "aba") -> Program:
    """A straight-line program of a recursion: what = "rnea" (q, v, a) -> tau, or "aba" (q, v, tau)
    -> a, with H factored along the tree."""
    graph, nv = Graph(), len(recursion.tree.body_of)
    nq = nv + (BASE_Q - BASE_V if isinstance(recursion.tree, FloatingTree) else 0)
    last = "a" if what == "rnea" else "tau"
    ports = {name: graph.inputs(name, n) for name, n in (("q", nq), ("v", nv), (last, nv))}
    q, v = list(ports["q"]), list(ports["v"])
    passes = pretty_print(recursion)
    if what == "rnea":
        outputs = joint_forces(recursion, q, v, list(ports["a"]))
        return make_program(what, graph, ports, outputs, passes=passes)
    rest = joint_forces(recursion, q, v, [0.0] * nv)
    bare = _without_rest(recursion)
    columns = [joint_forces(bare, q, [0.0] * nv, list(e)) for e in np.eye(nv)]
    lifted = [np.array([graph.lift(x) for x in column], dtype=object) for column in columns]
    right = np.array([graph.lift(t) - r for t, r in zip(ports["tau"], rest, strict=True)])
    return make_program(what, graph, ports, solve_symmetric(graph, lifted, right), passes=passes)


def _without_rest(recursion: Recursion) -> Recursion:
    rotors = tuple(term for term in recursion.scalar_terms if term.block.form == "rotor")
    return replace(recursion, root=None, velocity=(), coefficients=np.zeros(0), scalar_terms=rotors)


def _rooted(m: Motion) -> bool:
    return bool(m.parts) and (
        m.parts[0].kind == "root" or (m.kind == "parent" and _rooted(m.parts[0]))
    )


def _coordinates(recursion: Recursion) -> list[list[int]]:
    """The velocity coordinates of each body: one, or six of a free base."""
    rows: list[list[int]] = [[] for _ in recursion.tree.parents]
    for i, body in enumerate(recursion.tree.body_of):
        rows[body].append(i)
    return rows


def _units(recursion: Recursion, j: int) -> list[list[float]]:
    """The motions of body j by unit rates of its coordinates: its screw, or six of a free base."""
    if isinstance(recursion.tree, FloatingTree) and j == 0:
        return np.eye(BASE_V).tolist()
    return [recursion.screws[j].tolist()]


def _placement(recursion: Recursion, j: int, q: Any) -> Place:
    """Rotation (rows) and offset of body j in its parent's frame."""
    if isinstance(recursion.tree, FloatingTree) and j == 0:
        return [list(row) for row in quaternion_matrix(q[3:])], list(q[:3])
    s, reference = recursion.screws[j], float(recursion.tree.reference[j])
    eye = np.eye(3)
    if not recursion.tree.turning[j]:
        d = q - reference if reference else q
        return eye.tolist(), [times(x, d) for x in s[3:]]
    angle = q - reference if reference else q
    sine, versine = angle.sin(), 1.0 - angle.cos()
    k = skew(s[:3])
    kk = k @ k
    rotation = [
        [plus(plus(eye[r, c], times(k[r, c], sine)), times(kk[r, c], versine)) for c in range(3)]
        for r in range(3)
    ]
    point = np.cross(s[:3], s[3:])
    offset = [plus(point[r], times(-1.0, dot(point, rotation[r]))) for r in range(3)]
    return rotation, offset
