"""Tests of greet/, called in a real worker."""
import pytest
from hearth_testing import FunctionFailed, HearthError


def test_greets_by_name(greet):
    assert greet({"name": "you"}) == {"message": "Hello you"}


def test_a_missing_name_is_a_key_error(greet):
    with pytest.raises(FunctionFailed) as failed:
        greet({})
    assert failed.value.type == "KeyError"
    assert "name" in failed.value.message


def test_an_unknown_function_is_refused(engine):
    with pytest.raises(HearthError) as refused:
        engine.call("nobody", {})
    assert refused.value.name == "function_unknown"
