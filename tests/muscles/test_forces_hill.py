"""Hill-type muscles: values that the papers fix, slopes, equilibria, the limit of stiff tendons."""

import math

import pytest
import torch

from kinematics.errors import RobotError
from kinematics.muscles.activation import FirstOrderActivation
from kinematics.muscles.exponentials import DeGrooteFreglyCurves, ThelenCurves
from kinematics.muscles.millard import MillardCurves
from kinematics.muscles.mixed import MixedForces
from kinematics.muscles.tendon import HillForces

FAMILIES = [MillardCurves, ThelenCurves, DeGrooteFreglyCurves]
# strain of fibre and tendon at F0, largest lengthening multiplier at v = 1 (De Groote: 1.79 there)
KNOWN = {MillardCurves: (0.7, 0.049), ThelenCurves: (0.6, 0.04), DeGrooteFreglyCurves: (0.6, 0.049)}
ANGLE = 0.4


def double(*x):
    return torch.tensor(x, dtype=torch.float64)[:, None]


def muscles(kind, *, compliant, damping=0.1, **curves):
    return HillForces.of(
        kind.of(**curves), FirstOrderActivation.of(), strength=500, optimal=0.1, slack=0.2,
        pennation=ANGLE, damping=damping, shortest=0.05, compliant=compliant,
    )  # fmt: skip


@pytest.mark.parametrize("kind", FAMILIES)
def test_curves_have_their_published_values(kind) -> None:
    curves, (fibre, tendon) = kind.of(), KNOWN[kind]
    one, none = double(1), double(0)
    exact = 1e-9 if kind is not DeGrooteFreglyCurves else 6e-3  # its fits miss 1 by that much
    assert float(curves.active(one)) == pytest.approx(1, abs=exact)
    assert float(curves.velocity(none, one)) == pytest.approx(1, abs=exact)
    assert float(curves.passive(one + fibre)) == pytest.approx(1, abs=1e-9)
    assert float(curves.tendon(one + tendon)) == pytest.approx(1, abs=1e-9)
    assert float(curves.tendon(one)) == pytest.approx(0, abs=1e-12)
    if kind is not DeGrooteFreglyCurves:
        assert float(curves.velocity(-one, one)) == pytest.approx(0, abs=1e-12)
        assert float(curves.passive(one)) == pytest.approx(0, abs=1e-12)


def test_thelens_curves_by_hand() -> None:
    curves, a = ThelenCurves.of(), double(0.6)
    assert float(curves.active(double(1.3))) == pytest.approx(math.exp(-0.09 / 0.45))
    # shortening at half the speed at which no force is left, s = .25 + .75 a = .7
    assert float(curves.velocity(double(-0.35), a)) == pytest.approx(0.35 / (0.7 + 0.35 / 0.25))
    # lengthening to fv = 1.2: v = s (fv - 1)(1.4 - 1)/((2 + 2/A)(1.4 - fv))
    rate = 0.7 * 0.2 * 0.4 / (10 * 0.2)
    assert float(curves.velocity(double(rate), a)) == pytest.approx(1.2)
    # the paper's rounded numbers of the toe: .609 of the strain at F0, stiffness 1.712/strain
    toe = 1 + 0.609 * 0.04
    assert float(curves.tendon(double(toe))) == pytest.approx(0.33, abs=1e-3)
    assert float(curves.tendon_slope(double(1.04))) == pytest.approx(1.712 / 0.04, rel=1e-3)


def test_millards_curves_by_hand() -> None:
    curves = MillardCurves.of()
    # knees of the sections: middles of the limbs, .9 v_max, the end of the toe
    y1 = 1 - 0.8616 * (0.95 - 0.73)
    assert float(curves.active(double(0.5 * (0.4441 + 0.73)))) == pytest.approx(0.5 * y1)
    assert float(curves.active(double(0.5 * (1.05 + 1.8123)))) == pytest.approx(0.5)
    assert float(curves.velocity(double(-0.9), double(1))) == pytest.approx(0.0125)
    assert float(curves.tendon(double(1 + 0.049 * (1 - 1 / 3 / 1.375)))) == pytest.approx(2 / 3)
    # straight beyond its ends
    assert float(curves.tendon_slope(double(1.2))) == pytest.approx(1.375 / 0.049)
    assert float(curves.active(double(2.0))) == 0


