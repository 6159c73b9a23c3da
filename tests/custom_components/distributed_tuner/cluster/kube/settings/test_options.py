"""Settings of the Kubernetes cluster: what is refused, and that the refusal names the setting."""

from __future__ import annotations

import json
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions, KubernetesOptionsError
from custom_components.distributed_tuner.record.costs import Price

IMAGE = "registry.example/tuner:1"


def options(**settings: Any) -> KubernetesOptions:
    return KubernetesOptions.from_mapping({"image": IMAGE, **settings})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"image": None}, "image: none is not an allowed value"),
        ({"imag": "x"}, "imag: unknown setting"),
        ({"groups": []}, "groups: a search needs at least one group"),
        ({"groups": [{"name": "a"}, {"name": "a", "count": 1}]}, "groups: two groups have the same name"),
        ({"groups": [{"name": "a"}, {"name": "b"}]}, "groups: only one group may leave its count open"),
        ({"groups": [{"count": -1}]}, "groups[0].count: ensure this value is greater than or equal to 0"),
        ({"groups": [{"count": 2.5}]}, "groups[0].count: expected a whole number, got 2.5"),
        ({"groups": [{"count": "2"}]}, "groups[0].count: expected a whole number, got '2'"),
        ({"groups": [{"name": "chief"}]}, "groups[0].name: 'chief' is the name of the chief"),
        ({"groups": [{"name": "Spot GPU"}]}, "groups[0].name: 'Spot GPU' is no name for it: expected small let"),
        ({"groups": [{"name": "a-name-too-long-x"}]}, "groups[0].name: ensure this value has at most 15"),
        ({"groups": [{"spot": "yes"}]}, "groups[0].spot: expected true or false, got 'yes'"),
        ({"groups": [{"gpu": {"count": 0}}]}, "groups[0].gpu.count: ensure this value is greater than or equal to 1"),
        ({"groups": [{"gpu": {"kind": "l4"}}]}, "groups[0].gpu.kind: unknown setting"),
        ({"groups": [{"memory": "4 GB"}]}, "groups[0].memory: '4 GB' is no quantity of Kubernetes, such as"),
        ({"groups": [{"node_selector": {"a b": "c"}}]}, "groups[0].node_selector: 'a b' is no key of a label"),
        ({"groups": [{"node_selector": {"a": "b c"}}]}, "groups[0].node_selector: a='b c'"),
        ({"groups": [{"tolerations": [{"operator": "Exists", "value": "x"}]}]}, "groups[0].tolerations[0]: operator"),
        ({"groups": [{"tolerations": [{"value": "x"}]}]}, "operator Equal needs a key"),
        ({"groups": [{"env": {"A-B": "1"}}]}, "groups[0].env: 'A-B' is no name of a variable"),
        ({"chief": {"gpu": {}}}, "chief: gpu: the chief trains nothing"),
        (
            {"volumes": [{"name": "v", "mount_path": "/v", "source": {"hostPath": {}}}]},
            "volumes[0].source: expected exa",
        ),
        (
            {"volumes": [{"name": "v", "mount_path": "v", "source": {"emptyDir": {}}}]},
            "volumes[0].mount_path: 'v': expected",
        ),
        ({"volumes": [{"name": "v", "mount_path": "/tmp", "source": {"emptyDir": {}}}]}, "/tmp is taken"),
        ({"groups": [{"name": "spot\n"}]}, r"groups[0].name: 'spot\n' is no name"),
        ({"groups": [{"memory": "4Gi\n"}]}, r"groups[0].memory: '4Gi\n' is no quantity"),
        ({"namespace": "ml\n"}, r"namespace: 'ml\n' is no name"),
        ({"groups": [{"labels": {"job-name": "x"}}]}, "groups[0].labels: job-name is set by the search itself"),
        ({"groups": [{"annotations": {"x y": "z"}}]}, "groups[0].annotations: 'x y' is no key of an annotation"),
        ({"groups": [{"tolerations": [{"key": "a b"}]}]}, "groups[0].tolerations[0].key: 'a b' is no key of a taint"),
        ({"groups": [{"tolerations": [{"key": "a", "value": "é"}]}]}, "groups[0].tolerations[0].value: 'é'"),
        ({"groups": [{"env": {"A": True}}]}, 'groups[0].env: A: expected a text, got True; write it in quotes: "true"'),
        ({"groups": [{"env": {"A": 4}}]}, 'groups[0].env: A: expected a text, got 4; write it in quotes: "4"'),
        ({"groups": [{"node_selector": {"gpu": True}}]}, "groups[0].node_selector: gpu: expected a text, got True"),
        ({"groups": [{"env": {"A": "\0"}}]}, "groups[0].env: A: a variable's value cannot hold a null character"),
        ({"image_pull_secrets": ["X Y"]}, "image_pull_secrets: 'X Y' is no name of an object"),
        ({"image_pull_secrets": [1]}, "image_pull_secrets: 0: expected a text, got 1"),
        (
            {
                "volumes": [
                    {"name": "a", "mount_path": "/v", "source": {"emptyDir": {}}},
                    {"name": "b", "mount_path": "/v/", "source": {"emptyDir": {}}},
                ]
            },
            "chief: two volumes are mounted at the same path: /v, /v",
        ),
        (
            {"groups": [{"count": 1}, {"name": "q", "count": 0, "queue": "lq"}]},
            "groups[1].count: a group in a queue needs",
        ),
        ({"groups": [{"cpu": "2", "cpu_limit": "1500m"}]}, "groups[0].cpu_limit: 1500m is less than cpu, 2"),
        ({"chief": {"memory": "2Gi", "cpu_limit": "0.5"}}, "chief.cpu_limit: 0.5 is less than cpu, 1"),
        ({"chief": {"cpu_limit": "many"}}, "chief.cpu_limit: 'many' is no quantity"),
        ({"port": 80}, "port: ensure this value is greater than or equal to 1024"),
        ({"run_as_user": 0}, "run_as_user: ensure this value is greater than or equal to 1"),
        ({"pending_seconds": True}, "pending_seconds: expected a number, got True"),
        ({"namespace": "Team A"}, "namespace: 'Team A' is no name for it: expected small letters, digits and -"),
    ],
)
def test_a_refusal_names_the_setting(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(KubernetesOptionsError) as refusal:
        options(**settings)
    assert words in str(refusal.value)


def volume(**more: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", "mount_path": "/v", "source": {"emptyDir": {}}, **more}]}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ttl_seconds": 2**31}, "ttl_seconds: ensure this value is less than or equal to 2147483647"),
        ({"run_as_user": 2**31}, "run_as_user: ensure this value is less than"),
        ({"node_loss_seconds": 2**63}, "node_loss_seconds: ensure this value is less than"),
        ({"service_account": "a..b"}, "service_account: 'a..b' is no name of an object of Kubernetes: expected"),
        ({"image_pull_secrets": ["a..b"]}, "image_pull_secrets: 'a..b' is no name"),
        ({"groups": [{"service_account": "a..b"}]}, "groups[0].service_account: 'a..b' is no name"),
        ({"groups": [{"priority_class": "a-.b"}]}, "groups[0].priority_class: 'a-.b' is no name"),
        ({"groups": [{"queue": "a..b"}]}, "groups[0].queue: 'a..b' is no name"),
        ({"groups": [{"gpu": {"type": "L4"}}]}, "groups[0].gpu.type: 'L4' is no name"),
        ({"groups": [{"labels": {"a..b/x": "y"}}]}, "groups[0].labels: 'a..b/x' is no key of a label"),
        ({"groups": [{"labels": {"/x": "y"}}]}, "groups[0].labels: '/x' is no key of a label"),
        ({"groups": [{"node_selector": {"a-.b/x": "y"}}]}, "groups[0].node_selector: 'a-.b/x' is no key of a label"),
        ({"groups": [{"tolerations": [{"key": "a" * 254 + "/x"}]}]}, "/x' is no key of a taint"),
        ({"groups": [{"tolerations": [{"key": "a", "operator": "In"}]}]}, "operator: expected Equal or Exists, got"),
        ({"groups": [{"tolerations": [{"key": "a", "effect": "No"}]}]}, "PreferNoSchedule or NoExecute, got 'No'"),
        ({"groups": [{"annotations": {"a": "x" * 200_000, "b": "x" * 70_000}}]}, "have 270,002 bytes in all"),
        ({"groups": [{"memory": "0"}]}, "groups[0].memory: '0' is nothing: expected at least 1Mi"),
        ({"groups": [{"memory": "512m"}]}, "groups[0].memory: '512m' is 0.512 bytes: expected at least 1Mi"),
        ({"chief": {"memory": "4"}}, "chief.memory: '4' is 4 bytes"),
        ({"groups": [{"ephemeral_storage": "0Gi"}]}, "groups[0].ephemeral_storage: '0Gi' is nothing"),
        ({"groups": [{"cpu": "0"}]}, "groups[0].cpu: '0' is nothing: expected CPUs"),
        (volume(sub_path=".."), "volumes[0].sub_path: '..': expected a path in the volume"),
        (volume(sub_path="a/../../b"), "volumes[0].sub_path: 'a/../../b': expected"),
        (volume(sub_path="/a"), "volumes[0].sub_path: '/a': expected"),
        (volume(mount_path="/v/../etc"), "volumes[0].mount_path: '/v/../etc': expected a folder's whole path"),
        (volume(mount_path="//"), "volumes[0].mount_path: '//' is all of the container"),
        (
            volume(mount_path="/etc/distributed-tuner/more/"),
            "/more/ lies in /etc/distributed-tuner, where the search's",
        ),
        (volume(mount_path="//home/./tuner/"), "//home/./tuner/ is taken by the search itself"),
        (volume(source={"persistentVolumeClaim": {}}), "volumes[0].source: persistentVolumeClaim: needs claimName"),
        (volume(source={"persistentVolumeClaim": {"claim": "x"}}), "has claimName and readOnly, and no claim"),
        (volume(source={"persistentVolumeClaim": {"claimName": "X"}}), "claimName: 'X' is no name"),
        (volume(source={"persistentVolumeClaim": {"claimName": "x", "readOnly": "no"}}), "readOnly: expected true or"),
        (volume(source={"emptyDir": None}), "volumes[0].source: emptyDir: expected names and values"),
    ],
)
def test_what_the_api_server_or_the_node_would_refuse_later_is_refused_at_once(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(KubernetesOptionsError) as refusal:
        options(**settings)
    assert words in str(refusal.value)
    assert "regex" not in str(refusal.value)


def test_what_the_api_server_takes_is_taken() -> None:
    group = {
        "labels": {"example.com/A_b.c": ""},
        "annotations": {"Example.com/x": "any text: \n"},
        "node_selector": {"a" * 253 + "/" + "b" * 63: "c" * 63},
        "priority_class": "low.team-2",
        "cpu": "0.1",
        "memory": "0.5Gi",
    }
    claim = {"persistentVolumeClaim": {"claimName": "runs.2", "readOnly": True}}
    taken = options(groups=[group], ttl_seconds=2**31 - 1, **volume(sub_path="a..b/c", source=claim))
    assert not taken.volumes[0].shared


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(KubernetesOptionsError, match=r"port: .*; .*run_as_user: "):
        options(port=1, run_as_user=0)


@pytest.mark.parametrize("text", ["[]", "{", '"x"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(KubernetesOptionsError, match="Kubernetes cluster"):
        KubernetesOptions.from_json(text)


OUTER = [
    {"secret": {"secretName": "s"}},
    {"configMap": {"name": "c"}},
    {"persistentVolumeClaim": {"claimName": "p", "readOnly": True}},
]


@pytest.mark.parametrize("source", OUTER)
def test_nothing_is_mounted_in_what_is_read_only(source: dict[str, Any]) -> None:
    inner = {"name": "in", "mount_path": "/a//b", "source": {"emptyDir": {}}}
    outer = {"name": "out", "mount_path": "/a/", "source": source}
    with pytest.raises(
        KubernetesOptionsError, match="groups g: volume in at /a//b lies in volume out at /a/, which is"
    ):
        options(volumes=[inner], groups=[{"name": "g", "volumes": [outer]}])
    options(volumes=[{**inner, "mount_path": "/ab"}, outer])
    options(volumes=[inner, {**outer, "source": {"emptyDir": {}}}], groups=[{"name": "g"}])
    options(volumes=[volume(mount_path="/etc/distributed-tuners")["volumes"][0]])


def test_a_volume_of_the_search_and_one_of_a_group_need_two_names() -> None:
    same = volume()["volumes"]
    with pytest.raises(KubernetesOptionsError, match="groups g: two volumes have the same name: v, v"):
        options(volumes=same, groups=[{"name": "g", "volumes": same}])


def test_settings_survive_json() -> None:
    some = options(groups=[{"name": "spot", "gpu": {"count": 2}, "env": {"A": "1"}}], keep_on_failure=True)
    assert KubernetesOptions.from_json(some.to_json()) == some
    assert json.loads(options().to_json()) == {"image": IMAGE}


def test_prices_are_those_of_the_groups_that_have_some() -> None:
    groups = [
        {"name": "spot", "price_per_hour": 0.25, "on_demand_price_per_hour": 1},
        {"name": "od", "price_per_hour": 1.0, "count": 1},
        {"name": "free", "count": 1},
    ]
    assert options(groups=groups).prices() == {"spot": Price(0.25, 1.0), "od": Price(1.0)}
    assert options().prices() == {}


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"on_demand_price_per_hour": 1.0}, r"groups\[0\]\.on_demand_price_per_hour: needs price_per_hour"),
        ({"price_per_hour": -1.0}, r"groups\[0\]\.price_per_hour"),
        ({"price_per_hour": float("nan")}, r"groups\[0\]\.price_per_hour"),
        ({"price_per_hour": "1.0"}, r"groups\[0\]\.price_per_hour: expected a number"),
    ],
)
def test_a_wrong_price_is_named(group: dict[str, Any], words: str) -> None:
    with pytest.raises(KubernetesOptionsError, match=words):
        options(groups=[group])


