"""The database: its tables, its one writer, its migrations."""

from broadcast_core.store.database import Job, Store, bulk

__all__ = ["Job", "Store", "bulk"]
