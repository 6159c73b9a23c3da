"""The command line: tensorflow_model_server's names and defaults, and errors that name the flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_server import flags


def test_defaults_are_those_of_tensorflow_serving() -> None:
    parsed = flags.parse(["--model_base_path=/models/x"])
    assert (parsed.port, parsed.rest_api_port, parsed.model_name, parsed.file_system_poll_wait_seconds) == (
        8500,
        None,
        "default",
        1.0,
    )
    assert parsed.host == "127.0.0.1"


def test_a_value_may_follow_an_equals_sign_or_a_space() -> None:
    together = flags.parse(["--model_base_path=m", "--port=1", "--rest_api_port=2", "--model_name=n"])
    apart = flags.parse(["--model_base_path", "m", "--port", "1", "--rest_api_port", "2", "--model_name", "n"])
    assert together == apart == flags.Flags(Path("m"), "n", 1, 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--model_base_path"),
        (["--model_base_path=m", "--port=70000"], "'70000' is not a port"),
        (["--model_base_path=m", "--rest_api_port=-1"], "'-1' is not a port"),
        (["--model_base_path=m", "--model_name=a/b"], "'a/b' cannot be a model's name"),
        (["--model_base_path=m", "--file_system_poll_wait_seconds=-1"], "'-1' is not a number of seconds"),
        (["--model_base_path=m", "--file_system_poll_wait_seconds=nan"], "'nan' is not a number of seconds"),
        (["--model_base_path=m", "--port=9", "--rest_api_port=9"], "they must differ"),
        (["--model_base_path=m", "--ready_file=/no/such/folder/file"], "there is no directory /no/such/folder"),
        (["--model_base_path=m", "--port=" + "9" * 5000], "is not a port"),
        (
            ["--model_base_path=m", "--max_request_bytes=1000"],
            "'1000' is not a number of bytes from 1024 to 2147483647",
        ),
        (["--model_base_path=m", "--max_request_bytes=2147483648"], "is not a number of bytes"),
        (["--model_base_path=m", "--max_request_bytes=1MB"], "'1MB' is not a number of bytes"),
        (["--model_base_path=m", "--idle_connection_seconds=0"], "0 seconds would close every connection"),
        (["--model_base_path=m", "--enable_batching"], "unrecognized arguments: --enable_batching"),
        (["--model_base_path=m", "--rest_api=1"], "unrecognized arguments: --rest_api=1"),
    ],
)
def test_a_wrong_flag_is_named(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        flags.parse(arguments)
    assert exit_info.value.code == 2
    assert says in capsys.readouterr().err
