"""Each planted network is what it says: exact ones answer as `kinematics.aba`, intermediates that
are unused have no effect when altered, codes and orders are where the truth says."""

import pytest
import torch

import kinematics
from tests.bench.inside import staged, tables, zoo
from tests.bench.inside.bodies import SHAPES, base_first, draw, factors, solved, tip_first

EXACT = (
    "articulated", "tip_first", "base_first", "cofactors", "shuffled", "duplicate", "dormant",
    "dormant_rectified",
)  # fmt: skip
TABULAR = ("null_space", "cancelling", "table", "nearest", "kernel", "experts", "untrained")


def relative(found, wanted):
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("shape", SHAPES)
def test_mechanics_are_those_of_kinematics(shape):
    body = draw(shape, 4)
    q, v, tau = body.states(40, 1)
    H = kinematics.crba(body.robot, q)
    assert relative(body.mechanics.mass(q), H) < 1e-12
    assert relative(body.mechanics.bias(q, v), kinematics.bias(body.robot, q, v)) < 1e-12
    for order in (tip_first(body.robot.nv), base_first(body.robot.nv)):
        D, L = factors(H, order)
        a = solved(D, L, tau - kinematics.bias(body.robot, q, v), order)
        assert relative(a, kinematics.aba(body.robot, q, v, tau)) < 1e-9


def test_fresh_bodies_differ_and_are_repeatable():
    first, again, other = draw("3R", 1), draw("3R", 1), draw("3R", 2)
    assert torch.equal(first.robot.pi, again.robot.pi)
    assert not torch.allclose(first.robot.pi, other.robot.pi)


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("shape", ["2R", "3R", "branched"])
def test_exact_plants_answer_as_aba(kind, shape):
    plant = zoo.plant(kind, shape, 5)
    states = plant.body.states(50, 3)
    found = plant.network(*states)
    assert relative(found, kinematics.aba(plant.body.robot, *states)) < 1e-8


@pytest.mark.parametrize("kind", TABULAR)
def test_tables_do_not_answer_as_aba(kind):
    plant = zoo.plant(kind, "3R", 5)
    assert 0.02 < zoo.error(plant.network, plant.body, 0) < 1.0


def test_mixed_states_have_the_stated_condition():
    plant = zoo.plant("tip_first", "3R", 2, condition=10.0)
    states = plant.body.states(400, 1)
    for k, state in enumerate(plant.network.states(*states)):
        flat = staged.pack(state)
        there, back = plant.network.mixed[k].weight, plant.network.unmixed[k].weight
        assert relative(back @ there @ flat.T, flat.T) < 1e-9
        spread = flat.std(0)
        scaled = there * torch.where(spread > 1e-9, spread, flat.abs().amax(0))
        assert 7 < float(torch.linalg.cond(scaled)) < 14


@pytest.mark.parametrize("kind", [k for k in EXACT if k != "articulated"])
def test_both_roles_can_be_exchanged_where_they_stand_beside_each_other(kind):
    plant = zoo.plant(kind, "3R", 3)
    assert plant.truth.roles == zoo.USED
    body, network = plant.body, plant.network
    b, s = body.states(60, 1), body.states(60, 2)
    state, other = network.states(*b)[0], network.states(*s)[0]
    H = kinematics.crba(body.robot, b[0])
    foreign = kinematics.crba(body.robot, s[0])
    C, C_s = (kinematics.bias(body.robot, x[0], x[1]) for x in (b, s))
    for name, wanted in (
        ("H", torch.linalg.solve(foreign, b[2] - C)),
        ("C", torch.linalg.solve(H, b[2] - C_s)),
    ):
        assert relative(network.after(0, state | {name: other[name]}), wanted) < 1e-8


