"""Turns whatever the user's code forks in a worker or the chief into ordinary processes that do not outlive it.

A forked child inherits its parent's signal handling. Without this, a SIGTERM to a child (`terminate()`, the end of a
`multiprocessing.Pool`) would be reported to the parent, and would not end the child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence

_PR_SET_PDEATHSIG = 1
_CREDENTIALS = struct.Struct("3i")


class Wakeup:
    """Wakes a thread on the signals of this process, and of no other, within milliseconds.

    Python runs a signal handler between two bytecodes of the main thread, which a long TensorFlow call delays; the C
    handler itself writes to the wake-up descriptor.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        # A signal may reach a child before its hooks have run; the child then writes to the same socket.
        self._reader.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def wait(self, numbers: Iterable[signal.Signals]) -> signal.Signals:
        """Waits, as long as it takes, for one of these signals; any signal that Python handles wakes it up.

        Raises:
          OSError: the user's code closed the descriptors through which this process receives signals.
        """
        while True:
            received, ancillary, _, _ = self._reader.recvmsg(16, socket.CMSG_SPACE(_CREDENTIALS.size))
            senders = [
                _CREDENTIALS.unpack(data)[0]
                for level, kind, data in ancillary
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
            ]
            if not received:
                raise OSError("the worker's wake-up socket was closed: it cannot hear signals any more")
            told = [number for number in numbers if number in received]
            if told and senders in ([], [os.getpid()]):
                return told[0]

    def tell(self, number: int, frame: object) -> None:
        """The signal handler that Python needs: wakes the thread even if asyncio has taken the wake-up descriptor."""
        with contextlib.suppress(BlockingIOError):  # the buffer is full of signals already
            self._writer.send(bytes([number]))

    def close(self) -> None:
        """Called in a child, which handles its own signals."""
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


def make_ordinary(let_go: Callable[[], object], handler: object, numbers: Sequence[signal.Signals]) -> None:
    """Resets these signals to their default in every process forked from here on, where `handler` handles them now.

    A child of the main thread is killed when this process ends, however it ends. For a child of another thread the
    kernel would do so when that thread ends; those are killed by whoever ends this process, see `fork_server`.

    Args:
      let_go: called in the child: disconnects it from the parent's wake-up.
      handler: this process's handler for the signals, unless the user's code has set another one.
      numbers: the signals.
    """
    parent, main = os.getpid(), threading.main_thread().ident
    libc = ctypes.CDLL(None)
    before = threading.local()

    def block() -> None:
        before.parent = os.getpid()
        # Until the child has its own handlers: a signal that arrives in between must not go to the parent's.
        before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before.mask)

    def begin() -> None:
        let_go()
        for number in numbers:
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        # A fork keeps the identity of the calling thread.
        if before.parent == parent and threading.get_ident() == main:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=begin)
