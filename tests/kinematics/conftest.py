"""Shared by the tests of kinematics: one thread, and the oracles on the path."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracles"))


@pytest.fixture(autouse=True)
def one_thread():
    """Small batches run faster, and reproducibly, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
