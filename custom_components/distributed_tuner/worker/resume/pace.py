"""How often to save: after each epoch, unless epochs are too short to be worth saving."""

from __future__ import annotations

import dataclasses

_BUCKET_UNSAVED_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Pace:
    """How much work the loss of a worker may cost.

    Attributes:
      share: saving takes at most about this share of the time, while less than `unsaved_seconds` are at stake.
      unsaved_seconds: an epoch that ends this long after the last save is saved, whatever that costs. An epoch that
        takes this long or longer is therefore never lost once it is finished.
    """

    share: float = 0.1
    unsaved_seconds: float = 1.0

    @classmethod
    def in_directory(cls, url: str) -> Pace:
        """The pace for a directory, by its path or URL: in a bucket saving takes seconds, not milliseconds."""
        return cls(unsaved_seconds=_BUCKET_UNSAVED_SECONDS) if "://" in url else cls()

    def due(self, unsaved_seconds: float, last_cost_seconds: float | None) -> bool:
        """Whether to save now.

        Args:
          unsaved_seconds: time since the last save ended.
          last_cost_seconds: how long that save took, None before the first.
        """
        if last_cost_seconds is None:
            return True
        return unsaved_seconds >= min(self.unsaved_seconds, last_cost_seconds / self.share)
