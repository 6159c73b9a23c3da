"""Why a trial failed in one line, of the commonest failures that there are, and of texts that are none."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.distributed_tuner.record import cause
from tests.custom_components.distributed_tuner.common_failures import CAUSES, FAILURES

# A GPU's words, which no machine without one says.
OF_A_GPU = """Traceback (most recent call last):
  File "/app/model.py", line 40, in build
    model.fit(x, y)
tensorflow.python.framework.errors_impl.ResourceExhaustedError: Graph execution error:

Detected at node 'sequential/conv2d/Conv2D' defined at (most recent call last):
    File "/app/model.py", line 40, in build
      model.fit(x, y)
Node: 'sequential/conv2d/Conv2D'
{words}
\t [[{{{{node sequential/conv2d/Conv2D}}}}]]
Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom to
 RunOptions for current allocation info. This isn't available when running in Eager mode.
 [Op:__inference_train_function_1234]
"""
OOM = "OOM when allocating tensor with shape[256,64,112,112] and type float on device:GPU:0 by allocator GPU_0_bfc"


@pytest.mark.parametrize("name", FAILURES)
def test_a_common_failure_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(BaseException) as raised:
        FAILURES[name](tmp_path)
    # What keras-tuner makes of it.
    error = raised.value
    message = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    told = cause.of_message(message)
    assert CAUSES[name].replace("{where}", str(tmp_path)) in told
    assert "\n" not in told and len(told) <= cause.MAX_CHARACTERS
    assert cause.of_error(error) == told


@pytest.mark.parametrize(
    "words",
    [OOM, f"2 root error(s) found.\n  (0) RESOURCE_EXHAUSTED:  {OOM}\n\t [[{{{{node x}}}}]]\n  (1) CANCELLED:  x"],
)
def test_the_memory_of_a_gpu_is_told_as_the_cause(words: str) -> None:
    assert cause.of_message(OF_A_GPU.format(words=words)) == f"ResourceExhaustedError: {OOM}"
    assert cause.of_message(f"RESOURCE_EXHAUSTED: {OOM}") == f"RESOURCE_EXHAUSTED: {OOM}"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("stuck: no epoch finished within max_epoch_seconds=4", "stuck: no epoch finished within max_epoch_seconds=4"),
        ("it took 3 (of 4) tries: the last one", "it took 3 (of 4) tries: the last one"),
        ("worker-0: f raised ValueError: in user code:\n\n    ValueError: no\n", "worker-0: f raised ValueError: no"),
        ("f raised a.b.NotFoundError: Graph execution error:\n\nno file", "f raised NotFoundError: no file"),
        ('could not run\nTraceback (most recent call last):\n  File "x", line 1, in f\npkg.Odd: no', "Odd: no"),
        ('Traceback (most recent call last):\n  File "x", line 1, in f\n', 'File "x", line 1, in f'),
        ("ValueError: in user code:\n", "ValueError"),
        ("\n \n", ""),
        (None, ""),
    ],
)
def test_other_messages_are_told_by_their_first_words(message: str | None, told: str) -> None:
    assert cause.of_message(message) == told


def test_a_long_text_has_both_its_ends() -> None:
    told = cause.of_error(ValueError("begin" + "x" * 10_000 + "end"))
    assert told.startswith("ValueError: beginxxx") and " […] " in told and told.endswith("xend")
    assert len(told) <= cause.MAX_CHARACTERS
    assert len(cause.of_error(ValueError("x" * 50_000_000))) <= cause.MAX_CHARACTERS


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_whose_text_cannot_be_had_has_its_class() -> None:
    assert cause.of_error(_Unprintable()).startswith("_Unprintable: ")


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (StopIteration(), r"StopIteration at test_cause\.py, line \d+: raise origin"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_an_error_says_what_it_comes_of(origin: Exception, told: str) -> None:
    with pytest.raises(ValueError, match="nothing left") as raised:
        try:
            raise origin
        except Exception as first:
            raise ValueError("nothing left") from first
    assert re.fullmatch(rf"ValueError: nothing left \(caused by {told}\)", cause.of_error(raised.value))


LINES = st.sampled_from(
    [
        *(
            "",
            " ",
            "  |",
            "  +-+---------------- 1 ----------------",
            "  + Exception Group Traceback (most recent call last):",
        ),
        *("Traceback (most recent call last):", '  File "x", line 1, in f', "    code", "ValueError: in user code:"),
        *(
            "ValueError: x",
            "Graph execution error:",
            "words:",
            "The above exception was the direct cause of the following exception:",
        ),
    ]
)


@given(st.lists(LINES | st.text(max_size=10), max_size=12))
def test_any_message_at_all_has_one_line(lines: list[str]) -> None:
    message = "\n".join(lines)
    told = cause.of_message(message)
    assert len(told.splitlines()) == (1 if told else 0)
    assert bool(told) == any(line.strip() for line in message.splitlines())
