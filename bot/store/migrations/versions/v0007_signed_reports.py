"""Whether a report is signed, when it was read here, and what it led to."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Words may have come from anybody until now, with any date: the old ones count for nothing."""
    on_server = op.get_context().dialect.name == "postgresql"
    op.add_column("bounce", sa.Column("signed", sa.Integer, nullable=False, server_default="0"))
    op.add_column("bounce", sa.Column("led_to", sa.Text, nullable=False, server_default=""))
    for name in ("heard_at", "led_at"):
        op.add_column("bounce", sa.Column(name, sa.BigInteger, nullable=True))
    op.execute("UPDATE bounce SET signed = 1 WHERE source <> 'text'")
    if on_server:
        for name in ("signed", "led_to"):
            op.alter_column("bounce", name, server_default=None)
