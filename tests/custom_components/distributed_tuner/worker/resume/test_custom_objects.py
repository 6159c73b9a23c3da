"""Which custom objects a trial leaves to the next ones: those of modules that it imported, which register once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorflow import keras

from custom_components.distributed_tuner.worker.resume.custom_objects import CustomObjects

MODULE = """
from tensorflow import keras

@keras.saving.register_keras_serializable("late")
class Late(keras.layers.Layer):
    pass

keras.utils.get_custom_objects()["late"] = Late
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = CustomObjects()
    yield
    before.put_back()


def test_what_a_trial_registers_goes_and_what_it_replaces_comes_back() -> None:
    keras.utils.get_custom_objects()["mine"] = abs
    before = CustomObjects()
    keras.utils.get_custom_objects().update(mine=min, relu=max)
    register = keras.saving.register_keras_serializable("own")
    own = register(type("Own", (keras.layers.Layer,), {}))
    assert CustomObjects() != before
    before.put_back()
    assert CustomObjects() == before
    assert keras.utils.get_custom_objects()["mine"] is abs and "relu" not in keras.utils.get_custom_objects()
    assert keras.saving.get_registered_object("own>Own") is None
    assert keras.saving.get_registered_name(own) == "Own"


def test_what_a_module_registers_that_is_imported_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "registers_late.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = CustomObjects()
    import registers_late

    assert CustomObjects() == before
    before.put_back()
    late = registers_late.Late
    assert keras.saving.get_registered_object("late>Late") is late
    assert keras.saving.get_registered_name(late) == "late>Late"
    assert keras.utils.get_custom_objects()["late"] is late
