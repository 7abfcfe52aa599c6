"""One configuration's placements, and values carried along the tree through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kinematics.arrays import Array, lazy
from kinematics.recursion.layout import Columns, Layout, Level
from kinematics.spatial import algebra as spatial
from kinematics.spatial import transforms
from kinematics.spatial.rotations import matrix_of_quaternion

Carry = Callable[[Level, Array, Array], Array]


class Placement:
    """What q alone determines, and the four ways across a joint.

    Motions go down from parent to child. Wrenches, inertial parameters and articulated inertias
    go up: ``carry_*(level, x, base)`` returns ``base`` (the parents' own) with x of every child
    added in the parent's frame.
    """

    def __init__(self, layout: Layout, q: Array) -> None:
        self.layout, self.q = layout, q
        self.batch = q.shape[0]

    # -- functions of the coordinates -----------------------------------------------------------

    @lazy
    def _basis(self) -> list[tuple[Array, ...]]:
        """For turning and for sliding joints: rows ONE … ZERO of `transforms`, (n, 1, B)."""
        xp, columns = self.layout.xp, self.q.T
        out: list[tuple[Array, ...]] = []
        for rows, trigonometry in ((self.layout.turning_q, True), (self.layout.sliding_q, False)):
            if not len(rows):
                continue
            x = xp.take(columns, rows)[:, None]
            zero = xp.zeros(x.shape, like=x)
            if trigonometry:
                s, c = xp.sin(x), xp.cos(x)
                s2 = s * c
                out.append((zero + 1.0, c, s, c * c - s * s, s2 + s2, zero))
            else:
                out.append((zero + 1.0, x, x * x, zero, zero, zero))
        return out

    def _pattern(self, turning: list[int], sliding: list[int]) -> Array:
        """Rows of the basis in a given order, (sorted bodies, rows, B)."""
        xp, groups = self.layout.xp, []
        wanted = ((turning, self.layout.turning_q), (sliding, self.layout.sliding_q))
        patterns = [pattern for pattern, rows in wanted if len(rows)]
        for basis, pattern in zip(self._basis, patterns, strict=True):
            parts, start = [], 0
            for k in range(1, len(pattern) + 1):
                if k == len(pattern) or pattern[k] != pattern[start]:
                    parts.append(xp.repeat(basis[pattern[start]], k - start))
                    start = k
            groups.append(xp.concat(parts, axis=1))
        rows = xp.concat(groups)
        return rows if self.layout.basis_order is None else xp.take(rows, self.layout.basis_order)

    @lazy
    def _vector(self) -> list[tuple[Array, ...]]:
        return self._by_level(
            self._pattern(transforms.VECTOR_COS, [transforms.ONE] * 6),
            self._pattern(transforms.VECTOR_SIN, [transforms.LINEAR] * 6),
        )

    @lazy
    def _parameters(self) -> list[tuple[Array, ...]]:
        return self._tensor(transforms.PARAMETER_COS, transforms.PARAMETER_SIN)

    @lazy
    def _articulated(self) -> list[tuple[Array, ...]]:
        return self._tensor(transforms.ARTICULATED_COS, transforms.ARTICULATED_SIN)

    @lazy
    def _turns(self) -> list[tuple[Array, ...]]:
        """cos q, sin q, cos 2q, sin 2q (n, 1, B) of each level, where all joints turn."""
        _, c, s, c2, s2, _ = self._basis[0]
        order = self.layout.basis_order
        rows = (c, s, c2, s2)
        if order is not None:
            rows = tuple(self.layout.xp.take(x, order) for x in rows)
        return self._by_level(*rows)

    def _by_level(self, *terms: Array) -> list[tuple[Array, ...]]:
        sizes = self.layout.sorted_sizes
        return list(zip(*(self.layout.xp.split(x, sizes) for x in terms), strict=True))

    def _tensor(self, cos: list[int], sin: list[int]) -> list[tuple[Array, ...]]:
        size = len(cos)
        terms = [
            self._pattern(cos, [transforms.ONE] * size),
            self._pattern(sin, [transforms.LINEAR] * size),
        ]
        if len(self.layout.sliding_q):
            terms.append(self._pattern([transforms.ZERO] * size, [transforms.SQUARE] * size))
        return self._by_level(*terms)

    @lazy
    def _placed(self) -> tuple[Array, Array]:
        """(R, p) of the bodies of levels with spherical or free joints."""
        xp, at, columns = self.layout.xp, self.layout.placed, self.q.T
        trigonometry, slides = [], []
        if len(at.scalar_q):
            x = xp.take(columns, at.scalar_q)[:, None]
            angle = x[:, None] * at.turning
            s, c, zero = xp.sin(angle), xp.cos(angle), xp.zeros(angle.shape, like=angle)
            rows = ((c, -s, zero), (s, c, zero), (zero, zero, zero + 1.0))
            trigonometry.append(xp.concat([xp.concat(row, axis=2) for row in rows], axis=1))
            shift = x * (1 - at.turning[:, 0])
            nothing = xp.zeros(x.shape, like=x)
            slides.append(xp.concat((nothing, nothing, shift), axis=1))
        if len(at.quaternion_q):
            quaternion = xp.take(columns, at.quaternion_q).reshape(-1, 4, self.batch)
            trigonometry.append(matrix_of_quaternion(quaternion))
            nothing = xp.zeros((1, 3, self.batch), like=quaternion)
            if len(at.position_q):
                moved = xp.take(columns, at.position_q).reshape(-1, 3, self.batch)
                nothing = xp.concat((nothing, moved))
            slides.append(xp.take(nothing, at.position_rows))
        turn, slide = xp.concat(trigonometry), xp.concat(slides)
        if at.order is not None:
            turn, slide = xp.take(turn, at.order), xp.take(slide, at.order)
        return (
            spatial.multiply(at.rotation, turn),
            at.offset + spatial.rotate(at.rotation, slide),
        )

    # -- across a joint -------------------------------------------------------------------------

    def motion_down(self, level: Level, m: Array) -> Array:
        """Motions (n, 6, ..., B) of the parents (a row for each child) in child coordinates."""
        if level.sorted is None:
            r, p = (x[level.placed] for x in self._placed)
            if m.ndim == 3:
                return spatial.motion_to_child(r, p, m)
            parts = [spatial.motion_to_child(r, p, m[:, :, k]) for k in range(m.shape[2])]
            return self.layout.xp.stack(parts, axis=2)
        y = self.layout.xp.linear(level.motion_down, m)
        c, s = self._vector[level.number]
        if m.ndim == 4:
            c, s = c[:, :, None], s[:, :, None]
        return self.layout.xp.add_product(y[:, :6] * c, y[:, 6:], s)

    def carry_wrench(self, level: Level, f: Array, base: Array) -> Array:
        """Wrenches (n, 6, B) of children added to the parents' own."""
        return self._carry(level, f, base, "_vector", level.wrench_up, spatial.wrench_to_parent)

    def carry_parameters(self, level: Level, pi: Array, base: Array) -> Array:
        """Inertial parameters (n, 10, B) of children added to the parents' own."""
        return self._carry(
            level, pi, base, "_parameters", level.parameters_up, spatial.parameters_to_parent
        )

    def carry_articulated(self, level: Level, body: Array, base: Array) -> Array:
        """Articulated inertias [I | p] (n, 42, B) of children added to the parents' own."""
        return self._carry(
            level, body, base, "_articulated", level.articulated_up,
            spatial.articulated_to_parent,
        )  # fmt: skip

    def _carry(
        self,
        level: Level,
        x: Array,
        base: Array,
        functions: str,
        matrices: tuple[Array, Array],
        placed: Callable[[Array, Array, Array], Array],
    ) -> Array:
        xp = self.layout.xp
        if level.sorted is None:
            r, p = (y[level.placed] for y in self._placed)
            moved = placed(r, p, x)
            if level.parents is None:
                return base + moved
            return xp.segment_add(base, level.parents, moved)
        if functions == "_articulated" and not len(self.layout.sliding_q):
            blended = self._blend_turns(level, matrices[0], x)
        else:
            own = getattr(self, functions)[level.number]
            blended = self._blend(level, matrices[0], x, own)
        if level.parents is None:
            return xp.linear_add(base, matrices[1], blended)
        return xp.segment_add(base, level.parents, xp.linear(matrices[1], blended))

    def _blend(self, level: Level, first: Array, x: Array, functions: tuple[Array, ...]) -> Array:
        xp, size = self.layout.xp, functions[0].shape[1]
        third = level.slides and len(functions) == 3
        y = xp.linear(first if third else first[:, : 2 * size], x)
        out = xp.add_product(y[:, :size] * functions[0], y[:, size : 2 * size], functions[1])
        return xp.add_product(out, y[:, 2 * size :], functions[2]) if third else out

    def to_base(self, carry: Carry, roots: Array) -> Array:
        """Values of the root bodies (n, k, B) summed in the base frame, (1, k, B)."""
        xp, level = self.layout.xp, self.layout.levels[0]
        moved = carry(level, roots, xp.zeros((*roots.shape[:2], 1), like=roots))
        out = moved[:1]
        for row in range(1, moved.shape[0]):
            out = out + moved[row : row + 1]
        return out

    def _blend_turns(self, level: Level, first: Array, x: Array) -> Array:
        """``_blend`` of articulated inertias where all joints turn: group by group of rows."""
        c, s, c2, s2 = self._turns[level.number]
        y = self.layout.xp.linear(first[:, :54], x)
        once = self.layout.xp.add_product(y[:, 9:21] * c, y[:, 36:48], s)
        twice = self.layout.xp.add_product(y[:, 21:27] * c2, y[:, 48:54], s2)
        return self.layout.xp.concat((y[:, :9], once, twice), axis=1)

    def wrench_columns_up(self, level: Level, f: Array, carriers: Array) -> Array:
        """Columns of wrenches (k, 6, B), the k-th carried by row ``carriers[k]``, one level up."""
        xp = self.layout.xp
        if level.sorted is None:
            r, p = (xp.take(y[level.placed], carriers) for y in self._placed)
            return spatial.wrench_to_parent(r, p, f)
        first, second = (xp.take(m, carriers) for m in level.wrench_up)
        own = tuple(xp.take(y, carriers) for y in self._vector[level.number])
        return xp.linear(second, self._blend(level, first, f, own))

    # -- along the tree -------------------------------------------------------------------------

    def outward(self, step: Callable[[Level, Array | None], Array]) -> list[Array]:
        """``step(level, parents' values)`` root to leaf; the values of each level.

        ``step`` gets None at the roots, else a row of the parent's value for each body.
        """
        values: list[Array] = []
        for level in self.layout.levels:
            inherited = values[-1] if values else None
            if inherited is not None and level.parents is not None:
                inherited = self.layout.xp.take(inherited, level.parents)
            values.append(step(level, inherited))
        return values

    def inward(
        self,
        own: Array,
        carry: Carry,
        step: Callable[[Level, Array], tuple[Any, Array]] | None = None,
    ) -> list[Any]:
        """Sum ``own`` (nb, k, B) leaf to root; what each level keeps, root first.

        ``step(level, sum)`` returns what to keep and what to pass to the parent; without it, both
        are the sum.
        """
        kept: list[Any] = []
        total: Array | None = None
        parts = self.layout.xp.split(own, self.layout.body_sizes)
        for level in reversed(self.layout.levels):
            here = parts[level.number] if total is None else total
            keep, sent = (here, here) if step is None else step(level, here)
            kept.append(keep)
            if level.number:
                total = carry(level, sent, parts[level.number - 1])
        return kept[::-1]

    def axes(self) -> list[Array]:
        """The motions (n, 6, k, B) that each level's bodies have at unit speed of one joint.

        Columns: the slots of the levels from the root on, zero where a body has no such velocity.
        """
        xp = self.layout.xp

        def step(level: Level, parent: Array | None) -> Array:
            own = xp.stack([slot.motion for slot in level.slots], axis=2)
            own = xp.broadcast(own, (*own.shape[:3], self.batch))
            if parent is None:
                return own
            return xp.concat((self.motion_down(level, parent), own), axis=2)

        return self.outward(step)

    def project_columns(self, columns: Columns, own: Array) -> Array:
        """Carry columns of wrenches to the base, dotting them with every joint axis on the way.

        ``own`` (k, 6, B) are the columns at their owners, level by level. Returns S · wrench as
        (nv, k, B), the robot's order.
        """
        xp, products = self.layout.xp, []
        alive: Array | None = None
        end = own.shape[0]
        levels = reversed(self.layout.levels)
        for level, carriers in zip(levels, reversed(columns.bodies), strict=True):
            begin = end - (carriers.shape[0] - (0 if alive is None else alive.shape[0]))
            alive = own[begin:end] if alive is None else xp.concat((own[begin:end], alive))
            end = begin
            for slot in level.slots:
                if slot.row is not None:
                    products.append(alive[:, slot.row])
                else:
                    products.append((xp.take(slot.motion, carriers) * alive).sum(1))
            if level.number:
                alive = self.wrench_columns_up(level, alive, carriers)
        zero = xp.zeros((1, own.shape[-1]), like=own)
        entries = xp.take(xp.concat((*products, zero)), columns.gather.reshape(-1))
        return entries.reshape(*columns.gather.shape, own.shape[-1])


def concat_levels(xp: Any, values: list[Array]) -> Array:
    """The values of all levels as one array, the batch broadcast where a level has none."""
    batch = max(v.shape[-1] for v in values)
    wide = [v if v.shape[-1] == batch else xp.broadcast(v, (*v.shape[:-1], batch)) for v in values]
    return xp.concat(wide)
