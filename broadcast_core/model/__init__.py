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
    MOST_CLIPS,
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
    MessageKind,
    Mode,
    ModeChange,
    Opening,
    Order,
    Orders,
    Plan,
    Query,
    SelfTest,
    Start,
    Stop,
    Unreachable,
)
from broadcast_core.model.selftest import SPEAKER_PARTS, Part, PartResult, read_parts, say_parts
from broadcast_core.model.standing import (
    Authority,
    Domain,
    Level,
    ResumeRule,
    SoundClass,
    Standing,
)

__all__ = [
    "MOST_CLIPS",
    "SPEAKER_PARTS", "Alert", "Approval", "Area", "AudioRef", "Authority", "Availability", "Batch", "Category",
    "Certainty", "Channel", "Circle", "Clip", "CoilAddress", "Content", "Delivery", "DeliveryKey", "DeliveryKind",
    "Domain", "Endpoint", "FieldEvent", "Hello", "Info", "ItemPlay", "LateRule", "Level", "MessageKind", "Mode",
    "ModeChange", "MsgType", "NamedValue", "Opening", "Order", "Orders", "Part", "PartResult", "Plan", "Point",
    "Presence", "Programme", "Progress", "Query", "Reason", "Receipt", "Reference", "Resource", "ResponseType",
    "ResumeRule", "Scope", "SelfTest", "Severity", "SirenPattern", "SoundClass", "Sounded", "Spoken", "Standing",
    "Start", "Status", "Stop", "Texted", "Unreachable", "Urgency", "Zone", "ZoneLevel", "read_parts", "say_parts",
]  # fmt: skip
