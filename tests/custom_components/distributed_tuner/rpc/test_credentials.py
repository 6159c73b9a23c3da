"""A chief on a network: who is let in, and whom a client believes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509

from custom_components.distributed_tuner.chief import server as chief_server
from custom_components.distributed_tuner.chief.chief import Chief
from custom_components.distributed_tuner.errors import ChiefRefused, ChiefUnreachable, SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.rpc import credentials
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access, Credentials, ServerKey

HOSTS = ["s-chief", "s-chief.ml", "s-chief.ml.svc", "localhost"]


class EchoService:
    """It says back what it is told."""

    def methods(self) -> dict[str, Any]:
        async def status(request: dict[str, Any]) -> dict[str, Any]:
            return {"heard": request}

        return {"Status": status}


class Echo:
    """As much of a chief as the server needs."""

    failure = None
    options = SearchOptions()
    service = EchoService()

    def start(self) -> None:
        """Has nothing to watch."""


@contextlib.contextmanager
def served(made: Credentials, key: ServerKey | None) -> Iterator[int]:
    """Serves an `Echo` on a port of this machine."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    chief = cast(Chief, Echo())
    starting = chief_server.serve(chief, token=made.access.token, host="127.0.0.1", port=0, server_key=key)
    try:
        server, port = asyncio.run_coroutine_threadsafe(starting, loop).result(30)
        yield port
        asyncio.run_coroutine_threadsafe(server.stop(None), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture(scope="module")
def made() -> Credentials:
    return credentials.make(HOSTS)


@pytest.fixture(scope="module")
def port(made: Credentials) -> Iterator[int]:
    with served(made, made.server) as bound:
        yield bound


def ask(address: str, access: Access, patience_seconds: float = 2.0) -> dict[str, Any]:
    with contextlib.closing(ChiefClient(lambda: address, access, patience_seconds)) as client:
        return client.call("Status", {"x": 1}, timeout=10.0)


def test_who_has_token_and_authority_is_let_in(made: Credentials, port: int) -> None:
    assert ask(f"localhost:{port}", made.access, 30.0) == {"heard": {"x": 1}}


def test_a_wrong_token_is_refused(made: Credentials, port: int) -> None:
    for token in ("", "wrong", made.access.token + "x"):
        with pytest.raises(ChiefRefused, match=r"UNAUTHENTICATED.*bearer token is missing or wrong"):
            ask(f"localhost:{port}", dataclasses.replace(made.access, token=token))


def test_who_speaks_in_the_clear_is_not_heard(made: Credentials, port: int) -> None:
    with pytest.raises(ChiefUnreachable):
        ask(f"localhost:{port}", Access(made.access.token))


def test_a_client_believes_only_its_own_searchs_chief(made: Credentials, port: int) -> None:
    other = credentials.make(HOSTS)
    with pytest.raises(ChiefUnreachable):
        ask(f"localhost:{port}", Access(made.access.token, other.access.authority))


def test_a_chief_at_another_name_is_not_believed(made: Credentials, port: int) -> None:
    # The certificate is for names only, and 127.0.0.1 is none of them.
    with pytest.raises(ChiefUnreachable):
        ask(f"127.0.0.1:{port}", made.access)


def test_within_one_machine_the_token_is_enough(made: Credentials) -> None:
    with served(made, None) as bound:
        assert ask(f"127.0.0.1:{bound}", Access(made.access.token), 30.0) == {"heard": {"x": 1}}


def test_the_certificate_is_for_these_hosts_and_cannot_sign_others(made: Credentials) -> None:
    server = x509.load_pem_x509_certificate(made.server.certificate)
    assert made.access.authority is not None
    authority = x509.load_pem_x509_certificate(made.access.authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == HOSTS
    assert server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    server.verify_directly_issued_by(authority)
    assert server.not_valid_after_utc - server.not_valid_before_utc > datetime.timedelta(days=365)


def test_a_key_of_another_certificate_is_told(made: Credentials, tmp_path: Path) -> None:
    mixed = ServerKey(made.server.certificate, credentials.make(HOSTS).server.key)
    with pytest.raises(SearchError, match=r"cannot listen on 127.0.0.1:0"), served(made, mixed):
        pass


def test_two_searches_have_nothing_in_common(made: Credentials) -> None:
    other = credentials.make(HOSTS)
    assert other.access.token != made.access.token and len(made.access.token) >= 40
    assert other.server.key != made.server.key


def test_secrets_are_not_shown(made: Credentials, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("%s", made)
    assert made.access.token not in caplog.text and "PRIVATE" not in caplog.text


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        # Secrets made by hand often end with a new line.
        (folder / name).write_text(text + "\n")
    return folder


def test_each_side_reads_what_it_was_given(made: Credentials, tmp_path: Path) -> None:
    access = credentials.read_access(write(tmp_path / "worker", made.worker_files()))
    assert (
        access.token == made.access.token
        and (access.authority or b"").strip() == (made.access.authority or b"").strip()
    )
    token, key = credentials.read_chief(write(tmp_path / "chief", made.chief_files()))
    assert token == made.access.token and key.key.strip() == made.server.key.strip()
    assert not set(made.worker_files()) & {credentials.KEY_FILE}


@pytest.mark.parametrize("read", [credentials.read_access, credentials.read_chief])
@pytest.mark.parametrize("token", [None, "\n"])
def test_a_missing_or_empty_file_is_named(read: Callable[[Path], object], token: str | None, tmp_path: Path) -> None:
    if token is not None:
        (tmp_path / "token").write_text(token)
    with pytest.raises(SearchError, match=r"token.*Secret"):
        read(tmp_path)
