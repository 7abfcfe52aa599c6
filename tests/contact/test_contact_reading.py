"""Scenes of descriptions: contact by contact what MuJoCo finds, and what is left out is named."""

import importlib.util
import warnings
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

import kinematics
from kinematics import RobotError, contact

ASSETS = Path(importlib.util.find_spec("gymnasium").origin).parent / "envs" / "mujoco" / "assets"

# every pair of shapes that is tested, mixed materials, a priority, a margin, references of both
# kinds, an explicit pair, a coordinate with an offset, all kinds of joints, a welded body
ZOO = """
<mujoco><option cone="elliptic" impratio="3"/>
<default><geom friction=".7" solmix="2"/></default>
<worldbody>
 <geom type="plane" size="1 1 1" margin=".02" gap=".01" friction=".9" solref=".03 .8"
  solimp=".8 .9 .01 .4 3"/>
 <geom name="wall" type="plane" size="1 1 1" pos="-.5 0 0" euler="0 90 10" priority="1" condim="1"/>
 <body pos="0 0 .3"><freejoint/>
  <geom name="s" size=".2" solref="-100 -10"/>
  <geom name="c" type="capsule" size=".1 .3" pos=".3 0 0" euler="20 30 40"/>
  <body pos=".2 .2 .2" euler="10 20 30"><joint pos=".1 .1 .1" axis="1 2 3" ref="20"/>
   <geom name="b" type="box" size=".1 .2 .3" solmix="0"/>
   <body pos=".1 .1 .3"><geom name="cy" type="cylinder" size=".1 .2" pos=".2 .1 0" euler="50 0 0"/>
   </body>
   <body pos="-.2 .1 0"><joint type="slide" axis="1 0 0"/><geom size=".15" pos=".1 0 0"/>
    <body pos=".1 0 .1"><joint type="ball"/><geom type="capsule" size=".1 .2"/></body></body>
  </body></body>
 <body pos=".1 .2 .1"><freejoint/><geom name="s2" size=".25" friction=".2" solref=".05 1"/>
  <geom name="c2" type="capsule" size=".12 .2" pos="0 .2 0" euler="0 90 0"/></body>
</worldbody>
<contact><pair geom1="s2" geom2="s" condim="3" friction=".3 .4 .1 0 0" solreffriction=".1 1"/>
</contact></mujoco>"""

LEFT_OUT = {("capsule", "cylinder"), ("capsule", "box")}


def read(source):
    """MuJoCo's model, our robot and our scene."""
    text = source.read_text() if isinstance(source, Path) else source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        robot = kinematics.load(source)
    return mujoco.MjModel.from_xml_string(text), robot, contact.load(source)


def poses(model, count, seed):
    """Random configurations near the floor, MuJoCo's quaternions being ours."""
    rng = np.random.default_rng(seed)
    out = np.tile(model.qpos0, (count, 1))
    for joint in range(model.njnt):
        at, kind = model.jnt_qposadr[joint], model.jnt_type[joint]
        if kind < 2:
            turn = at + 3 * (kind == 0)
            out[:, turn : turn + 4] = rng.normal(size=(count, 4))
            out[:, turn : turn + 4] /= np.linalg.norm(out[:, turn : turn + 4], axis=1)[:, None]
        if kind == 0:
            out[:, at : at + 2] = rng.normal(size=(count, 2)) * 0.3
            out[:, at + 2] *= rng.uniform(0, 1, size=count)
        if kind >= 2:
            out[:, at] += rng.uniform(-1, 1, size=count) * (3.0 if kind == 3 else 0.6)
    return out


def found_by_mujoco(model, data, scene):
    """The contacts that act, by the two shapes' numbers."""
    number = {shape.name: k for k, shape in enumerate(scene.shapes)}
    out = {}
    for met in data.contact:
        if met.dist < met.includemargin:
            names = tuple(model.geom(int(g)).name or f"geom{int(g)}" for g in met.geom)
            if all(name in number for name in names):
                out.setdefault(tuple(number[n] for n in names), []).append(met)
    return out


