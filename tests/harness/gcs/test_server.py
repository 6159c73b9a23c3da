"""The bucket on this machine, as those see it who will use it: TensorFlow's file system and Google's own client.

Both are other people's code, written against the real service; each reads here what the other has written.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from google.api_core import exceptions
from google.auth import credentials
from google.cloud import storage

from tests.harness.gcs.fixtures import BUCKET, Gcs, gcs

__all__ = ["gcs"]

# In a process of its own: TensorFlow's file system keeps what it knows of the environment and of files.
TENSORFLOW = """
import tensorflow as tf

gfile = tf.io.gfile
root = "gs://bucket/search"
assert not gfile.exists(root)
gfile.makedirs(f"{root}/logs")
assert gfile.isdir(root) and gfile.isdir(f"{root}/logs")
with gfile.GFile(f"{root}/journal 1+2%?", "wb") as file:
    file.write(b"line\\r\\n" * 3)
with gfile.GFile(f"{root}/journal 1+2%?", "ab") as file:
    file.write(bytes(range(256)))
with gfile.GFile(f"{root}/empty", "wb") as file:
    file.write(b"")
with gfile.GFile(f"{root}/journal 1+2%?", "rb") as file:
    assert file.read(4) == b"line" and file.tell() == 4
    file.seek(18)
    assert file.read() == bytes(range(256))
assert gfile.stat(f"{root}/journal 1+2%?").length == 18 + 256
assert gfile.stat(f"{root}/empty").length == 0
gfile.rename(f"{root}/journal 1+2%?", f"{root}/moved", overwrite=True)
gfile.copy(f"{root}/moved", f"{root}/logs/copy", overwrite=True)
assert sorted(gfile.listdir(root)) == ["empty", "logs/", "moved"], gfile.listdir(root)
assert gfile.glob(f"{root}/*/co*") == [f"{root}/logs/copy"]
assert [entry for entry in gfile.walk(root)][0][1:] == (["logs/"], ["empty", "moved"]), list(gfile.walk(root))
gfile.remove(f"{root}/empty")
for absent in (f"{root}/empty", "gs://elsewhere/x"):
    try:
        gfile.GFile(absent, "rb").read()
        raise AssertionError(absent)
    except tf.errors.NotFoundError:
        pass
variable = tf.Variable([1.0, 2.0])
tf.train.Checkpoint(variable=variable).write(f"{root}/checkpoint/model")
variable.assign([0.0, 0.0])
tf.train.Checkpoint(variable=variable).read(f"{root}/checkpoint/model").assert_consumed()
assert variable.numpy().tolist() == [1.0, 2.0]
gfile.rmtree(f"{root}/checkpoint")
assert not gfile.exists(f"{root}/checkpoint")
"""


def client(gcs: Gcs) -> storage.Client:
    options = {"api_endpoint": gcs.server.url}
    anonymous = credentials.AnonymousCredentials()  # type: ignore[no-untyped-call]
    return storage.Client("project", anonymous, client_options=options)


@pytest.mark.timeout(180)
def test_tensorflows_file_system_works_and_googles_client_reads_what_it_wrote(gcs: Gcs) -> None:
    environment = {**os.environ, **gcs.environment}
    done = subprocess.run(
        [sys.executable, "-c", TENSORFLOW], env=environment, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    names = [blob.name for blob in client(gcs).list_blobs(BUCKET)]
    assert names == ["search/", "search/logs/", "search/logs/copy", "search/moved"]
    copy = client(gcs).bucket(BUCKET).blob("search/logs/copy").download_as_bytes()
    assert copy == b"line\r\n" * 3 + bytes(range(256))


def test_googles_client_works(gcs: Gcs) -> None:
    bucket = client(gcs).bucket(BUCKET)
    data = bytes(range(256)) * 5000
    for name, kwargs in {"small": {}, "a/b c": {}, "large": {"chunk_size": 262144}}.items():
        bucket.blob(name, **kwargs).upload_from_string(data)
        assert bucket.blob(name).download_as_bytes() == data
        assert gcs.objects.get(BUCKET, name).data == data
    assert bucket.blob("large").download_as_bytes(start=10, end=20) == data[10:21]
    assert [blob.name for blob in bucket.list_blobs(max_results=2)] == ["a/b c", "large"]
    assert [blob.name for blob in bucket.list_blobs(page_size=1)] == ["a/b c", "large", "small"]
    listing = bucket.list_blobs(delimiter="/")
    assert [blob.name for blob in listing] == ["large", "small"] and listing.prefixes == {"a/"}
    bucket.blob("small").delete()
    assert not bucket.blob("small").exists()
    assert client(gcs).lookup_bucket("elsewhere") is None


def test_generations_let_one_of_two_writers_through(gcs: Gcs) -> None:
    blob = client(gcs).bucket(BUCKET).blob("lock")
    blob.upload_from_string("first", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string("second", if_generation_match=0)
    generation = blob.generation
    blob.upload_from_string("third", if_generation_match=generation)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=generation)
    assert gcs.objects.get(BUCKET, "lock").data == b"third"


def test_what_is_not_known_here_is_told(gcs: Gcs) -> None:
    with pytest.raises(exceptions.MethodNotImplemented):
        client(gcs).create_bucket("another", retry=None)
    (request,) = gcs.server.unknown
    assert (request.method, request.path.partition("?")[0]) == ("POST", "/storage/v1/b")
    gcs.server.unknown.clear()
