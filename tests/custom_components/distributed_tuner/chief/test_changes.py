"""Waiting for a version: nobody misses a move, and nobody waits for ever."""

from __future__ import annotations

import asyncio

from custom_components.distributed_tuner.chief.changes import Changes


def test_all_who_wait_are_woken_and_latecomers_need_not_wait() -> None:
    async def main() -> None:
        changes = Changes()
        changes.announce(1)
        waiting = [asyncio.ensure_future(changes.wait(1, 60.0)) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        changes.announce(1)
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        changes.announce(2)
        await asyncio.wait_for(asyncio.gather(*waiting), 30.0)
        await asyncio.wait_for(changes.wait(1, 60.0), 30.0)

    asyncio.run(main())


def test_one_who_gives_up_takes_nobody_along() -> None:
    async def main() -> None:
        changes = Changes()
        impatient = asyncio.ensure_future(changes.wait(0, 0.01))
        cancelled = asyncio.ensure_future(changes.wait(0, 60.0))
        patient = asyncio.ensure_future(changes.wait(0, 60.0))
        await asyncio.wait_for(impatient, 30.0)
        cancelled.cancel()
        await asyncio.sleep(0)
        assert not patient.done()
        changes.announce(7)
        await asyncio.wait_for(patient, 30.0)

    asyncio.run(main())
