"""A found recursion as a program that runs: on tensors, straight-line, as machine code.

The passes are evaluated body by body on scalars of any kind that know + - * and .sin(), .cos():
batched tensors, or the nodes of a straight-line program, which is then counted, printed as SymPy
or source, and compiled. A free base has a placement (position, unit quaternion wxyz) and a twist of
its own; all other bodies have one coordinate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.structure.floating import BASE_Q, BASE_V, FloatingTree
from discover.structure.language import SOURCES, Block, Motion
from discover.structure.page import text
from discover.structure.recursion import Recursion
from discover.structure.scalars import Place, cross, cross3, dot, down, plus, times, up
from discover.structure.screws import rigid, skew
from kinematics.programs import CompiledProgram, Graph, Program, compile_program, make_program
from kinematics.programs.frames import quaternion_matrix
from kinematics.programs.tracing import solve_symmetric


def joint_forces(found: Recursion, q: Any, v: Any, a: Any) -> list[Any]:
    """tau as a list of nv scalars, from lists of nq, nv and nv scalars (tensors or nodes)."""
    tree, nb = found.tree, len(found.tree.parents)
    inertias = [rigid(p[None])[0] for p in found.parameters]
    rows = _coordinates(found)
    place = [
        _placement(found, j, q[:BASE_Q] if len(own) > 1 else q[own[0] - len(v)])
        for j, own in enumerate(rows)
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
                list(s[:BASE_V]) if len(own) > 1 else [times(c, s[own[0]]) for c in screw]
                for screw, own in zip(found.screws, rows, strict=True)
            ]
        if m.kind == "root":
            return [[0.0] * 6 for _ in range(nb)]
        if m.kind == "product":
            x, y = motion(m.parts[0]), motion(m.parts[1])
            return [cross(x[j], y[j]) for j in range(nb)]
        local = motion(m.parts[0])
        base = [float(x) for x in found.root_vector] if _rooted(m) else [0.0] * 6
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
    terms = [(1.0, found.inertia), *zip(found.coefficients.tolist(), found.velocity, strict=True)]
    if found.root is not None:
        terms.append((1.0, found.root))
    terms += [(1.0, own.block) for own in found.own]
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
                    for t, w in zip(total, wrench(found, b, c, j, motion, inertias), strict=True)
                ]
            wrenches.append(total)
        for j in reversed(tree.order):
            for i, unit in zip(rows[j], _units(found, j), strict=True):
                tau[i] = plus(tau[i], dot(unit, wrenches[j]))
            p = tree.parents[j]
            if p >= 0 and carry:
                sent = up(place[j], wrenches[j])
                wrenches[p] = [
                    plus(t, times(carry, w)) for t, w in zip(wrenches[p], sent, strict=True)
                ]
    return tau


def wrench(found: Recursion, b: Block, c: float, j: int, motion: Any, inertias: Any) -> list[Any]:
    """The wrench of one block on body j, times c."""
    last = motion(b.motions[-1])[j]
    if b.form in SOURCES:
        (numbers,) = (own.numbers for own in found.own if own.block == b)
        return [times(c * numbers[j], x) for x in last]
    f = [dot(c * row, last) for row in inertias[j]]
    if b.form == "inertia":
        return f
    x = motion(b.motions[0])[j]
    w, u, m, n = x[:3], x[3:], f[:3], f[3:]
    top = [plus(p, r) for p, r in zip(cross3(w, m), cross3(u, n), strict=True)]
    return [*top, *cross3(w, n)]


def torch_forces(found: Recursion, q: Tensor, v: Tensor, a: Tensor) -> Tensor:
    """tau (…, nv) of the program on batched tensors."""
    columns = joint_forces(found, *(list(x.unbind(-1)) for x in (q, v, a)))
    return torch.stack(
        [c if isinstance(c, Tensor) else torch.full_like(q[..., 0], c) for c in columns], -1
    )


def torch_dynamics(found: Recursion, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Accelerations (…, nv) that the program demands: H from its own columns."""
    zero = torch.zeros_like(v)
    rest = torch_forces(found, q, v, zero)
    still = torch_forces(found, q, zero, zero)
    units = torch.eye(v.shape[-1], dtype=q.dtype)
    H = torch.stack([torch_forces(found, q, zero, e.expand_as(v)) - still for e in units], -1)
    return torch.linalg.solve(H, (tau - rest).unsqueeze(-1)).squeeze(-1)


def trace_recursion(found: Recursion, what: str = "aba") -> Program:
    """A straight-line program: "rnea" (q, v, a) -> tau, or "aba" (q, v, tau) -> a."""
    graph, nv = Graph(), len(found.tree.body_of)
    nq = nv + (BASE_Q - BASE_V if isinstance(found.tree, FloatingTree) else 0)
    last = "a" if what == "rnea" else "tau"
    ports = {name: graph.inputs(name, n) for name, n in (("q", nq), ("v", nv), (last, nv))}
    q, v = list(ports["q"]), list(ports["v"])
    told = text(found)
    if what == "rnea":
        outputs = joint_forces(found, q, v, list(ports["a"]))
        return make_program(what, graph, ports, outputs, passes=told)
    rest = joint_forces(found, q, v, [0.0] * nv)
    bare = _without_rest(found)
    columns = [joint_forces(bare, q, [0.0] * nv, list(e)) for e in np.eye(nv)]
    lifted = [np.array([graph.lift(x) for x in column], dtype=object) for column in columns]
    right = np.array([graph.lift(t) - r for t, r in zip(ports["tau"], rest, strict=True)])
    return make_program(what, graph, ports, solve_symmetric(graph, lifted, right), passes=told)


def compile_recursion(
    found: Recursion, what: str = "aba", dtype: str = "float64"
) -> CompiledProgram:
    """Machine code of the found program."""
    content = {"recursion": text(found), "screws": found.screws.tolist(), "what": what}
    content["parameters"] = found.parameters.tolist()
    content["reference"] = np.asarray(found.tree.reference).tolist()
    return compile_program(
        lambda: trace_recursion(found, what), content=content, dtype=dtype, threads=1
    )


def _without_rest(found: Recursion) -> Recursion:
    rotors = tuple(own for own in found.own if own.block.form == "rotor")
    return replace(found, root=None, velocity=(), coefficients=np.zeros(0), own=rotors)


def _rooted(m: Motion) -> bool:
    return bool(m.parts) and (
        m.parts[0].kind == "root" or (m.kind == "parent" and _rooted(m.parts[0]))
    )


def _coordinates(found: Recursion) -> list[list[int]]:
    """The velocity coordinates of each body: one, or six of a free base."""
    rows: list[list[int]] = [[] for _ in found.tree.parents]
    for i, body in enumerate(found.tree.body_of):
        rows[body].append(i)
    return rows


def _units(found: Recursion, j: int) -> list[list[float]]:
    """The motions of body j by unit rates of its coordinates: its screw, or six of a free base."""
    if isinstance(found.tree, FloatingTree) and j == 0:
        return np.eye(BASE_V).tolist()
    return [found.screws[j].tolist()]


def _placement(found: Recursion, j: int, q: Any) -> Place:
    """Rotation (rows) and offset of body j in its parent's frame."""
    if isinstance(found.tree, FloatingTree) and j == 0:
        return [list(row) for row in quaternion_matrix(q[3:])], list(q[:3])
    s, reference = found.screws[j], float(found.tree.reference[j])
    eye = np.eye(3)
    if not found.tree.turning[j]:
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
