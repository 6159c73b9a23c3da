"""One pod of a process node: its life from pulling the image to the last status."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.errors import ApiError, HarnessError
from tests.harness.cluster.machine.namespaces import MACHINE
from tests.harness.cluster.node.images import Image
from tests.harness.cluster.node.services import DOMAIN
from tests.harness.cluster.pod.host import PodHost
from tests.harness.cluster.pod.inputs import PodInputs, UnsupportedError, expand
from tests.harness.cluster.pod.sandbox import Command, Container, Mount, Sandbox, StartError
from tests.harness.cluster.pod.security import ForbiddenError, identity
from tests.harness.cluster.pod.status import ContainerStatus, now, pod_status, running, terminated, waiting

Value = TypeVar("Value")

_CONFIG_SECONDS = 0.5
_LONGEST_RESTART_SECONDS = 300.0
_MESSAGE_BYTES = 4096
_MESSAGE_FROM_LOG_BYTES = 2048
_KILLED = 137
_TOO_LONG = {
    "reason": "DeadlineExceeded",
    "message": "Pod was active on the node longer than the specified deadline",
}


class ProcessPod:
    """A pod whose containers are processes of this machine.

    Args:
      pod: as the API server has it.
      host: its node.
    """

    def __init__(self, pod: Object, host: PodHost) -> None:
        self.pod = pod
        self.folder: Path = host.folder / pod["metadata"]["uid"]
        self.over = threading.Event()
        self._host = host
        self._spec: Object = pod["spec"]
        self._started = now()
        self._statuses = {one["name"]: ContainerStatus(one["name"], one["image"]) for one in self._spec["containers"]}
        self._inits = {
            one["name"]: ContainerStatus(one["name"], one["image"]) for one in self._spec.get("initContainers", [])
        }
        self._containers: dict[str, Container] = {}
        self._ending = threading.Event()
        self._end: dict[str, str] = {}
        self._address = ""
        self._starting = threading.Lock()
        self._reporting = threading.Lock()
        self._told_over = False

    def log(self, container: str, *, previous: bool = False) -> Path | None:
        """The file of a container's output, if it has been started.

        Args:
          container: its name.
          previous: of the run before the last restart.
        """
        logs = sorted((self.folder / container).glob("*.log"), key=lambda path: int(path.stem))
        if previous:
            logs = logs[:-1]
        return logs[-1] if logs else None

    def run(self) -> None:
        """Runs the pod to its end."""
        limit = threading.Timer(self._spec.get("activeDeadlineSeconds", 0.0), self.end, [0.0], _TOO_LONG)
        limit.daemon = True
        try:
            if "activeDeadlineSeconds" in self._spec:
                limit.start()
            self._run()
        except (HarnessError, UnsupportedError, ApiError, OSError, RuntimeError) as error:
            message = f"a process node cannot run this pod: {error}"
            self._host.event(self.pod, "FailedCreatePodSandBox", message)
            self._end = {"reason": "ProcessNodeError", "message": message}
        finally:
            limit.cancel()
            for container in list(self._containers.values()):
                container.kill()
        self._statuses = {name: _ended(status) for name, status in self._statuses.items()}
        self._report(over=True)
        self.over.set()

    def sees_itself_misjudged(self) -> bool:
        """Whether the API server has it as not ready though it is: so it marks the pods of a node not heard of."""
        told = {one["type"]: one["status"] for one in self.pod["status"].get("conditions", ())}
        statuses = list(self._statuses.values())
        return told.get("Ready") == "False" and not self.over.is_set() and all(one.running for one in statuses)

    def report(self) -> None:
        """Tells the API server how it is, again."""
        self._report()

    def end(self, grace: float, *, disruption: str = "", reason: str = "", message: str = "") -> None:
        """Has all containers end: by SIGTERM, after `grace` seconds by SIGKILL. It waits for that.

        Args:
          grace: seconds.
          disruption: the reason of a DisruptionTarget condition to report.
          reason: of the pod's end, to report.
          message: more about it.
        """
        finish = time.monotonic() + grace
        if not self._ending.is_set():
            self._end = {"disruption": disruption, "reason": reason, "message": message}
        self._ending.set()
        with self._starting:
            containers = list(self._containers.values())
        for container in containers:
            container.signal(signal.SIGTERM)
        if not self.over.wait(max(0.0, finish - time.monotonic())):
            for container in containers:
                container.kill()
        self.over.wait()

    def crash(self) -> None:
        """SIGKILL to its containers, as the kernel does where memory runs out. What follows is the pod's own affair."""
        for container in list(self._containers.values()):
            container.kill()

    def vanish(self) -> None:
        """The node is gone, and so are all processes. Its host must be dead already."""
        self._ending.set()
        for container in list(self._containers.values()):
            container.kill()

    def _run(self) -> None:
        if not self._pull_images():
            return
        metadata = self.pod["metadata"]
        self._address = self._host.addresses.take()
        hostname = self._hostname()
        sandbox = Sandbox(hostname, self._address, f"v{metadata['uid'].replace('-', '')[:12]}")
        try:
            inputs = PodInputs(self._host.api, self.pod, self._address, self.folder / "volumes")
            volumes = self._until_there(inputs.volumes, "FailedMount", "ContainerCreating")
            if volumes is not None and self._run_inits(sandbox, inputs, volumes):
                threads = [
                    threading.Thread(target=self._keep, args=(one, sandbox, inputs, volumes), daemon=True)
                    for one in self._spec["containers"]
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        finally:
            sandbox.close()
            self._host.addresses.give_back(self._address)

    def _pull_images(self) -> bool:
        """Waits until the node has every image; False if the pod ends before."""
        containers = [*self._spec.get("initContainers", []), *self._spec["containers"]]
        for attempt in range(1_000_000):
            missing = {one["image"] for one in containers} - set(self._host.images)
            if not missing:
                break
            for name in missing:
                message = f"Failed to pull image {name!r}: not found"
                if attempt % 2:
                    reason, message = "ImagePullBackOff", f"Back-off pulling image {name!r}: {message}"
                else:
                    reason = "ErrImagePull"
                self._set_waiting(reason, message, image=name)
                self._host.event(self.pod, "Failed" if reason == "ErrImagePull" else "BackOff", message)
            self._report()
            if self._ending.wait(self._host.pull_seconds):
                return False
        return not self._ending.is_set()

    def _run_inits(self, sandbox: Sandbox, inputs: PodInputs, volumes: dict[str, Path]) -> bool:
        self._set_waiting("PodInitializing" if self._inits else "ContainerCreating")
        self._report()
        for one in self._spec.get("initContainers", []):
            if one.get("restartPolicy"):
                raise UnsupportedError("a sidecar, an init container with a restartPolicy")
            self._keep(one, sandbox, inputs, volumes)
            if self._inits[one["name"]].exit_code != 0:
                return False
        return not self._ending.is_set()

    def _keep(self, container: Object, sandbox: Sandbox, inputs: PodInputs, volumes: dict[str, Path]) -> None:
        """Runs a container, again and again where the restart policy wants that."""
        name = container["name"]
        statuses = self._inits if name in self._inits else self._statuses
        policy = self._spec["restartPolicy"]
        if statuses is self._inits and policy == "Always":
            policy = "OnFailure"
        pause = self._host.restart_seconds
        while True:
            ended = self._run_once(container, sandbox, inputs, volumes, statuses)
            if ended is None:
                return
            code = ended["terminated"]["exitCode"]
            again = policy == "Always" or (policy == "OnFailure" and code != 0)
            if not again or self._ending.is_set():
                statuses[name] = replace(statuses[name], state=ended)
                self._report()
                return
            status = replace(statuses[name], last=ended, restarts=statuses[name].restarts + 1)
            statuses[name] = replace(status, state=waiting("CrashLoopBackOff", f"back-off {pause:g}s"))
            self._report()
            if self._ending.wait(pause):
                statuses[name] = replace(status, state=ended)
                return
            pause = min(pause * 2, _LONGEST_RESTART_SECONDS)

    def _run_once(
        self,
        container: Object,
        sandbox: Sandbox,
        inputs: PodInputs,
        volumes: dict[str, Path],
        statuses: dict[str, ContainerStatus],
    ) -> Object | None:
        """Runs a container once; None if the pod ended before it was started."""
        name, number = container["name"], statuses[container["name"]].restarts
        folder = self.folder / name
        (folder / f"{number}.root").mkdir(parents=True)
        told = folder / f"{number}.message"
        told.touch()
        told.chmod(0o666)
        command = self._until_there(
            lambda: self._command(container, inputs, volumes, told), "Failed", "CreateContainerConfigError"
        )
        if command is None:
            return None
        log = folder / f"{number}.log"
        since = now()
        try:
            with self._starting:
                if self._ending.is_set():
                    return None
                with log.open("ab") as output:
                    process = sandbox.run(command, folder / f"{number}.root", output)
                self._containers[name] = process
        except StartError as error:
            return terminated(128, since, reason="StartError", message=f"failed to start the container: {error}")
        if self._host.dead.is_set():
            process.kill()
        statuses[name] = replace(statuses[name], state=running(since))
        self._report()
        code = process.wait()
        del self._containers[name]
        return terminated(code or 0, since, message=_message(container, code or 0, told, log))

    def _command(self, container: Object, inputs: PodInputs, volumes: dict[str, Path], told: Path) -> Command:
        image = self._host.images[container["image"]]
        who = identity(self._spec, container, image)
        home = "/root" if who.user == 0 else "/"
        environment = {
            "HOME": home,
            "HOSTNAME": self._hostname(),
            **image.environment,
            **inputs.environment(container),
        }
        mounts = [Mount(path, path, read_only=True) for path in image.paths] + self._network_files()
        for one in container.get("volumeMounts", []):
            source = volumes[one["name"]] / one.get("subPath", "")
            mounts.append(Mount(str(source), one["mountPath"], bool(one.get("readOnly"))))
        mounts.append(Mount(str(told), container.get("terminationMessagePath", "/dev/termination-log")))
        return Command(
            argv=[expand(part, environment) for part in _argv(container, image)],
            environment=environment,
            directory=container.get("workingDir") or image.working_directory,
            mounts=mounts,
            readable=image.paths,
            identity=who,
        )

    def _network_files(self) -> list[Mount]:
        """The files by which a container knows its own name and finds others."""
        namespace, host = self.pod["metadata"]["namespace"], self._hostname()
        names = [host]
        if self._spec.get("subdomain"):
            names.insert(0, f"{host}.{self._spec['subdomain']}.{namespace}.svc.{DOMAIN}")
        aliases = [f"{one['ip']} {' '.join(one['hostnames'])}\n" for one in self._spec.get("hostAliases", [])]
        search = f"{namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}"
        contents = {
            "hostname": f"{host}\n",
            "hosts": f"127.0.0.1 localhost\n{self._address} {' '.join(names)}\n{''.join(aliases)}",
            "resolv.conf": f"nameserver {MACHINE}\nsearch {search}\noptions ndots:5 timeout:2\n",
        }
        folder = self.folder / "etc"
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_text(content)
        return [Mount(str(folder / name), f"/etc/{name}") for name in contents]

    def _hostname(self) -> str:
        return str(self._spec.get("hostname") or self.pod["metadata"]["name"])[:63].rstrip("-.")

    def _until_there(self, get: Callable[[], Value], event: str, reason: str) -> Value | None:
        """What `get` returns once nothing that it needs is missing any more; None if the pod ends before."""
        while not self._ending.is_set():
            try:
                return get()
            except (ApiError, FileNotFoundError, KeyError, ForbiddenError) as error:
                self._set_waiting(reason, str(error))
                self._host.event(self.pod, event, str(error))
                self._report()
            self._ending.wait(_CONFIG_SECONDS)
        return None

    def _set_waiting(self, reason: str, message: str = "", *, image: str = "") -> None:
        for statuses in (self._inits, self._statuses):
            for name, status in statuses.items():
                if "waiting" in status.state and not status.restarts and image in ("", status.image):
                    statuses[name] = replace(status, state=waiting(reason, message))

    def _report(self, *, over: bool = False) -> None:
        with self._reporting:
            if self._told_over:
                return
            self._told_over = over
            status = pod_status(
                self._statuses.values(),
                over=over,
                started=self._started,
                address=self._address,
                inits=self._inits.values(),
                **self._end if over else {},
            )
            self._host.report(self.pod, status)


def _argv(container: Object, image: Image) -> list[str]:
    command = container.get("command")
    args = container.get("args")
    if command:
        return [*command, *(args or [])]
    argv = [*image.command, *(image.args if args is None else args)]
    if not argv:
        raise ForbiddenError("no command specified")
    return argv


def _ended(status: ContainerStatus) -> ContainerStatus:
    """What becomes of a container that its pod's end found in another state."""
    if status.exit_code is not None:
        return status
    message = "The container could not be located when the pod was terminated"
    return replace(status, state=terminated(_KILLED, now(), reason="ContainerStatusUnknown", message=message))


def _message(container: Object, code: int, told: Path, log: Path) -> str:
    """The container's last words: its termination message, or where it asks for that the end of its log."""
    words = told.read_bytes()[:_MESSAGE_BYTES]
    if not words and code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        words = log.read_bytes()[-_MESSAGE_FROM_LOG_BYTES:]
    return words.decode(errors="replace")
