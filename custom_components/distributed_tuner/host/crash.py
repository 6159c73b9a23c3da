"""Python's report of a crash in native code, which leaves no other trace, reduced to what people need."""

from __future__ import annotations

import faulthandler
import itertools
import re

_STANDARD_ERROR = 2
_BEGIN = "Fatal Python error: "
_THREAD = re.compile(r"(Current thread|Thread) 0x")
_DUMP = re.compile(r'(Current thread|Thread) 0x|  File "|  \.\.\.|\s*<|Python runtime state: |$')
# The list of all loaded modules, in one line of thousands of characters.
_MODULES = "Extension modules: "
# A library often says what it is about to die of.
_LINES_BEFORE = 5


def tell() -> None:
    """From now on a crash of this process writes the stacks of all threads to its standard error."""
    # By number: a forked process that has redirected it to another log writes there.
    faulthandler.enable(_STANDARD_ERROR)


def last_lines(text: str, lines: int) -> str:
    """The last lines of a log; if they include a crash, with the stack that led to it.

    Python writes that stack innermost call first, followed by the stacks of other threads, which may be hundreds of
    lines.

    Args:
      text: the log, or the end of it.
      lines: how many lines, and how many calls of the stack.
    """
    every = [line for line in text.splitlines() if not line.startswith(_MODULES)]
    first = max(0, len(every) - lines)
    begin = next((index for index in reversed(range(len(every))) if every[index].startswith(_BEGIN)), len(every))
    dump = list(itertools.takewhile(_DUMP.match, every[begin + 1 :]))
    end = begin + 1 + len(dump)
    if begin == len(every) or end <= first:
        return "\n".join(every[first:])
    before = every[min(first, max(0, begin - _LINES_BEFORE)) : begin]
    return "\n".join([*before, every[begin], *_stack(dump, lines), *every[end:]])


def _stack(dump: list[str], calls: int) -> list[str]:
    """The stack of the crashed thread, or of the main thread, which comes last, if the crashed one runs no Python."""
    heads = [index for index, line in enumerate(dump) if _THREAD.match(line)]
    if not heads:
        return []
    head = next((index for index in heads if dump[index].startswith("Current")), heads[-1])
    stack = list(itertools.takewhile(lambda line: line.startswith("  "), dump[head + 1 :]))
    return [dump[head], *stack[:calls], *(["  ..."] if len(stack) > calls else [])]
