"""Since when an account pauses, and how many letters the bounces and complaints are counted among."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was taken before this is not known: until the next issue, fewer count as a full sample."""
    for name in ("paused_at", "mailed_since"):
        op.add_column("pace", sa.Column(name, sa.BigInteger, nullable=True))
    for name in ("mailed", "returned", "old_mailed", "old_returned"):
        op.add_column("pace", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
        if op.get_context().dialect.name == "postgresql":
            op.alter_column("pace", name, server_default=None)
