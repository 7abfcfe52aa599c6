"""Scenes: shapes on bodies, what may touch what, and the numbers of each possible contact.

scene = Scene([Point(body="foot", radius=0.02)], [HalfSpace()])

A scene names bodies, not joints: it is bound to a robot where it is used. It lists a fixed number
of candidate contacts, so that every state of a batch has the same shape; a pair of shapes gives one
or a few of them (the two ends of a capsule on a plane).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from kinematics.arrays import lazy
from kinematics.contact.shapes import CANDIDATES, Geom
from kinematics.errors import RobotError

_FAR_FROM_NONE = 1e-15  # a sum of weights below it is none: both shapes count alike


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two shapes that may touch, by their numbers in the scene, and the numbers of their contact.

    friction (2,) along the two tangents; the other fields as in `Material`, mixed.
    """

    first: int
    second: int
    condim: int
    friction: tuple[float, float]
    solref: tuple[float, float]
    solreffriction: tuple[float, float]
    solimp: tuple[float, float, float, float, float]
    margin: float
    restitution: float


def mixed(first: Geom, second: Geom, a: int, b: int) -> Pair:
    """The pair (a, b) of two shapes, mixed by MuJoCo's rules: the material of higher priority; of
    equal ones the greater condim and friction, reference and impedance averaged with the weights
    ``solmix`` (references of stiffness and damping by the smaller). Margins add up whatever the
    priority (since MuJoCo 4); of restitutions, which it does not know, the greater counts."""
    one, two = first.material, second.material
    margin = one.margin + two.margin
    restitution = max(one.restitution, two.restitution)
    if one.priority != two.priority:
        best = one if one.priority > two.priority else two
        condim, mu, solref, solimp = best.condim, best.friction, best.solref, best.solimp
    else:
        condim, mu = max(one.condim, two.condim), max(one.friction, two.friction)
        share = _share(one.solmix, two.solmix)
        both = zip(one.solimp, two.solimp, strict=True)
        solimp = tuple(share * x + (1 - share) * y for x, y in both)  # type: ignore[assignment]
        references = list(zip(one.solref, two.solref, strict=True))
        if one.solref[0] > 0 and two.solref[0] > 0:
            x, y = (share * x + (1 - share) * y for x, y in references)
        else:
            x, y = (min(pair) for pair in references)
        solref = (x, y)
    return Pair(
        first=a, second=b, condim=condim, friction=(mu, mu), solref=solref,
        solreffriction=(0.0, 0.0), solimp=solimp, margin=margin, restitution=restitution,
    )  # fmt: skip


def _share(one: float, two: float) -> float:
    if one >= _FAR_FROM_NONE and two >= _FAR_FROM_NONE:
        return one / (one + two)
    if one < _FAR_FROM_NONE and two < _FAR_FROM_NONE:
        return 0.5
    return 0.0 if one < _FAR_FROM_NONE else 1.0


