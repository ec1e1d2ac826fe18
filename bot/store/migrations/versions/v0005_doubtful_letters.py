"""Letters that were ever in doubt are found at once: they are few, however many readers an issue has."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index of these letters only; all others never come near it."""
    doubtful = sa.text("doubts > 0")
    op.create_index(
        "ix_letter_doubtful",
        "letter",
        ["issue", "doubts"],
        sqlite_where=doubtful,
        postgresql_where=doubtful,
    )
