"""The place of each item in its issue: the archive shows them in the order in which they were printed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rows that are there already were written in that order; only their order counts."""
    on_server = op.get_bind().dialect.name == "postgresql"
    op.add_column("printed", sa.Column("place", sa.Integer, nullable=False, server_default="0"))
    if on_server:
        op.execute(
            "UPDATE printed SET place = counted.place FROM"
            " (SELECT ctid AS row, row_number() OVER (ORDER BY ctid) AS place FROM printed) AS counted"
            " WHERE printed.ctid = counted.row"
        )
        op.alter_column("printed", "place", server_default=None)
        return
    # SQLite cannot take a default away again.
    op.rename_table("printed", "printed_before")
    op.create_table(
        "printed",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("mode", "newsletter", "item", "subject")),
        sa.Column("place", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("mode", "newsletter", "item", name="pk_printed"),
    )
    op.execute(
        "INSERT INTO printed (mode, newsletter, item, subject, place)"
        " SELECT mode, newsletter, item, subject, rowid FROM printed_before ORDER BY rowid"
    )
    op.drop_table("printed_before")
