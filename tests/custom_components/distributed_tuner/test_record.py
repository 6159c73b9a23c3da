"""A search as data: order, distinct configurations, the course of the best."""

from __future__ import annotations

import math

import pytest
from records import any_search, search, trial

from custom_components.distributed_tuner.record import Direction, Outcome, SearchRecord, Stay, TrialRecord, TrialStatus
from hypothesis import given


def ids(*trials: TrialRecord) -> list[str]:
    return [each.trial_id for each in trials]
