"""The outcome of a campaign, for people and for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence

import rich.table

from tests.cluster.chaos.campaign import Outcome
from tests.cluster.chaos.recovery import Disruption, Recovery
from tests.harness.chaos.faults import EPOCHS_AT_STAKE


def passed(outcome: Outcome) -> bool:
    """Whether the search kept all it promises."""
    harmless = not (outcome.hangs or outcome.problems or outcome.left) and outcome.audit is not None
    return harmless and outcome.epochs_lost_max <= EPOCHS_AT_STAKE and not outcome.lost


def table(outcome: Outcome) -> rich.table.Table:
    """A row for each kind of disruption."""
    made = rich.table.Table(title="Disruptions")
    made.add_column("disruption")
    for title in ("times", "recovered", "works again (s)", "pod replaced (s)", "trials lost", "epochs lost (most)"):
        made.add_column(title, justify="right")
    kinds = list(dict.fromkeys(disruption.kind for disruption, _ in outcome.disruptions))
    for kind in sorted(kinds):
        of_kind = [one for one in outcome.disruptions if one[0].kind == kind]
        made.add_row(
            kind,
            str(len(of_kind)),
            str(sum(recovered(*one, outcome) for one in of_kind)),
            _spread([what.works for _, what in of_kind]),
            _spread([what.replaced for _, what in of_kind]),
            str(outcome.trials_lost.get(kind, 0)),
            _epochs(outcome.epochs_lost.get(kind, ())),
        )
    made.add_row(
        "none of these", "", "", "", "", str(outcome.trials_lost.get("", 0)), _epochs(outcome.epochs_lost.get("", ()))
    )
    return made


def tally(outcome: Outcome, seed: int) -> str:
    """All of it as one line of JSON."""
    return json.dumps(
        {
            "seed": seed,
            "disruptions": len(outcome.disruptions),
            "recovered": sum(recovered(*one, outcome) for one in outcome.disruptions),
            "trials_lost": outcome.lost,
            "trials_run_twice": outcome.audit.trials_run_twice if outcome.audit else None,
            "hangs": outcome.hangs,
            "epochs_lost": sum(sum(lost) for lost in outcome.epochs_lost.values()),
            "epochs_lost_max": outcome.epochs_lost_max,
            "objects_left": len(outcome.left),
            "seconds": round(outcome.seconds, 1),
            "problems": len(outcome.problems),
        }
    )


def recovered(disruption: Disruption, what: Recovery, outcome: Outcome) -> bool:
    """Whether all came back, or the search came to its end without it."""
    return not what.open or (outcome.audit is not None and not outcome.lost)


def _spread(seconds: Sequence[float | None]) -> str:
    known = [value for value in seconds if value is not None]
    return f"{statistics.median(known):.1f} / {max(known):.1f}" if known else "-"


def _epochs(lost: Sequence[int]) -> str:
    return f"{sum(lost)} ({max(lost, default=0)})"
