"""Which of a network's inputs is the observation and which the action: as declared, by clear names,
or by their widths in its file; never by position where a file names them otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from discover.errors import ModelError
from discover.models.external.openers import Opened

INPUTS = ("observation", "action")
_NAMES = {
    "observation": "observation observations obs ob state states s x",
    "action": "action actions act acts ac a control controls ctrl u",
}
_MEANING = {name: meaning for meaning, names in _NAMES.items() for name in names.split()}
_FILLING = {"input", "inputs", "in", "t", "batch"}
_EXAMPLE = (
    'inputs = ["observation", "action"], or [["observation", "action"]] for one joined tensor'
)


def order_of_inputs(
    opened: Opened, inputs: Any, recurrent: bool, widths: Mapping[str, int]
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """(inputs in order, each as the parts it holds side by side; how many carry hidden states)."""
    names = opened.names
    declared = _declared_order(inputs)
    if recurrent and names is not None and (declared is not None or len(names) >= len(INPUTS)):
        names = (*names, *opened.optional)  # a hidden state may have a default
    if declared is not None:
        carried = 0 if names is None else len(names) - len(declared)
        if names is not None and (carried < 0 or (carried > 0) != recurrent):
            raise ModelError(
                f"{opened.source} takes {_listed(names)}, declared are {len(declared)} inputs"
                f"{' and hidden states' if recurrent else ''}; declare one entry an "
                f"input, such as {_EXAMPLE}"
            )
        return declared, carried
    if names is None:
        raise ModelError(f"{opened.source} does not say what it takes; declare {_EXAMPLE}")
    if not recurrent and len(names) > len(INPUTS):
        raise ModelError(_too_many(opened, names))
    if len(names) == 1:
        return ((_single(opened, names[0], widths),), 0)
    order = _by_names(opened, names, recurrent)
    order = order or _by_widths(opened, names, widths)
    if order is None:
        raise ModelError(
            f"{opened.source} takes {_listed(names)}, which does not say which is the observation "
            f"and which the action; declare {_EXAMPLE}"
        )
    return order, len(names) - len(order)


def _declared_order(given: Any) -> tuple[tuple[str, ...], ...] | None:
    if given is None:
        return None
    entries = [given] if isinstance(given, str) else list(given)
    order = tuple((e,) if isinstance(e, str) else tuple(e) for e in entries)
    parts = [name for part in order for name in part]
    if not parts or not set(parts) <= set(INPUTS) or len(set(parts)) < len(parts):
        raise ModelError(
            f"inputs: expected observation and action, at most once each, found {parts}; such as "
            f"{_EXAMPLE}"
        )
    return order


def _single(opened: Opened, name: str, widths: Mapping[str, int]) -> tuple[str, ...]:
    """One input: both side by side, unless its width in the file is that of one of them."""
    width = opened.widths[0] if opened.widths else None
    for part in INPUTS:
        if width is not None and width == widths[part] and width != sum(widths.values()):
            return (part,)
    return INPUTS


def _by_names(
    opened: Opened, names: Sequence[str], recurrent: bool
) -> tuple[tuple[str, ...], ...] | None:
    """By clear names; a Python function's first two arguments are observation and action where
    their names say nothing else."""
    meanings = [_meaning(name) for name in names]
    if recurrent and meanings[0] is not None and meanings[1] is None:
        return (INPUTS,)  # one joined input, then what is carried
    first = meanings[:2]
    if set(first) == set(INPUTS):
        return tuple((m,) for m in first if m is not None)
    if opened.python and first in ([None, None], ["observation", None], [None, "action"]):
        return tuple((n,) for n in INPUTS)
    return None


def _by_widths(
    opened: Opened, names: Sequence[str], widths: Mapping[str, int]
) -> tuple[tuple[str, ...], ...] | None:
    if opened.widths is None or widths["observation"] == widths["action"]:
        return None
    found = tuple(tuple(part for part in INPUTS if widths[part] == w) for w in opened.widths[:2])
    return found if sorted(found) == sorted((n,) for n in INPUTS) else None


def _meaning(name: str) -> str | None:
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    words = [w for w in words if w not in _FILLING] or words
    return _MEANING.get("".join(words)) if words else None


def _too_many(opened: Opened, names: Sequence[str]) -> str:
    shapes = list((opened.shapes or ())[2:])
    shown = f"; the file says {shapes}" if shapes else ""
    return (
        f"{opened.source} takes {_listed(names)}: more than an observation and an action. If it "
        "carries a hidden state, declare its shapes, such as hidden = [(1, None, 64)] with None "
        f"for the batch{shown}"
    )


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} input{'s' if len(names) != 1 else ''} ({', '.join(names)})"