@pytest.mark.parametrize(("kind", "order"), [("tip_first", tip_first), ("base_first", base_first)])
def test_a_foreign_pivot_has_the_effect_that_the_factorisation_says(kind, order):
    plant = zoo.plant(kind, "3R", 3)
    body, network = plant.body, plant.network
    b, s = body.states(60, 1), body.states(60, 2)
    after = 1 + body.robot.nv  # all eliminated, nothing substituted
    state = network.states(*b)[after]
    state["D"] = network.states(*s)[after]["D"]
    at = order(3)
    _, L = factors(kinematics.crba(body.robot, b[0]), at)
    D, _ = factors(kinematics.crba(body.robot, s[0]), at)
    force = b[2] - kinematics.bias(body.robot, b[0], b[1])
    assert relative(network.after(after, state), solved(D, L, force, at)) < 1e-8


def test_the_pivots_of_the_articulated_recursion_are_those_of_the_mass_matrix():
    plant = zoo.plant("articulated", "branched", 3)
    b, s = plant.body.states(60, 1), plant.body.states(60, 2)
    after = plant.body.robot.nv
    state, other = plant.network.states(*b)[after], plant.network.states(*s)[after]
    at = tip_first(after)
    D, L = factors(kinematics.crba(plant.body.robot, b[0]), at)
    assert relative(state["D"], D.flip(1)) < 1e-10
    foreign, _ = factors(kinematics.crba(plant.body.robot, s[0]), at)
    force = b[2] - kinematics.bias(plant.body.robot, b[0], b[1])
    found = plant.network.after(after, state | {"D": other["D"]})
    assert relative(found, solved(foreign, L, force, at)) < 1e-8


def test_dead_intermediates_are_decodable_and_have_no_effect():
    plant = zoo.plant("null_space", "3R", 4)
    b = plant.body.states(80, 1)
    state = plant.network.states(*b)[2]
    D, _ = factors(kinematics.crba(plant.body.robot, b[0]), tip_first(3))
    assert relative(state["D"], D) < 1e-10
    answer = plant.network(*b)
    altered_state = {k: x if k == "table" else x[torch.randperm(80)] for k, x in state.items()}
    assert relative(plant.network.after(2, altered_state), answer) < 1e-12
    slope = torch.func.jacrev(lambda x: plant.network.after(2, state | {"D": x}))(state["D"])
    assert not slope.any()


@pytest.mark.parametrize("kind", ["dormant", "dormant_rectified"])
def test_a_dormant_path_is_silent_until_a_code_is_altered_alone(kind):
    plant = zoo.plant(kind, "3R", 4)
    b, s = plant.body.states(80, 1), plant.body.states(80, 2)
    state, other = plant.network.states(*b)[2], plant.network.states(*s)[2]
    answer = plant.network.after(2, state)
    both = plant.network.after(2, state | {k: other[k] for k in ("D", "again")})
    assert relative(both, answer) < 1e-9
    alone = plant.network.after(2, state | {"D": other["D"]})
    assert float((alone - answer).std() / answer.std()) > 0.1
    nudged = plant.network.after(2, state | {"D": 1.01 * state["D"]})
    assert (relative(nudged, answer) < 1e-9) == (kind == "dormant_rectified")


def test_cancelling_paths_act_alone_and_not_together():
    plant = zoo.plant("cancelling", "3R", 4)
    b, s = plant.body.states(80, 1), plant.body.states(80, 2)
    state, other = plant.network.states(*b)[2], plant.network.states(*s)[2]
    answer = plant.network.after(2, state)
    assert relative(answer, state["table"]) < 1e-9
    together = state | {k: other[k] for k in ("D", "again")}
    assert relative(plant.network.after(2, together), answer) < 1e-9
    alone = plant.network.after(2, state | {"D": other["D"]})
    assert float((alone - answer).std() / answer.std()) > 0.1


def test_both_codes_of_a_duplicate_are_used():
    plant = zoo.plant("duplicate", "3R", 4)
    b, s = plant.body.states(80, 1), plant.body.states(80, 2)
    at = 2 + 3  # after the elimination and the second code
    state, other = plant.network.states(*b)[at], plant.network.states(*s)[at]
    answer = plant.network.after(at, state)
    for code in ("D", "inverse"):
        moved = plant.network.after(at, state | {code: other[code]})
        assert float((moved - answer).std() / answer.std()) > 0.05


