"""`examine` on models whose mechanism is known, and on models that misbehave."""

import dataclasses

import numpy as np
import pytest
import torch

import discover
import kinematics
from discover.blackbox.contract import relative_error
from discover.calibration.planted import alternatives, physics, tables
from discover.calibration.planted.contract import Setting
from discover.errors import ModelError, RegionError

REGION = discover.Region(q=1.0, v=2.0, tau=5.0)


@pytest.fixture(scope="module")
def pendulum():
    return kinematics.load("double_pendulum")


@pytest.fixture(scope="module")
def exact(pendulum):
    return discover.examine(physics.simulator(pendulum), pendulum, REGION)


def setting(robot):
    return Setting(robot=robot, region=REGION.resolve(robot.nv))


def far_states(robot, region, n=200):
    from discover.blackbox import sampling

    return sampling.shell(region, robot, n, 2.9, 3.0, axis="joint", seed=5)


def test_exact_pendulum_is_physics_and_its_law_holds_far_out(pendulum, exact):
    assert exact.verdict == "physics"
    assert exact.confidence > 0.8
    assert all(r >= 3.0 for r in exact.reach.values())
    q, v, tau = far_states(pendulum, REGION)
    error = relative_error(exact.law(q, v, tau), kinematics.aba(pendulum, q, v, tau))
    assert error < 1e-8
    assert exact.law.terms == []


def test_the_verdict_by_axis_never_contradicts_the_verdict(pendulum, exact):
    assert {row["verdict"] for row in exact.by_axis.values()} == {"physics"}

    def dragged(q, v, tau):
        return kinematics.aba(pendulum, q, v, tau - 0.3 * v.abs() * v)

    exam = discover.examine(dragged, pendulum, REGION, budget="quick")
    assert exam.verdict == "alternative law"
    assert {row["verdict"] for row in exam.by_axis.values()} == {"alternative law"}
    # The curves are those of a law with terms: they say nothing for rigid bodies on any axis.
    open_ = dataclasses.replace(exam, verdict="undetermined")
    assert "physics" not in {row["verdict"] for row in open_.by_axis.values()}
    # The repr of an undetermined examination has the runner-up, and no confidence.
    assert "undetermined (closest: alternative law, held back by " in repr(open_)


def test_exact_panda_within_two_minutes_to_1e_8():
    robot = kinematics.load("panda")
    region = discover.Region(q=0.7, v=1.0, tau=[40.0, 40.0, 30.0, 30.0, 5.0, 5.0, 3.0])
    exam = discover.examine(physics.simulator(robot), robot, region)
    assert exam.verdict == "physics"
    assert exam.seconds < 120
    q, v, tau = far_states(robot, region.resolve(7))
    assert relative_error(exam.law(q, v, tau), kinematics.aba(robot, q, v, tau)) < 1e-8


