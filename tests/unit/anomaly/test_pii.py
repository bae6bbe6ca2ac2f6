"""Columns that describe persons are found; meter numbers, ids, readings, times and places never are."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly.pii import _CHECK, _WEIGHTS, find_personal_columns, find_personal_text


def refused(header: str, cells: list[str | None], **how) -> bool:
    return header in find_personal_columns(pl.DataFrame({header: pl.Series(cells, dtype=pl.String)}), **how)


def identity(region: str, born: str, serial: str) -> str:
    digits = region + born + serial
    return digits + _CHECK[sum(int(d) * w for d, w in zip(digits, _WEIGHTS, strict=True)) % 11]


PERSON_HEADERS = """name Name 姓名 full_name fullName FullName FULL_NAME 住户姓名 户主姓名 first_name last-name surname residentName
resident_name|customer name|Owner Name|contact_name|id_card|idCard|IDCard|ID Card No|身份证|身份证号|身份证号码|身 份 证|identity_no|identity number
national_id|passport|passport_no|护照号|phone|Phone 1|phoneNumber|mobile|mobile_no|telephone|手机|手机号|手机号码|电话|联系电话|tel|plate|plate_no
license_plate|licence plate|车牌|车牌号|face|face_id|faceId|人脸|人脸ID|photo|Photo URL|照片|card_no|cardNo|card number|卡号|门禁卡号|bank_card|银行卡号|email
e-mail|邮箱|birth date|birthDate|date_of_birth|DOB|出生日期|gender|性别|sex|ethnicity|民族|户名|联系人|xingming|sfzh|fingerprint"""

PLAIN_HEADERS = """district_name building_name signal_name site_name meter_name street_name household household_id|household name|user key|user_key|user id
customer_id|meter_id|meter number|account_no|LCLid|day|datetime|time|reading|meter reading|diff|value|entries|exits|energy_sum|energy_count|building|district
class|residents|members|moved_in|住户编号|户号|表号|日期|读数|用水量|用电量|楼栋|楼栋名称|片区|小区名称|片区名称|进门次数|居住人数|类别|unit|flat|floor|surface
cardinality|occupancy|note|template|interface|mobility|namespace|race_track_id|nameplate_kw|agent|stage|usage|voltage|page|telemetry|hotel|essex"""


def words(text: str) -> list[str]:
    return [w for line in text.splitlines() for w in (line.split("|") if "|" in line else line.split())]


@pytest.mark.parametrize("header", words(PERSON_HEADERS))
def test_headers_that_are_a_persons(header):
    assert refused(header, ["1", "2", None])


@pytest.mark.parametrize("header", words(PLAIN_HEADERS))
def test_headers_that_are_not(header):
    assert not refused(header, ["1", "2", None])


def test_a_header_is_refused_even_when_mapped_and_even_when_empty():
    assert refused("姓名", [], trusted=["姓名"])


ONE_IS_ENOUGH = [
    "11010519491231002X",  # the example of GB 11643-1999
    "身份证" + identity("110101", "19491001", "001") + "。",
    identity("110101", "19491231", "002").lower(),
    identity("440305", "20040229", "123")[:6] + " 20040229 " + identity("440305", "20040229", "123")[14:],
    "someone@example.org",
    "京A12345",
    "贵A·1234学",
    "粤BD12345",
    "data:image/png;base64,iVBORw0KGgo",
    "https://host/snap/0001.jpg?x=1",
]


@pytest.mark.parametrize("cell", ONE_IS_ENOUGH)
def test_one_such_cell_among_many_is_enough(cell):
    assert refused("note", [None, "", *("0001",) * 500, cell], trusted=["note"])


def test_every_cell_of_a_long_column_is_looked_at_for_identity_numbers():
    assert refused("c", ["1"] * 123_457 + [identity("310101", "19700101", "004")] + ["1"] * 3)


def test_full_width_digits_are_digits():
    wide = identity("310101", "19700101", "006").translate(
        str.maketrans("0123456789", "０１２３４５６７８９")
    )
    assert refused("c", [wide])


@pytest.mark.parametrize(
    "number",
    [
        identity("520102", "19900307", "291")[:17] + "A",
        identity("520102", "19900231", "291"),  # no 31 February
        identity("990102", "19900301", "291"),  # no such province
        "9" + identity("520102", "19900307", "291"),  # part of a longer number
        "0." + identity("520102", "19900307", "291")[:-1] + "5",
    ],
)
def test_eighteen_digits_are_not_yet_an_identity_number(number):
    assert not refused("c", [number])


@given(st.integers(0, 10))
def test_only_one_check_character_in_eleven_is_right(shift):
    right = identity("520102", "19850615", "123")
    other = _CHECK[(_CHECK.index(right[-1]) + shift) % 11]
    assert refused("c", [right[:-1] + other]) == (shift == 0)


PERSONS = {
    "phones": ["13800138000", "13912345678", "+86 15012345678", "86-18612345678", "17712345678"],
    "phones among empty cells and dashes": [
        "13800138000",
        "-",
        "13912345678",
        "15012345678",
        None,
        None,
        "无",
    ],
    "spaced phones": ["138 0013 8000", "139-1234-5678", "150 1234 5678"],
    "phones of one prefix": ["13800138000", "13812345678", "13850123456", "13886123456", "13877123456"],
    "bank cards": ["6222021234567890128", "4111111111111111", "5500005555555559", "6011111111111117"],
    "names": ["张伟", "王芳", "李娜", "刘洋", "陈杰", "欧阳修"],
    "hidden names": ["张*", "王**", "李某某", "赵先生"],
    "names and a rare one": ["张伟", "王芳", "李小明", "刘洋", "阚清子"],
}


@pytest.mark.parametrize("kind", PERSONS)
def test_shapes_that_need_a_share_of_the_column(kind):
    assert refused("c", PERSONS[kind])
    assert not refused("c", PERSONS[kind], trusted=["c"])


@pytest.mark.parametrize("kind", PERSONS)
def test_a_stray_hit_or_two_is_no_column_of_persons(kind):
    assert not refused("c", [*PERSONS[kind][:2], *(f"MAC{n:06d}" for n in range(30))])


PLAIN = {
    "lcl ids": [f"MAC{n:06d}" for n in range(400)],
    "short ids": [f"{n:04d}" for n in range(1, 400)],
    "13 digit meter numbers": [str(1_380_013_800_000 + 7919 * n) for n in range(400)],
    "sequential 11 digit ids": [str(13_800_000_000 + n) for n in range(400)],
    "11 digit ids of one region": [str(15_201_000_000 + 104_729 * n) for n in range(90)],
    "random 11 digit ids": [str((n * 982_451_653) % 90_000_000_000 + 10_000_000_000) for n in range(1, 400)],
    "11 digit ids with holes": [str(13_800_000_000 + n) for n in range(400) if n % 7 and n % 11],
    "11 digit ids of flats": [
        str(13_010_200_000 + 10_000 * b + 100 * f + n)
        for b in range(1, 9)
        for f in range(1, 7)
        for n in (1, 2)
    ],
    "16 digit meter numbers": [str(6_200_000_000_000_000 + 104_729 * n) for n in range(400)],
    "19 digit numbers": [str(4_200_000_000_000_000_000 + 982_451_653 * n) for n in range(400)],
    "18 digit numbers": [str(520_102_001_001_010_000 + n) for n in range(4000)],
    "uuids": [
        "1f8730a9-5d67-4895-9215-6e247087ea00",
        "05be51c3-e74b-4d02-a4bd-942c68c76f0c",
        "13800138-0000-4111-8111-138001380001",
    ],
    "hashes": [f"{n * 2**61 % (2**128 - 159):032x}" for n in range(1, 200)],
    "readings": [f"{n * 13.7:.3f}" for n in range(400)],
    "large readings in Wh": [str(13_912_345 + n * 8_400) for n in range(400)],
    "fractions": [f"0.{13800138000 + n * 982451653}" for n in range(400)],
    "rounded readings": ["4e+05", "399987", "-1"],
    "iso times": [f"2024-{m:02d}-28 00:30:00" for m in range(1, 13)],
    "compact times": [f"2024{m:02d}28003000" for m in range(1, 13)],
    "epochs": [str(1_704_067_200_000 + n * 1_800_000) for n in range(400)],
    "epochs ns": [str(1_704_067_200_000_000_000 + n * 1_800_000_000_000) for n in range(400)],
    "districts": ["南明区", "云岩区", "花溪区", "白云区", "乌当区", "高新区"],
    "districts without an ending": ["南明", "云岩", "花溪", "白云", "乌当", "观山湖", "金阳"],
    "buildings": ["3栋", "华府小区1号楼", "金阳苑", "万科城", "王府井", "高家村", "马家巷", "石板街"],
    "one name again and again": ["王芳"] * 300 + ["南明", "云岩"],
    "villages": ["张家村", "李家庄", "王家湾", "黄村", "马家堡", "石桥", "金山"],
    "weekdays": ["周一", "周二", "周三", "周四", "周五", "周六", "周日"],
    "tariffs": ["高峰", "平段", "低谷", "尖峰"],
    "classes": ["住宅", "商铺", "宿舍", "dwelling", "shop", "dormitory"],
    "yes and no": ["是", "否", "正常", "异常"],
    "doors": ["A座-1单元-0301", "3#-2-1502", "1-2-301"],
    "asset numbers": [str(5_201_021_990_030_729_100_000 + n) for n in range(400)],
}


@pytest.mark.parametrize("kind", PLAIN)
def test_what_exports_hold_is_not_refused_by_accident(kind):
    cells = PLAIN[kind]
    assert not refused("c", cells)
    assert not refused("c", [*cells * 3, None, ""])
    assert not refused("c", cells[:5])


def test_ids_that_count_up_are_told_from_phones_in_columns_longer_than_the_sample():
    """Every third cell is looked at for the other shapes; every cell counts where gaps are measured."""
    ids = [str(13_800_000_000 + (n * 7_919) % 120_011) for n in range(120_000)]
    assert not refused("c", ids)
    assert refused("c", [str(13_800_000_000 + (n * n * 982_451_653) % 99_999_989) for n in range(120_000)])


def test_the_answer_keeps_the_order_of_the_frame_and_says_why():
    frame = pl.DataFrame({"household": ["1"], "手机号": ["x"], "b": ["京A12345"]})
    assert find_personal_columns(frame) == {
        "手机号": "is named like a phone number",
        "b": "holds what looks like a number plate",
    }


def test_nothing_in_nothing():
    assert find_personal_columns(pl.DataFrame()) == {}
    assert not refused("c", [None, None])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call 138 1234 0000 after six", "a phone number"),
        ("电话：１３８１２３４００００", "a phone number"),
        ("车 京A12345 停在门口", "a number plate"),
        ("write to a.b@example.org", "an e-mail address"),
        ("11010519491231002X", "an identity number"),
        ("guests since 2026-05-01, 12 litres, meter 20240013", None),
        ("亲戚来访", None),
    ],
)
def test_a_single_text_in_free_words_is_searched(text, found):
    reason = find_personal_text(text)
    assert found is None and reason is None or found in reason
