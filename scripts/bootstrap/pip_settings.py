"""What the user has told pip about the network, for the steps that pip itself does not take.

A company machine often reaches packages through an index and a certificate of its own, set once for pip. uv does not
read pip's settings, and a Python without pip still has to honour them.
"""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from typing import Dict, List, Mapping, Optional


def setting(name: str, environ: Mapping[str, str]) -> Optional[str]:
    """Returns pip's setting `name` ("index-url"): the environment first, then pip's files, the most specific first."""
    value = environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    for path in reversed(_config_files(environ)):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue  # pip itself reports a broken file; here it only means that it sets nothing
        for section in ("install", "global"):
            value = parser.get(section, name, fallback="").strip()
            if value:
                return value
    return None


def for_uv(environ: Mapping[str, str]) -> Dict[str, str]:
    """Translates pip's index, find-links and certificate into uv's environment variables; uv's own settings win."""
    translated = {
        "UV_DEFAULT_INDEX": setting("index-url", environ) if "UV_INDEX_URL" not in environ else None,
        "UV_INDEX": setting("extra-index-url", environ) if "UV_EXTRA_INDEX_URL" not in environ else None,
        "UV_FIND_LINKS": ",".join((setting("find-links", environ) or "").split()) or None,
        "SSL_CERT_FILE": setting("cert", environ),
    }
    return {name: value for name, value in translated.items() if value and name not in environ}


def _config_files(environ: Mapping[str, str]) -> List[Path]:
    """Lists pip's configuration files in pip's order: each one overrides those before it."""
    explicit = environ.get("PIP_CONFIG_FILE")
    if explicit == os.devnull:
        return []
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    config_home = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    system = [Path(folder, "pip", "pip.conf") for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    files = [*system, Path("/etc/pip.conf"), home / ".pip" / "pip.conf", config_home / "pip" / "pip.conf"]
    files.append(Path(sys.prefix, "pip.conf"))
    if explicit:
        files.append(Path(explicit))
    return files
