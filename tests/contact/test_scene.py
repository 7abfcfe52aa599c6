"""Scenes: which pairs may touch, how materials mix, what is refused."""

import math

import pytest
import torch

from kinematics import RobotError
from kinematics.contact import Box, Capsule, Convex, Geom, HalfSpace, Material, Point, Scene
from kinematics.contact.shapes import CANDIDATES


def test_points_touch_surfaces_and_geoms_touch_everything_of_other_bodies():
    scene = Scene(
        [Point("a", name="p"), Point("b", name="r")],
        [HalfSpace(name="floor"), Box("a", (1, 1, 1), name="table")],
        geoms=[Point("c", radius=1, name="ball"), Point("b", radius=1, name="head")],
        exclude=[("b", "a")],
    )
    floor = {"floor/p", "floor/r", "floor/ball", "floor/head"}
    # p is on the table's body, b is excluded from it
    assert set(scene.names) == floor | {"ball/table", "ball/head"}
    assert scene.nc == len(scene.names) == 6
    assert "nc=6" in repr(scene)


def test_pairs_can_be_stated_and_the_simpler_shape_comes_first():
    capsule = Capsule("a", (0, 0, 0), (0, 0, 1), 0.1, name="rod")
    scene = Scene([Point("b", name="p")], [HalfSpace(name="floor")], geoms=[capsule],
                  pairs=[("rod", "floor"), (2, 0)])  # fmt: skip
    assert scene.names == ("floor/rod.0", "floor/rod.1", "p/rod")
    assert scene.pair_of.tolist() == [0, 0, 1]
    counts = {("plane", "convex"): 8}
    for first, second in CANDIDATES:
        shapes = [
            Geom(kind=k, body=b, vertices=[[0, 0, 0]] * 8 if k == "convex" else [])
            for k, b in ((second, "a"), (first, "b"))
        ]
        scene = Scene(geoms=shapes)
        expected = CANDIDATES[first, second] or counts[first, second]
        assert scene.nc == expected, (first, second)
        assert scene.shapes[scene.touching[0].first].kind == first


def column(scene, name):
    return getattr(scene, name)[0].tolist()


def test_materials_mix_as_mujoco_mixes_them():
    def both(one, two):
        return Scene([Point("a", **one)], [HalfSpace(**two)])

    equal = both(
        {"friction": 0.3, "solmix": 3.0, "solref": (0.04, 1.0), "margin": 0.1, "condim": 1},
        {"friction": 0.5, "solmix": 1.0, "solref": (0.08, 2.0), "margin": 0.2},
    )
    assert column(equal, "friction") == [0.5, 0.5]
    assert column(equal, "condim") == 3
    assert column(equal, "margin") == pytest.approx(0.3)
    assert column(equal, "solref") == pytest.approx([0.05, 1.25])
    direct = both({"solref": (-100.0, -5.0)}, {"solref": (0.02, 1.0)})
    assert column(direct, "solref") == [-100.0, -5.0]
    ranked = both({"friction": 0.3, "priority": 2, "condim": 1}, {"friction": 0.5, "priority": 1})
    assert column(ranked, "condim") == 1
    assert column(ranked, "friction") == [0.0, 0.0]
    weightless = both(
        {"solmix": 0.0, "solref": (0.04, 1.0)}, {"solmix": 0.0, "solref": (0.02, 1.0)}
    )
    assert column(weightless, "solref") == pytest.approx([0.03, 1.0])
    assert math.isnan(column(equal, "restitution"))
    assert column(both({"restitution": 0.3}, {"restitution": 0.0}), "restitution") == 0.3


def test_an_empty_scene_has_columns_of_its_widths():
    scene = Scene()
    assert scene.nc == 0
    shapes = {n: tuple(getattr(scene, n).shape) for n in ("friction", "solimp", "margin", "condim")}
    assert shapes == {"friction": (0, 2), "solimp": (0, 5), "margin": (0,), "condim": (0,)}


def test_replace_keeps_what_is_not_changed():
    scene = Scene([Point("a", name="p")], [HalfSpace(friction=0.4)], limits=False)
    changed = scene.replace(law="another")
    assert changed.law == "another"
    assert changed.names == scene.names
    assert changed.limits is False
    assert torch.equal(changed.friction, scene.friction)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Scene([3]), "expected shapes"),
        (lambda: Scene([Point("a", name="x"), Point("b", name="x")]), "a name of its own"),
        (lambda: Scene([Point("a")], pairs=[("a", "b", "c")]), "expected pairs"),
        (lambda: Scene([Point("a", name="x")], pairs=[("x", "y")]), "expected pairs"),
        (lambda: Scene([Point("a")], pairs=[(0, 4)]), "two of 1 shapes"),
        (lambda: Scene(geoms=[Box("a", (1, 1, 1)), Box("b", (1, 1, 1))]).nc, "can be tested"),
        (lambda: Scene(gravity=3), "arguments of a Scene"),
        (lambda: Scene().replace(gravity=3), "fields of a Scene"),
        (lambda: Point("a", radius=-1), "at least 0"),
        (lambda: Point("a", at=(0, 0)), "finite numbers"),
        (lambda: Point("a", at=(0, 0, math.nan)), "finite numbers"),
        (lambda: Point("a", friction=-1), "a material"),
        (lambda: Material(solref=(1,)), "a material"),
        (lambda: Point("a", friction="rough"), "a material"),
        (lambda: HalfSpace(offset="low"), "an offset"),
        (lambda: HalfSpace((0, 0, 0)), "with a direction"),
        (lambda: HalfSpace("up"), "with a direction"),
        (lambda: Capsule("a", (0, 0, 0), (0, 0, 0), 1), "with a direction"),
        (lambda: Capsule("a", (0, 0), (0, 0, 1), 1), "ends of a capsule"),
        (lambda: Convex("a", []), "vertices"),
        (lambda: Convex("a", [[0, 1]]), "finite numbers"),
        (lambda: Geom(kind="torus"), "expected a shape among"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(make, says):
    with pytest.raises(RobotError, match=says) as refused:
        make()
    assert "\n" not in str(refused.value)
