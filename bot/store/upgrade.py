"""Bringing a schema to the newest revision. Alembic is imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from bot.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

_SERVER_LOCK = 0x62726F61  # PostgreSQL's advisory lock of whoever migrates; SQLite has one writer anyway


def revision(connection: Connection) -> str | None:
    """Which revision the schema is at; None for an empty database."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def refuse_newer(connection: Connection, place: str) -> None:
    """Raises StoreError when this program does not know the schema it finds."""
    from alembic.script import ScriptDirectory

    found = revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(f"{place}: its schema '{found}' is of a newer Broadside; upgrade the program")


def upgrade(connection: Connection, place: str) -> None:
    """The newest schema, within the caller's write transaction; nothing happens when it is there already."""
    from alembic import command

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SERVER_LOCK})
    refuse_newer(connection, place)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("path_separator", "os")
    folder = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config
