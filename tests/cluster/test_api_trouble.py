"""Whole searches whose step has trouble with the API server: each of them goes on, and leaves nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import connection
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus
from tests.cluster.kubernetes_search import STEP, KubernetesSearch, connect
from tests.cluster.searching import Make, Once, all_completed, each_of, trials_run
from tests.harness.cluster.kubernetes.control_plane import API_PORT, ControlPlane
from tests.harness.cluster.kubernetes.errors import ApiError as HarnessApiError
from tests.harness.cluster.kubernetes.fault_proxy import FaultProxy
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.machine.namespaces import MACHINE
from tests.harness.cluster.node.node_pool import NodePool
from tests.harness.cluster.node.process_node import ProcessNode

pytestmark = pytest.mark.timeout(500)
pytest_plugins = ["tests.cluster.search_fixtures"]

#: As an API server that has just started answers for kinds that it does not serve yet.
NOT_SERVED = "the server could not find the requested resource"


@pytest.fixture
def proxied(fault_proxy: FaultProxy, token: str, control_plane: ControlPlane) -> KubernetesApi:
    """The step's connection, through the proxy."""
    return connect(fault_proxy.url, control_plane.authority.certificate, token)


def completed(count: int, record: SearchRecord) -> bool:
    return record.count(TrialStatus.COMPLETED) >= count


def test_refusals_that_pass(make: Make, proxied: KubernetesApi, fault_proxy: FaultProxy, nodes: NodePool) -> None:
    late = {"pool": "late"}
    made = make(
        "waiting", {"max_trials": 8, "seconds": 1.0}, settings={"groups": [{"node_selector": late}]}, api=proxied
    )
    modified = "Operation cannot be fulfilled on resourcequotas: the object has been modified; please try again"
    # While the search is made.
    fault_proxy.refuse("GET", f"/jobs/{made.name.chief}", 404, reason="NotFound", message=NOT_SERVED)
    fault_proxy.refuse("POST", "/jobs", 429, retry_after=1, times=2)
    fault_proxy.refuse("POST", "/secrets", 503, retry_after=1)
    fault_proxy.refuse("POST", "/services", 409, reason="Conflict", message=modified)
    fault_proxy.refuse("POST", "/networkpolicies", 500)
    fault_proxy.refuse("PATCH", "/jobs", 409, reason="Conflict", message=modified)
    # While it is watched.
    fault_proxy.refuse("GET", r"/pods\?labelSelector", 429, retry_after=1)
    for path in ("/jobs.*watch=", "/pods.*watch="):
        fault_proxy.refuse("GET", path, 429, retry_after=1)
        fault_proxy.refuse("GET", path, 503, retry_after=1)
        fault_proxy.refuse("GET", path, 404, reason="NotFound", message=NOT_SERVED)
    fault_proxy.refuse("GET", "/events", 503, times=2)
    # While it is removed.
    fault_proxy.refuse("GET", "/pods/.*/log", 404, reason="NotFound", message="no such pod")
    fault_proxy.refuse("GET", "/services", 404, reason="NotFound", message=NOT_SERVED)
    fault_proxy.refuse("DELETE", "/jobs", 429, retry_after=1)
    fault_proxy.refuse("DELETE", "/jobs", 409, reason="Conflict", message=modified)
    fault_proxy.refuse("DELETE", "/secrets", 503, retry_after=1)

    came: list[ProcessNode] = []

    def machine(words: str) -> None:
        if not came and "GET /events" not in fault_proxy.unmet():
            came.append(nodes.add(labels=late))

    all_completed(made, 8, made.run(tell=machine).record)
    assert fault_proxy.unmet() == []
    assert made.left() == []


