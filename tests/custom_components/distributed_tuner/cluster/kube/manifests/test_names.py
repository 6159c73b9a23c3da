"""Names of Kubernetes objects: valid, stable, apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.distributed_tuner.cluster.kube.manifests import names
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName, secrets
from custom_components.distributed_tuner.cluster.kube.settings.groups import MAX_GROUP_LENGTH, MAX_WORKERS_OF_GROUP

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
searches = st.builds(SearchName, st.text(), st.text(), st.text())


@given(searches)
def test_any_search_has_names_that_kubernetes_takes(search: SearchName) -> None:
    longest = f"{search.group('g' * MAX_GROUP_LENGTH)}-{MAX_WORKERS_OF_GROUP - 1}"
    for name in (search.name, search.chief, search.worker_secret, longest):
        assert DNS_LABEL.fullmatch(name) and len(name) <= 63


@given(searches, searches)
def test_two_searches_have_two_names(one: SearchName, other: SearchName) -> None:
    assert (one.name == other.name) == (one == other)


def test_names_are_readable_and_never_change() -> None:
    # A new release must find the search that the last one started.
    name = SearchName("taxi", "2026-01-31T12:00", "DistributedTuner")
    assert name.name == "s-2026-01-31t12-00-distri-c60fb1b76a"
    assert SearchName("taxi", "Monday", "Tuner").group("spot") == "monday-tuner-e8bb8b33b1-spot"


def test_parts_do_not_run_together() -> None:
    assert SearchName("a", "b-c", "d").name != SearchName("a", "b", "c-d").name


def test_no_group_can_take_the_name_of_something_else() -> None:
    search = SearchName("p", "r", "n")
    assert len(search.worker_secret.removeprefix(f"{search.name}-")) > MAX_GROUP_LENGTH
    assert secrets(search.name) == (search.chief, search.worker_secret)


def test_labels_are_valid_values() -> None:
    labels = SearchName("p", "r" * 300, "n").labels("worker", "spot")
    assert all(len(value) <= 63 for value in labels.values())
    assert labels["distributed-tuner/group"] == "spot"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("run-1-tuner-0a1b2c3d4e", True),
        ("here", False),
        ("gs://b/x", False),
        ("/x", False),
        ("a.b", False),
        ("A", False),
        ("", False),
    ],
)
def test_a_folder_or_address_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: bool) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    assert names.is_search(text) is name