def test_parameters_come_from_the_model_and_not_from_the_description(pendulum):
    heavier = pendulum.replace(pi=1.5 * pendulum.pi)
    exam = discover.examine(physics.simulator(heavier), pendulum, REGION)
    assert exam.verdict == "physics"
    for row in exam.parameters:
        assert row["value"] == pytest.approx(1.5 * row["description"], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", ["joint terms", "5 % noise", "RK4 steps of 0.05 s", "float32"])
def test_imperfect_physics_is_still_physics(pendulum, kind):
    planted = next(p for p in physics.planted_models(setting(pendulum)) if p.kind == kind)
    exam = discover.examine(planted.model, pendulum, REGION, outputs=planted.outputs, dt=planted.dt)
    assert exam.verdict == "physics"


def test_noise_shows_in_the_resolution(pendulum, exact):
    planted = next(p for p in physics.planted_models(setting(pendulum)) if p.kind == "5 % noise")
    noisy = discover.examine(planted.model, pendulum, REGION)
    assert exact.resolution < 1e-9
    assert 0.01 < noisy.resolution.region < 0.2


@pytest.mark.parametrize(
    "kind",
    [
        "nearest neighbour",
        pytest.param("forest", marks=pytest.mark.slow),
        pytest.param("table of H and gravity", marks=pytest.mark.slow),
    ],
)
def test_tables_are_tables(pendulum, kind):
    planted = next(p for p in tables.planted_models(setting(pendulum)) if p.kind == kind)
    exam = discover.examine(planted.model, pendulum, REGION)
    assert exam.verdict == "lookup table"
    assert exam.reach["q"] < 1.5


@pytest.mark.parametrize("kind", ["drag of power 2", "non-reciprocal coupling, hidden"])
def test_alternative_laws_are_found_and_written_down(pendulum, kind):
    planted = next(p for p in alternatives.planted_models(setting(pendulum)) if p.name == kind)
    exam = discover.examine(planted.model, pendulum, REGION)
    assert exam.verdict == "alternative law"
    assert len(exam.law.terms) == 1
    q, v, tau = far_states(pendulum, REGION)
    assert relative_error(exam.law(q, v, tau), planted.model(q, v, tau)) < 1e-6


@pytest.mark.slow
def test_a_law_that_no_library_lists_is_not_called_physics(pendulum):
    planted = next(
        p for p in alternatives.planted_models(setting(pendulum)) if p.name == "saturated drag"
    )
    assert discover.examine(planted.model, pendulum, REGION).verdict != "physics"


def test_impossible_bodies_are_not_physics(pendulum):
    pi = pendulum.pi.clone()
    pi[-1] = -0.2 * pi[-1]
    model = physics.simulator(pendulum.replace(pi=pi))
    exam = discover.examine(model, pendulum, REGION)
    assert exam.verdict != "physics"
    cost = next(e for e in exam.evidence if e.name == "cost of possible parameters")
    assert cost.value > cost.threshold


def test_same_seed_same_law_byte_for_byte(pendulum):
    planted = next(
        p for p in alternatives.planted_models(setting(pendulum)) if p.name == "drag of power 2"
    )
    import json

    first, second = (
        json.dumps(discover.examine(planted.model, pendulum, REGION, seed=3).law.to_dict())
        for _ in range(2)
    )
    assert first == second


@pytest.mark.slow
def test_memory_needs_training_data_and_finds_the_noise_that_a_table_keeps(pendulum):
    from sklearn.neighbors import KNeighborsRegressor

    from discover.calibration.planted.tables import Interpolant

    q, v, tau = setting(pendulum).samples(2000)
    a = kinematics.aba(pendulum, q, v, tau)
    noisy = a + 0.1 * a.std(0) * torch.randn(
        a.shape, generator=torch.Generator().manual_seed(0), dtype=a.dtype
    )

    class Table(Interpolant):
        def __init__(self):
            super().__init__(KNeighborsRegressor(1), setting(pendulum), 10)
            x = (torch.cat([q, v, tau], -1).numpy() - self.centre) / self.width
            self.regressor.fit(x, (noisy.numpy() - self.mean) / self.size)

    exam = discover.examine(Table(), pendulum, REGION, training_data=(q, v, tau, noisy))
    found = {e.name: e for e in exam.evidence}
    assert found["kept label noise"].value > 0.9
    honest = discover.examine(
        physics.simulator(pendulum.replace(damping=torch.tensor([0.1, 0.1]).double())),
        pendulum,
        REGION,
        training_data=(q, v, tau, noisy),
    )
    assert abs({e.name: e.value for e in honest.evidence}["kept label noise"]) < 0.2


# ---- models that misbehave -----------------------------------------------------------------------


def wrong_shape(q, v, tau):
    return tau[..., :1]


def not_a_number(q, v, tau):
    return tau * float("nan")


def raises(q, v, tau):
    raise ZeroDivisionError("oh no")


def mutates(q, v, tau):
    tau *= 2
    return tau


def returns_a_list(q, v, tau):
    return tau.tolist()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (wrong_shape, "shape"),
        (not_a_number, "finite"),
        (raises, "ZeroDivisionError"),
        (mutates, "changed its input tau"),
        (returns_a_list, "tensor"),
        ("a string", "callable"),
    ],
)
def test_bad_models_give_one_clear_line(pendulum, model, words):
    with pytest.raises(ModelError, match=words) as caught:
        discover.examine(model, pendulum, REGION)
    assert "\n" not in str(caught.value)


def test_next_state_needs_its_step(pendulum):
    with pytest.raises(ModelError, match="dt"):
        discover.examine(lambda q, v, tau: (q, v), pendulum, REGION, outputs="next_state")


def test_inside_out_region(pendulum):
    with pytest.raises(RegionError):
        discover.examine(physics.simulator(pendulum), pendulum, discover.Region(q=-1, v=1, tau=1))


def test_numpy_models_and_float32_networks_are_welcome(pendulum):
    def numpy_model(q, v, tau):
        return kinematics.aba(pendulum, q, v, tau).numpy()

    assert discover.examine(numpy_model, pendulum, REGION, budget="quick").verdict == "physics"
    single = pendulum.to(dtype=torch.float32)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(2))

        def forward(self, q, v, tau):
            assert q.dtype == torch.float32
            return self.scale * kinematics.aba(single, q, v, tau)

    assert discover.examine(Model(), pendulum, REGION, budget="quick").verdict == "physics"


def test_saved_and_loaded_examination_is_the_same(exact, tmp_path):
    exact.save(tmp_path)
    again = discover.load(tmp_path)
    assert again.verdict == exact.verdict
    assert again.evidence == exact.evidence
    assert again.reach == exact.reach
    q, v, tau = (torch.randn(5, 2, dtype=torch.float64) for _ in range(3))
    assert torch.equal(again.law(q, v, tau), exact.law(q, v, tau))
    assert (tmp_path / "report.md").read_text().strip()


