"""Component files as the commands take them: files and folders together, with the line of whatever is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xcstore.errors import DefinitionError
from xcstore.model.definition import Component
from xcstore.model.linting import Finding, lint
from xcstore.model.loader import SUFFIXES, parse_components, read_text
from xcstore.model.markup import Markup, parse_markup

__all__ = ["DefinitionFile", "Definitions", "find_faults", "load_definitions", "read_definitions"]


@dataclass(frozen=True, slots=True)
class DefinitionFile:
    """A file, and the components that it holds."""

    file: str
    components: tuple[Component, ...]
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Definitions:
    """What could be read, and why the rest could not."""

    files: tuple[DefinitionFile, ...] = ()
    problems: tuple[DefinitionError, ...] = ()

    @property
    def components(self) -> tuple[Component, ...]:
        return tuple(component for file in self.files for component in file.components)


def read_definitions(paths: Iterable[str | Path]) -> Definitions:
    """What files, and folders of `.yaml`, `.yml` and `.json` files, define. A file may hold several components.

    What cannot be read is a problem beside the others. So is a component that differs from one of the same name
    before it: they cannot run together.
    """
    files: list[DefinitionFile] = []
    problems: list[DefinitionError] = []
    named: dict[str, tuple[Component, str]] = {}
    for path in paths:
        try:
            found = _files_of(Path(path))
        except DefinitionError as error:
            problems.append(error)
            continue
        for file in found:
            try:
                text = read_text(file)
                components = parse_components(text, file=str(file))
            except DefinitionError as error:
                problems.append(error)
                continue
            new: list[Component] = []
            for component in components:
                first, where = named.setdefault(component.name, (component, str(file)))
                if first is component:
                    new.append(component)
                elif first.hash != component.hash:
                    message = f"component {component.name!r} is defined in {where} too, and otherwise; leave out one"
                    problems.append(DefinitionError(message, file=str(file)))
            files.append(DefinitionFile(str(file), tuple(new), text))
    return Definitions(tuple(files), tuple(problems))


def load_definitions(paths: Iterable[str | Path]) -> tuple[Component, ...]:
    """The components of all the files, which can run together.

    Raises
    ------
    DefinitionError
        The first problem there is.
    """
    found = read_definitions(paths)
    for problem in found.problems:
        raise problem
    return found.components


def find_faults(files: Sequence[DefinitionFile]) -> Sequence[tuple[Finding, DefinitionError]]:
    """What `model.linting` finds in the components of all files together, with file and line as an error says it."""
    owner = {component.name: file for file in files for component in file.components}
    maps: dict[str, Mapping[str, tuple[Markup, tuple[str | int, ...]]]] = {}
    faults: list[tuple[Finding, DefinitionError]] = []
    for finding in lint([component for file in files for component in file.components]):
        file = owner[finding.component]
        if file.file not in maps:
            maps[file.file] = _places(file)
        markup, start = maps[file.file][finding.component]
        faults.append((finding, markup.error(finding.message, (*start, *finding.path))))
    return faults


def _files_of(path: Path) -> Sequence[Path]:
    try:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
            if not found:
                raise DefinitionError("holds no components in .yaml, .yml or .json files", file=str(path))
            return found
        if path.exists() and not path.is_file():
            raise DefinitionError("not a file", file=str(path))  # a pipe or device could be waited for
    except OSError as error:
        raise DefinitionError(f"cannot be read: {error.strerror}", file=str(path)) from None
    return [path]


def _places(file: DefinitionFile) -> Mapping[str, tuple[Markup, tuple[str | int, ...]]]:
    """Where each component of a file starts, by its name, in a markup that knows all lines."""
    try:
        # Behind this mark JSON is read as the YAML that it is, nearly always: lines are then known all at once.
        mark = "--- " if file.text.lstrip()[:1] in ("{", "[") else ""
        markup = parse_markup(mark + file.text, file=f"{file.file}.yaml" if mark else file.file)
        markup = Markup(markup.value, file.file, markup.lines)
    except DefinitionError:
        markup = Markup(None, file.file)
    root = markup.value
    if isinstance(root, list):
        keys: Iterable[str | int] = range(len(root))
    elif isinstance(root, Mapping) and "stateMachines" not in root:
        keys = list(root)
    else:
        return dict.fromkeys((component.name for component in file.components), (markup, ()))
    documents = {key: root[key] for key in keys}  # type: ignore[index]  # its own keys
    return {
        component.name: (markup, next(((key,) for key, document in documents.items() if _is(document, component)), ()))
        for component in file.components
    }


def _is(document: object, component: Component) -> bool:
    return isinstance(document, Mapping) and str(document.get("name")) == component.name
