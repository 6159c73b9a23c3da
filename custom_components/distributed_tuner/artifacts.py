"""DistributedTuner's own artifact type."""

from __future__ import annotations

from tfx.types import artifact


class SearchReport(artifact.Artifact):
    """A folder with `report.html`, for people, and `search.json`, a `SearchRecord`, for programs."""

    TYPE_NAME = "SearchReport"