@pytest.mark.parametrize("kind", FAMILIES)
def test_slopes_are_those_of_the_curves(kind) -> None:
    curves = kind.of()
    a = double(0.4)
    for curve, slope, low, high in (
        (curves.passive, curves.passive_slope, 0.6, 1.9),
        (curves.tendon, curves.tendon_slope, 0.99, 1.08),
        (lambda v: curves.velocity(v, a), lambda v: curves.velocity_slope(v, a), -1.3, 1.3),
    ):
        x = torch.linspace(low, high, 301, dtype=torch.float64)[:, None].requires_grad_()
        (grad,) = torch.autograd.grad(curve(x).sum(), x)
        torch.testing.assert_close(grad, slope(x).detach(), rtol=1e-9, atol=1e-9)
        assert bool((grad >= -1e-9).all())  # never falls, so the energy stored never does


@pytest.mark.parametrize("kind", FAMILIES)
def test_rate_inverts_velocity(kind) -> None:
    # Millard's inverse needs slopes at both ends, which damped fibres do without
    ends = {"slope_at_shortening": 0.125, "slope_at_lengthening": 0.075}
    curves, a = kind.of(**(ends if kind is MillardCurves else {})), double(0.7)
    v = torch.linspace(-1.2, 0, 41, dtype=torch.float64)[:, None]
    torch.testing.assert_close(curves.rate(curves.velocity(v, a), a), v, rtol=0, atol=1e-7)
    torch.testing.assert_close(curves.rate(curves.velocity(-v, a), a), -v, rtol=0, atol=1e-7)


