"""`python -m model_server`: reads the flags, imports TensorFlow only then, and serves until told to stop."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence

from model_server import flags as command_line

_NOTICE = (
    "This is a model server for development: no authentication, no batching, one process in Python. "
    "In production use tensorflow/serving, which takes the same flags."
)


def main(arguments: Sequence[str]) -> int:
    """Runs the server; 0 after SIGTERM or SIGINT, 1 if it cannot start, 2 for wrong flags."""
    started_at = time.monotonic()
    flags = command_line.parse(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    log = logging.getLogger("model_server")
    log.warning("%s", _NOTICE)
    if flags.ready_file is not None:
        flags.ready_file.unlink(missing_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # TensorFlow logs the processor's features and more at each start.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Google's libraries warn about the end of their support for this Python whenever they are imported.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")

    from model_server.server import ModelServer, StartError

    # TensorFlow's half a million objects live as long as the process. A garbage collection of them takes a third of a
    # second, in which no request is answered; models are loaded later and are not frozen.
    gc.freeze()
    # How long a thread that parses a large request may keep the interpreter: a small request needs it six times.
    sys.setswitchinterval(0.001)
    server = ModelServer(flags, started_at=started_at)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.request_stop())
    if flags.stop_when_stdin_closes:
        threading.Thread(target=_await_end_of_stdin, args=(server.request_stop,), daemon=True).start()
    try:
        server.run()
    except StartError as error:
        log.error("%s", error)
        return 1
    return 0


def _await_end_of_stdin(then: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    then()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
