"""The command line for searches on Kubernetes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.testing
import yaml

from custom_components.distributed_tuner.__main__ import app
from custom_components.distributed_tuner.cluster.kube.api import connection
from tests.custom_components.distributed_tuner.cluster.kube.api_server import Answer, refuses, says, serving
from tests.custom_components.distributed_tuner.cluster.kube.things import SEARCH, job, pod
from tests.repository import ROOT


def invoke(*arguments: str) -> typer.testing.Result:
    return typer.testing.CliRunner().invoke(app, list(arguments))


def items(*things: dict[str, Any]) -> Answer:
    return says({"items": list(things)})


def run(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], *answers: Answer
) -> tuple[typer.testing.Result, list[Any]]:
    """Runs a command against a server that gives these answers."""
    with serving(*answers) as server:
        monkeypatch.setattr(connection, "from_environment", lambda patience_seconds: server.api(patience_seconds))
        result = invoke(*arguments, "--namespace", "ml")
        return result, server.requests


def test_scale_changes_both_numbers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    result, requests = run(
        monkeypatch, ["scale", SEARCH, "--group", "spot", "--workers", "16"], items(job("spot", 2)), says({})
    )
    assert result.exit_code == 0 and "16 workers" in result.output
    method, path, _, body, _ = requests[1]
    assert (method, path) == ("PATCH", f"/apis/batch/v1/namespaces/ml/jobs/{SEARCH}-spot")
    assert body == {"spec": {"completions": 16, "parallelism": 16, "suspend": False}}


def test_a_group_scaled_to_none_is_suspended_and_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    _, requests = run(
        monkeypatch, ["scale", SEARCH, "--group", "spot", "--workers", "0"], items(job("spot", 2)), says({})
    )
    assert requests[1][3] == {"spec": {"suspend": True}}


@pytest.mark.parametrize(
    ("jobs", "group", "words"),
    [
        ([], "spot", "no search"),
        ([job("spot"), job("demand")], "gpu", "has no group gpu; it has demand, spot"),
        ([job("spot", status={"conditions": [{"type": "Complete", "status": "True"}]})], "spot", "has ended"),
        ([job("spot", labels={"kueue.x-k8s.io/queue-name": "q"})], "spot", "Kueue queue"),
    ],
)
def test_what_cannot_be_scaled_says_why(
    monkeypatch: pytest.MonkeyPatch, jobs: list[dict[str, Any]], group: str, words: str
) -> None:
    result, _ = run(monkeypatch, ["scale", SEARCH, "--group", group, "--workers", "0"], items(*jobs))
    assert result.exit_code == 1 and words in result.output and "Traceback" not in result.output


def test_members_are_listed_with_what_they_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    chief, spot = job(None), job("spot", 2)
    pods = [
        pod(chief),
        pod(spot, 0, "Failed", exit_code=139, created=1),
        pod(spot, 0, created=2),
        pod(spot, 1, "Pending", unschedulable="0/3 nodes are available"),
    ]
    result, _ = run(monkeypatch, ["members", SEARCH], items(chief, spot), items(*pods))
    assert result.output.splitlines() == [
        "chief: running",
        "spot-0: running, 1 restart: exit code 139: crashed in native code (SIGSEGV)",
        "spot-1: pending: 0/3 nodes are available",
    ]


def test_the_log_is_the_latest_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    spot = job("spot", 1)
    old, new = pod(spot, 0, "Failed", exit_code=1, created=1), pod(spot, 0, created=2)
    result, requests = run(
        monkeypatch, ["logs", SEARCH, "spot-0", "--lines", "5"], items(spot), items(old, new), says("hello\n")
    )
    assert result.output.strip() == "hello"
    assert new["metadata"]["name"] in requests[2][1] and requests[2][2]["tailLines"] == "5"


@pytest.mark.parametrize(
    ("member", "words"), [("spot-7", "has no spot-7; it has spot-0"), ("spot-0", "spot-0 has no pod that runs yet")]
)
def test_a_log_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch, member: str, words: str) -> None:
    result, _ = run(monkeypatch, ["logs", SEARCH, member], items(job("spot", 1)), items())
    assert result.exit_code == 1 and words in result.output


def test_a_refusal_is_a_line_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    message = 'User "u" cannot list resource "jobs" in API group "batch" in the namespace "ml"'
    result, _ = run(monkeypatch, ["members", SEARCH], refuses(403, "Forbidden", message))
    assert result.exit_code == 1 and result.output.startswith("error: u may not list jobs.batch in namespace ml")


@pytest.mark.parametrize("arguments", [["members", SEARCH], ["scale", SEARCH, "--group", "a", "--workers", "1"]])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refuses(404, "NotFound", 'namespaces "ml" not found'), "error: there is no namespace ml"),
        (refuses(403, "Forbidden", "no"), "error: no search"),
        (says({}), "error: no search"),
    ],
)
def test_a_namespace_that_is_not_there_is_told_from_one_without_the_search(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], answer: Answer, words: str
) -> None:
    listed = [items()] * (2 if arguments[0] == "members" else 1)
    result, _ = run(monkeypatch, arguments, *listed, answer)
    assert result.exit_code == 1 and result.output.startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "neither YAML nor JSON"),
        ("a: b: c", "neither YAML nor JSON"),
        ("words", "must hold names and values, such as `image: …`, got str"),
        ("image: i\nprot: 1", "prot: unknown setting"),
        ("\0", "neither YAML nor JSON"),
        ('{"image": "i", "prot": 1}', "prot: unknown setting"),
        (
            '{"image": "i", "groups": [{"name": "a", "count": 2}, {"name": "q", "queue": "lq"}]}',
            "groups q: count: none of",
        ),
        ("kind: slurm", "kind: 'slurm' is another cluster's"),
        (None, "cannot be read"),
    ],
)
def test_render_names_what_is_wrong(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "settings.json"
    if text is not None:
        file.write_text(text)
    result = invoke("render", str(file))
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\x00", "is not UTF-8 text: invalid start byte"), (b"{", "is neither YAML nor JSON")],
)
def test_render_names_the_file_that_cannot_be_read(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    result = invoke("render", str(file))
    assert result.exit_code == 2
    # A box is drawn around it, which breaks a long path.
    told = "".join(result.output.replace("│", " ").split())
    assert "settings.yaml:" + "".join(words.split()) in told and "codec" not in told


@pytest.mark.parametrize(
    "text",
    [
        "# ours\nimage: i:1\ngroups:\n  - {name: spot, cpu: '4'}\n",
        '{\n\t"image": "i:1",\n\t"groups": [{"name": "spot", "cpu": "4"}]\n}',
    ],
)
def test_render_reads_yaml_and_json(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings"
    file.write_text(text)
    result = invoke("render", str(file))
    assert result.exit_code == 0, result.output
    jobs = [made for made in yaml.safe_load_all(result.output) if made["kind"] == "Job"]
    assert jobs[1]["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "4"


def test_render_reads_the_file_of_the_documentation(tmp_path: Path) -> None:
    documentation = ROOT / "docs" / "kubernetes.md"
    (text,) = re.findall(r"(?s)```yaml\n(.*?)```", documentation.read_text("utf-8"))
    (tmp_path / "search.yaml").write_text(text)
    result = invoke("render", str(tmp_path / "search.yaml"))
    assert result.exit_code == 0, result.output
