"""Settings: what is read, what is refused, and that no password is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcstore.config import SETTINGS, Settings, hide_password
from xcstore.errors import ConfigError
from xcstore.redaction import Redaction


def test_every_setting_is_read_into_its_field() -> None:
    settings = Settings.from_mapping(
        {
            "XCSTORE_URL": "sqlite:///a.db",
            "DATABASE_URL": "postgresql://ann:secret@db/shop",
            "MONGO_URI": "mongodb://db",
            "EVENT_SOURCING_ENABLED": "no",
            "SNAPSHOTS_ENABLED": "0",
            "SNAPSHOT_INTERVAL": "50",
            "EVENT_RETENTION_DAYS": "90",
            "SNAPSHOT_RETENTION_COUNT": "3",
            "XCSTORE_DEFINITIONS": "components",
            "XCSTORE_REDACT": "payload.card.number, email",
            "XCSTORE_ALLOW_WRITE": "TRUE",
            "XCSTORE_STATEMENT_TIMEOUT_MS": "500",
            "XCSTORE_TIMEZONE": "UTC",
            "XCSTORE_DEMO": "demo.db",
            "PATH": "/bin",
        }
    )

    assert settings == Settings(
        url="sqlite:///a.db",
        database_url="postgresql://ann:secret@db/shop",
        mongo_uri="mongodb://db",
        event_sourcing_enabled=False,
        snapshots_enabled=False,
        snapshot_interval=50,
        event_retention_days=90,
        snapshot_retention_count=3,
        definitions="components",
        redact=Redaction((("card", "number"), ("email",))),
        allow_write=True,
        statement_timeout_ms=500,
        timezone="UTC",
        demo="demo.db",
    )
    assert "secret" not in repr(settings)


def test_the_defaults_are_those_of_the_table() -> None:
    written = {setting.name: setting.default for setting in SETTINGS}

    assert Settings.from_mapping(written) == Settings() == Settings.from_mapping({})
    assert {setting.field for setting in SETTINGS} == set(Settings.__dataclass_fields__)
    assert Settings().allow_write is False


def test_empty_text_means_not_set() -> None:
    assert Settings.from_mapping({"XCSTORE_URL": "", "SNAPSHOT_INTERVAL": " "}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("XCSTORE_URL", "db.example", "a URL such as"),
        ("MONGO_URI", "localhost:27017", "a URL such as mongodb://"),
        ("SNAPSHOT_INTERVAL", "ten", "a whole number from 1"),
        ("SNAPSHOT_INTERVAL", "0", "a whole number from 1"),
        ("EVENT_RETENTION_DAYS", "-1", "a whole number from 1"),
        ("XCSTORE_STATEMENT_TIMEOUT_MS", "1.5", "a whole number from 1"),
        ("XCSTORE_ALLOW_WRITE", "maybe", "true or false"),
        ("XCSTORE_TIMEZONE", "Mars/Olympus", "a time zone such as"),
        ("XCSTORE_TIMEZONE", "../../etc/passwd", "a time zone such as"),
        ("XCSTORE_REDACT", "card..number", "comma-separated paths"),
        ("XCSTORE_REDACT", "payload", "comma-separated paths"),
        ("XCSTORE_REDACT", "card.*", "comma-separated paths"),
    ],
)
def test_a_wrong_value_is_refused_with_name_value_and_what_is_accepted(name: str, value: str, accepted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_mapping({name: value})

    assert str(caught.value).startswith(f"{name} is {value!r}; it must be ")
    assert accepted in str(caught.value)


@pytest.mark.parametrize("token", ["s3crét", "s3cr\tet", "s3cr\x7fet", "\u2068s3cret"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigError, match=r"XCSTORE_API_TOKEN is '\*\*\*'; it must be a text of ASCII") as caught:
        Settings.from_mapping({"XCSTORE_API_TOKEN": token})

    assert "s3cr" not in str(caught.value)
    assert Settings.from_mapping({"XCSTORE_API_TOKEN": "open sesame/=+"}).api_token == "open sesame/=+"


def test_a_wrong_url_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_mapping({"DATABASE_URL": "ann:s3cret@db/shop"})

    assert "s3cret" not in str(caught.value)
    assert "ann:***@db/shop" in str(caught.value)


def test_an_unknown_name_of_ours_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match="XCSTORE_DEFINITION is no setting; did you mean XCSTORE_DEFINITIONS"):
        Settings.from_mapping({"XCSTORE_DEFINITION": "x"})
    with pytest.raises(ConfigError, match="XCSTORE_COLOUR is no setting; there are XCSTORE_URL"):
        Settings.from_mapping({"XCSTORE_COLOUR": ""})


def test_names_of_others_and_of_the_tests_are_left_alone() -> None:
    others = {"HOME": "/", "XCSTORE_TEST_REQUIRE": "postgresql", "XCSTORE_REFERENCE": "../shared/reference"}

    assert Settings.from_mapping(others) == Settings()


def test_stores_are_offered_in_the_order_of_precedence(tmp_path: Path) -> None:
    demo = tmp_path / "demo.db"
    demo.touch()
    settings = Settings(
        url="sqlite:///a.db", database_url="postgresql://db/shop", mongo_uri="mongodb://db", demo=f"{demo}"
    )

    assert list(settings.store_urls().items()) == [
        ("store", "sqlite:///a.db"),
        ("database", "postgresql://db/shop"),
        ("mongodb", "mongodb://db"),
        ("demo", f"sqlite:///{demo}"),
    ]


def test_the_demo_is_offered_when_it_is_there_or_nothing_else_is(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.db")

    assert Settings(demo=absent).store_urls() == {"demo": f"sqlite:///{absent}"}
    assert Settings(demo=absent, url="sqlite:///a.db").store_urls() == {"store": "sqlite:///a.db"}


def test_the_archive_is_offered_once_there_is_one(tmp_path: Path) -> None:
    settings = Settings.from_mapping({"XCSTORE_ARCHIVE": f"{tmp_path / 'old'}", "XCSTORE_URL": "sqlite:///a.db"})
    assert settings.archive == f"archive:///{tmp_path / 'old'}"
    assert "archive" not in settings.store_urls()

    (tmp_path / "old").mkdir()

    assert settings.store_urls()["archive"] == settings.archive
    assert Settings.from_mapping({"XCSTORE_ARCHIVE": "mongodb://db/old"}).store_urls()["archive"] == "mongodb://db/old"


def test_one_store_is_not_offered_twice() -> None:
    same = "postgresql://db/shop"

    assert Settings(url=same, database_url=same, demo="/absent.db").store_urls() == {"store": same}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:S3CRET@db:5432/shop", "postgresql://ann:***@db:5432/shop"),
        ("postgresql://ann:S3CRET@ss:w/r?d#@db/shop", "postgresql://ann:***@db/shop"),
        ("postgresql://ann:S3CRET", "postgresql://ann:***"),
        ("postgresql://ann:S3CRET/shop", "postgresql://ann:***/shop"),
        ("postgresql://db/shop?user=ann&password=S3CRET&sslmode=require", "postgresql://db/shop?user=ann&password=***&sslmode=require"),
        ("mongodb://ann:S3CRET@a:1,b:2/shop?w=1", "mongodb://ann:***@a:1,b:2/shop?w=1"),
        ("redis://:S3CRET@db", "redis://:***@db"),
        ("ann:S3CRET@db/shop", "ann:***@db/shop"),
        ("host=db user=ann password=S3CRET dbname=shop", "host=db user=ann password=*** dbname=shop"),
        ("host=db password='S3 CRET' dbname=shop", "host=db password=*** dbname=shop"),
        ("mongodb://db/?authMechanismProperties=AWS_SESSION_TOKEN:S3CRET", "mongodb://db/?authMechanismProperties=AWS_SESSION_TOKEN:***"),
    ],
)  # fmt: skip
def test_passwords_are_hidden_wherever_they_stand(url: str, shown: str) -> None:
    assert hide_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory://",
        "sqlite:///data/demo.db",
        "sqlite:////absolute/a@b.db",
        "postgresql://ann@db:5432/shop",
        "postgresql://db:5432/shop",
        "postgresql://[::1]:5432/shop",
        "mongodb://a:27017,b:27018/shop",
        "not a url",
    ],
)
def test_a_url_without_password_is_shown_as_it_is(url: str) -> None:
    assert hide_password(url) == url


@given(st.text(st.characters(exclude_characters="*@"), min_size=1))
def test_no_password_is_ever_shown(password: str) -> None:
    marked = f"<{password}>"

    for url in (f"postgresql://ann:{marked}@db/shop", f"mongodb://ann:{marked}@a,b/?w=1", f"x://ann:{marked}@"):
        assert marked not in hide_password(url)
