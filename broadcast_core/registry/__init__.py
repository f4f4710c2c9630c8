"""Zones and endpoints: what there is in the district, and how it is reached.

`snapshot` is the registry itself, `csv_file` and `geojson_file` its forms outside, `sheet` and `change` the way of an
import into it, `rows` its place in the database, `dataset` the generated one that the project ships.
"""

from broadcast_core.registry.change import Change
from broadcast_core.registry.sheet import ImportMode, Sheet
from broadcast_core.registry.snapshot import Registry

__all__ = ["Change", "ImportMode", "Registry", "Sheet"]
