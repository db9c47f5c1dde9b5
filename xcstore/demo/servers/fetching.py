"""Programs that the machine lacks, fetched once into the user's cache folder: from npm, and from Debian packages."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from xcstore.errors import StoreUnavailableError

__all__ = [
    "cache_folder",
    "fetch_debian",
    "fetch_newer_debian",
    "library_path",
    "obtain",
    "release_name",
    "run",
    "sources_of",
]

FETCH_SECONDS: Final = 600


def cache_folder() -> Path:
    """Where fetched programs are kept: `xcstore` in XDG_CACHE_HOME, by default in ~/.cache. It can be deleted."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "xcstore"


def obtain(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache, filled by `make` if it is not there yet.

    Only one process fills it while others wait, and it appears whole or not at all.
    """
    target = cache_folder() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            part = Path(tempfile.mkdtemp(prefix=f"{name}.part-", dir=target.parent))
            try:
                make(part)
                part.rename(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return target


def run(command: Sequence[str], *, what: str, cwd: Path | None = None) -> str:
    """Run a program to its end; returns what it printed.

    Raises
    ------
    StoreUnavailableError
        It is not on the path, failed, or took longer than ten minutes. `what` begins the sentence.
    """
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise StoreUnavailableError(f"{what}: {command[0]} is not on the path") from None
    except subprocess.TimeoutExpired:
        raise StoreUnavailableError(f"{what}: {command[0]} took longer than {FETCH_SECONDS} s") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise StoreUnavailableError(f"{what}: {command[0]} failed: {' / '.join(said[-3:])[:500]}")
    return done.stdout


def fetch_debian(package: str, folder: Path) -> None:
    """Unpack a Debian package into `folder`, with those that it depends on and the system lacks. No root needed."""
    with tempfile.TemporaryDirectory(prefix="xcstore-apt-") as private:
        apt = _private_apt(Path(private))
        _update(apt, package)
        # Nothing is installed: apt works out what the system lacks, and only downloads it.
        options = ["-y", "-q", "--no-install-recommends", "--download-only", "-o", "Debug::NoLocking=true"]
        run([*apt, "install", *options, package], what=f"{package} could not be fetched")
        _unpack(Path(private) / "cache" / "archives", folder, package)


def fetch_newer_debian(package: str, release: str, folder: Path) -> None:
    """Unpack one package of another Debian release into `folder`, beside the system's.

    The sources are those of this machine with the name of the release replaced.
    """
    with tempfile.TemporaryDirectory(prefix="xcstore-apt-") as private:
        sources = Path(private) / "sources"
        sources.mkdir()
        own = release_name()
        list_text, sources_text = sources_of(release, own=own, apt=Path("/etc/apt"))
        if not list_text and not sources_text:
            raise StoreUnavailableError(f"{release} is not found: no source of apt is of this system's release, {own}")
        (sources / "newer.list").write_text(list_text, encoding="utf-8")
        (sources / "newer.sources").write_text(sources_text, encoding="utf-8")
        apt = _private_apt(Path(private))
        apt += ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={sources}"]
        _update(apt, package)
        downloads = Path(private) / "downloads"
        downloads.mkdir()
        run([*apt, "download", package], what=f"{package} of {release} could not be fetched", cwd=downloads)
        _unpack(downloads, folder, package)


def library_path(folder: Path) -> str:
    """The shared libraries under an unpacked `folder`, for LD_LIBRARY_PATH."""
    return ":".join(str(place) for place in sorted(folder.glob("**/lib/*-linux-gnu")) if place.is_dir())


def _private_apt(private: Path) -> list[str]:
    """apt-get that leaves the machine's own state alone, so that it needs no root."""
    (private / "lists" / "partial").mkdir(parents=True)
    (private / "cache" / "archives" / "partial").mkdir(parents=True)
    places = {"Dir::State::lists": private / "lists", "Dir::Cache": private / "cache", "APT::Sandbox::User": ""}
    return ["apt-get", *(word for name, value in places.items() for word in ("-o", f"{name}={value}"))]


def _update(apt: Sequence[str], package: str) -> None:
    if shutil.which("apt-get") is None:
        raise StoreUnavailableError(f"{package} could not be fetched: apt-get is not on the path")
    # A source of somebody else that cannot be reached is no reason to stop: the download says what is missing.
    subprocess.run([*apt, "-q", "update"], capture_output=True, check=False, timeout=FETCH_SECONDS)


def _unpack(packages: Path, folder: Path, package: str) -> None:
    found = sorted(packages.glob("*.deb"))
    if not found:
        raise StoreUnavailableError(f"{package} could not be fetched: apt-get brought nothing")
    for file in found:
        run(["dpkg", "-x", str(file), str(folder)], what=f"{file.name} could not be unpacked")


def release_name() -> str:
    """Code name of this machine's Linux release, such as bookworm."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")
    except OSError:
        return "unknown"


def sources_of(release: str, *, own: str, apt: Path) -> tuple[str, str]:
    """The sources of a machine, for another release.

    Those of the distribution only: others have no such release, as a rule, and are not needed.

    Parameters
    ----------
    release, own : str
        Code names, such as trixie; `own` is the one that the machine has.
    apt : Path
        Its folder /etc/apt.

    Returns
    -------
    list_text, sources_text : str
        In one-line style, and in deb822 style.
    """
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    lines = [line for file in lists if file.is_file() for line in file.read_text(encoding="utf-8").splitlines()]
    one_line = re.compile(rf"(deb\s+(?:\[[^\]]*\]\s+)?\S+\s+){re.escape(own)}(\s.*)")
    kept = [f"{found[1]}{release}{found[2]}\n" for line in lines if (found := one_line.fullmatch(line))]
    stanzas = []
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
            if suites is not None and own in suites[1].split():
                changed = f"{stanza[: suites.start()]}Suites: {release}{stanza[suites.end() :]}"
                stanzas.append(f"{changed.strip()}\n")
    return "".join(kept), "\n".join(stanzas)
