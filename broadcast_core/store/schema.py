"""The tables. Instants are UTC epoch milliseconds (SQLite hands datetimes back naive); JSON is text.

Migrations under `migrations/` make these; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Single facts about this installation: epoch, data set.
fact = Table(
    "fact",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

# A row of the registry counts from the revision `since` until the one that ends it (`registry.rows`): an import is
# written in portions and counts at once. No foreign keys, therefore: the registry's own rules are checked whole.
zone = Table(
    "zone",
    metadata,
    Column("code", String(32), primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer, nullable=True),
    Column("parent", String(32), nullable=True),
    Column("level", String(16), nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("membership_version", Integer, nullable=False),
)

endpoint = Table(
    "endpoint",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer, nullable=True),
    Column("channel", String(16), nullable=False),
    Column("zone", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("lat", Float, nullable=True),
    Column("lon", Float, nullable=True),
    Column("phone", String(32), nullable=True),
    Column("line", String(64), nullable=True),
    Column("unit", Integer, nullable=True),
    Column("coil", Integer, nullable=True),
    Column("language", String(16), nullable=True),
    Column("simulated", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
)

# The key each endpoint authenticates its receipts with. Apart from `endpoint`, so that no listing ever carries it.
endpoint_key = Table(
    "endpoint_key",
    metadata,
    Column("endpoint_id", String(64), primary_key=True),
    Column("mac_key", LargeBinary(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# One row for each accepted message; (alert_id, revision) is what goes over the wire.
alert = Table(
    "alert",
    metadata,
    Column("alert_id", String(32), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(8), nullable=False, server_default="alert"),  # `MessageKind`
    Column("sender", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("msg_type", String(8), nullable=False),
    Column("cap", Text, nullable=False),  # the message as JSON, complete
    Column("expression", Text, nullable=False),  # the area as it was said, JSON
    Column("notes", Text, nullable=False),  # sentences for the report, JSON
    Column("accepted_at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("starts", Text, nullable=False),  # what each channel is told, JSON by channel
    Column("ended_at", BigInteger, nullable=True),  # when a stop, cancel or update ended it
    Column("ended_by", Text, nullable=True),
    Column("ended_cause", String(16), nullable=True),
    UniqueConstraint("sender", "identifier", "sent"),
    Index("ix_alert_accepted_at", "accepted_at"),
)

# The schedule: bodies are JSON as `scheduler.form` has it. What is removed is gone; its occurrences stay.
playlist = Table(
    "playlist",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)
slot = Table(
    "slot",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)
kindness = Table(
    "kindness",
    metadata,
    Column("zone", String(32), primary_key=True),
    Column("body", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)
calendar_day = Table(
    "calendar_day",
    metadata,
    Column("date", String(10), primary_key=True),  # local, ISO
    Column("kind", String(8), nullable=False),
    Column("name", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)

# One slot on one day, as it was sent to some endpoints. A revision is never sent twice; an endpoint's newest counts.
occurrence = Table(
    "occurrence",
    metadata,
    Column("alert_id", String(32), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("key", String(160), nullable=False, index=True),
    Column("slot_id", String(64), nullable=False),
    Column("date", String(10), nullable=False),  # local, nominal, ISO
    Column("starts_at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),  # of what is played, how loud and until when
    Column("outcome", String(16), nullable=False),  # sent, or skipped because it was too late
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("key", "revision"),
    Index("ix_occurrence_date", "date"),
)

# One endpoint's test on one occasion (a night, or an act of a technician): at most once, over restarts. `kind` is
# silent or audible; `detail` is what the endpoint said of each part.
selftest = Table(
    "selftest",
    metadata,
    Column("occasion", String(96), primary_key=True),
    Column("endpoint_id", String(64), primary_key=True),
    Column("channel", String(16), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("volume", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),  # not sent any more afterwards
    Column("actor", Text, nullable=False),
    Column("alert_id", String(32), nullable=True),  # the message that carries it, once it was sent
    Column("sent_at", BigInteger, nullable=True),
    Column("ended_at", BigInteger, nullable=True),
    Column("outcome", String(16), nullable=True),
    Column("reason", String(32), nullable=True),
    Column("detail", Text, nullable=False),
    Index("ix_selftest_endpoint_id_ended_at", "endpoint_id", "ended_at"),
)

# The three siren signals led as one act, by a person (`siren_act`) or by the calendar (`siren_event`).
siren_act = Table(
    "siren_act",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("template", String(64), nullable=False),
    Column("area", Text, nullable=False),  # as it was said, JSON list
    Column("started_at", BigInteger, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("ended_at", BigInteger, nullable=True),
    Column("ended_by", Text, nullable=True),
)
siren_event = Table(
    "siren_event",
    metadata,
    Column("template", String(64), primary_key=True),
    Column("date", String(10), primary_key=True),  # local, ISO
    Column("state", String(16), nullable=False),
    Column("digest", String(64), nullable=False),  # of the template that was proposed: who confirms has read this one
    Column("proposed_at", BigInteger, nullable=False),
    Column("confirmed", Text, nullable=False),  # who and when, JSON list
)
# Each signal is written down before it is sounded: `sent` is part of its alert's identity.
siren_signal = Table(
    "siren_signal",
    metadata,
    Column("act_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("pattern", String(64), nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("alert_id", String(32), nullable=True),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),
)

# The mode of a zone that has one of its own; all others have their parent's.
mode = Table(
    "mode",
    metadata,
    Column("zone", String(32), primary_key=True),  # no foreign key: an import may take a zone away and bring it back
    Column("mode", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("set_at", BigInteger, nullable=False),
    Column("remind_at", BigInteger, nullable=True),  # when an emergency has outlived its reason
    Column("cause", String(32), nullable=True),  # the alert that switched it
)

# Messages that sound nothing themselves: Cancels, and alerts that never went out (cancelled or superseded first).
filed = Table(
    "filed",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("identifier", Text, primary_key=True),
    Column("sent", BigInteger, primary_key=True, autoincrement=False),
    Column("alert_id", String(32), nullable=False, index=True),
    Column("msg_type", String(8), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("cap", Text, nullable=False),
    Column("filed_at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
)

# What `lifecycle` has to remember of messages: which chain each belongs to, and whether that has ended.
chain = Table(
    "chain",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("identifier", Text, primary_key=True),
    Column("sent", BigInteger, primary_key=True, autoincrement=False),
    Column("alert_id", String(32), nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("ended", Boolean, nullable=False),
)

# Cancels that came before the alert they name: that alert never sounds.
cancelled = Table(
    "cancelled",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("identifier", Text, primary_key=True),
    Column("sent", BigInteger, primary_key=True, autoincrement=False),
    Column("cancel_sent", BigInteger, nullable=False),
)

# The outbox: one row for each (message, endpoint). `progress` is the maximum of its receipts.
delivery = Table(
    "delivery",
    metadata,
    Column("alert_id", String(32), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(8), primary_key=True),
    Column("endpoint_id", String(64), primary_key=True),
    Column("channel", String(16), nullable=False),
    Column("via", String(32), nullable=True),
    Column("via_version", Integer, nullable=False),
    Column("excluded", Text, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("progress", Integer, nullable=False),
    Column("reason", String(32), nullable=True),
    Column("attempt", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("ix_delivery_channel_progress_not_before", "channel", "progress", "not_before"),
)

# Evidence. Append-only; a repeated piece is the same row.
receipt = Table(
    "receipt",
    metadata,
    Column("alert_id", String(32), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(8), primary_key=True),
    Column("endpoint_id", String(64), primary_key=True),
    Column("progress", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),  # the endpoint's time
    Column("recorded_at", BigInteger, nullable=False),  # ours
    Column("reason", String(32), nullable=True),
    Column("detail", Text, nullable=False),
    Column("played_ms", BigInteger, nullable=True),
    Column("plays", Text, nullable=True),  # of publicity: the endpoint's own sum for each item, JSON
)

# The library: what may sound in peacetime. The sound itself lies in the media store under `sha256`.
media_item = Table(
    "media_item",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("title", Text, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("source_sha256", String(64), nullable=False, unique=True),  # of what was uploaded or asked to be said
    Column("size", Integer, nullable=False),
    Column("mime_type", String(32), nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("lufs", Float, nullable=False),
    Column("true_peak_dbtp", Float, nullable=False),
    Column("waveform", LargeBinary, nullable=False),  # a byte for each point, 255 is full scale
    Column("texts", Text, nullable=False),  # what a text item says, JSON
    Column("notes", Text, nullable=False),  # sentences about the source, JSON
    Column("uploader", Text, nullable=False),
    Column("licence", Text, nullable=False),
    Column("expires_on", String(10), nullable=True),  # the last local date on which it may sound
    Column("resume", String(16), nullable=False),  # what it does after an interruption
    Column("created_at", BigInteger, nullable=False),
    Index("ix_media_item_created_at_id", "created_at", "id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

token = Table(
    "token",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("actor", Text, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=True),
    Column("revoked_at", BigInteger, nullable=True),
)

# Who did what. Append-only, each row chained to the one before by its hash.
audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("acted_at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_object", "object"),  # an alert's report asks for the acts on it
)
