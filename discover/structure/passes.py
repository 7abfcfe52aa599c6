"""A found recursion as text that can be read, and as a program that runs: torch, nodes, machine.

The passes are evaluated body by body on scalars of any kind that know + - * and .sin(), .cos():
batched tensors, or the nodes of a straight-line program, which is then counted, printed as SymPy
or source, and compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.structure.language import Block, Motion
from discover.structure.recursion import Recursion
from discover.structure.screws import rigid, skew
from kinematics.programs import CompiledProgram, Graph, Program, compile_program, make_program
from kinematics.programs.tracing import solve_symmetric

_NAMES = {("a", 1): "A", ("v", 1): "T", ("v", -1): "Q", ("root", 1): "G", ("root", -1): "K"}


# ---- text ----------------------------------------------------------------------------------------


def text(found: Recursion) -> str:
    """The program as passes over the tree."""
    names: dict[Motion, str] = {}
    outward: list[str] = []

    def name(m: Motion) -> str:
        if m.kind == "joint":
            return f"S {m.source}_i"
        if m.kind == "root":
            return "0"
        if m.kind == "parent":
            return f"X {name(m.parts[0]).replace('_i', '_p')}"
        if m.kind == "product":
            return f"({name(m.parts[0])} × {name(m.parts[1])})"
        if m not in names:
            local = m.parts[0]
            source = "root" if local.kind == "root" else local.source
            letter = _NAMES.get((source, m.sign), f"M{len(names) + 1}")
            letter = letter if f"{letter}_i" not in names.values() else f"M{len(names) + 1}"
            inner = name(local)
            names[m] = f"{letter}_i"
            sign = "" if m.sign > 0 else "-"
            line = f"{letter}_i = {sign}X {letter}_p" + ("" if inner == "0" else f" + {inner}")
            if local.kind == "root":
                line += f",  {letter}_base = ({_numbers(found.root_vector)})"
            outward.append(line)
        return names[m]

    def wrench(b: Block, coefficient: float) -> str:
        told = {
            "inertia": lambda: f"I {name(b.motions[0])}",
            "rate": lambda: f"{name(b.motions[0])} ×* I {name(b.motions[-1])}",
            "drag": lambda: f"d {name(b.motions[0])}",
        }[b.form]()
        return told if abs(coefficient - 1) < 5e-8 else f"{coefficient:.7g} {told}"

    blocks = [(1.0, found.inertia)]
    if found.root is not None:
        blocks.append((1.0, found.root))
    blocks += list(zip(found.coefficients.tolist(), found.velocity, strict=True))
    if found.drag is not None:
        blocks.append((1.0, found.drag))
    inward, arrived = [], []
    for carry, letter in ((1, "F"), (-1, "N"), (0, "W")):
        own = [wrench(b, c) for c, b in blocks if b.carry == carry]
        if own:
            tail = {1: " + Σ_children Xᵀ F", -1: " - Σ_children Xᵀ N", 0: ""}[carry]
            inward.append(f"{letter}_i = {' + '.join(own)}{tail}")
            arrived.append(f"{letter}_i")
    lines = ["outward, from the base to the leaves (p is the body that carries i):"]
    lines += [f"    {line}" for line in outward]
    lines += ["inward, from the leaves to the base:"] + [f"    {line}" for line in inward]
    lines.append(
        f"    tau_i = Sᵀ ({' + '.join(arrived)})"
        if len(arrived) > 1
        else f"    tau_i = Sᵀ {arrived[0]}"
    )
    return "\n".join(lines)


def _numbers(x: Any) -> str:
    least = 1e-9 * float(np.abs(x).max())  # rounding is no finding
    return ", ".join(f"{c:.6g}" if abs(c) > least else "0" for c in x)


# ---- execution -----------------------------------------------------------------------------------


def joint_forces(found: Recursion, q: Any, v: Any, a: Any) -> list[Any]:
    """tau as a list of nv scalars, from lists of nv scalars (tensors or nodes)."""
    tree, nb = found.tree, len(found.tree.parents)
    inertias = [rigid(p[None])[0] for p in found.parameters]
    place = [_placement(found, j, q[j]) for j in range(nb)]
    kept: dict[Motion, list[list[Any]]] = {}

    def motion(m: Motion) -> list[list[Any]]:
        if m not in kept:
            kept[m] = make(m)
        return kept[m]

    def make(m: Motion) -> list[list[Any]]:
        if m.kind == "joint":
            s = {"v": v, "a": a}[m.source]
            return [[_times(c, s[j]) for c in found.screws[j]] for j in range(nb)]
        if m.kind == "root":
            return [[0.0] * 6 for _ in range(nb)]
        if m.kind == "product":
            x, y = motion(m.parts[0]), motion(m.parts[1])
            return [_cross(x[j], y[j]) for j in range(nb)]
        local = motion(m.parts[0])
        base = [float(x) for x in found.root_vector] if _rooted(m) else [0.0] * 6
        out: list[Any] = [None] * nb
        for j in tree.order:
            p = tree.parents[j]
            if m.kind == "parent":
                out[j] = _down(place[j], local[p] if p >= 0 else base)
            else:
                above = _down(place[j], out[p] if p >= 0 else base)
                out[j] = [_plus(_times(m.sign, x), y) for x, y in zip(above, local[j], strict=True)]
        return out

    tau: list[Any] = [0.0] * nb
    terms = [(1.0, found.inertia), *zip(found.coefficients.tolist(), found.velocity, strict=True)]
    if found.root is not None:
        terms.append((1.0, found.root))
    if found.drag is not None:
        terms.append((1.0, found.drag))
    for carry in (1, -1, 0):
        mine = [(c, b) for c, b in terms if b.carry == carry]
        if not mine:
            continue
        wrenches = []
        for j in range(nb):
            total: list[Any] = [0.0] * 6
            for c, b in mine:
                total = [
                    _plus(t, w)
                    for t, w in zip(total, wrench(found, b, c, j, motion, inertias), strict=True)
                ]
            wrenches.append(total)
        for j in reversed(tree.order):
            s = found.screws[j]
            for k in range(6):
                tau[j] = _plus(tau[j], _times(s[k], wrenches[j][k]))
            p = tree.parents[j]
            if p >= 0 and carry:
                up = _up(place[j], wrenches[j])
                wrenches[p] = [
                    _plus(t, _times(carry, w)) for t, w in zip(wrenches[p], up, strict=True)
                ]
    return tau


def wrench(found: Recursion, b: Block, c: float, j: int, motion: Any, inertias: Any) -> list[Any]:
    """The wrench of one block on body j, times c."""
    last = motion(b.motions[-1])[j]
    if b.form == "drag":
        return [_times(c * found.drags[j], x) for x in last]
    f = [_dot(c * row, last) for row in inertias[j]]
    if b.form == "inertia":
        return f
    x = motion(b.motions[0])[j]
    w, u, m, n = x[:3], x[3:], f[:3], f[3:]
    top = [_plus(p, r) for p, r in zip(_cross3(w, m), _cross3(u, n), strict=True)]
    return [*top, *_cross3(w, n)]


def torch_forces(found: Recursion, q: Tensor, v: Tensor, a: Tensor) -> Tensor:
    """tau (…, nv) of the program on batched tensors."""
    columns = joint_forces(found, *(list(x.unbind(-1)) for x in (q, v, a)))
    return torch.stack(
        [c if isinstance(c, Tensor) else torch.full_like(q[..., 0], c) for c in columns], -1
    )


def torch_dynamics(found: Recursion, q: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """Accelerations (…, nv) that the program demands: H from its own columns."""
    zero = torch.zeros_like(q)
    rest = torch_forces(found, q, v, zero)
    still = torch_forces(found, q, zero, zero)
    units = torch.eye(q.shape[-1], dtype=q.dtype)
    H = torch.stack([torch_forces(found, q, zero, e.expand_as(q)) - still for e in units], -1)
    return torch.linalg.solve(H, (tau - rest).unsqueeze(-1)).squeeze(-1)


def trace_recursion(found: Recursion, what: str = "aba") -> Program:
    """A straight-line program: "rnea" (q, v, a) -> tau, or "aba" (q, v, tau) -> a."""
    graph, nv = Graph(), len(found.tree.parents)
    last = "a" if what == "rnea" else "tau"
    ports = {name: graph.inputs(name, nv) for name in ("q", "v", last)}
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
    from dataclasses import replace

    return replace(found, root=None, velocity=(), coefficients=np.zeros(0), drag=None)


# ---- scalars -------------------------------------------------------------------------------------


def _rooted(m: Motion) -> bool:
    return bool(m.parts) and (
        m.parts[0].kind == "root" or (m.kind == "parent" and _rooted(m.parts[0]))
    )


def _placement(found: Recursion, j: int, q: Any) -> tuple[list[list[Any]], list[Any]]:
    """Rotation (rows) and offset of body j in its parent's frame."""
    s, reference = found.screws[j], float(found.tree.reference[j])
    eye = np.eye(3)
    if not found.tree.turning[j]:
        d = q - reference if reference else q
        return eye.tolist(), [_times(x, d) for x in s[3:]]
    angle = q - reference if reference else q
    sine, versine = angle.sin(), 1.0 - angle.cos()
    k = skew(s[:3])
    kk = k @ k
    rotation = [
        [
            _plus(_plus(eye[r, c], _times(k[r, c], sine)), _times(kk[r, c], versine))
            for c in range(3)
        ]
        for r in range(3)
    ]
    point = np.cross(s[:3], s[3:])
    offset = [_plus(point[r], _times(-1.0, _dot(point, rotation[r]))) for r in range(3)]
    return rotation, offset


