"""The fixtures: one engine for the whole run, and the function under test."""
import pathlib

import pytest
from hearth_testing import Engine

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def engine():
    with Engine() as opened:
        yield opened


@pytest.fixture(scope="session")
def greet(engine):
    return engine.load(HERE / "greet")
