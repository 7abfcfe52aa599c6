"""One thread for linear algebra: the same bytes on every machine, and no waiting.

Matrices of a few hundred rows gain nothing from threads. Beside other processes, the threads of a
linear-algebra library wait for each other: a fit of 20 ms took seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # its library must be loaded before the libraries are listed
import torch
from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    assert scipy.linalg
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """A context, or a decorator, in which NumPy, SciPy and torch use one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)
