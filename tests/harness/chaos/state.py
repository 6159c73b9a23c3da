"""Files of a search that are damaged or half written when it goes on."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from custom_components.distributed_tuner.cluster.base import ClusterError
from tests.harness.chaos.arena import Arena, failed_clearly
from tests.harness.chaos.faults import Result, together
from tests.harness.chaos.running import Plan

_DEADLINE = 240.0

Damage = Callable[[Path], None]


def _half(pattern: str) -> Damage:
    def damage(root: Path) -> None:
        for path in _some(root, pattern):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def _gone(pattern: str) -> Damage:
    def damage(root: Path) -> None:
        for path in _some(root, pattern):
            path.unlink()

    return damage


def _tail(data: bytes) -> Damage:
    def damage(root: Path) -> None:
        with (root / "journal").open("ab") as file:
            file.write(data)

    return damage


def _flipped(root: Path) -> None:
    """One bit in the middle of the journal."""
    path = root / "journal"
    lines = path.read_bytes().splitlines(keepends=True)
    middle = bytearray(lines[len(lines) // 2])
    middle[len(middle) // 2] ^= 1
    lines[len(lines) // 2] = bytes(middle)
    path.write_bytes(b"".join(lines))


def _text(name: str) -> Damage:
    def damage(root: Path) -> None:
        (root / name).write_text("{this is no")

    return damage


def _some(root: Path, pattern: str) -> list[Path]:
    found = sorted(root.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{root} holds no {pattern}, there is nothing to damage")
    return found


# What goes on as if nothing had been: the journal is the truth, and a torn last line was never acknowledged.
MENDED: dict[str, Damage] = {
    "torn last line": _tail(b'1234abcd {"time":1'),
    "zeros after the last line": _tail(bytes(700)),
    "half oracle.json": _half("project/oracle.json"),
    "half trial.json": _half("project/trial_*/trial.json"),
    "no oracle.json": _gone("project/oracle.json"),
    "half record.json": _half("record.json"),
    "half search.json": _half("search.json"),
    "damaged chief.json": _text("chief.json"),
    "damaged error.json": _text("error.json"),
    "half saved epochs": _half("project/trial_*/resume/**/record.json"),
}


def files(arena: Arena) -> Result:
    """An interrupted search goes on after each kind of damage; damage in the midst of the journal is told instead."""
    plan = Plan(trials=5, epochs=3, workers=2)
    expected = arena.expected(plan)
    base = _interrupted(arena, plan)
    parts = []
    names = ["torn last line", "half saved epochs"] if arena.small else list(MENDED)
    for name in names:
        running = arena.start(name, plan, root=_damaged(arena, base, name, MENDED[name]))
        result = arena.end(name, running, expected, deadline=_DEADLINE)
        # No kill cost these epochs: where a trial's saved state is damaged it begins again.
        parts.append(dataclasses.replace(result, epochs_lost_max=0))
    name = "damaged middle of the journal"
    root = _damaged(arena, base, name, _flipped)
    before = (root / "journal").read_bytes()
    running = arena.start(name, plan, root=root)
    middle = len(before.splitlines()) // 2 + 1
    error = failed_clearly(name, running, (f"{root / 'journal'}, line {middle}", "damaged"), deadline=_DEADLINE)
    changed = before != (root / "journal").read_bytes()
    parts.append(error.but([f"{name}: the damaged journal was changed"] if changed else []))
    return together("corrupt or half-written state", parts)


def _interrupted(arena: Arena, plan: Plan) -> Path:
    """A search that was called off with some trials finished and others begun."""
    running = arena.start("interrupted", plan)
    running.wait(lambda: running.record is not None and len(running.record.completed()) >= 2)
    # Some trial is in its second epoch of three: there is a state to take up, and will be for two epochs.
    running.wait(lambda: running.lines()[-1].epoch == 1)
    running.cluster.called_off.set()
    running.join(60.0)
    if not isinstance(running.error, ClusterError):
        raise RuntimeError(f"the search was not interrupted: {running.error or running.found}")
    return running.root


def _damaged(arena: Arena, base: Path, name: str, damage: Damage) -> Path:
    root = arena.folder(name)
    shutil.copytree(base, root, dirs_exist_ok=True)
    damage(root)
    return root
