"""The benchmark's own parts; its figures come from `discover bench dynamics`."""

from discover.bench import dynamics


def test_contenders_take_turns_and_scaling_is_drawn(tmp_path):
    order = []
    calls = {name: (lambda n=name: order.append(n)) for name in "ab"}
    assert set(dynamics.interleaved(calls, 3)) == {"a", "b"}
    assert order == ["a", "b"] * 4
    growth = dynamics.scaling(sizes=(2, 4), batch=8)
    assert [n for n, _ in growth] == [2, 4]
    assert all(us > 0 for _, us in growth)
    dynamics.plot(growth, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 5000
