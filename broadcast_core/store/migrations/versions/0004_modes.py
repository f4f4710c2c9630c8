"""Messages that are not alerts, and the mode of zones."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("alert", sa.Column("kind", sa.String(length=8), nullable=False, server_default="alert"))
    op.create_table(
        "mode",
        sa.Column("zone", sa.String(length=32), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("remind_at", sa.BigInteger(), nullable=True),
        sa.Column("cause", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("zone", name=op.f("pk_mode")),
    )
