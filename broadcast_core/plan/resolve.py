"""Which endpoints an expression means, or why it may not be believed (promise P6: no area, no alert)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Channel, Endpoint
from broadcast_core.plan.expression import Expression
from broadcast_core.registry import Registry
from broadcast_core.registry.positions import Mask


def resolve(expression: Expression, registry: Registry, channels: Collection[Channel]) -> tuple[Endpoint, ...]:
    """The endpoints of these channels that are meant, disabled ones among them, in the order of the registry.

    Raises AlertRejected:
      NO_AREA                  nothing says where
      UNKNOWN_AREA             it names zones or endpoints that are not registered, or only foreign geocodes
      EMPTY_AREA               no endpoint of these channels that is in service lies there
      WHOLE_DISTRICT_NOT_SAID  it comes to everybody of these channels, in more than one zone, without having named
                               the district
    """
    _check_said(expression, registry)
    mask = _included(expression, registry) & ~_mask_of(expression.excluded, registry)
    everyone = registry.ordered()
    targets = tuple(e for i in np.flatnonzero(mask) if (e := everyone[i]).channel in channels)
    if not any(endpoint.enabled for endpoint in targets):
        raise AlertRejected(RejectReason.EMPTY_AREA, _("Nobody in service is in this area."), "area")
    _check_whole_district(expression, registry, channels, targets)
    return targets


def notes_of(expression: Expression) -> tuple[Sentence, ...]:
    """What the report has to say of the area: foreign geocodes beside a resolvable part were not looked at."""
    if not expression.foreign:
        return ()
    return (_("Geocodes of other systems were ignored: {geocodes}.", geocodes=_foreign(expression)),)


def _check_said(expression: Expression, registry: Registry) -> None:
    if not expression.says_where:
        if expression.foreign:
            sentence = _("The area is given only in geocodes unknown here: {names}.", names=_foreign(expression))
            raise AlertRejected(RejectReason.UNKNOWN_AREA, sentence, "area.geocode")
        raise AlertRejected(RejectReason.NO_AREA, _("No area is given."), "area")
    unknown = list(_unknown(expression, registry))
    if unknown:
        sentence = _("Not registered: {names}.", names=_listed(unknown))
        raise AlertRejected(RejectReason.UNKNOWN_AREA, sentence, "area")


def _unknown(expression: Expression, registry: Registry) -> Iterator[str]:
    # An exception that is mistyped is refused as well: somebody was not meant to be woken.
    yield from (code for code in expression.zones if code not in registry.zones)
    yield from (identifier for identifier in expression.endpoints if identifier not in registry.endpoints)
    yield from (name for name in expression.excluded if name not in registry.zones and name not in registry.endpoints)


def _included(expression: Expression, registry: Registry) -> Mask:
    named = _mask_of((*expression.zones, *expression.endpoints), registry)
    return named | registry.positions.inside(expression.polygons, expression.circles)


def _mask_of(names: Sequence[str], registry: Registry) -> Mask:
    mask = np.zeros(registry.count(), dtype=np.bool_)
    for name in names:
        if name in registry.zones:
            mask[slice(*registry.span(name))] = True
        else:
            mask[registry.index(name)] = True
    return mask


def _check_whole_district(
    expression: Expression, registry: Registry, channels: Collection[Channel], targets: Sequence[Endpoint]
) -> None:
    if registry.root.code in expression.zones:
        return
    meant = [endpoint for endpoint in targets if endpoint.enabled]
    everybody = sum(1 for e in registry.ordered() if e.enabled and e.channel in channels)
    if len(meant) == everybody and len({endpoint.zone for endpoint in meant}) > 1:
        sentence = _(
            "This area comes to the whole district, {count} endpoints. If that is meant, say so: area 'district'.",
            count=everybody,
        )
        raise AlertRejected(RejectReason.WHOLE_DISTRICT_NOT_SAID, sentence, "area")


def _foreign(expression: Expression) -> str:
    return _listed([f"{geocode.name}={geocode.value}" for geocode in expression.foreign])


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(name[:80] for name in names[:most])
    return shown if len(names) <= most else f"{shown}, … ({len(names)})"