def states(n=2000):
    noise = torch.rand(n, 4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    length = 0.2 + 0.1 * (0.5 + 1.0 * noise[:, 0])
    fibre = torch.sqrt(
        (length - 0.2 * (0.99 + 0.06 * noise[:, 2])) ** 2 + (0.1 * math.sin(ANGLE)) ** 2
    )
    return length, noise[:, 3] - 0.5, 0.01 + 0.99 * noise[:, 1], fibre


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("damping", [0.1, 0.001])
def test_fixed_steps_balance_fibre_and_tendon(kind, damping) -> None:
    law = muscles(kind, compliant=True, damping=damping)
    length, rate, a, fibre = states()
    v = law.fibre_rate(length, rate, a, fibre) / (0.1 * 10)
    residual = law._pull(length, a, fibre, v)[0][fibre > 0.05]
    assert float(residual.abs().max()) < 2e-14
    assert float(v.abs().max()) > 1  # beyond the fastest shortening or lengthening, too


@pytest.mark.parametrize("kind", FAMILIES)
def test_equilibrium_is_at_rest_and_stable(kind) -> None:
    law = muscles(kind, compliant=True)
    length, rate, a, _ = states(300)
    fibre = law.equilibrium(length, a)
    inside = fibre > 0.0501
    assert float(inside.double().mean()) > 0.9
    assert float(law.fibre_rate(length, rate, a, fibre)[inside].abs().max()) < 1e-8
    # without fibre lengths a law takes them from there
    assert torch.equal(law.force(length, rate, a), law.force(length, rate, a, fibre))


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_stiff_tendon_is_a_rigid_one(kind) -> None:
    stiff = muscles(kind, compliant=True, tendon_one=1e-7)
    rigid = muscles(kind, compliant=False)
    length, _, a, _ = states(200)
    rest = torch.zeros_like(length)
    torch.testing.assert_close(
        stiff.force(length, rest, a), rigid.force(length, rest, a), rtol=0, atol=1e-2
    )


@pytest.mark.parametrize("kind", FAMILIES)
def test_pennation_turns_the_force_and_slows_the_fibre(kind) -> None:
    law = muscles(kind, compliant=False, damping=0)
    a = double(0.5)
    length = 0.2 + 0.1 * math.cos(ANGLE) * torch.ones_like(a)  # the optimal fibre, at its angle
    isometric = law.force(length, 0 * a, a)
    curves = law.curves
    one = torch.ones_like(a)
    expected = 500 * (0.5 * curves.active(one) * curves.velocity(0 * a, a) + curves.passive(one))
    torch.testing.assert_close(isometric, math.cos(ANGLE) * expected)
    moving = law.force(length, 0 * a - 0.3, a)
    v = -0.3 * math.cos(ANGLE) * one
    drop = 500 * 0.5 * curves.active(one) * (curves.velocity(v, a) - curves.velocity(0 * v, a))
    torch.testing.assert_close(moving - isometric, math.cos(ANGLE) * drop)


@pytest.mark.parametrize("kind", FAMILIES)
def test_slack_muscles_bear_nothing_and_gradients_stay_finite(kind) -> None:
    law = muscles(kind, compliant=False)
    length = double(0.05, 0.2, 0.24, 0.3).requires_grad_()
    a = torch.full_like(length, 0.5)
    force = law.force(length, 0 * a, a)
    assert force[:2].tolist() == [[0.0], [0.0]]
    assert bool(torch.isfinite(torch.autograd.grad(force.sum(), length)[0]).all())


def test_dtype_and_many_muscles() -> None:
    law = HillForces.of(
        MillardCurves.of(3, tendon_one=[0.03, 0.049, 0.03]), FirstOrderActivation.of([0.01] * 3),
        strength=[100, 200, 300], optimal=0.1, slack=0.2, compliant=True,
    )  # fmt: skip
    assert (law.nm, law.nf) == (3, 3)
    length = torch.full((4, 5, 3), 0.31, dtype=torch.float32)
    force = law.force(length, 0 * length, 0 * length + 0.5)
    assert (force.shape, force.dtype) == ((4, 5, 3), torch.float32)


def test_bad_muscles_are_refused_in_one_line() -> None:
    with pytest.raises(RobotError, match=r"expected optimal > 0, found -0\.1 in muscle 0"):
        HillForces.of(
            ThelenCurves.of(), FirstOrderActivation.of(), strength=1, optimal=-0.1, slack=1
        )
    with pytest.raises(RobotError, match="slopes that make one corner"):
        MillardCurves.of(plateau_slope=9)
    with pytest.raises(RobotError, match="found 'steepness'; drop it"):
        MillardCurves.of(steepness=1)
    with pytest.raises(RobotError, match="expected finite"):
        ThelenCurves.of(width=float("nan"))


def test_mixed_families_are_their_parts() -> None:
    rigid = muscles(ThelenCurves, compliant=False)
    elastic = HillForces.of(
        MillardCurves.of(2), FirstOrderActivation.of([0.01, 0.02]), strength=[100, 300],
        optimal=0.1, slack=0.2, compliant=True,
    )  # fmt: skip
    mixed = MixedForces.of([((1,), rigid), ((2, 0), elastic)])
    assert (mixed.nm, mixed.nf) == (3, 2)
    noise = torch.rand(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    length, rate, a = 0.28 + 0.04 * noise, 0.2 * noise - 0.1, 0.1 + 0.8 * noise.flip(-1)
    fibre = mixed.equilibrium(length, a)
    order = [2, 0]
    own = elastic.equilibrium(length[:, order], a[:, order])
    assert torch.equal(fibre, own[:, [1, 0]])  # muscle 0 first
    force = mixed.force(length, rate, a, fibre)
    assert torch.equal(
        force[:, order], elastic.force(length[:, order], rate[:, order], a[:, order], own)
    )
    assert torch.equal(force[:, [1]], rigid.force(length[:, [1]], rate[:, [1]], a[:, [1]]))
    speed = mixed.fibre_rate(length, rate, a, 1.01 * fibre)
    assert torch.equal(
        speed[:, [1, 0]],
        elastic.fibre_rate(length[:, order], rate[:, order], a[:, order], 1.01 * own),
    )
    assert mixed.activation_rate(a, a).abs().max() == 0
    with pytest.raises(RobotError, match="every muscle in one law"):
        MixedForces(laws=(rigid,), members=((1,),))