def _down(place: Any, m: list[Any]) -> list[Any]:
    rotation, p = place
    w, u = m[:3], m[3:]
    lifted = [_plus(x, y) for x, y in zip(u, _cross3(w, p), strict=True)]
    return [_back(rotation, w, c) for c in range(3)] + [
        _back(rotation, lifted, c) for c in range(3)
    ]


def _up(place: Any, f: list[Any]) -> list[Any]:
    rotation, p = place
    n = [_dot(row, f[3:]) for row in rotation]
    m = [_plus(_dot(row, f[:3]), x) for row, x in zip(rotation, _cross3(p, n), strict=True)]
    return [*m, *n]


def _back(rotation: Any, x: list[Any], c: int) -> Any:
    return _dot([rotation[r][c] for r in range(3)], x)


def _cross(x: list[Any], y: list[Any]) -> list[Any]:
    w, u, z, t = x[:3], x[3:], y[:3], y[3:]
    low = [_plus(p, r) for p, r in zip(_cross3(w, t), _cross3(u, z), strict=True)]
    return [*_cross3(w, z), *low]


def _cross3(x: Any, y: Any) -> list[Any]:
    def term(i: int, j: int) -> Any:
        return _plus(_times(x[i], y[j]), _times(-1.0, _times(x[j], y[i])))

    return [term(1, 2), term(2, 0), term(0, 1)]


def _dot(x: Any, y: Any) -> Any:
    total: Any = 0.0
    for p, r in zip(x, y, strict=True):
        total = _plus(total, _times(p, r))
    return total


def _times(x: Any, y: Any) -> Any:
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


def _plus(x: Any, y: Any) -> Any:
    if isinstance(x, (int, float)) and x == 0:
        return y
    if isinstance(y, (int, float)) and y == 0:
        return x
    return x + y
