"""Messages that are not alerts, the mode of zones, the schedule and its occurrences."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


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
    op.add_column("receipt", sa.Column("plays", sa.Text(), nullable=True))
    for name, key in (("playlist", "id"), ("slot", "id"), ("kindness", "zone")):
        op.create_table(
            name,
            sa.Column(key, sa.String(length=32 if key == "zone" else 64), nullable=False),
            sa.Column("body", sa.Text(), nullable=False),
            sa.Column("changed_at", sa.BigInteger(), nullable=False),
            sa.Column("changed_by", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint(key, name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "calendar_day",
        sa.Column("date", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("date", name=op.f("pk_calendar_day")),
    )
    op.create_table(
        "occurrence",
        sa.Column("alert_id", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("slot_id", sa.String(length=64), nullable=False),
        sa.Column("date", sa.String(length=10), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "revision", name=op.f("pk_occurrence")),
        sa.UniqueConstraint("key", "revision", name=op.f("uq_occurrence_key_revision")),
    )
    op.create_index("ix_occurrence_key", "occurrence", ["key"], unique=False)
    op.create_index("ix_occurrence_date", "occurrence", ["date"], unique=False)
