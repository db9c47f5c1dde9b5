"""Waiting for a store, and giving up the question."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from tests.factories import event
from xcstore.errors import StoreError
from xcstore.store.base import EventQuery
from xcstore.store.opening import open_stores
from xcstore.ui import waiting

ENDLESS = sa.text("with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n")


class Stopped(BaseException):
    """As Streamlit's own when a run of the page is given up."""


class Place:
    """An element of a page that is given up the first time something is drawn into it."""

    def caption(self, text):
        raise Stopped(text)

    def empty(self):
        pass


@pytest.fixture
def stores(tmp_path):
    with open_stores(f"sqlite:///{tmp_path / 'x.db'}", read_only=False) as opened:
        opened.events.append(event())
        yield opened


def test_an_answer_comes_back_and_so_does_an_error(stores):
    assert waiting.run(lambda: stores.events.count(EventQuery())[0].count, stores.events) == 1
    with pytest.raises(StoreError, match="mine"):
        waiting.run(lambda: (_ for _ in ()).throw(StoreError("mine")), stores.events)


def test_a_timeout_of_the_question_itself_is_its_answer(stores):
    def ask():
        raise TimeoutError("of the question")

    with pytest.raises(TimeoutError, match="of the question"):
        waiting.run(ask, stores.events)


def test_a_question_that_nobody_waits_for_any_more_is_cancelled_in_the_store(stores):
    ended = threading.Event()
    errors = []

    def ask():
        try:
            stores.events._database.read(lambda connection: connection.execute(ENDLESS).scalar())
        except StoreError as error:
            errors.append(error)
        finally:
            ended.set()

    started = time.monotonic()
    with pytest.raises(Stopped), waiting.shown_in(Place()):
        waiting.run(ask, stores.events)

    assert ended.wait(5), "the query still runs"
    assert time.monotonic() - started < 5  # the time limit of a statement is 10 s
    assert errors