@dataclass(frozen=True, init=False, eq=False)
class Scene:
    """Shapes and the pairs of them that may touch.

    points    shapes that touch the surfaces, not each other
    surfaces  shapes that everything of other bodies touches but other surfaces
    geoms     shapes that touch surfaces, and each other where they are on different bodies
    law       `Soft` or `Hard`; None leaves it to whoever steps the scene
    pairs     the pairs that may touch instead of these: names or numbers of shapes, or `Pair`
    exclude   pairs of bodies, by name, whose shapes do not touch (two links of one hinge, say:
              a scene does not know which bodies are neighbours)
    notes     what a description had that is not in the scene
    limits    whether the robot's joint limits and friction loss act in the same problem

    What MuJoCo has besides, where an MJCF is read (None: its defaults, or from the robot):
    ``invweights`` (shapes,) [1/kg] the inverse weight of each shape's body; ``limit_solref``
    (nv, 2), ``limit_solimp`` (nv, 5), ``limit_margin`` (nv,) of joint limits; ``loss_solref``
    (nv, 2), ``loss_solimp`` (nv, 5) of friction loss; ``dof_invweight`` (nv,).

    ``shapes`` holds points, surfaces and geoms, in this order; ``touching`` the pairs. A candidate
    contact is a row of the properties below. Raises RobotError.
    """

    shapes: tuple[Geom, ...]
    touching: tuple[Pair, ...]
    law: Any = None
    notes: tuple[str, ...] = ()
    limits: bool = True
    invweights: Tensor | None = None
    limit_solref: Tensor | None = None
    limit_solimp: Tensor | None = None
    limit_margin: Tensor | None = None
    loss_solref: Tensor | None = None
    loss_solimp: Tensor | None = None
    dof_invweight: Tensor | None = None

    def __init__(
        self,
        points: Iterable[Geom] = (),
        surfaces: Iterable[Geom] = (),
        law: Any = None,
        *,
        geoms: Iterable[Geom] = (),
        pairs: Iterable[Any] | None = None,
        exclude: Iterable[Sequence[str]] = (),
        notes: Iterable[str] = (),
        limits: bool = True,
        **numbers: Tensor | None,
    ) -> None:
        unknown = set(numbers) - _NUMBERS
        if unknown:
            raise RobotError(
                f"expected arguments of a Scene, found {', '.join(sorted(unknown))}; besides "
                f"points, surfaces, law, geoms, pairs, exclude, notes and limits it takes "
                f"{', '.join(sorted(_NUMBERS))}"
            )
        groups = [tuple(points), tuple(surfaces), tuple(geoms)]
        shapes = tuple(shape for group in groups for shape in group)
        for shape in shapes:
            if not isinstance(shape, Geom):
                raise RobotError(
                    f"expected shapes (Point, Capsule, Box, Convex, HalfSpace, …) in a scene, "
                    f"found {type(shape).__name__}; see kinematics.contact"
                )
        shapes = _named(shapes)
        if pairs is None:
            found = _default_pairs(shapes, [len(g) for g in groups], exclude)
        else:
            found = [_given(pair, shapes) for pair in pairs]
        for name, value in (
            ("shapes", shapes),
            ("touching", tuple(_ordered(pair, shapes) for pair in found)),
            ("law", law),
            ("notes", tuple(notes)),
            ("limits", bool(limits)),
            *numbers.items(),
            ("_cache", {}),
        ):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """One line: how many shapes, pairs and candidate contacts, and the first names."""
        listed = ", ".join(self.names[:6]) + (", …" if self.nc > 6 else "")
        return f"Scene({len(self.shapes)} shapes, nc={self.nc}: {listed})"

    def replace(self, **changes: Any) -> Scene:
        """A copy with law, notes, shapes (in their order) or pairs (`Pair`) changed."""
        known = {f.name for f in fields(self)}
        if set(changes) - known:
            raise RobotError(
                f"expected fields of a Scene ({', '.join(sorted(known))}), found "
                f"{', '.join(sorted(set(changes) - known))}; make a new Scene"
            )
        now = {name: changes.get(name, getattr(self, name)) for name in known}
        return Scene(geoms=now.pop("shapes"), pairs=now.pop("touching"), **now)

    @lazy
    def _rows(self) -> tuple[Pair, ...]:
        return tuple(p for p in self.touching for _ in range(candidates(self, p)))

    @property
    def nc(self) -> int:
        """Number of candidate contacts."""
        return len(self._rows)

    @lazy
    def names(self) -> tuple[str, ...]:
        """Of each candidate: first shape/second shape, numbered where a pair has several."""
        out = []
        for pair in self.touching:
            both = f"{self.shapes[pair.first].name}/{self.shapes[pair.second].name}"
            count = candidates(self, pair)
            out += [both if count == 1 else f"{both}.{k}" for k in range(count)]
        return tuple(out)

    def _column(self, name: str, *width: int) -> Tensor:
        values = [getattr(pair, name) for pair in self._rows]
        return torch.tensor(values, dtype=torch.float64).reshape(self.nc, *width)

    @lazy
    def pair_of(self) -> Tensor:
        """(nc,) the pair, by its number in ``touching``, of each candidate."""
        counts = torch.tensor([candidates(self, p) for p in self.touching], dtype=torch.long)
        return torch.repeat_interleave(torch.arange(len(counts)), counts)

    @lazy
    def condim(self) -> Tensor:
        """(nc,) 1: no friction, 3: friction in the tangent plane."""
        return torch.tensor([pair.condim for pair in self._rows], dtype=torch.long)

    @lazy
    def friction(self) -> Tensor:
        """(nc, 2) coefficients along the two tangents; zero where condim is 1."""
        return self._column("friction", 2) * (self.condim > 1)[:, None]

    @lazy
    def solref(self) -> Tensor:
        """(nc, 2) MuJoCo's reference: time constant [s], damping ratio; or -stiffness, -damping."""
        return self._column("solref", 2)

    @lazy
    def solreffriction(self) -> Tensor:
        """(nc, 2) the reference of the tangents where a pair states one; zeros: as ``solref``."""
        return self._column("solreffriction", 2)

    @lazy
    def solimp(self) -> Tensor:
        """(nc, 5) MuJoCo's impedance: d0, dwidth, width [m], midpoint, power."""
        return self._column("solimp", 5)

    @lazy
    def margin(self) -> Tensor:
        """(nc,) distance [m] below which a contact acts, and from which its law counts depth."""
        return self._column("margin")

    @property
    def includemargin(self) -> Tensor:
        """``margin`` by MuJoCo's name."""
        return self.margin

    @lazy
    def restitution(self) -> Tensor:
        """(nc,) of the hard law; nan where no shape states one."""
        stated = self._column("restitution")
        return torch.where(stated < 0, torch.nan, stated)


