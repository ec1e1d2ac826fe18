"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_STATES = ("planned", "claimed", "sent", "deferred", "failed", "unknown", "cancelled")


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def upgrade() -> None:
    """Everything that issue, post and reader need."""
    _planning()
    _deliveries()
    _letters()
    _audience()
    _pace()


def _planning() -> None:
    op.create_table(
        "seen",
        _text("mode"),
        _text("kind"),
        _text("name"),
        _moment("at"),
        _key("seen", "mode", "kind", "name"),
    )
    op.create_table(
        "firing",
        _text("mode"),
        _text("schedule"),
        _moment("slot"),
        _text("outcome"),
        _text("detail"),
        _key("firing", "mode", "schedule", "slot"),
    )
    op.create_table(
        "issue",
        sa.Column("id", _number, nullable=False),
        _text("mode"),
        _text("newsletter"),
        _count("number"),
        _moment("slot"),
        _text("subject"),
        _text("channel"),
        _text("audience"),
        _text("state"),
        _text("note"),
        _count("total"),
        _moment("recorded_at"),
        _key("issue", "id"),
        sa.UniqueConstraint("mode", "newsletter", "number", name="uq_issue_mode_newsletter_number"),
        sa.UniqueConstraint("mode", "subject", name="uq_issue_mode_subject"),
    )
    op.create_table(
        "printed",
        _text("mode"),
        _text("newsletter"),
        _text("item"),
        _text("subject"),
        _key("printed", "mode", "newsletter", "item"),
    )
    op.create_table(
        "posted",
        _text("mode"),
        _text("channel"),
        _text("item"),
        _moment("at"),
        _key("posted", "mode", "channel", "item"),
    )
    op.create_table("hold", _text("scope"), _text("reason"), _moment("at"), _key("hold", "scope"))
    op.create_table("tick", _text("mode"), _moment("at"), _key("tick", "mode"))


def _deliveries() -> None:
    op.create_table("words", _text("digest"), _text("body"), _key("words", "digest"))
    op.create_table(
        "delivery",
        sa.Column("id", _number, nullable=False),
        _text("key"),
        _text("mode"),
        _text("kind"),
        _text("subject"),
        _text("channel"),
        _text("recipient"),
        _text("message"),
        _moment("due"),
        _text("state"),
        sa.Column("attempts", sa.Integer, nullable=False),
        _moment("claimed_at", nullable=True),
        _moment("settled_at", nullable=True),
        _text("remote_id", nullable=True),
        _text("url", nullable=True),
        _text("note", nullable=True),
        _text("error"),
        sa.Column("code", sa.Integer, nullable=True),
        _key("delivery", "id"),
        sa.UniqueConstraint("key", name="uq_delivery_key"),
        sa.ForeignKeyConstraint(["message"], ["words.digest"], name="fk_delivery_message"),
    )
    op.create_index(
        "ix_delivery_mode_state_channel_due_id", "delivery", ["mode", "state", "channel", "due", "id"]
    )
    op.create_index("ix_delivery_mode_subject", "delivery", ["mode", "subject"])


def _letters() -> None:
    op.create_table(
        "variant",
        sa.Column("issue", _number, nullable=False),
        _count("number"),
        _text("lang"),
        _text("message"),
        _key("variant", "issue", "number"),
        sa.ForeignKeyConstraint(["issue"], ["issue.id"], name="fk_variant_issue"),
        sa.ForeignKeyConstraint(["message"], ["words.digest"], name="fk_variant_message"),
    )
    op.create_table(
        "chunk",
        sa.Column("issue", _number, nullable=False),
        _count("number"),
        _count("first"),
        _count("last"),
        _moment("due", nullable=True),
        _text("owner", nullable=True),
        _moment("lease_until", nullable=True),
        _count("fence"),
        *(_count(state) for state in _STATES),
        _key("chunk", "issue", "number"),
        sa.ForeignKeyConstraint(["issue"], ["issue.id"], name="fk_chunk_issue"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "letter",
        sa.Column("issue", _number, nullable=False),
        _count("number"),
        _text("reader"),
        _count("variant"),
        _text("state"),
        *(_count(name) for name in ("attempts", "doubts", "fence")),
        _moment("due", nullable=True),
        _moment("at", nullable=True),
        sa.Column("code", sa.Integer, nullable=True),
        _text("said", nullable=True),
        _key("letter", "issue", "number"),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": 70},
    )


def _audience() -> None:
    op.create_table(
        "subscriber",
        _text("id"),
        _text("address"),
        _text("address_key"),
        _text("name"),
        _text("lang"),
        _moment("created_at"),
        _text("source"),
        _key("subscriber", "id"),
    )
    op.create_index("ix_subscriber_address_key", "subscriber", ["address_key"], unique=True)
    op.create_table(
        "subscription",
        _text("newsletter"),
        _text("subscriber_id"),
        _moment("since"),
        _key("subscription", "newsletter", "subscriber_id"),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name="fk_subscription_subscriber_id", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_subscription_subscriber_id", "subscription", ["subscriber_id"])
    op.create_table(
        "suppression",
        _text("address_key"),
        _text("reason"),
        _moment("since"),
        _key("suppression", "address_key"),
    )


def _pace() -> None:
    op.create_table(
        "pace",
        _text("account"),
        _text("domain"),
        _moment("last", nullable=True),
        _moment("tat", nullable=True),
        _text("hour"),
        _text("day"),
        _text("first_day"),
        _text("used_day"),
        sa.Column("used", sa.Integer, nullable=False),
        _moment("rest_until", nullable=True),
        *(sa.Column(name, sa.Integer, nullable=False) for name in _PACE_COUNTS),
        _text("paused"),
        _key("pace", "account", "domain"),
    )


_PACE_COUNTS = (
    "strikes",
    "calm",
    "seen",
    "refused",
    "complained",
    "old_seen",
    "old_refused",
    "old_complained",
)
