"""The lines about nodes."""

from __future__ import annotations

import io
import logging

from absl import logging as absl_logging

from tfx_pipeline.run import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_for_each_node_of_either_runner() -> None:
    stream = io.StringIO()
    nodes = progress.NodeProgress(stream)
    absl_logging.set_verbosity(absl_logging.INFO)
    with nodes.attached():
        for node, kind in (("ExampleGen", "Component"), ("Trainer_1", "node")):
            absl_logging.info("%s %s is running.", kind, node)
            assert nodes.current == node
            absl_logging.info("The model is running.")
            absl_logging.info("%s %s is finished.", kind, node)
            assert nodes.current is None
    absl_logging.info("Component Late is running.")
    assert nodes.current is None
    assert list(nodes.seconds) == ["ExampleGen", "Trainer_1"]
    lines = stream.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["ExampleGen", "Trainer_1"]
    assert all(line.endswith(" s") for line in lines)


def test_a_skipped_node_is_told_as_such_and_takes_no_time() -> None:
    stream = io.StringIO()
    nodes = progress.NodeProgress(stream)
    for node, states in (("Pusher", ("running", "skipped", "finished")), ("Trainer", ("running", "finished"))):
        for state in states:
            nodes.handle(logging.makeLogRecord({"msg": f"node {node} is {state}."}))
    pusher, trainer = stream.getvalue().splitlines()
    assert pusher.endswith(" s  skipped")
    assert trainer.endswith(" s")
    assert list(nodes.seconds) == ["Trainer"]


def test_the_failed_node_stays_current() -> None:
    nodes = progress.NodeProgress(io.StringIO())
    nodes.handle(logging.makeLogRecord({"msg": "Component Transform is running."}))
    assert nodes.current == "Transform"


def test_on_a_terminal_the_running_node_is_shown_and_replaced() -> None:
    stream = Terminal()
    nodes = progress.NodeProgress(stream)
    nodes.handle(logging.makeLogRecord({"msg": "Component Transform is running."}))
    assert stream.getvalue() == "  Transform …\r"
    nodes.handle(logging.makeLogRecord({"msg": "Component Transform is finished."}))
    assert "\x1b[2K" in stream.getvalue()


def test_shares_are_sorted_and_small_ones_are_put_together() -> None:
    assert progress.shares({"a": 20.0, "b": 79.0, "c": 0.5, "d": 0.5}) == "b 79%, a 20%, others 1%"
    assert progress.shares({}) == "nothing had to run"
