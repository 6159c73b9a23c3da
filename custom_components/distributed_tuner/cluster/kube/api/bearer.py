"""Bearer tokens for a request's header. No error message shows a token."""

from __future__ import annotations

import re

from custom_components.distributed_tuner.cluster.base import ClusterError

# Characters that are safe in a header's value.
_SENT_AS_IT_IS = re.compile(r"[\x21-\x7e]+")


def header(value: str, source: str) -> str:
    """The value of an Authorization header, without the newline that an editor or `echo` adds to a file.

    Args:
      value: `SCHEME CREDENTIALS`.
      source: whose credentials they are, for the error.

    Raises:
      ClusterError: there are no credentials, or they cannot be sent in a header.
    """
    scheme, _, credentials = value.partition(" ")
    credentials = credentials.strip()
    if not credentials:
        raise ClusterError(f"the token of {source} is empty")
    if not _SENT_AS_IT_IS.fullmatch(credentials):
        raise ClusterError(
            f"the token of {source} cannot be sent: it holds a space, a line's end in its midst, or a character that "
            "is not ASCII. It is not shown here. Store it anew, the token alone"
        )
    return f"{scheme} {credentials}"
