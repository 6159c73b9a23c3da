"""What the user's code forks in a worker or the chief: ordinary processes that do not outlive it.

A fork inherits everything that its parent does with signals. Without this, a SIGTERM to a child (`terminate()`, the end
of a `multiprocessing.Pool`) would be told to the parent, and would not end the child.
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
    """Tells a thread of the signals of this process, and of no other, within milliseconds.

    Python runs a signal handler between two bytecodes of the main thread, which a long TensorFlow call puts off; the
    wake-up descriptor is written by the C handler itself.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        # A child may meet a signal before its hooks have run, and writes to the same socket then.
        self._reader.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def wait(self, numbers: Iterable[signal.Signals]) -> signal.Signals:
        """Waits, as long as it takes, for one of these signals; every signal that Python handles wakes it up.

        Raises:
          OSError: the user's code closed what this process hears signals with.
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
        """The handler that Python needs: wakes up the thread also where an asyncio loop took the descriptor."""
        with contextlib.suppress(BlockingIOError):  # so many signals are waiting already
            self._writer.send(bytes([number]))

    def close(self) -> None:
        """In a child: its signals are its own."""
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


def make_ordinary(let_go: Callable[[], object], handler: object, numbers: Sequence[signal.Signals]) -> None:
    """Every process that is forked from here on gets the default for these signals, where `handler` handles them now.

    A child of the main thread is killed when this process ends, however it does. The kernel would kill another thread's
    child with that thread; of those takes care whoever ends the process, see `fork_server`.

    Args:
      let_go: called in the child: its signals wake up nobody any more.
      handler: what this process does with the signals, for lack of another one set by the user's code.
      numbers: the signals.
    """
    parent, main = os.getpid(), threading.main_thread().ident
    libc = ctypes.CDLL(None)
    before = threading.local()

    def block() -> None:
        before.parent = os.getpid()
        # Until the child has its own handlers: a signal that comes in between must not be lost to the parent's.
        before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before.mask)

    def begin() -> None:
        let_go()
        for number in numbers:
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        # A fork keeps the identity of the thread that called it.
        if before.parent == parent and threading.get_ident() == main:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=begin)
