"""When a sign-up is looked at, and the forms that were sent already."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Whoever asked before this was decided on then."""
    for name in ("due_at", "decided_at"):
        op.add_column("signup", sa.Column(name, sa.BigInteger, nullable=True))
        op.execute(f"UPDATE signup SET {name} = asked_at")  # noqa: S608
    op.create_index("ix_signup_due_at", "signup", ["due_at"])
    op.create_table(
        "used_stamp",
        sa.Column("stamp", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stamp", name="pk_used_stamp"),
    )
    op.create_index("ix_used_stamp_until", "used_stamp", ["until"])
