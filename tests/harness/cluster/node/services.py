"""Services for process nodes: their names and addresses, and the connections to what is behind them.

In a real cluster a DNS server and kube-proxy do this. Here both are threads: they know A records, and TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
import subprocess
import threading
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address

from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.mirror import Mirror
from tests.harness.cluster.machine.namespaces import MACHINE

DOMAIN = "cluster.local"

_DNS_PORT = 53
_REFRESH_SECONDS = 0.1
_CONNECT_SECONDS = 5.0
_BLOCK = 65536
_TTL_SECONDS = 1
_NAME_ERROR = 3
_A_RECORD = 1


@dataclass(frozen=True)
class Endpoint:
    """A ready pod behind a Service."""

    address: str
    hostname: str
    ports: tuple[tuple[str, int], ...]


class ServiceTable:
    """The Services of a cluster and the pods behind them.

    Args:
      api: the administrator.
    """

    def __init__(self, api: Api) -> None:
        self.services = Mirror(api, "/api/v1/services")
        self.slices = Mirror(api, "/apis/discovery.k8s.io/v1/endpointslices")

    def close(self) -> None:
        """Stops following the API server."""
        self.services.close()
        self.slices.close()

    def endpoints(self, service: Object) -> list[Endpoint]:
        """The pods behind a Service that take connections."""
        metadata = service["metadata"]
        anyway = bool(service["spec"].get("publishNotReadyAddresses"))
        return [
            endpoint
            for one in self.slices.all()
            if one["metadata"]["namespace"] == metadata["namespace"]
            and one["metadata"].get("labels", {}).get("kubernetes.io/service-name") == metadata["name"]
            for endpoint in endpoints_of(one, also_not_ready=anyway)
        ]

    def resolve(self, name: str) -> list[str] | None:
        """The addresses of a name as DNS knows it; None where there is no such name."""
        labels = name.lower().rstrip(".").split(".")
        if labels[-3:] != ["svc", *DOMAIN.split(".")] or len(labels) not in (5, 6):
            return None
        *host, service_name, namespace = labels[:-3]
        service = self.services.get(namespace, service_name)
        if service is None:
            return None
        address = service["spec"].get("clusterIP")
        if address not in (None, "", "None"):
            return None if host else [address]
        found = [one.address for one in self.endpoints(service) if not host or one.hostname == host[0]]
        return found or None


def endpoints_of(endpoint_slice: Object, *, also_not_ready: bool = False) -> list[Endpoint]:
    """The endpoints of an EndpointSlice that take connections."""
    ports = tuple((port.get("name") or "", port["port"]) for port in endpoint_slice.get("ports") or [])
    return [
        Endpoint(address, one.get("hostname") or "", ports)
        for one in endpoint_slice.get("endpoints") or []
        if also_not_ready or one.get("conditions", {}).get("ready") is not False
        for address in one["addresses"]
    ]


class NameServer:
    """Answers the pods' DNS questions.

    Args:
      table: the Services.
    """

    def __init__(self, table: ServiceTable) -> None:
        self._table = table
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((MACHINE, _DNS_PORT))
        threading.Thread(target=self._serve, daemon=True, name="dns").start()

    def close(self) -> None:
        """Stops answering."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                question, asker = self._socket.recvfrom(512)
                self._socket.sendto(answer(question, self._table), asker)
            except (struct.error, IndexError, UnicodeDecodeError):
                continue  # no DNS question
            except OSError:
                return


def answer(question: bytes, table: ServiceTable) -> bytes:
    """The answer to a DNS question: the name's A records, none for another type, or that there is no such name."""
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    (kind,) = struct.unpack_from(">H", question, at + 1)
    addresses = table.resolve(".".join(labels))
    records = [IPv4Address(address).packed for address in addresses or []] if kind == _A_RECORD else []
    flags = 0x8580 | (_NAME_ERROR if addresses is None else 0)
    header = question[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    named = [b"\xc0\x0c" + struct.pack(">HHIH", _A_RECORD, 1, _TTL_SECONDS, 4) + record for record in records]
    return header + question[12 : at + 5] + b"".join(named)


class ServiceProxy:
    """Makes each ClusterIP an address of this machine, and passes its connections to a ready pod, each pod in turn.

    Args:
      table: the Services.
    """

    def __init__(self, table: ServiceTable) -> None:
        self._table = table
        self._loop = asyncio.new_event_loop()
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._behind: dict[tuple[str, int], list[tuple[str, int]]] = {}
        self._turn = itertools.count()
        self._addresses: set[str] = set()
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="service proxy")
        self._thread.start()

    def close(self) -> None:
        """Stops passing connections on."""
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._refresh())

    async def _refresh(self) -> None:
        while not self._closed.is_set():
            self._behind = self._wanted()
            for key in set(self._behind) - set(self._servers):
                self._add_address(key[0])
                self._servers[key] = await asyncio.start_server(partial(self._pass_on, key), *key)
            for key in set(self._servers) - set(self._behind):
                self._servers.pop(key).close()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._closed.wait(), _REFRESH_SECONDS)
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    def _wanted(self) -> dict[tuple[str, int], list[tuple[str, int]]]:
        wanted = {}
        for service in self._table.services.all():
            address = service["spec"].get("clusterIP")
            if address in (None, "", "None"):
                continue
            endpoints = self._table.endpoints(service)
            for port in service["spec"]["ports"]:
                if port.get("protocol", "TCP") == "TCP":
                    wanted[address, port["port"]] = [
                        (one.address, number)
                        for one in endpoints
                        for name, number in one.ports
                        if name == (port.get("name") or "")
                    ]
        return wanted

    def _add_address(self, address: str) -> None:
        if address not in self._addresses:
            subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True, capture_output=True)
            self._addresses.add(address)

    async def _pass_on(self, key: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = self._behind.get(key)
        if not behind:
            writer.transport.abort()  # kube-proxy rejects the connection
            return
        try:
            there = asyncio.open_connection(*behind[next(self._turn) % len(behind)])
            far_reader, far_writer = await asyncio.wait_for(there, _CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError):
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        writer.close()
        far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
        writer.write_eof()
    except (OSError, RuntimeError):
        writer.transport.abort()
