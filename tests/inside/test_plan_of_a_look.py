"""The order of a look: a claim's controls follow its exchange, trials come before long fits, and
what the time does not reach is told."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

import discover
import kinematics
from discover.blackbox.sampling import sample
from discover.inside import counterfactuals as physics
from discover.inside import looking
from discover.inside.claims import claims
from discover.inside.network.capture import Site
from discover.inside.records import OPEN, YES, Row
from discover.inside.sites import thinned

ROBOT = kinematics.load("double_pendulum")
REGION = discover.Region(q=1.5, v=2.0, tau=5.0).resolve(2)
SITES = [Site(name=f"h{k}", parts=(), depth=k / 5, alone=True, width=8) for k in range(5)]
PROMISE = {"h0": 0.1, "h1": 0.2, "h2": 0.97, "h3": 0.95, "h4": 0.3}


class Bench:
    """Numbers by site instead of measurements, and a list of what was asked."""

    def __init__(self, *_):
        self.asked = []

    def _note(self, what, variable, site):
        self.asked.append((what, variable.name, site.name))

    def probed(self, variable, site):
        return 0.9, 0.9

    def cell(self, variable, site, rivals, *, ended):
        self._note("end" if ended else "try", variable, site)
        S = PROMISE[site.name]
        row = Row(
            site=site.name,
            variable=variable.name,
            kind=variable.kind,
            factorisation=variable.factorisation,
            S=S,
        )
        return replace(row, S_r=S - 0.1, contrast=1.0) if rivals else row

    def controlled(self, row, variable, site):
        self._note("control", variable, site)
        return replace(row, placebo=0.1, ceiling=0.1)

    def unfiltered(self, row, variable, site):
        return replace(row, S_all=row.S)

    def untrained(self, cells):
        for _, variable, site in cells:
            self._note("untrained", variable, site)
        return [replace(row, untrained=0.2) for row, _, _ in cells]

    def of_another_robot(self, row, variable, site):
        self._note("other", variable, site)
        return replace(row, other_robot=0.5)


@pytest.fixture
def look(monkeypatch):
    monkeypatch.setattr(looking, "Bench", Bench)
    at = [physics.mechanics(ROBOT, sample(REGION, ROBOT, 50, seed)) for seed in (0, 1)]
    pairs = SimpleNamespace(test=[SimpleNamespace(at_base=at[0], at_source=at[1])])

    def made(until):
        return looking.Look(None, ROBOT, pairs, SITES, SITES, 1, 0, until)

    return made


def test_each_role_is_claimed_before_the_next_is_begun(look):
    found = look(time.process_time() + 1e6)
    table, _, order = found.all(("roles", "factors"))
    asked = found.bench.asked
    about = {v: [k for k, (_, name, _) in enumerate(asked) if name == v] for v in ("H", "C")}
    assert asked[about["H"][-1]][0] == "other"  # last, after all that claims rest on
    before_C = asked[: about["C"][0]]
    assert [what for what, *_ in before_C] == ["try"] * 5 + ["end"] * 2 + ["control", "untrained"]
    assert {s for what, _, s in before_C if what == "end"} == {"h2", "h3"}
    assert [a[2] for a in before_C if a[0] == "control"] == ["h2"]
    assert not order  # S_r stays below the bound: nothing is followed
    said = {(c.kind, c.subject): c for c in claims(table, [], ["tip-first"])}
    assert said["uses", "H"].answer == YES


def test_what_is_not_reached_is_told_and_nothing_is_claimed(look):
    found = look(time.process_time() - 1.0)
    table, _, _ = found.all(("roles",))
    assert not found.bench.asked
    assert "not reached within the budget: H at h4" in found.notes
    said = {(c.kind, c.subject): c for c in claims(table, [], [])}
    assert said["uses", "H"].answer == OPEN


def test_rivals_are_fitted_to_the_end_where_a_factor_is(look):
    found = look(time.process_time() + 1e6)
    found.all(("factors",))
    ends = [(name, site) for what, name, site in found.bench.asked if what == "end"]
    assert {site for _, site in ends} == {"h2", "h3"}
    names = {name for name, _ in ends}
    assert len(names) > 1
    assert len(ends) == 2 * len(names)


def test_thinning_keeps_the_ends():
    assert [s.name for s in thinned(SITES, 3)] == ["h0", "h2", "h4"]
    assert thinned(SITES, 9) == SITES
