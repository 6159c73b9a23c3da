"""The protocol: what is sent is what arrives, and every call has its place in it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.distributed_tuner.rpc import messages, protocol, schema
from custom_components.distributed_tuner.study.answers import Directive

REQUESTS = schema.Request.__subclasses__()
ANSWERS = sorted({kind.answered_by() for kind in REQUESTS}, key=lambda kind: kind.__name__)

# What a field may hold, by what its annotation says.
_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
_OBJECTS = st.dictionaries(_NAMES, st.integers() | _NAMES | st.none(), max_size=3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Name": _NAMES,
    "Process": st.just("") | _NAMES,
    "Words": _NAMES,
    "Flag": st.booleans(),
    "Count": st.integers(0, 2**53),
    "Seconds": st.floats(0, 1e6),
    "Names": st.lists(_NAMES, max_size=3),
    "Object": _OBJECTS,
    "Objects": st.lists(_OBJECTS, max_size=3),
    "Revision": st.tuples(_NAMES, st.integers(-1, 9)),
    "Reports": st.lists(st.tuples(st.integers(0, 9), st.dictionaries(_NAMES, st.floats(allow_nan=False))), max_size=3),
    "Next": st.sampled_from(messages.Next),
    "Directive": st.sampled_from(Directive),
}


def any_message(kind: Any) -> st.SearchStrategy[Any]:
    values = {}
    for field in dataclasses.fields(kind):
        name, _, optional = field.type.partition(" | ")
        values[field.name] = VALUES[name] | st.none() if optional else VALUES[name]
    return st.builds(kind, **values)


@pytest.mark.parametrize("kind", [*REQUESTS, *ANSWERS], ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_is_sent_is_what_arrives(kind: type[schema.Message], data: st.DataObject) -> None:
    sent = data.draw(any_message(kind))
    arrived = schema.parse(kind, protocol.decode(protocol.encode(schema.to_json(sent))))
    assert arrived == sent or json.dumps(schema.to_json(arrived)) == json.dumps(schema.to_json(sent))


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_whoever_changes_something_says_who_it_is(kind: type[schema.Request[Any]]) -> None:
    fields = {field.name for field in dataclasses.fields(kind)}
    # Readers, and somebody who ends a search from outside of it, are nobody in it.
    assert {"worker", "process"} <= fields or kind.__name__ in {"Space", "Best", "Status", "Stop"}


def test_a_field_of_no_known_kind_is_refused_by_its_class() -> None:
    @dataclasses.dataclass(frozen=True)
    class Odd(schema.Message):
        size: complex

    with pytest.raises(TypeError, match="no message has a field of type <class 'complex'>"):
        schema.parse(Odd, {"size": 1})
