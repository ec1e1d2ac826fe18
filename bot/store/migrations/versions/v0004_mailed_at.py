"""When a confirmation mail was tried: what a server that died left undone is sent by the next one."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Whoever asked before this was mailed then, or may ask again."""
    op.add_column("signup", sa.Column("mailed_at", sa.BigInteger, nullable=True))
    op.execute("UPDATE signup SET mailed_at = asked_at")