_NUMBERS = {
    "invweights", "limit_solref", "limit_solimp", "limit_margin", "loss_solref", "loss_solimp",
    "dof_invweight",
}  # fmt: skip


def candidates(scene: Scene, pair: Pair) -> int:
    """How many candidate contacts a pair of shapes has."""
    first, second = scene.shapes[pair.first], scene.shapes[pair.second]
    count = CANDIDATES.get((first.kind, second.kind))
    if count is None:
        raise RobotError(
            f"expected two shapes that can be tested for contact, found {first.kind} "
            f"{first.name!r} and {second.kind} {second.name!r}; the pairs are "
            f"{', '.join('-'.join(both) for both in CANDIDATES)}"
        )
    return count or second.count


def _named(shapes: Sequence[Geom]) -> tuple[Geom, ...]:
    """Every shape with a name of its own."""
    taken = [shape.name for shape in shapes if shape.name]
    twice = {name for name in taken if taken.count(name) > 1}
    if twice:
        raise RobotError(
            f"expected a name of its own for every shape, found {sorted(twice)[0]!r} twice; "
            "rename one"
        )
    out: list[Geom] = []
    used = set(taken)
    for number, shape in enumerate(shapes):
        name = shape.name
        while not name or (not shape.name and name in used):
            name, number = f"{shape.kind}{number}", number + 1
        used.add(name)
        out.append(shape if shape.name else replace(shape, name=name))
    return tuple(out)


def _default_pairs(
    shapes: Sequence[Geom], sizes: Sequence[int], exclude: Iterable[Sequence[str]]
) -> list[Pair]:
    role = [k for k, size in enumerate(sizes) for _ in range(size)]  # point, surface, geom
    apart = {frozenset(bodies) for bodies in exclude}
    meet = {(0, 1), (1, 2), (2, 2)}
    return [
        mixed(shapes[i], shapes[j], i, j)
        for i, j in combinations(range(len(shapes)), 2)
        if (role[i], role[j]) in meet
        and shapes[i].body != shapes[j].body
        and frozenset((shapes[i].body, shapes[j].body)) not in apart
    ]


def _given(pair: Any, shapes: Sequence[Geom]) -> Pair:
    """A pair as it is stated: `Pair`, or two names or numbers."""
    if isinstance(pair, Pair):
        first, second = pair.first, pair.second
    else:
        names = [shape.name for shape in shapes]
        try:
            first, second = (names.index(x) if isinstance(x, str) else int(x) for x in pair)
        except (TypeError, ValueError):
            raise RobotError(
                f"expected pairs of names or numbers of shapes, found {str(pair)[:60]!r}; "
                f"the shapes are {', '.join(names)}"
            ) from None
    if not (0 <= first < len(shapes) and 0 <= second < len(shapes)) or first == second:
        raise RobotError(
            f"expected a pair of two of {len(shapes)} shapes, found {first} and {second}; "
            "count from 0"
        )
    return pair if isinstance(pair, Pair) else mixed(shapes[first], shapes[second], first, second)


def _ordered(pair: Pair, shapes: Sequence[Geom]) -> Pair:
    """The pair with the simpler shape first, as MuJoCo has it: normals point from it."""
    if shapes[pair.first].rank > shapes[pair.second].rank:
        return replace(pair, first=pair.second, second=pair.first)
    return pair
