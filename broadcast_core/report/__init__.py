"""Reports: what became of an alert, read only.

    report      everything about one alert: numbers, times, who, what is proven, each endpoint
    deliveries  its endpoints one by one, filtered and paged
    summaries   the alerts, newest first
    live_counts the numbers of what is live, from memory, for whoever watches

Numbers come from the database, so that they are what would stand in court; only `live_counts` is from memory.
"""

from broadcast_core.report.csv_form import encode_csv
from broadcast_core.report.listing import Page, Wanted, deliveries, summaries
from broadcast_core.report.living import LiveCount, live_counts
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
    Spread,
    State,
    Summary,
    Unproven,
)
from broadcast_core.report.whole import report

__all__ = [
    "RUNGS", "Count", "Ended", "Filed", "LiveCount", "Mark", "Moment", "Page", "Report", "Revision", "Row", "Rung",
    "Silence", "Spread", "State", "Summary", "Unproven", "Wanted", "deliveries", "encode_csv", "live_counts",
    "report", "summaries",
]  # fmt: skip
