"""What holds for the repository as a whole: the files that are, or would be, committed."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import zipfile
from functools import cache
from pathlib import Path

import pytest

from tests import wheel
from tests.repository import ROOT

LOCKS = tuple(f"requirements/{name}.txt" for name in ("lock", "runtime", "runtime-gpu", "uv"))
FINDINGS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("findings/*.sh"))
LARGEST_BYTES = 350_000
TEXT_SUFFIXES = {
    *(
        "",
        ".cfg",
        ".css",
        ".go",
        ".html",
        ".jinja",
        ".js",
        ".json",
        ".md",
        ".mod",
        ".pbtxt",
        ".proto",
        ".py",
        ".pyi",
        ".typed",
    ),
    *(".sh", ".sql", ".sum", ".svg", ".toml", ".txt", ".yaml", ".yml"),
}


@cache
def files() -> tuple[Path, ...]:
    """The files that git tracks or would add."""
    return wheel.tracked()


def named(*suffixes: str) -> list[Path]:
    return [path for path in files() if path.suffix in suffixes]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_names_a_path_of_one_machine() -> None:
    # Split, so that this line is not itself a find.
    homes = re.compile(r"(?<![\w.-])/" + r"(?:root|home/\w+|Users/\w+|work|farm)/" + "|" + re.escape(str(ROOT)) + r"\b")
    found = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if homes.search(line)
    ]
    assert found == []


def test_the_locks_hold_packages_with_checksums_and_no_addresses() -> None:
    for name in LOCKS:
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|^\s*-(?!-hash)|index-url|find-links", text, re.MULTILINE), name
        packages = re.findall(r"^[A-Za-z0-9].*$", text, re.MULTILINE)
        assert packages
        assert [line for line in packages if not re.fullmatch(r"[\w.-]+==[\w.!+-]+ \\", line)] == [], name


def test_no_file_names_a_package_registry() -> None:
    # Split, so that this line is not itself a find.
    hosts = re.compile(r"\b(?:py" + r"pi\.(?:org|python\.org)|python" + r"hosted\.org)\b")
    assert [relative(path) for path in files() if hosts.search(path.read_text(encoding="utf-8"))] == []


def test_the_lock_holds_what_setup_cfg_pins() -> None:
    lock = locked("requirements/lock.txt")
    pins = {**pinned("install_requires"), **pinned("test"), **pinned("dev")}
    assert {name: lock.get(name) for name in pins} == pins


def test_the_image_gets_the_same_versions_and_no_test_tools() -> None:
    lock, runtime = locked("requirements/lock.txt"), locked("requirements/runtime.txt")
    assert {name: lock.get(name) for name in runtime} == runtime
    assert not set(runtime) & set(pinned("test") | pinned("dev"))


def test_the_image_with_cuda_differs_in_tensorflow_and_nvidias_libraries_alone() -> None:
    runtime, gpu = locked("requirements/runtime.txt"), locked("requirements/runtime-gpu.txt")
    assert gpu.pop("tensorflow") == runtime.pop("tensorflow-cpu") == pinned("gpu")["tensorflow"]
    libraries = {name for name in gpu if name.startswith("nvidia-")}
    assert {"nvidia-cudnn-cu12", "nvidia-cuda-runtime-cu12"} < libraries
    assert {name: version for name, version in gpu.items() if name not in libraries} == runtime


def test_every_direct_dependency_is_pinned_exactly() -> None:
    for group in ("install_requires", "test", "dev", "gpu"):
        assert pinned(group)
        assert [name for name, version in pinned(group).items() if not version] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        relative(path)
        for path in named(".py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
    ]
    assert silent == []


def test_files_are_source_text_and_none_is_large() -> None:
    assert [relative(path) for path in files() if path.suffix not in TEXT_SUFFIXES] == []
    assert [relative(path) for path in files() if b"\0" in path.read_bytes()] == []
    assert [relative(path) for path in files() if path.stat().st_size > LARGEST_BYTES] == []


def test_the_documents_links_lead_somewhere() -> None:
    dead = []
    for path in named(".md"):
        prose = re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            file = target.partition("#")[0]
            if file and "://" not in file and not (path.parent / file).exists():
                dead.append(f"{relative(path)}: {target}")
    assert dead == []


def test_make_help_lists_every_command() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([\w-]+)", listed, re.MULTILINE) == phony.group(1).split()


@pytest.mark.parametrize("script", ["scripts/setup.sh", "scripts/install_chromium.sh", ".ci/run", *FINDINGS])
def test_a_script_is_executable_and_parses(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    shell = path.read_text().splitlines()[0].rpartition("/")[2].rpartition(" ")[2]
    subprocess.run([shell, "-n", str(path)], check=True)


def test_the_package_holds_its_data_and_neither_runner_nor_tests(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel.build(files(), tmp_path)) as packing:
        packed = {name for name in packing.namelist() if ".dist-info/" not in name}
    packages = ("custom_components", "model_server", "models", "tfx_pipeline")
    wanted = {relative(path) for path in files() if path.relative_to(ROOT).parts[0] in packages}
    assert packed == wanted


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def pinned(group: str) -> dict[str, str]:
    """The requirements of `setup.cfg` in a group: name to exact version, empty where there is none."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    section = "options" if group == "install_requires" else "options.extras_require"
    lines = [line for line in parser[section][group].splitlines() if line and not line.startswith("#")]
    parsed = (re.fullmatch(r"([\w.-]+)(?:\[[\w-]+\])?(?:==(\S+))?.*", line) for line in lines)
    return {match[1]: match[2] or "" for match in parsed if match}
