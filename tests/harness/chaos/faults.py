"""What a fault did to a search, and the sum over all of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence

# A kill may cost the epoch under way, and no other.
EPOCHS_AT_STAKE = 1


@dataclasses.dataclass(frozen=True)
class Result:
    """One fault, tried so many times.

    Attributes:
      fault: its name.
      tries: how often it was brought about.
      kills: how many of the tries were a signal that ended a process.
      recovered: tries after which the search ended whole, each trial final exactly once.
      clear_errors: tries that had to end with an error and did, with one line that names the cause.
      hangs: tries whose deadline passed.
      seconds: what all tries took.
      trials_lost: trials that were suggested, or had to be, and never became final.
      trials_run_twice: trials that ran after they were final, ended twice, or were trained by two workers at once.
      epochs_lost: epochs that were trained again, over all tries.
      epochs_lost_max: the most that one loss of a process cost.
      note: how the fault was made, where that depends on the machine.
      problems: what went wrong, for people.
    """

    fault: str
    tries: int
    kills: int = 0
    recovered: int = 0
    clear_errors: int = 0
    hangs: int = 0
    seconds: float = 0.0
    trials_lost: int = 0
    trials_run_twice: int = 0
    epochs_lost: int = 0
    epochs_lost_max: int = 0
    note: str = ""
    problems: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether the search kept all it promises."""
        harmless = not (self.hangs or self.trials_lost or self.trials_run_twice or self.problems)
        every = self.tries > 0 and self.recovered + self.clear_errors == self.tries
        return harmless and every and self.epochs_lost_max <= EPOCHS_AT_STAKE

    def but(self, problems: Sequence[str]) -> Result:
        """The same with more problems; with any, nothing counts as recovered."""
        recovered = 0 if problems else self.recovered
        return dataclasses.replace(self, recovered=recovered, problems=[*self.problems, *problems])


def together(fault: str, parts: Iterable[Result]) -> Result:
    """Results of the same fault as one."""
    parts = list(parts)
    return Result(
        fault,
        tries=sum(part.tries for part in parts),
        kills=sum(part.kills for part in parts),
        recovered=sum(part.recovered for part in parts),
        clear_errors=sum(part.clear_errors for part in parts),
        hangs=sum(part.hangs for part in parts),
        seconds=sum(part.seconds for part in parts),
        trials_lost=sum(part.trials_lost for part in parts),
        trials_run_twice=sum(part.trials_run_twice for part in parts),
        epochs_lost=sum(part.epochs_lost for part in parts),
        epochs_lost_max=max((part.epochs_lost_max for part in parts), default=0),
        note=", ".join(dict.fromkeys(part.note for part in parts if part.note)),
        problems=[problem for part in parts for problem in part.problems],
    )


def tally(results: Sequence[Result], seed: int) -> str:
    """The whole suite as one line of JSON."""
    whole = together("all", results)
    return json.dumps(
        {
            "seed": seed,
            "faults": len(results),
            "tries": whole.tries,
            "kills": whole.kills,
            "recovered": whole.recovered,
            "clear_errors": whole.clear_errors,
            "hangs": whole.hangs,
            "trials_lost": whole.trials_lost,
            "trials_run_twice": whole.trials_run_twice,
            "epochs_lost": whole.epochs_lost,
            "epochs_lost_max": whole.epochs_lost_max,
            "seconds": round(whole.seconds, 1),
            "failed": [result.fault for result in results if not result.passed],
        }
    )