def in_mujocos_velocities(robot, q, jacobian):
    """Our Jacobian (…, nv) in MuJoCo's coordinates: free joints linear first, in world axes."""
    out = jacobian.clone()
    for kind, at, where in zip(robot.kinds, robot.v_slices, robot.q_slices, strict=True):
        if kind == "free":
            unit = q[where][3:]
            w, x = unit[0], unit[1:]
            cross = torch.linalg.cross(x.expand(3, 3), torch.eye(3, dtype=q.dtype), dim=1).T
            turn = torch.eye(3, dtype=q.dtype) + 2 * w * cross + 2 * cross @ cross
            block = jacobian[..., at]
            out[..., at] = torch.cat((block[..., 3:] @ turn.T, block[..., :3]), -1)
    return out


def agree(source, count, seed=0):
    """Compare all contacts at random poses; how many there were."""
    model, robot, scene = read(source)
    data, many = mujoco.MjData(model), poses(model, count, seed)
    q = torch.tensor(many)
    ours = contact.contacts(robot, scene, q)
    acting = (ours.gap < scene.margin) & ours.present
    weight = contact.invweight(robot, scene)
    total = 0
    for k, pose in enumerate(many):
        data.qpos[:] = pose
        mujoco.mj_forward(model, data)
        theirs = found_by_mujoco(model, data, scene)
        mine = {}
        for row in torch.nonzero(acting[k])[:, 0].tolist():
            pair = scene.touching[scene.pair_of[row]]
            mine.setdefault((pair.first, pair.second), []).append(row)
        kinds = {both: tuple(scene.shapes[s].kind for s in both) for both in {*theirs, *mine}}
        count_of = {b: len(x) for b, x in theirs.items() if kinds[b] not in LEFT_OUT}
        assert {b: len(x) for b, x in mine.items()} == count_of, kinds
        rows = data.efc_J.reshape(-1, model.nv)
        for both in count_of:
            for met in theirs[both]:
                apart = [np.abs(ours.point[k, r].numpy() - met.pos).max() for r in mine[both]]
                row = mine[both][int(np.argmin(apart))]
                what = f"{kinds[both]} at pose {k}"
                assert min(apart) < 1e-12, what
                assert abs(float(ours.gap[k, row]) - met.dist) < 1e-13, what
                assert np.abs(ours.frame[k, row].numpy().ravel() - met.frame).max() < 1e-11, what
                total += 1
                assert int(scene.condim[row]) == met.dim
                assert float(scene.margin[row]) == pytest.approx(met.includemargin, abs=1e-15)
                for name in ("solref", "solreffriction", "solimp"):
                    stated = getattr(scene, name)[row].numpy()
                    assert np.allclose(stated, getattr(met, name), rtol=1e-14, atol=0), name
                if met.dim > 1:
                    assert np.allclose(scene.friction[row].numpy(), met.friction[:2], rtol=1e-14)
                if model.opt.cone and met.efc_address >= 0:
                    first = met.efc_address
                    J = in_mujocos_velocities(robot, q[k], ours.jacobian[k, row])[: met.dim]
                    assert np.abs(J.numpy() - rows[first : first + met.dim]).max() < 1e-11, what
                    d = data.efc_KBIP.reshape(-1, 4)[first, 2]
                    their_weight = data.efc_R[first] * d / (1 - d)
                    assert float(weight[row]) == pytest.approx(their_weight, rel=1e-10)
    return total


def test_every_contact_of_own_shapes_is_mujocos():
    assert agree(ZOO, 60) > 500


@pytest.mark.parametrize(
    "name", ["hopper", "walker2d", "half_cheetah", "ant", "humanoid", "pusher"]
)
def test_every_contact_of_gymnasiums_models_is_mujocos(name):
    least = {"hopper": 2, "walker2d": 1}.get(name, 20)
    assert agree(ASSETS / f"{name}.xml", 25) >= least


def test_what_is_not_tested_is_named():
    scene = contact.load(ASSETS / "pusher.xml")
    assert any("3 of capsule-cylinder" in note for note in scene.notes)
    text = """<mujoco><worldbody><geom type="plane" size="1 1 1"/><body><freejoint/>
    <geom type="ellipsoid" size=".1 .2 .3"/><geom size=".1" condim="6"/></body>
    </worldbody></mujoco>"""
    scene = contact.load(text)
    assert scene.nc == 1
    assert any("1 of plane-ellipsoid" in note for note in scene.notes)
    assert any("condim 6 read as 3" in note for note in scene.notes)


