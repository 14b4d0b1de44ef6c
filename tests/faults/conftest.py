import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]

TABLES = []


def pytest_terminal_summary(terminalreporter):
    for table in TABLES:
        terminalreporter.write_line(table)


@pytest.fixture(scope="module")
def battery():
    """One set of servers, one stream, one ledger for all tests of the module; at the end the table of counts."""
    from battery import Battery
    from line import Line
    line = Line(seed=int(os.environ.get("TONGGUAN_FAULTS_SEED", "1")))
    try:
        running = Battery(line)
        yield running
        TABLES.append(running.table())
    finally:
        line.close()
