"""Reports: what became of an alert, read only.

    report      everything about one alert: numbers, times, who, what is proven, each endpoint
    deliveries  its endpoints one by one, filtered and paged
    summaries   the alerts, newest first
    message     the CAP message of a revision
    live_counts the numbers of what is live, from memory, for whoever watches

Numbers come from the database, where late truth arrives too; only `live_counts` is from memory.
"""

from broadcast_core.report.csv_form import encode_csv
from broadcast_core.report.listing import Page, Wanted, deliveries, summaries
from broadcast_core.report.living import LiveCount, live_counts, settled_counts
from broadcast_core.report.messages import message
from broadcast_core.report.shape import (
    RUNGS,
    Count,
    Ended,
    Filed,
    Mark,
    Moment,
    Report,
    Revision,
    Row,
    Rung,
    Silence,
    Silenced,
    Spread,
    State,
    Summary,
    Unproven,
    state_of,
)
from broadcast_core.report.whole import report

__all__ = [
    "RUNGS", "Count", "Ended", "Filed", "LiveCount", "Mark", "Moment", "Page", "Report", "Revision", "Row", "Rung",
    "Silence", "Silenced", "Spread", "State", "Summary", "Unproven", "Wanted", "deliveries", "encode_csv",
    "live_counts", "message", "report", "settled_counts", "state_of", "summaries",
]  # fmt: skip
