"""The acts on one object are found without reading the whole audit."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index(op.f("ix_audit_object"), "audit", ["object"])