def test_connections_that_break_before_and_after_the_server_did_its_work(
    make: Make, proxied: KubernetesApi, fault_proxy: FaultProxy
) -> None:
    made = make("waiting", {"max_trials": 24, "seconds": 1.0}, api=proxied)
    for kind in ("jobs", "secrets", "services", "networkpolicies"):
        fault_proxy.reset("POST", f"/{kind}", after_server=True)
        fault_proxy.reset("POST", f"/{kind}")
    # The others go with the chief's Job, mostly before they are asked for.
    for kind in ("jobs", "secrets"):
        fault_proxy.reset("DELETE", f"/{kind}", after_server=True)
        fault_proxy.reset("DELETE", f"/{kind}")
    fault_proxy.reset("PATCH", "/jobs", after_server=True)
    fault_proxy.reset("PATCH", "/jobs")
    fault_proxy.reset("GET", "/pods/.*/log")
    for path in ("/jobs", "/pods"):
        fault_proxy.cut_watch(path)
        # At once: how many more events there are is a matter of how fast the machine is.
        fault_proxy.expire_watch(path)
        fault_proxy.refuse("GET", f"{path}.*watch=", 410, reason="Expired", message="too old a version")
    found = made.run()
    all_completed(made, 24, found.record)
    assert {stay.worker for trial in found.record.trials for stay in trial.stays} == {"worker-0", "worker-1"}
    assert fault_proxy.unmet() == []
    assert made.left() == []


@pytest.mark.full
def test_what_happens_behind_a_silent_watch_is_seen_when_it_is_given_up(
    make: Make, team: Namespace, proxied: KubernetesApi, fault_proxy: FaultProxy
) -> None:
    made = make("waiting", {"max_trials": 40, "seconds": 2.0}, api=proxied)
    stalled: list[int] = []

    def stall() -> None:
        for path in ("/jobs", "/pods"):
            fault_proxy.stall_watch(path)
        # Those that are open would speak for up to 30 s.
        fault_proxy.go_away()
        fault_proxy.come_back()
        until(lambda: not fault_proxy.unmet(), "two silent watches")
        stalled.append(len(fault_proxy.seen))
        team.evict(made.live("worker")[0])

    all_completed(made, 40, made.run(workers=1, watch=Once(trials_run, stall)).record)
    after = [seen.path for seen in fault_proxy.seen[stalled[0] :] if "watch=" in seen.path]
    assert any("/jobs" in path for path in after) and any("/pods" in path for path in after)
    assert made.left() == []


def test_a_server_that_is_away_while_a_search_is_made_while_it_runs_and_while_it_is_removed(
    make: Make, proxied: KubernetesApi, fault_proxy: FaultProxy
) -> None:
    made = make("waiting", {"max_trials": 16, "seconds": 1.0}, api=proxied)
    cluster = made.make_cluster()

    def leave() -> None:
        fault_proxy.go_away()
        threading.Timer(8.0, fault_proxy.come_back).start()

    leave()
    last = Once(lambda record: completed(16, record), leave)
    found = made.run(cluster=cluster, watch=each_of(Once(trials_run, leave), last))
    assert last.done
    all_completed(made, 16, found.record)
    assert made.left() == []


@pytest.mark.full
def test_a_server_that_is_away_for_two_minutes(
    make: Make, team: Namespace, proxied: KubernetesApi, fault_proxy: FaultProxy
) -> None:
    made = make("waiting", {"max_trials": 100, "seconds": 3.0}, api=proxied)
    back = threading.Timer(120.0, fault_proxy.come_back)

    def leave() -> None:
        fault_proxy.go_away()
        back.start()
        team.evict(made.live("worker")[0])

    found = made.run(watch=Once(trials_run, leave))
    assert back.finished.is_set(), "the search ended before the server was back"
    all_completed(made, 100, found.record)
    assert {stay.worker for trial in found.record.trials[-6:] for stay in trial.stays} == {"worker-0", "worker-1"}
    assert made.left() == []


