"""What passes and what a person has to mend."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from custom_components.distributed_tuner.host import shortage

NO_DESCRIPTORS = """
import resource
from custom_components.distributed_tuner.host import shortage

resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    open("/dev/null")
except OSError as error:
    print(shortage.passes(error))
"""


def test_a_lack_of_descriptors_passes() -> None:
    child = subprocess.run([sys.executable, "-c", NO_DESCRIPTORS], capture_output=True, text=True, timeout=60)
    assert child.stdout == "True\n", child.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EFBIG])
def test_a_disk_that_refuses_does_not(number: int) -> None:
    assert not shortage.passes(OSError(number, os.strerror(number)))


def test_other_errors_are_none() -> None:
    assert not shortage.passes(OSError("no number")) and not shortage.passes(ValueError()) and not shortage.passes(None)