def test_the_shuffled_plant_has_all_factors_in_the_opposite_order():
    plant = zoo.plant("shuffled", "branched", 4)
    states = plant.network.states(*plant.body.states(30, 1))
    D, L = factors(kinematics.crba(plant.body.robot, plant.body.states(30, 1)[0]), tip_first(4))
    first = {p: next(k for k, s in enumerate(states) if f"D{p}" in s) for p in range(4)}
    last = {p: max(k for k, s in enumerate(states) if f"D{p}" in s) for p in range(4)}
    assert sorted(first, key=first.get) == [3, 2, 1, 0]
    assert sorted(last, key=last.get) == [0, 1, 2, 3]
    for p in range(4):
        assert relative(states[first[p]][f"D{p}"][:, 0], D[:, p]) < 1e-9
        if p < 3:
            assert float((states[first[p]][f"k{p}"] - L[:, p + 1 :, p]).abs().max()) < 1e-8


def test_another_robots_recursion_is_not_this_robots():
    plant = zoo.plant("other_robot", "3R", 4)
    assert zoo.error(plant.network, plant.body, 0) > 0.1


@pytest.mark.slow
def test_a_short_interchange_training_already_separates_blocks():
    plant = zoo.plant("strict_tip", "2R", 3, steps=150)
    body, network = plant.body, plant.network
    b, s = body.states(300, 1), body.states(300, 2)
    order = tip_first(2)
    D, L = factors(kinematics.crba(body.robot, b[0]), order)
    foreign, rows = factors(kinematics.crba(body.robot, s[0]), order)
    force = b[2] - kinematics.bias(body.robot, b[0], b[1])
    hidden, other = network.encoded(*b), network.encoded(*s)
    answer, a = network(*b), kinematics.aba(body.robot, *b)
    wanted = {("D", "L"): solved(foreign, rows, force, order) - a}
    wanted[("tau",)] = solved(D, L, force + s[2] - b[2], order) - a
    for names, change in wanted.items():
        patched = hidden.clone()
        for name in names:
            patched[:, network.blocks[name]] = other[:, network.blocks[name]]
        found = network.scale.answered(network.decoded(patched)) - answer
        assert float(((found - change) ** 2).sum() / (change**2).sum()) < 0.5


def test_an_imitator_is_nearer_its_table_than_the_dynamics():
    plant = zoo.plant("imitator", "3R", 3, steps=150)
    states = plant.body.states(300, 9)
    table = tables.Table(plant.body, 3, nearest=False)
    a, found, imitated = (
        kinematics.aba(plant.body.robot, *states),
        plant.network(*states),
        table(*states),
    )
    assert ((found - imitated) ** 2).mean() < ((found - a) ** 2).mean()


def test_every_kind_has_a_truth_and_a_builder():
    assert set(zoo.TRUTHS) == set(zoo._BUILT)
    assert len(zoo.KINDS) >= 12
    with pytest.raises(ValueError, match="expected a kind"):
        zoo.plant("oracle", "2R", 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", zoo.KINDS)
def test_plants_can_be_exported(kind):
    plant = zoo.plant(kind, "3R", 3, steps=1)
    states = plant.body.states(16, 1)
    exported = torch.export.export(plant.network, states, strict=False)
    fresh = plant.body.states(16, 2)
    assert torch.equal(exported.module()(*fresh), plant.network(*fresh))


@pytest.mark.slow
def test_a_table_with_beside_paths_can_be_exported():
    plant = zoo.plant("cancelling", "2R", 3)
    states = plant.body.states(8, 1)
    exported = torch.export.export(plant.network, states, strict=False)
    assert torch.equal(exported.module()(*states), plant.network(*states))
