"""The benchmarks of `discover bench`, by name.

Timings that users run on their own robots and machines are part of the package. What measures the
instrument itself lies in `tests/bench` and needs a checkout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from discover.errors import RecipeError

PACKAGED = ("dynamics", "verdict")
CHECKOUT = {
    "laws": "tests.bench.laws",
    "models": "tests.bench.models",
    "published": "tests.bench.models.published",
    "rl_models": "tests.bench.rl_models",
    "structure": "tests.bench.mechanism",
    "networks": "tests.bench.models.networks",
    "distilled": "tests.bench.mechanism.distilled",
}
SUBJECTS = (*PACKAGED, *CHECKOUT)


def measure(subject: str, **options: Any) -> None:
    """Run the benchmark of this name with these options.

    Raises RecipeError for an unknown name, for an option that the benchmark has not, and for a
    benchmark of the instrument itself where there is no checkout.
    """
    main = _main_of(subject)
    for name in options:
        if name not in signature(main).parameters:
            raise RecipeError(f"bench: {subject} has no option --{name}; leave it out")
    if "device" in options:
        from discover.training.train import choose_device

        options["device"] = choose_device(options["device"]).type
    main(**options)


def _main_of(subject: str) -> Callable[..., None]:
    if subject in PACKAGED:
        return import_module(f"discover.bench.{subject}").main
    if subject not in CHECKOUT:
        raise RecipeError(f"bench: expected one of {', '.join(SUBJECTS)}, found {subject!r}")
    root = Path(__file__).resolve().parents[2]
    if not (root / "tests" / "bench" / "__init__.py").is_file():
        raise RecipeError(
            f"bench: {subject} measures the instrument itself and needs a checkout of the project, "
            "found an installed package: run it in a clone"
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return import_module(CHECKOUT[subject]).main