def test_filters_are_mujocos():
    body = '<body name="{n}"><joint axis="0 {y} 1"/><geom size=".1" name="g{n}"/>{inner}</body>'
    inner = body.format(n="c", y=0, inner="")
    chain = body.format(n="a", y=0, inner=body.format(n="b", y=1, inner=inner))
    text = '<mujoco>{more}<worldbody><geom name="w" size=".1"/>' + chain + "</worldbody></mujoco>"
    exclude = '<contact><exclude body1="a" body2="c"/></contact>'
    off = '<option><flag contact="disable"/></option>'
    unfiltered = '<option><flag filterparent="disable"/></option>'
    for more, expected in (
        ("", {"w/ga", "w/gb", "w/gc", "ga/gc"}),
        (exclude, {"w/ga", "w/gb", "w/gc"}),
        (off, set()),
        (unfiltered, {"w/ga", "w/gb", "w/gc", "ga/gb", "gb/gc", "ga/gc"}),
    ):
        scene = contact.load(text.format(more=more))
        assert set(scene.names) == expected, more


def test_options_and_joints_are_read():
    text = """<mujoco><option cone="elliptic" impratio="7"><flag refsafe="disable" limit="disable"/>
    </option><worldbody><body><freejoint/><geom size=".1"/><body><joint solreflimit=".04 .9"
    margin=".3" solimpfriction=".5 .6 .7 .5 1"/><geom size=".1"/></body></body>
    </worldbody></mujoco>"""
    model, robot, scene = read(text)
    assert (scene.law.cone, scene.law.impratio, scene.law.refsafe) == ("elliptic", 7.0, False)
    assert not scene.limits
    assert scene.limit_solref.shape == (robot.nv, 2)
    assert scene.limit_solref[-1].tolist() == [0.04, 0.9]
    assert scene.limit_margin[-1] == 0.3
    assert scene.loss_solimp[-1, 0] == 0.5
    # MuJoCo's free joint is linear first, ours angular first
    theirs = model.dof_invweight0[[3, 4, 5, 0, 1, 2, 6]]
    assert np.array_equal(scene.dof_invweight.numpy(), theirs)


INERTIAL = """<inertial><mass value="1"/>
<inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>"""
URDF = """<robot name="u"><link name="base"><collision><geometry><box size=".2 .4 .6"/></geometry>
</collision></link>
<link name="plate">{inertial}
 <collision><origin xyz=".1 0 .2" rpy=".3 .2 .1"/><geometry><box size=".2 .4 .6"/></geometry>
 </collision></link>
<link name="tip">{inertial}
 <collision><origin xyz="0 .3 0"/><geometry><sphere radius=".1"/></geometry></collision>
 <collision><origin xyz="0 .3 .5" rpy="1 2 3"/><geometry><cylinder radius=".1" length=".4"/>
 </geometry></collision>
 <collision><geometry><mesh filename="nowhere.dae"/></geometry></collision></link>
<link name="end">{inertial}</link>
<joint name="j1" type="revolute"><parent link="base"/><child link="plate"/><axis xyz="0 1 0"/>
 <origin xyz="0 0 1" rpy=".1 .2 .3"/><limit lower="-9" upper="9" effort="1" velocity="1"/></joint>
<joint name="j2" type="revolute"><parent link="plate"/><child link="end"/><axis xyz="1 0 0"/>
 <origin xyz=".3 0 0"/><limit lower="-9" upper="9" effort="1" velocity="1"/></joint>
<joint name="weld" type="fixed"><parent link="end"/><child link="tip"/>
 <origin xyz="0 0 .3" rpy="0 1 0"/></joint></robot>""".replace("{inertial}", INERTIAL)


