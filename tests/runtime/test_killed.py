"""A process that is killed, or cut off from its database, loses nothing and does nothing twice."""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.runtime import crashing
from tests.runtime.helpers import START, component
from xcstore.errors import StoreUnavailableError
from xcstore.runtime import FSMRuntime, PersistenceConfig, SimulatedClock
from xcstore.store.base import Stores
from xcstore.store.opening import open_stores

ROOT = Path(__file__).parents[2]
KILLS, KILLS_OF_A_RUN = 200, 10

Run = Callable[[str, int, int], dict[str, Any]]
"""`crashing.run`, in its own process."""


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    command = [sys.executable, "-m", "tests.runtime.crashing"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        orders, answers = program.stdin, program.stdout

        def ask(url: str, seed: int, kills: int) -> dict[str, Any]:
            orders.write(json.dumps({"url": url, "seed": seed, "kills": kills}) + "\n")
            orders.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            assert "failed" not in answer, answer["failed"]
            return answer

        yield ask
        orders.close()


@pytest.fixture
def places(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """URLs of as many empty stores as one asks for; each is gone when one asks for the next."""
    if backend == "sqlite":
        return (f"sqlite:///{tmp_path / f'{number}.db'}" for number in itertools.count())
    return emptied(request.getfixturevalue("postgresql_database"))


def emptied(url: str) -> Iterator[str]:
    """One database again and again: making one takes longer than a run."""
    while True:
        yield url
        with psycopg.connect(url) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")


def differences(found: Any, expected: Any, where: str = "") -> Iterator[str]:
    """Where two documents differ, a line for each place."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            yield from differences(found.get(key), expected.get(key), f"{where}/{key}")
    elif isinstance(found, list) and isinstance(expected, list):
        for place, (one, other) in enumerate(itertools.zip_longest(found, expected)):
            yield from differences(one, other, f"{where}/{place}")
    elif found != expected:
        yield f"{where}: {found!r}, not {expected!r}"


def test_the_undisturbed_runs_take_every_way_that_the_definitions_have(run: Run) -> None:
    taken: set[tuple[str, str, str, str, str]] = set()
    for seed in range(1, 21):
        undisturbed = run("memory://", seed, 0)
        assert undisturbed["ended"] == undisturbed["restarted"], "two runs of one seed differ"
        assert undisturbed["ended"]["waiting"] == {"outbox": [], "queued": [0, 0, 0]}
        for name, stream in undisturbed["ended"]["histories"].items():
            taken |= {(*name.split()[:2], *step) for *step, _, _, _, _, _, _ in stream}
    declared = {
        (parsed.name, machine.name, way.event, way.source, way.target)
        for parsed in map(component, (crashing.SHOP, crashing.STOCK, crashing.BANK))
        for machine in parsed.machines
        for way in machine.transitions
    }
    assert declared - taken == set()


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_killed_200_times_and_restored_each_time_it_ends_as_if_nothing_had_been(
    run: Run, places: Iterator[str]
) -> None:
    own = outside = 0
    wrong: dict[int, list[str]] = {}
    for seed, url in enumerate(places, start=1):
        undisturbed, killed = run("memory://", seed, 0), run(url, seed, KILLS_OF_A_RUN)
        for end in ("ended", "restarted"):
            if found := list(itertools.islice(differences(killed[end], undisturbed["ended"], end), 5)):
                wrong[seed] = wrong.get(seed, []) + found
        own, outside = own + killed["own"], outside + killed["outside"]
        if own + outside >= KILLS:
            break
    assert not wrong, "\n".join(f"seed {seed}: {line}" for seed, lines in wrong.items() for line in lines)
    assert min(own, outside) > KILLS / 4


# The connection is lost in the middle of an append

MARK = "cut here"

DOORS = """
name: Doors
stateMachines:
  - name: Door
    initialState: Shut
    states:
      - {name: Shut, type: entry}
      - name: Open
        cascadingRules: [{targetMachine: Bell, targetState: Still, event: RING, payload: {why: "{{why}}"}}]
    transitions:
      - {from: Shut, to: Open, event: PUSH}
      - {from: Open, to: Shut, event: PULL}
      - {from: Shut, to: Shut, event: KNOCK}
      - {from: Open, to: Open, event: KNOCK}
  - name: Bell
    initialState: Still
    states: [{name: Still, type: entry}, {name: Ringing}]
    transitions: [{from: Still, to: Ringing, event: RING}, {from: Ringing, to: Still, event: REST}]
"""


class Wire:
    """Stands between a program and a server, and cuts a connection once, when told to.

    Attributes
    ----------
    cut : {'request', 'reply', None}
        Of the transaction that holds `MARK`: lose what is asked, so that it never happens; or lose the answer, so
        that it has happened and only the server knows.
    """

    cut: str | None = None

    def __init__(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            host, port = connection.info.host, connection.info.port
            self._server: Any = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        known = {"user": "", "password": "", **conninfo_to_dict(url)}
        who = ":".join(quote(str(known[name]), safe="") for name in ("user", "password"))
        self.url = (
            f"postgresql://{who}@127.0.0.1:{self._listener.getsockname()[1]}/{known['dbname']}"
            "?sslmode=disable&gssencmode=disable"  # to be read
        )

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._carry, args=[client], daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX if isinstance(self._server, str) else socket.AF_INET)
        with client, server, contextlib.suppress(OSError):
            server.connect(self._server)
            is_marked = False
            while True:
                for reading in select.select([client, server], [], [])[0]:
                    data = reading.recv(1 << 20)
                    if reading is client and self.cut is not None and MARK.encode() in data:
                        is_marked = True
                        if self.cut == "request":
                            data = b""
                    # What the server says last, when no transaction is open: "ready for query, idle".
                    if reading is server and is_marked and data.endswith(b"Z\0\0\0\x05I"):
                        data = b""
                    if not data:
                        self.cut = None if is_marked else self.cut
                        return
                    (server if reading is client else client).sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def wire(postgresql_database: str) -> Iterator[Wire]:
    made = Wire(postgresql_database)
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.close()
    thread.join()


@pytest.fixture
def stores(wire: Wire) -> Iterator[Stores]:
    """Over the wire."""
    with open_stores(wire.url, read_only=False) as opened:
        yield opened


def doors(stores: Stores) -> FSMRuntime:
    return FSMRuntime(component(DOORS), PersistenceConfig.of(stores), clock=SimulatedClock(START))


def stored(url: str) -> list[tuple[str, str]]:
    """What the server has, whatever the program believes."""
    with open_stores(url) as found:
        assert found.events.get_outbox() == []
        return [(event.event_type, event.state_after) for event in found.events.get_all_events()]


def states(runtime: FSMRuntime) -> Mapping[str, str]:
    return {instance.machine_name: instance.current_state for instance in runtime.instances()}


@pytest.mark.parametrize("cut", ["request", "reply"])
def test_an_event_whose_answer_was_lost_is_stored_once_when_it_is_sent_again(
    wire: Wire, stores: Stores, postgresql_database: str, cut: str
) -> None:
    runtime = doors(stores)
    door = runtime.create_instance("Door")
    runtime.create_instance("Bell")
    wire.cut = cut

    with pytest.raises(StoreUnavailableError):
        runtime.send(door, "PUSH", {"why": "post", "note": MARK})
    assert states(runtime) == {"Door": "Shut", "Bell": "Still"}
    assert wire.cut is None
    with psycopg.connect(postgresql_database) as connection:
        rows = connection.execute("SELECT count(*) FROM fsm_events WHERE event_type = 'PUSH'").fetchone()
        assert rows == ((1,) if cut == "reply" else (0,))

    runtime.send(door, "PUSH", {"why": "post", "note": MARK})
    assert states(runtime) == {"Door": "Open", "Bell": "Ringing"}
    assert stored(postgresql_database)[2:] == [("PUSH", "Open"), ("RING", "Ringing")]


@pytest.mark.parametrize("cut", ["request", "reply"])
def test_another_event_goes_on_from_what_became_of_the_one_whose_answer_was_lost(
    wire: Wire, stores: Stores, postgresql_database: str, cut: str
) -> None:
    runtime = doors(stores)
    door = runtime.create_instance("Door")
    runtime.create_instance("Bell")
    wire.cut = cut
    with pytest.raises(StoreUnavailableError):
        runtime.send(door, "PUSH", {"note": MARK})

    runtime.send(door, "KNOCK")
    happened = {"request": [("KNOCK", "Shut")], "reply": [("PUSH", "Open"), ("KNOCK", "Open"), ("RING", "Ringing")]}
    assert sorted(stored(postgresql_database)[2:]) == sorted(happened[cut])
    assert states(runtime)["Bell"] == {"request": "Still", "reply": "Ringing"}[cut]


@pytest.mark.parametrize("cut", ["request", "reply"])
def test_an_instance_whose_creation_got_no_answer_is_made_once_when_it_is_asked_for_again(
    wire: Wire, stores: Stores, postgresql_database: str, cut: str
) -> None:
    runtime = doors(stores)
    wire.cut = cut
    with pytest.raises(StoreUnavailableError):
        runtime.create_instance("Door", {"note": MARK})
    assert states(runtime) == {}

    door = runtime.create_instance("Door", {"note": MARK})
    runtime.send(door, "PUSH")
    assert stored(postgresql_database) == [("INSTANCE_CREATED", "Shut"), ("PUSH", "Open")]


@pytest.mark.parametrize("cut", ["request", "reply"])
def test_what_follows_from_an_event_is_done_once_when_its_own_answer_was_lost(
    wire: Wire, stores: Stores, postgresql_database: str, cut: str
) -> None:
    runtime = doors(stores)
    door = runtime.create_instance("Door", {"why": MARK})
    runtime.create_instance("Bell")
    runtime.listen(lambda notice: setattr(wire, "cut", cut) if notice.name == "state_change" else None)
    runtime.send(door, "PUSH")
    assert runtime.queued
    assert states(runtime) == {"Door": "Open", "Bell": "Still"}

    assert runtime.retry() == 0
    assert states(runtime) == {"Door": "Open", "Bell": "Ringing"}
    assert stored(postgresql_database)[2:] == [("PUSH", "Open"), ("RING", "Ringing")]


@pytest.mark.parametrize("cut", ["request", "reply"])
def test_a_process_that_ends_after_a_lost_answer_leaves_what_the_server_has(
    wire: Wire, stores: Stores, postgresql_database: str, cut: str
) -> None:
    first = doors(stores)
    door = first.create_instance("Door", {"why": "post"})
    first.create_instance("Bell")
    wire.cut = cut
    with pytest.raises(StoreUnavailableError):
        first.send(door, "PUSH", {"note": MARK})

    second = doors(stores)
    second.restore()
    happened = {"request": [], "reply": [("PUSH", "Open"), ("RING", "Ringing")]}
    assert stored(postgresql_database)[2:] == happened[cut]
    assert set(states(second).values()) == {"request": {"Shut", "Still"}, "reply": {"Open", "Ringing"}}[cut]


def test_a_session_that_the_server_ends_in_the_middle_of_an_append_leaves_nothing_of_it(
    postgresql_database: str,
) -> None:
    with open_stores(postgresql_database, read_only=False) as stores:
        runtime = doors(stores)
        door = runtime.create_instance("Door", {"why": "post"})
        runtime.create_instance("Bell")
        with psycopg.connect(postgresql_database) as connection:
            connection.execute(
                "CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
            )
            connection.execute(
                "CREATE TRIGGER end_session AFTER INSERT ON fsm_events FOR EACH ROW EXECUTE FUNCTION end_session()"
            )
        with pytest.raises(StoreUnavailableError):
            runtime.send(door, "PUSH")
        assert states(runtime) == {"Door": "Shut", "Bell": "Still"}
        assert len(stored(postgresql_database)) == 2

        with psycopg.connect(postgresql_database) as connection:
            connection.execute("DROP FUNCTION end_session CASCADE")
        runtime.send(door, "PUSH")
        assert states(runtime) == {"Door": "Open", "Bell": "Ringing"}
    assert stored(postgresql_database)[2:] == [("PUSH", "Open"), ("RING", "Ringing")]