def test_verdict_can_be_judged_again_from_stored_numbers(exact, tmp_path):
    from discover.judgement.verdict import judge

    exact.save(tmp_path)
    judged = judge(discover.load(tmp_path).evidence)
    assert judged.answer == exact.verdict
    assert judged.confidence == pytest.approx(exact.confidence)


def test_law_objects(pendulum, exact):
    import sympy

    law = exact.law
    q2 = law.symbols["q"][1]
    H = law.mass_matrix
    assert H.shape == (2, 2)
    assert H.free_symbols == {q2}
    q, v, tau = (torch.randn(4, 2, dtype=torch.float64) for _ in range(3))
    numeric = sympy.lambdify(law.symbols["q"], H)(*q[0].tolist())
    np.testing.assert_allclose(numeric, kinematics.crba(pendulum, q[:1])[0], rtol=1e-9)
    # The Euler-Lagrange equations of the law's Lagrangian give its own bias back.
    qs, vs = law.symbols["q"], law.symbols["v"]
    momentum = [sympy.diff(law.lagrangian, w) for w in vs]
    force = [
        sum(sympy.diff(p, x) * w for x, w in zip(qs, vs, strict=True))
        - sympy.diff(law.lagrangian, x0)
        for p, x0 in zip(momentum, qs, strict=True)
    ]
    values = dict(zip([*qs, *vs], [*q[0].tolist(), *v[0].tolist()], strict=True))
    expected = [float(f.subs(values)) for f in force]
    values_of_law = [float(b.subs(values)) for b in law.bias]
    np.testing.assert_allclose(values_of_law, expected, rtol=1e-7, atol=1e-8)
    compiled = law.compile()
    np.testing.assert_allclose(
        compiled(q.numpy(), v.numpy(), tau.numpy()), law(q, v, tau), rtol=1e-9
    )
    for target in ("sympy", "python", "torch", "c", "latex"):
        assert law.export(target).strip()


def test_compiled_alternative_law_equals_the_law(pendulum):
    planted = next(
        p
        for p in alternatives.planted_models(setting(pendulum))
        if p.name == "inertia growing with speed"
    )
    exam = discover.examine(planted.model, pendulum, REGION)
    q, v, tau = (torch.randn(6, 2, dtype=torch.float64) for _ in range(3))
    compiled = exam.law.compile()(q.numpy(), v.numpy(), tau.numpy())
    np.testing.assert_allclose(compiled, exam.law(q, v, tau), rtol=1e-8)


def test_exported_sympy_rebuilds_the_law(exact):
    space: dict = {}
    exec(exact.law.export("sympy"), space)
    at = {"q1": 0.3, "q2": -0.7}
    values = {space[name]: x for name, x in at.items()}
    numbers = [float(x) for x in space["mass_matrix"].subs(values)]
    own = [
        float(x)
        for x in exact.law.mass_matrix.subs({s: at[s.name] for s in exact.law.symbols["q"]})
    ]
    assert numbers == pytest.approx(own, rel=1e-12)


def test_a_model_that_raises_beyond_its_domain_is_examined(pendulum):
    def guarded(q, v, tau):
        if bool((v.abs() > 3.0).any()):
            raise ValueError("expected speeds up to 3 rad/s")
        return kinematics.aba(pendulum, q, v, tau)

    exam = discover.examine(guarded, pendulum, REGION, mechanism=False)
    assert exam.verdict == "undetermined"
    assert exam.reach["v"] == pytest.approx(1.5, abs=0.15)


@pytest.mark.parametrize(("group", "times"), [("v", 1.5), ("q", 1.2)])
def test_an_exact_law_ends_where_another_one_sets_in_however_slowly_they_part(
    pendulum, group, times
):
    region = REGION.resolve(2)
    end = times * getattr(region, group).half_width

    def held(q, v, tau):
        state = {"q": q, "v": v, "tau": tau}
        state[group] = state[group].clamp(-end, end)
        return kinematics.aba(pendulum, *state.values())

    exam = discover.examine(held, pendulum, REGION, mechanism=False)
    assert exam.reach[group] == pytest.approx(times, abs=0.03)
    assert exam.queries <= 1000


def test_a_safe_verdict_ends_the_questions(pendulum):
    planted = next(
        p for p in tables.planted_models(setting(pendulum)) if p.kind == "nearest neighbour"
    )
    exam = discover.examine(planted.model, pendulum, REGION, mechanism=False)
    assert exam.verdict == "lookup table"
    assert exam.queries < 800  # 200 of them for limits, none for laws that cannot matter


@pytest.mark.parametrize("region", [{"q": 1.0, "v": 2.0, "tau": 5.0}, (1.0, 2.0, 5.0), None])
def test_what_is_no_region_is_refused_in_one_line(pendulum, region):
    with pytest.raises(RegionError, match=r"expected a discover\.Region, found"):
        discover.examine(physics.simulator(pendulum), pendulum, region)
