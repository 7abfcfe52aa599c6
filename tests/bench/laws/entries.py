"""Part `entries` of the bench: single entries of random arms, from noisy samples.

Each trial draws an arm of two to six hinges, planar or spatial, and one entry of its mass matrix,
gravity or velocity forces. The entry is fitted twice: with the tree known (its axes and offsets, as
in an examination against a description; by recursion), and with nothing known (a flat sum).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.laws.extensions.terms import symbols
from discover.laws.regression.entries import Entry, EntryIndex, all_entries, fit_entry
from discover.laws.regression.fourier import waves
from kinematics import Robot
from tests.bench.robots import SHAPES, arm
from tests.bench.trials import Part, Record, Trial, share

SAMPLES = 600
HALF_WIDTH = 2.0  # rad; errors are measured over twice as much
NOISES = (0.0, 1e-3, 1e-2)
SMOOTH = 1e-2  # a network-like error, half its power shared by all members
MEMBERS = 5
COUNT, SMOOTH_COUNT = 200, 100
REPEATS = 3
SECONDS = 0.05  # that a fit may take
FLAT = 3  # joints up to which a flat sum of a spatial arm is short enough to look for


def trials(seeds: Sequence[int]) -> list[Trial]:
    """200 entries under independent noise and 100 under smooth errors for each seed."""
    out: list[Trial] = []
    for seed in seeds:
        for k in range(COUNT + SMOOTH_COUNT):
            smooth = k % 3 == 2
            noise = SMOOTH if smooth else NOISES[(k // 10) % 3]
            joints, shape = 2 + k % 5, SHAPES[(k // 5) % 2]
            name = f"{seed}-{k:03d}"
            out.append(
                {
                    "id": name, "seed": seed, "number": k, "shape": shape,
                    "joints": joints, "noise": noise, "smooth": smooth,
                }
            )  # fmt: skip
    return out


def run(trial: Trial) -> Record:
    """Draw the arm and its entry, fit, and measure against the truth over twice the region."""
    rng = np.random.default_rng([trial["seed"], trial["number"], 11])
    robot = arm(trial["shape"], trial["joints"], int(rng.integers(2**31)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    q = _draw(HALF_WIDTH, SAMPLES, robot.nv, generator)
    place, y = _entry(robot, q, rng)
    size = float(y.square().mean().sqrt())
    seen, members = _seen(trial, q, y, size, rng, generator)
    far = _draw(2 * HALF_WIDTH, SAMPLES, robot.nv, generator)
    inside = _draw(HALF_WIDTH, SAMPLES, robot.nv, generator)
    record: Record = {"entry": place.kind, "place": [place.i, place.j, place.k]}

    def judged(fit: Callable[[], Entry]) -> dict[str, Any]:
        found, first, best = _timed(fit)
        errors = [_error(found, place, robot, x) for x in (inside, far)]
        if trial["smooth"]:
            right = errors[0] <= SMOOTH and errors[1] <= 2 * SMOOTH
        else:
            right = errors[1] < max(1e-4, trial["noise"] / 2)
        return {
            "right": bool(right), "error inside": errors[0], "error far": errors[1],
            "terms": len(found.terms) or len(found.coefficients),
            "first seconds": first, "seconds": best,
        }  # fmt: skip

    record["tree known"] = judged(lambda: fit_entry(place, q, seen, tree=robot, members=members))
    if trial["shape"] == "planar" or trial["joints"] <= FLAT:
        record["nothing known"] = judged(lambda: fit_entry(place, q, seen, members=members))
        record["nothing known"]["terms given"] = _terms_given(place, robot, q, seen, far)
    return record


def _draw(half_width: float, n: int, nv: int, generator: torch.Generator) -> Tensor:
    return half_width * (2 * torch.rand(n, nv, generator=generator, dtype=torch.float64) - 1)


def _entry(robot: Robot, q: Tensor, rng: np.random.Generator) -> tuple[EntryIndex, Tensor]:
    """An entry that is not zero, each kind with equal weight."""
    every = all_entries(robot.nv)
    largest = dict.fromkeys(("mass matrix", "gravity", "velocity"), 0.0)
    for p in every:
        largest[p.kind] = max(largest[p.kind], float(p.of(robot, q[:20]).abs().max()))
    while True:
        kind = ("mass matrix", "gravity", "velocity")[rng.integers(3)]
        of_kind = [p for p in every if p.kind == kind]
        place = of_kind[rng.integers(len(of_kind))]
        y = place.of(robot, q)
        if float(y.abs().max()) > 1e-3 * largest[kind] > 0:
            return place, y


def _seen(
    trial: Trial,
    q: Tensor,
    y: Tensor,
    size: float,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor | None]:
    """(samples, answers of the members of an ensemble or None where the noise is independent).

    Half of the power of a smooth error is common to the members and remains in their mean.
    """
    if not trial["smooth"]:
        noise = torch.randn(len(y), generator=generator, dtype=torch.float64)
        return y + trial["noise"] * size * noise, None
    part = SMOOTH * size * 0.5**0.5
    common = _smooth_error(q, part, int(rng.integers(2**31)))
    members = torch.stack(
        [y + common + _smooth_error(q, part, int(rng.integers(2**31))) for _ in range(MEMBERS)]
    )
    return members.mean(0), members


def _smooth_error(q: Tensor, size: float, seed: int) -> Tensor:
    """A random smooth function of q (n, d), as networks err: (n,), root mean square `size`.

    A sum of 60 waves of random direction with about half a turn over the region.
    """
    rng = np.random.default_rng(seed)
    waves = torch.from_numpy(rng.normal(size=(60, q.shape[-1])) * 1.2)
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi, 60))
    weight = torch.from_numpy(rng.normal(size=60))
    values = torch.cos(q @ waves.T + phase) @ weight
    return size * values / values.square().mean().sqrt()


def _terms_given(
    place: EntryIndex, robot: Robot, q: Tensor, seen: Tensor, far: Tensor
) -> float | None:
    """Error far out of a fit with the true set of waves: a lower limit set by the samples."""
    gravity = place.kind == "gravity"
    which = range(0 if gravity else 1, robot.nv)
    library = waves(symbols(robot.nv)["q"], which, 1 if gravity else 2)
    if library.size > len(q) // 2:
        return None
    A, true = library.columns(q.numpy()), place.of(robot, q).numpy()
    exact = np.linalg.lstsq(A, true, rcond=None)[0]
    nonzero = np.abs(exact) > 1e-9 * np.abs(exact).max()
    found = np.linalg.lstsq(A[:, nonzero], seen.numpy(), rcond=None)[0]
    y = place.of(robot, far).numpy()
    rest = library.columns(far.numpy())[:, nonzero] @ found - y
    return float(np.sqrt(np.mean(rest**2) / np.mean(y**2)))


def _timed(fit: Callable[[], Entry]) -> tuple[Entry, float, float]:
    """(entry, CPU seconds of the first fit, which prepares the tree, least CPU seconds)."""
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        found = fit()
        seconds.append(time.process_time() - began)
    return found, seconds[0], min(seconds)


def _error(found: Entry, place: EntryIndex, robot: Robot, q: Tensor) -> float:
    true = place.of(robot, q)
    return float((found(q) - true).square().mean().sqrt() / true.square().mean().sqrt())


def report(records: list[Record], folder: Path) -> list[str]:
    """Counts by noise and by shape, times, and what was missed."""
    lines = [
        f"{SAMPLES} samples of one entry in ±{HALF_WIDTH:g} rad. Right: the error over twice that "
        "region is below max(1e-4, noise/2); under smooth errors, below the error's own size "
        "inside and twice that over twice the region. Seconds of the processor, one thread.",
        "",
        "| | tree known: right | seconds a fit (median, worst) | nothing known: right | seconds |",
        "|---|---|---|---|---|",
    ]
    groups: list[tuple[str, list[Record]]] = [
        ("all with independent noise", [r for r in records if not r["smooth"]]),
        *((f"noise {n:g}", [r for r in records if not r["smooth"] and r["noise"] == n])
          for n in NOISES),
        (f"smooth error {SMOOTH:g}", [r for r in records if r["smooth"]]),
        *((f"{s}, {j} joints", [r for r in records if r["shape"] == s and r["joints"] == j])
          for s in SHAPES for j in range(2, 7)),
    ]  # fmt: skip
    for name, group in groups:
        cells = [name]
        for way in ("tree known", "nothing known"):
            fits = [r[way] for r in group if way in r]
            seconds = [t["seconds"] for t in fits]
            cells += (
                [share(fits, "right"), f"{np.median(seconds):.3f}, {max(seconds):.3f}"]
                if fits
                else ["", ""]
            )
        lines.append("| " + " | ".join(cells) + " |")
    for way in ("tree known", "nothing known"):
        fits = [r for r in records if way in r]
        slow = [r for r in fits if r[way]["seconds"] > SECONDS]
        missed = [r for r in fits if not r[way]["right"]]
        lines += [
            "",
            f"{way.capitalize()}: {len(missed)} missed; {len(slow)} of {len(fits)} fits took more "
            f"than {1000 * SECONDS:.0f} ms.",
        ]
        lines += [
            f"- {r['id']}: {r['shape']}, {r['joints']} joints, {r['entry']} {r['place']}, "
            f"{'smooth ' if r['smooth'] else ''}noise {r['noise']:g}: errors "
            f"{r[way]['error inside']:.1e} inside, {r[way]['error far']:.1e} far{_told(r[way])}"
            for r in missed[:12]
        ]
    lines.append("")
    lines.append(
        "A flat sum of a spatial arm is looked for up to three joints: beyond them it has hundreds "
        "of terms. The first fit of a tree also finds its identifiable parameters, once."
    )
    return lines


def _told(fit: dict[str, Any]) -> str:
    error = fit.get("terms given")
    return "" if error is None else f" (with the true terms given, {error:.1e} far)"


PARTS = [
    Part(
        name="entries",
        title="Single entries of rigid bodies",
        trials=trials,
        run=run,
        report=report,
    )
]
