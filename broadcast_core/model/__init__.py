"""Domain types, frozen and free of I/O. Import them from here."""

from broadcast_core.model.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    MsgType,
    NamedValue,
    Point,
    Reference,
    Resource,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from broadcast_core.model.content import (
    AudioRef,
    Clip,
    Content,
    LateRule,
    Programme,
    SirenPattern,
    Sounded,
    Spoken,
    Texted,
)
from broadcast_core.model.evidence import (
    Batch,
    DeliveryKey,
    DeliveryKind,
    FieldEvent,
    Hello,
    ItemPlay,
    Progress,
    Reason,
    Receipt,
)
from broadcast_core.model.field import (
    Availability,
    Channel,
    CoilAddress,
    Endpoint,
    Presence,
    Zone,
    ZoneLevel,
)
from broadcast_core.model.order import (
    Approval,
    Delivery,
    Mode,
    ModeChange,
    Order,
    Orders,
    Plan,
    Query,
    Start,
    Stop,
    Unreachable,
)
from broadcast_core.model.standing import (
    Authority,
    Domain,
    Level,
    ResumeRule,
    SoundClass,
    Standing,
)

__all__ = [
    "Alert", "Approval", "Area", "AudioRef", "Authority", "Availability", "Batch", "Category", "Certainty",
    "Channel", "Circle", "Clip", "CoilAddress", "Content", "Delivery", "DeliveryKey", "DeliveryKind", "Domain",
    "Endpoint", "FieldEvent", "Hello", "Info", "ItemPlay", "LateRule", "Level", "Mode", "ModeChange", "MsgType",
    "NamedValue", "Order", "Orders", "Plan", "Point", "Presence", "Programme", "Progress", "Query", "Reason",
    "Receipt", "Reference", "Resource", "ResponseType", "ResumeRule", "Scope", "Severity", "SirenPattern",
    "SoundClass", "Sounded", "Spoken", "Standing", "Start", "Status", "Stop", "Texted", "Unreachable", "Urgency",
    "Zone", "ZoneLevel",
]  # fmt: skip
