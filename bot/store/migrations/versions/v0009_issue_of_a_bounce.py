"""Which issue came back."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of what was read before this nobody knows it."""
    op.add_column("bounce", sa.Column("issue", sa.BigInteger, nullable=True))
