"""Refusals of the API server, in words that say what to do."""

from __future__ import annotations

import pytest

from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError, explain


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (
            403,
            'jobs.batch is forbidden: User "system:serviceaccount:ml:step" cannot create resource "jobs" in API group '
            '"batch" in the namespace "ml"',
            [
                "system:serviceaccount:ml:step may not create jobs.batch in namespace ml",
                "deploy/role.yaml",
                "Or there is no namespace ml",
            ],
        ),
        (
            403,
            'secrets "x" is forbidden: User "u" cannot get resource "secrets" in API group "" in the namespace "ml"',
            ["u may not get secrets in namespace ml", "kubectl apply"],
        ),
        (
            403,
            'jobs.batch is forbidden: User "system:anonymous" cannot list resource "jobs" in API group "batch" in the '
            'namespace "ml"',
            ["no credentials were sent", "GET /x", "gcloud container clusters get-credentials"],
        ),
        (
            403,
            'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: main; limits.memory for: main',
            ["ResourceQuota", "must specify limits.cpu", "Set cpu_limit of the chief and of each group"],
        ),
        (403, 'pods "x" is forbidden: exceeded quota: q, requested: cpu=9', ["ResourceQuota", "requested: cpu=9"]),
        (
            403,
            'jobs.batch "x" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=4, '
            "limited: count/jobs.batch=4",
            ["ResourceQuota", "how many jobs.batch the namespace has", "have the quota raised"],
        ),
        (
            403,
            'secrets "x" is forbidden: exceeded quota: q, requested: count/secrets=1,secrets=1, used: count/secrets=4,'
            "secrets=4, limited: count/secrets=4,secrets=4",
            ["how many secrets the namespace has"],
        ),
        (
            403,
            'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4',
            ["fewer workers"],
        ),
        (0, 'pods "x" is forbidden: no PriorityClass with name low was found', ["PriorityClass low", "priority_class"]),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:v1": hostPath', ["Pod Security", "hostPath"]),
        (400, 'admission webhook "policy.example" denied the request: no', ["admission webhook", "policy.example"]),
        (403, "pods is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", ["policy", "no"]),
        (403, 'pods "x" is forbidden: maximum memory usage per Container is 1Gi', ["LimitRange", "1Gi"]),
        (404, 'namespaces "mll" not found', ["no namespace mll", "kubectl create namespace mll"]),
        (401, "Unauthorized", ["does not know this client", "expired"]),
        (422, 'Job.batch "x" is invalid: spec.template', ["invalid", "spec.template"]),
        (418, "teapot", ["418 teapot", "GET /x"]),
    ],
)
def test_a_refusal_says_what_to_do(code: int, message: str, words: list[str]) -> None:
    text = explain(code, message, "GET /x")
    assert all(word in text for word in words), text


@pytest.mark.parametrize("what", ["count/jobs.batch", "services", "services.loadbalancers", "secrets", "count/secrets"])
def test_no_size_of_a_worker_helps_where_objects_are_counted(what: str) -> None:
    text = explain(
        403, f'x "x" is forbidden: exceeded quota: q, requested: {what}=1, used: {what}=2, limited: {what}=2'
    )
    assert "fewer workers" not in text and what.removeprefix("count/") in text


def test_the_error_carries_what_programs_decide_by() -> None:
    error = ApiError(409, "AlreadyExists", "there", 3.0, "POST /x")
    assert (error.code, error.reason, error.message, error.retry_after) == (409, "AlreadyExists", "there", 3.0)
