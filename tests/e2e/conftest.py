import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402


@pytest.fixture(scope="session")
def city():
    """A whole running city: embedded servers and the three roles."""
    with harness.City() as running:
        yield running


@pytest.fixture(scope="module")
def servers():
    """The servers alone, with schema, city and topics; the test starts the roles."""
    with harness.City(roles=()) as running:
        yield running
