"""Errors of an oracle: what is added to the one of an oracle that raised while other trials ran."""

from __future__ import annotations

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.oracle.calls import OracleCalls, OracleError, hint


class Own(kt.oracles.RandomSearchOracle):
    """Reads a score that a trial which runs has not."""

    def populate_space(self, trial_id: str) -> None:
        raise TypeError("'>' not supported between instances of 'NoneType' and 'float'")


def test_an_oracle_of_somebodys_own_may_be_made_for_one_trial_at_a_time() -> None:
    assert "while another trial ran" in hint(Own(), 1) and "while 3 other trials ran" in hint(Own(), 3)
    assert "num_workers=1" in hint(Own(), 1) and "if Own reads" in hint(Own(), 1)


def test_there_is_no_such_hint_where_it_cannot_be_so() -> None:
    assert hint(Own(), 0) == ""
    assert hint(kt.oracles.RandomSearchOracle(), 5) == ""


@pytest.mark.parametrize("others", [0, 1])
def test_the_error_has_it_in_its_first_line(others: int) -> None:
    calls = OracleCalls(Own(max_trials=3))
    with pytest.raises(OracleError) as raised:
        calls.call("create_trial", "w", others=others)
    first, *trace = str(raised.value).splitlines()
    assert first.startswith("Own.create_trial raised TypeError: '>' not supported")
    assert ("num_workers=1" in first) == bool(others)
    assert trace[0].startswith("Traceback")
    # The oracle can be called again.
    with pytest.raises(OracleError):
        calls.call("create_trial", "w")
