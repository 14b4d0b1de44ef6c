"""What the end-to-end and the browser tests share: one running city, started once where both run in one go."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


@pytest.fixture(scope="session")
def city():
    """A whole running city: embedded servers and the three roles."""
    with harness.City(env={"TONGGUAN_DISPATCH_ANCHOR_S": "2"}) as running:
        yield running


def pytest_configure(config):
    config.addinivalue_line("markers", "apart: has servers of its own and waits for no instant, so that it may run beside all the others")
