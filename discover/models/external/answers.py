"""Answers of networks from observations: means, variances, rewards, ensembles, hidden states.

A network may answer one tensor or several side by side, a tuple, a dictionary or a distribution.
What its parts are is declared; one tensor of the right width is a mean without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError

MEANS = ("mean", "sample")
SPREADS = {
    "variance": lambda x: x.clamp_min(0).sqrt(),
    "log_variance": lambda x: torch.exp(0.5 * x),
    "std": torch.abs,
    "log_std": torch.exp,
}
SINGLE = ("reward", "done")
HIDDEN = "hidden"
IGNORED = "ignored"
PARTS = (*MEANS, *SPREADS, *SINGLE, HIDDEN, IGNORED)
_EXAMPLE = 'declare what it holds, such as answer = ["mean", "log_variance"] or ["mean", "reward"]'


@dataclass(frozen=True, kw_only=True)
class Answer:
    """mean (…, B, size) and, of a head that gives one, deviation (…, B, size); a leading axis of
    members where the network is an ensemble in itself. hidden: what a recurrent one carries on."""

    mean: Tensor
    deviation: Tensor | None = None
    hidden: tuple[Tensor, ...] = ()


def checked_parts(given: Any) -> tuple[tuple[str, str | None], ...] | None:
    """A declaration of answers as ((part, key of a dictionary or None), …). Raises ModelError."""
    if given is None:
        return None
    if isinstance(given, str):
        given = [given]
    pairs = list(given.items()) if isinstance(given, Mapping) else [(p, None) for p in given]
    parts = [part for part, _ in pairs]
    for part in parts:
        if part not in PARTS:
            raise ModelError(
                f"answer: expected parts among {', '.join(PARTS)}, found {part!r}; {_EXAMPLE}"
            )
    if sum(part in MEANS for part in parts) != 1:
        raise ModelError(f"answer: expected one 'mean' or 'sample', found {', '.join(parts)}")
    return tuple((part, key) for part, key in pairs)


def read_answer(
    answer: Any, parts: tuple[tuple[str, str | None], ...] | None, size: int, rows: int, source: str
) -> Answer:
    """The parts of one answer to `rows` questions. Raises ModelError where they do not fit."""
    if isinstance(answer, torch.distributions.Distribution):
        return Answer(mean=_rows(answer.mean, rows, source), deviation=answer.stddev)
    if isinstance(answer, Mapping):
        named = _of_mapping(answer, parts, source)
    elif isinstance(answer, tuple | list):
        named = _of_sequence(answer, parts, source)
    elif isinstance(answer, Tensor | np.ndarray):
        named = _of_tensor(torch.as_tensor(answer), parts, size, source)
    else:
        raise ModelError(
            f"{source} answers {type(answer).__name__}, expected a tensor, a tuple, a dictionary "
            "or a distribution"
        )
    mean: Tensor | None = None
    deviation: Tensor | None = None
    hidden: list[Tensor] = []
    for part, value in named:
        if part == HIDDEN:
            hidden += flat(value)
        elif part in MEANS and isinstance(value, torch.distributions.Distribution):
            mean, deviation = value.mean, value.stddev
        elif part in MEANS:
            mean = torch.as_tensor(value)
        elif part in SPREADS:
            deviation = SPREADS[part](torch.as_tensor(value).to(torch.float64))
    assert mean is not None  # the declaration holds one
    mean = _rows(mean, rows, source)
    if mean.shape[-1] != size:
        raise ModelError(
            f"{source} answers {mean.shape[-1]} numbers, expected {size}, one an observed number; "
            f"check the observation, or {_EXAMPLE}"
        )
    if deviation is not None:
        deviation = deviation.expand(mean.shape)
    return Answer(mean=mean, deviation=deviation, hidden=tuple(hidden))


def flat(value: Any) -> list[Tensor]:
    """The tensors of nested tuples, in order: an LSTM carries (h, c)."""
    if isinstance(value, tuple | list):
        return [x for part in value for x in flat(part)]
    return [torch.as_tensor(value)]


def _rows(x: Tensor, rows: int, source: str) -> Tensor:
    if x.ndim not in (2, 3) or x.shape[-2] != rows:
        raise ModelError(
            f"{source} answers {tuple(x.shape)} to {rows} questions, expected ({rows}, numbers), "
            "or (members, rows, numbers) of an ensemble; declare sequence or batch where needed"
        )
    return x


def _of_mapping(
    answer: Mapping[str, Any], parts: tuple[tuple[str, str | None], ...] | None, source: str
) -> list[tuple[str, Any]]:
    parts = parts or (("mean", None),)
    out = []
    for part, key in parts:
        if part in (*SINGLE, IGNORED):
            continue
        if (key or part) not in answer:
            raise ModelError(
                f"{source} answers a dictionary of {', '.join(map(str, answer))}; declare which is "
                'the next observation, such as answer = {mean = "next_obs"}'
            )
        out.append((part, answer[key or part]))
    return out


def _of_sequence(
    answer: Sequence[Any], parts: tuple[tuple[str, str | None], ...] | None, source: str
) -> list[tuple[str, Any]]:
    if len(answer) == 1 and parts is None:
        return [("mean", answer[0])]
    if parts is None:
        raise ModelError(
            f"{source} answers {len(answer)} things; {_EXAMPLE}; where one is a hidden state that "
            'it carries on, declare its shape, such as hidden = [["batch", 64]]'
        )
    names = [part for part, _ in parts]
    if names[-1] == HIDDEN and len(answer) > len(names):
        names += [HIDDEN] * (len(answer) - len(names))  # (y, h, c)
    if len(names) != len(answer):
        raise ModelError(
            f"{source} answers {len(answer)} things, declared are {', '.join(names)}; {_EXAMPLE}"
        )
    return list(zip(names, answer, strict=True))


def _of_tensor(
    x: Tensor, parts: tuple[tuple[str, str | None], ...] | None, size: int, source: str
) -> list[tuple[str, Any]]:
    names = [part for part, _ in parts] if parts else ["mean"]
    if HIDDEN in names:
        raise ModelError(f"{source} answers one tensor and no hidden state, which is declared")
    widths = [1 if name in SINGLE else size for name in names]
    if len(names) == 1:
        if x.ndim and x.shape[-1] != size:
            raise ModelError(
                f"{source} answers {x.shape[-1]} numbers, expected {size}, one an observed number; "
                f"check the observation, or {_EXAMPLE}"
            )
        return [(names[0], x)]
    if x.ndim == 0 or x.shape[-1] != sum(widths):
        raise ModelError(
            f"{source} answers {x.shape[-1] if x.ndim else 'one number'} numbers, declared are "
            f"{' + '.join(f'{n} {w}' for n, w in zip(names, widths, strict=True))}"
        )
    return list(zip(names, x.split(widths, dim=-1), strict=True))
