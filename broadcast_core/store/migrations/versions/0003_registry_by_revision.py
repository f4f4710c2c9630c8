"""Rows of the registry count from one revision until another; what is there counts from the first."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ZONE = "code, parent, level, name_zh, name_en, membership_version"
_ENDPOINT = "id, channel, zone, name, lat, lon, phone, line, unit, coil, language, simulated, enabled"


def upgrade() -> None:
    # SQLite cannot change a primary key, and PostgreSQL gives a constraint's name to one table at a time.
    op.execute(f"CREATE TABLE endpoint_before AS SELECT {_ENDPOINT} FROM endpoint")  # noqa: S608 - constants
    op.execute(f"CREATE TABLE zone_before AS SELECT {_ZONE} FROM zone")  # noqa: S608
    op.drop_table("endpoint")
    op.drop_table("zone")
    op.create_table(
        "zone",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("since", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Integer(), nullable=True),
        sa.Column("parent", sa.String(length=32), nullable=True),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("membership_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("code", "since", name=op.f("pk_zone")),
    )
    op.create_table(
        "endpoint",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("since", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Integer(), nullable=True),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("zone", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lat", sa.Float(), nullable=True),
        sa.Column("lon", sa.Float(), nullable=True),
        sa.Column("phone", sa.String(length=32), nullable=True),
        sa.Column("line", sa.String(length=64), nullable=True),
        sa.Column("unit", sa.Integer(), nullable=True),
        sa.Column("coil", sa.Integer(), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", "since", name=op.f("pk_endpoint")),
    )
    op.execute(f"INSERT INTO zone (since, {_ZONE}) SELECT 0, {_ZONE} FROM zone_before")  # noqa: S608
    op.execute(f"INSERT INTO endpoint (since, {_ENDPOINT}) SELECT 0, {_ENDPOINT} FROM endpoint_before")  # noqa: S608
    op.drop_table("endpoint_before")
    op.drop_table("zone_before")
