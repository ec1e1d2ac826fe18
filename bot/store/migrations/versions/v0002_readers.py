"""Readers: how they come, what they want, why they left; bounces; what other programs are told."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def upgrade() -> None:
    """What joining, leaving and bouncing need."""
    _suppression()
    _preferences()
    _joining()
    _consent()
    _bounces()
    _hooks()


def _suppression() -> None:
    """A person may leave one newsletter and stay with another."""
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("suppression", sa.Column("newsletter", sa.Text, nullable=False, server_default=""))
        op.alter_column("suppression", "newsletter", server_default=None)
        op.drop_constraint("pk_suppression", "suppression")
        op.create_primary_key("pk_suppression", "suppression", ["address_key", "newsletter"])
        return
    op.rename_table("suppression", "suppression_before")
    op.create_table(
        "suppression",
        _text("address_key"),
        _text("newsletter"),
        _text("reason"),
        _moment("since"),
        _key("suppression", "address_key", "newsletter"),
    )
    op.execute(
        "INSERT INTO suppression (address_key, newsletter, reason, since)"
        " SELECT address_key, '', reason, since FROM suppression_before"
    )
    op.drop_table("suppression_before")


def _preferences() -> None:
    op.create_table(
        "preference",
        _text("newsletter"),
        _text("subscriber_id"),
        _text("form"),
        _moment("paused_until", nullable=True),
        _key("preference", "newsletter", "subscriber_id"),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name="fk_preference_subscriber_id", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )


def _joining() -> None:
    op.create_table(
        "wording",
        _text("digest"),
        _text("version"),
        _text("lang"),
        _text("body"),
        _key("wording", "digest"),
    )
    op.create_table(
        "signup",
        *(_text(name) for name in ("id", "address", "address_key", "newsletters", "lang", "form_url")),
        _text("wording"),
        _text("ip"),
        _moment("asked_at"),
        _moment("confirmed_at", nullable=True),
        _key("signup", "id"),
        sa.ForeignKeyConstraint(["wording"], ["wording.digest"], name="fk_signup_wording"),
    )
    op.create_index("ix_signup_address_key", "signup", ["address_key"])
    op.create_index("ix_signup_asked_at", "signup", ["asked_at"])
    op.create_table(
        "knock", _text("scope"), _count("period"), _count("count"), _key("knock", "scope", "period")
    )


def _consent() -> None:
    op.create_table(
        "consent",
        sa.Column("id", _number, nullable=False),
        _moment("at"),
        *(_text(name) for name in ("address", "address_key", "newsletter", "event", "means")),
        _text("wording", nullable=True),
        _text("form_url"),
        _text("ip"),
        _key("consent", "id"),
        sa.ForeignKeyConstraint(["wording"], ["wording.digest"], name="fk_consent_wording"),
    )
    op.create_index("ix_consent_address_key", "consent", ["address_key"])
    op.create_table("erasing", _text("address_key"), _key("erasing", "address_key"))
    if op.get_bind().dialect.name == "postgresql":
        _guard_consent_on_postgresql()
    else:
        _guard_consent_on_sqlite()


def _guard_consent_on_sqlite() -> None:
    op.execute(
        "CREATE TRIGGER consent_is_kept_as_it_is BEFORE UPDATE ON consent"
        " BEGIN SELECT RAISE(ABORT, 'a record of consent is never changed'); END"
    )
    op.execute(
        "CREATE TRIGGER consent_is_kept BEFORE DELETE ON consent"
        " WHEN NOT EXISTS (SELECT 1 FROM erasing WHERE address_key = OLD.address_key)"
        " BEGIN SELECT RAISE(ABORT, 'a record of consent is kept until the person is erased'); END"
    )


def _guard_consent_on_postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION consent_guard() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM erasing WHERE address_key = OLD.address_key) THEN
            RETURN OLD;
          END IF;
          RAISE EXCEPTION 'a record of consent is kept as it is until the person is erased';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER consent_is_kept BEFORE UPDATE OR DELETE ON consent"
        " FOR EACH ROW EXECUTE FUNCTION consent_guard()"
    )


def _bounces() -> None:
    op.create_table(
        "bounce",
        sa.Column("id", _number, nullable=False),
        _text("digest"),
        _moment("at"),
        *(_text(name) for name in ("subscriber_id", "kind", "source", "code", "said")),
        _key("bounce", "id"),
        sa.UniqueConstraint("digest", name="uq_bounce_digest"),
    )
    op.create_index("ix_bounce_subscriber_id_at", "bounce", ["subscriber_id", "at"])


def _hooks() -> None:
    op.create_table(
        "hook_call",
        sa.Column("id", _number, nullable=False),
        *(_text(name) for name in ("hook", "event", "body")),
        _moment("at"),
        _moment("due", nullable=True),
        _count("attempts"),
        _text("state"),
        _text("said"),
        _key("hook_call", "id"),
    )
    op.create_index("ix_hook_call_due", "hook_call", ["due"])