def test_the_kind_of_the_cluster_is_no_setting() -> None:
    assert KubernetesOptions.from_mapping({"kind": "kubernetes", "image": IMAGE}) == options()


def test_settings_are_immutable() -> None:
    with pytest.raises(TypeError):
        options().port = 1


@pytest.mark.parametrize(
    ("groups", "workers", "counts"),
    [
        ([{"name": "a"}], 5, {"a": 5}),
        ([{"name": "a", "count": 3}, {"name": "b"}], 5, {"a": 3, "b": 2}),
        ([{"name": "a", "count": 3}, {"name": "b"}], 2, {"a": 3, "b": 0}),
        ([{"name": "a", "count": 3}], 5, {"a": 3}),
    ],
)
def test_the_group_without_a_count_gets_the_rest(groups: list[Any], workers: int, counts: dict[str, int]) -> None:
    assert options(groups=groups).counts(workers) == counts


def test_a_group_in_a_queue_is_not_left_without_workers() -> None:
    some = options(groups=[{"name": "a", "count": 3}, {"name": "q", "queue": "lq"}])
    assert some.counts(4) == {"a": 3, "q": 1}
    with pytest.raises(KubernetesOptionsError, match=r"groups q: count: none of the 3 workers"):
        some.counts(3)


@pytest.mark.parametrize(("cpu", "limit"), [("1", "1"), ("1500m", "2"), ("999m", "1"), ("900", "1k"), ("1000", "1Ki")])
def test_a_limit_of_cpus_is_at_least_what_is_asked_for(cpu: str, limit: str) -> None:
    assert options(groups=[{"cpu": cpu, "cpu_limit": limit}]).groups[0].cpu_limit == limit