@pytest.mark.full
def test_a_worker_that_falls_silent_while_the_server_is_away_is_replaced_when_it_is_back(
    make: Make, proxied: KubernetesApi, fault_proxy: FaultProxy
) -> None:
    made = make("waiting", {"max_trials": 50, "seconds": 3.0}, api=proxied)
    # For longer than the step's requests are patient.
    back = threading.Timer(75.0, fault_proxy.come_back)

    def leave() -> None:
        fault_proxy.go_away()
        back.start()
        first = next(process for process in psutil.process_iter(["cmdline"]) if runs_worker(process, made))
        for process in (*first.children(recursive=True), first):
            process.suspend()

    found = made.run(watch=Once(trials_run, leave))
    assert back.finished.is_set(), "the search ended before the server was back"
    all_completed(made, 50, found.record)
    assert {stay.worker for trial in found.record.trials[-6:] for stay in trial.stays} == {"worker-0", "worker-1"}
    assert made.left() == []


def runs_worker(process: psutil.Process, made: KubernetesSearch) -> bool:
    """Whether it is the main process of one of the search's workers."""
    line = process.info["cmdline"] or []
    return "worker" in line and str(made.directory.root) in line


@pytest.mark.full
def test_a_step_that_gives_the_server_up_leaves_the_search_to_the_next_step(
    make: Make, proxied: KubernetesApi, fault_proxy: FaultProxy
) -> None:
    made = make("waiting", {"max_trials": 50, "seconds": 3.0}, settings={"api_patience_seconds": 60.0}, api=proxied)
    with pytest.raises(
        ClusterError, match=r"not heard of for 6\d s \(api_patience_seconds is 60\).*last trouble: .*does"
    ):
        made.run(watch=Once(trials_run, fault_proxy.go_away))
    fault_proxy.come_back()
    uids = [made.job(part)["metadata"]["uid"] for part in ("chief", "worker")]
    again: list[str] = []
    found = made.run(
        watch=Once(trials_run, lambda: again.extend(made.job(p)["metadata"]["uid"] for p in ("chief", "worker")))
    )
    all_completed(made, 50, found.record)
    assert again == uids and len(made.ran()) == 50
    assert made.left() == []


def test_a_token_that_is_replaced_also_when_the_old_one_ends_first(
    make: Make,
    team: Namespace,
    control_plane: ControlPlane,
    token: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "service-account"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(control_plane.authority.certificate.read_bytes())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", MACHINE)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(API_PORT))
    use_token(folder, token_until(team, "first"))
    step = connection.from_environment(patience_seconds=120.0, in_pod=folder)
    made = make("waiting", {"max_trials": 30, "seconds": 1.5}, api=step)

    def replace_in_time() -> None:
        use_token(folder, token_until(team, "second"))
        team.api.delete(team.path("secrets", "first"))

    def replace_late() -> None:
        team.api.delete(team.path("secrets", "second"))
        until(lambda: not accepted(control_plane, team, (folder / "token").read_text()), "the end of the token")
        # The watches that are open go on; whatever is asked now is refused.
        threading.Timer(10.0, lambda: use_token(folder, token_until(team, "third"))).start()
        with pytest.raises(ApiError):
            step.get(team.path("pods"), patience_seconds=0.0)
        team.evict(made.live("worker")[0])

    found = made.run(
        watch=each_of(Once(trials_run, replace_in_time), Once(lambda record: completed(4, record), replace_late))
    )
    all_completed(made, 30, found.record)
    assert made.left() == []


def token_until(team: Namespace, secret: str) -> str:
    """A token of the step's service account that ends when the Secret of this name, made now, is deleted."""
    made = team.api.create(team.path("secrets"), {"metadata": {"name": secret}})
    bound = {"apiVersion": "v1", "kind": "Secret", "name": secret, "uid": made["metadata"]["uid"]}
    answer = team.api.create(team.path("serviceaccounts", f"{STEP}/token"), {"spec": {"boundObjectRef": bound}})
    return str(answer["status"]["token"])


def use_token(folder: Path, token: str) -> None:
    """Puts a token where a pod finds it, at once, as a kubelet does."""
    (folder / "next").write_text(token)
    (folder / "next").replace(folder / "token")


def accepted(control_plane: ControlPlane, team: Namespace, token: str) -> bool:
    """Whether the API server knows whose token this is."""
    try:
        control_plane.api(token=token).get(team.path("pods"))
    except HarnessApiError as error:
        if error.status != 401:
            raise
        return False
    return True
