"""Chiefs in turns: who runs when, and what the ratios say. The chiefs are stood in for by what notes its calls."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.clients import race


class Runner:
    """Does `trials` rounds at most; notes its name for each."""

    def __init__(self, name: str, notes: list[str], trials: int = 1_000) -> None:
        self._name = name
        self._notes = notes
        self._trials = trials
        self.beaten = asyncio.Event()

    async def round(self, worker: str) -> bool:
        self._notes.append(self._name)
        self._trials -= 1
        await asyncio.sleep(0)
        return self._trials >= 0

    async def beat(self) -> None:
        self.beaten.set()


def test_all_have_as_many_rounds_in_each_turn_and_another_one_is_first() -> None:
    async def run() -> tuple[list[str], dict[str, list[float]]]:
        notes: list[str] = []
        runners = {name: Runner(name, notes) for name in "abc"}
        return notes, await race.race(runners, turns=4, rounds=20)

    notes, rates = asyncio.run(run())
    # More rounds than there are workers, and no multiple of them.
    assert "".join(notes[::20]) == "abcbcacababc"
    assert all(len(set(notes[start : start + 20])) == 1 for start in range(0, len(notes), 20))
    assert {name: len(each) for name, each in rates.items()} == {"a": 4, "b": 4, "c": 4}
    assert all(rate > 0 for each in rates.values() for rate in each)


def test_a_search_that_is_over_too_soon_is_told() -> None:
    async def run() -> None:
        await race.race({"a": Runner("a", [], trials=15)}, turns=2, rounds=10)

    with pytest.raises(RuntimeError, match="the search was over with"):
        asyncio.run(run())


def test_those_who_wait_for_their_turn_keep_their_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "BEAT_SECONDS", 0.001)

    async def run() -> None:
        waiting = Runner("waiting", [])

        class Slow(Runner):
            async def round(self, worker: str) -> bool:
                await asyncio.wait_for(waiting.beaten.wait(), 30)
                return True

        await race.race({"slow": Slow("slow", []), "waiting": waiting}, turns=1, rounds=1)

    asyncio.run(run())


def test_a_machine_that_slows_down_in_the_middle_changes_no_ratio() -> None:
    quiet, busy = [1000.0, 100.0], [250.0, 25.0]
    ours, stock = zip(quiet, quiet, busy, busy, busy, strict=True)
    assert race.paired_ratio(ours, stock) == 10.0
    # One after the other, the second half would have been stock's.
    assert race.together(ours) / race.together(stock[2:]) != pytest.approx(10.0)


def test_one_turn_in_bad_luck_changes_no_ratio() -> None:
    assert race.paired_ratio([90.0, 3.0, 110.0], [30.0, 30.0, 30.0]) == 3.0


def test_the_rate_of_several_turns_is_that_of_all_their_rounds() -> None:
    # 100 rounds in 1 s and 100 in 4 s.
    assert race.together([100.0, 25.0]) == pytest.approx(200 / 5)