def test_collision_shapes_of_a_urdf_stand_where_mujoco_has_them():
    robot = kinematics.load(URDF)
    scene = contact.load(URDF, floor=0.9)
    assert scene.shapes[-1].name == "floor"
    assert set(scene.names) >= {"tip.0/base.0", "floor/tip.0", "floor/plate.0.3"}
    assert not any("plate.0/tip" in name or "tip.0/plate" in name for name in scene.names)
    assert any("nowhere.dae" in note for note in scene.notes)
    assert any("cylinder-box" in note for note in scene.notes)
    floored = mujoco.MjSpec.from_string(URDF.replace('<collision><geometry><mesh filename='
        '"nowhere.dae"/></geometry></collision>', ""))  # fmt: skip
    floored.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 1], pos=[0, 0, 0.9], name="floor"
    )
    model = floored.compile()
    data = mujoco.MjData(model)
    q = torch.tensor(np.random.default_rng(0).uniform(-3, 3, (40, 2)))
    ours = contact.contacts(robot, scene, q)
    total = 0
    for k, pose in enumerate(q.numpy()):
        data.qpos[:] = pose
        mujoco.mj_forward(model, data)
        theirs = [m.dist for m in data.contact if model.geom_type[m.geom[0]] == 0]
        rows = [i for i, n in enumerate(scene.names) if n.startswith("floor/")]
        mine = [float(x) for x in ours.gap[k, rows] if x < 0]  # the base's box cannot move
        assert np.allclose(sorted(mine), sorted(theirs), atol=1e-12)
        total += len(mine)
    assert total > 20


def test_meshes_are_read_by_their_corners(tmp_path):
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    points = np.concatenate((corners, [[0.5, 0.5, 0.5]]))  # one inside
    (tmp_path / "cube.obj").write_text("\n".join(f"v {x} {y} {z}" for x, y, z in points))
    facets = points[[0, 1, 2, 3, 4, 5, 6, 7, 8]].astype("<f4").reshape(3, 3, 3)
    record = np.zeros(3, np.dtype([("n", "<f4", 3), ("c", "<f4", (3, 3)), ("m", "<u2")]))
    record["c"] = facets
    (tmp_path / "cube.stl").write_bytes(b" " * 80 + np.uint32(3).tobytes() + record.tobytes())
    (tmp_path / "broken.stl").write_bytes(b"solid\x00\xff" * 30)
    for name in ("cube.obj", "cube.stl", "broken.stl"):
        text = URDF.replace("nowhere.dae", name)
        (tmp_path / "u.urdf").write_text(text)
        scene = contact.load(tmp_path / "u.urdf", floor=0.0)
        convex = [s for s in scene.shapes if s.kind == "convex"]
        if name == "broken.stl":
            assert not convex
            assert any("broken.stl" in note for note in scene.notes)
        else:
            assert np.array_equal(convex[0].vertices, corners)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("<sdf/>", "expected a URDF"),
        ("nowhere.xml", "expected a file"),
        (3, "expected a path"),
        ("<mujoco><worldbody><geom type='ball'/></worldbody></mujoco>", "that MuJoCo compiles"),
        (URDF.replace('size=".2 .4 .6"', 'size=".2 .4"'), "expected 3 finite numbers"),
        (URDF.replace('radius=".1"/>', 'radius="-1"/>'), "at least 0"),
    ],
)
def test_bad_descriptions_are_refused_in_one_line(source, says):
    with pytest.raises(RobotError, match=says) as refused:
        contact.load(source)
    assert "\n" not in str(refused.value)


def test_mujocos_contacts_of_a_mesh_are_among_ours():
    points = np.random.default_rng(1).normal(size=(30, 3)) * 0.3
    text = f"""<mujoco><asset><mesh name="m" vertex="{" ".join(map(str, points.ravel()))}"/></asset>
    <worldbody><geom type="plane" size="1 1 1"/><body><freejoint/><geom type="mesh" mesh="m"/>
    </body></worldbody></mujoco>"""
    model, robot, scene = read(text)
    assert scene.nc == len(scene.shapes[1].vertices) < 17  # the hull's alone
    assert any("MuJoCo keeps" in note for note in scene.notes)
    data, many = mujoco.MjData(model), poses(model, 20, 0)
    gaps = contact.contacts(robot, scene, torch.tensor(many)).gap
    for k, pose in enumerate(many):
        data.qpos[:] = pose
        mujoco.mj_forward(model, data)
        assert data.ncon
        theirs = sorted(met.dist for met in data.contact)
        assert float(gaps[k].min()) == pytest.approx(theirs[0], abs=1e-12)
        assert all((gaps[k] - depth).abs().min() < 1e-12 for depth in theirs)
