"""The record's file, written from what changed, always holds the whole record."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custom_components.distributed_tuner.chief.record_file import RecordFile
from custom_components.distributed_tuner.record.record import TrialStatus
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner.records import search, trial

numbers = st.integers(0, 9)
steps = st.lists(st.dictionaries(numbers, st.floats(allow_nan=False), max_size=4), min_size=1, max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_what_is_read_is_the_record_brought_forward(tmp_path: Path, changes: list[dict[int, float]]) -> None:
    directory = SearchDir(tmp_path)
    file = RecordFile(directory.storage)
    whole = search()
    for scores in changes:
        changed = search(*(trial(str(number), score, x=score) for number, score in scores.items()))
        whole = whole.updated(changed)
        file.write(changed)
        assert directory.read_record() == whole


def test_names_and_messages_that_look_like_the_record_do_no_harm(tmp_path: Path) -> None:
    directory = SearchDir(tmp_path)
    odd = trial("0", None, TrialStatus.FAILED, message='"trials":[]')
    record = search(odd, stop_reason='"trials":[]')
    RecordFile(directory.storage).write(record)
    assert directory.read_record() == record
