"""Find columns that describe a person, by their header (Chinese and English) and by their cells.

The tool counts passages and use per dwelling; who lives there must not even be read. A wrong refusal stops a
source, so shapes that meter numbers and household ids can take by chance count only where a good share of a
column has them; shapes that nothing else has (an identity number with a right check digit, an address with @,
a picture) count once.
"""

import re
import unicodedata
from collections.abc import Collection

import polars as pl

SAMPLE_CELLS = 50_000
"""Distinct cells of a long column that are searched for weak shapes; identity numbers are searched for in
every cell."""

_ROLES = (
    *("person", "people", "resident", "owner", "tenant", "landlord", "customer", "client", "consumer"),
    *("contact", "householder", "occupant", "occupier", "user", "visitor", "guest", "family", "member"),
    *("head", "holder", "subscriber", "employee", "driver", "lodger", "keeper", "full", "first", "last"),
    *("given", "middle", "nick", "maiden", "real", "legal", "emergency", "account"),
)
_ROLE = "|".join(_ROLES)
_NUMBER = "(?:no|nos|num|number|numbers|id|ids|code|uid)"

_HEADERS_EN = {
    "a name": (rf"^names?$|\b(?:{_ROLE}) ?names?$", r"\b(?:sur|fore)names?\b", r"^xing ?ming$"),
    "an identity number": (
        rf"\bid ?cards?\b|\bidentity(?: ?(?:cards?|document|{_NUMBER}))?$|\bnational ?id",
        r"\bid ?(?:no|num|number)$|\bidentification\b|\bpassports?\b|\bssn\b|\bsocial ?security\b",
        r"\bdriv(?:er|ing)s? ?licen[cs]e\b|\bsfzh?m?\b|\bshen ?fen ?zheng",
    ),
    "a phone number": (
        r"(?:\b|tele|cell|mobile)phones?\b|\bphone ?(?:no|num|number)\b",
        r"\bmobiles?\b|\bmobile ?(?:no|num|number)\b|\btel\b|\bmsisdn\b",
        r"\bwe ?chat\b|\bshou ?ji|\bdian ?hua",
    ),
    "a number plate": (
        r"\b(?:number|licen[cs]e|car|vehicle) ?plates?\b|^plates? ?(?:no|num|number|id)?$|\bche ?pai",
    ),
    "a face or photo": (
        r"\bfaces?\b|\bface ?id|\bfacial\b|\bphotos?(?:graph)?\b|\bavatars?\b|\bportraits?\b",
        r"\bselfies?\b|\bheadshots?\b|\bfinger ?prints?\b|\bbiometrics?\b|\biris\b",
    ),
    "a card number": (
        rf"\bcards? ?{_NUMBER}\b",
        r"\b(?:bank|access|credit|debit|key|entry|resident|swipe|sim|door) ?cards?\b",
        r"^cards?$|\biban\b|\bbank ?account",
    ),
    "an e-mail address": (r"\be ?mails?\b|^mail$",),
    "an attribute of a person": (
        r"\bbirth|\bbirth ?(?:day|date|year)\b|\bdob\b|\bgender\b|\bsex\b|\bethnic|\brace$",
        r"\breligio|\bnationality\b|^age$|\bmarital\b|\bxing ?bie$|\bmin ?zu$",
    ),
}
_HEADERS_ZH = {
    "a name": (
        "姓名|名字|^户名$|户主$|用户名|客户名|业主名|住户名$|租客名",
        "联系人|曾用名|昵称|^姓$|^名$",
    ),
    "an identity number": ("身份证|身份号|证件号|身分證|护照|社保|医保|驾驶证|驾照|居住证",),
    "a phone number": ("手机|电话|電話|手機|联系方式|微信",),
    "a number plate": ("车牌|車牌|车号",),
    "a face or photo": ("人脸|人臉|面部|脸部|照片|相片|头像|指纹|虹膜|抓拍",),
    "a card number": ("卡号|卡號|银行卡|信用卡|门禁卡|银行账[号户]",),
    "an e-mail address": ("邮箱|郵箱|电子邮件",),
    "an attribute of a person": ("性别|性別|民族|出生|生日|年龄|籍贯|户籍|国籍|宗教|婚姻|政治面貌",),
}
PHONE_DIGITS, IDENTITY_DIGITS = 11, 18
_REGION = "(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])"
_BIRTH_DATE = r"(?:19\d\d|20[0-4]\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_IDENTITY = rf"(?:^|[^0-9A-Za-z.])({_REGION}\d{{4}} ?{_BIRTH_DATE} ?\d{{3}}[\dXx])(?:$|[^0-9A-Za-z])"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999, ISO 7064 mod 11-2
_CHECK = "10X98765432"

_EMAIL = r"[\w.+-]+@[\w-]+\.[A-Za-z]"
_PLATE = (
    r"^[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-Z][ ·•-]?"
    r"(?:[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳]|[A-HJ-NP-Z0-9]{6})$"
)
_IMAGE = r"(?i)^data:image/|\.(?:jpe?g|png|bmp|webp|heic)(?:\?\S*)?$|^/9j/[0-9a-z+/]{20}|^iVBORw0KGgo"
_MOBILE = r"(?:^|[^0-9A-Za-z.+-])(?:\+?86[ -]?)?(1[3-9]\d)[ -]?\d{4}[ -]?\d{4}(?:$|[^0-9A-Za-z.-])"
_CARD = r"^(?:62|4\d|5[1-5]|2[2-7]|3[456]|6[05])\d{2}(?:[ -]?\d{4}){2}[ -]?\d{4}[ -]?\d{0,3}$"

_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁"
    "潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦"
    "邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤张陳劉楊黃趙吳孫馬"
)
_COMPOUND_SURNAMES = "欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|慕容|令狐|司徒|夏侯|端木"
_HAN_NAME = (
    rf"^(?:[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}|(?:{_COMPOUND_SURNAMES})[\u4e00-\u9fff]{{1,2}}"
    rf"|[{_SURNAMES}][*＊某×]{{1,2}}|[{_SURNAMES}](?:先生|女士|小姐))$"
)
_NOT_A_NAME = (
    "(?:区|县|市|省|州|镇|乡|村|街|道|路|巷|弄|里|坊|组|社|楼|栋|幢|座|号|室|层|苑|园"
    "|城|府|庭|轩|阁|居|湾|庄|寨|堡|屯|岛|山|湖|河|江|桥|门|口|站|场|广场|花园|小区"
    "|新村|公寓|家园|大厦|单元|段|峰|色|表|电|水|气|户|房)$|^周[一二三四五六日天末]$"
)


def find_personal_columns(frame: pl.DataFrame, *, trusted: Collection[str] = ()) -> dict[str, str]:
    """Return the columns that describe a person: column → reason in words, in the order of the frame.

    frame: text columns only. trusted: columns known to hold times or readings; there the weak shapes (phones,
    cards, names) are not searched for; headers, identity numbers, plates, e-mail addresses and pictures are.
    A header without a person's attribute and a column of nulls pass.
    """
    found = {}
    for column in frame.columns:
        reason = _reason_by_header(column)
        reason = reason or _reason_by_cells(frame[column], search_weak_shapes=column not in trusted)
        if reason:
            found[column] = reason
    return found


def find_personal_text(text: str) -> str | None:
    """Return why a text in free words holds what describes a person, such as a phone number; None if nothing.

    Numbers and plates may stand anywhere in it. There is no column to compare with, so a number that has the
    shape of a mobile phone's counts.
    """
    words = unicodedata.normalize("NFKC", text)
    if reason := _reason_by_cells(pl.Series([words]), search_weak_shapes=True):
        return reason
    if re.search(_MOBILE, words):
        return "holds what looks like a phone number"
    if re.search(_PLATE.strip("^$"), words):
        return "holds what looks like a number plate"
    return None


def _reason_by_header(header: str) -> str | None:
    """Return why a header names a person's attribute, or None.

    fullName, FULL_NAME, full-name and "Full name 1" are one header; Chinese headers are read without spaces.
    """
    text = unicodedata.normalize("NFKC", header)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W\d_]+", " ", text).lower().strip()
    without_spaces = re.sub(r"[\W\d_]+", "", text)
    for patterns, header_text in ((_HEADERS_EN, words), (_HEADERS_ZH, without_spaces)):
        for attribute, alternatives in patterns.items():
            if re.search("|".join(alternatives), header_text):
                return f"is named like {attribute}"
    return None


def _reason_by_cells(cells: pl.Series, *, search_weak_shapes: bool) -> str | None:
    """Return why the cells look like a person's attribute, or None."""
    cells = cells.drop_nulls()
    if cells.is_empty() or _are_short_numbers(cells, PHONE_DIGITS if search_weak_shapes else IDENTITY_DIGITS):
        return None
    if len(cells) > SAMPLE_CELLS:
        cells = cells.unique(maintain_order=True)
    ascii_only = (cells.str.len_bytes() == cells.str.len_chars()).all()
    if not ascii_only and cells.str.contains("[０-９]").any():
        cells = cells.str.normalize("NFKC")
    if _has_identity_number(cells):
        return "holds what looks like an identity number (校验码 fits)"
    text = cells.str.strip_chars()
    if text.str.contains("@", literal=True).any() and text.str.contains(_EMAIL).any():
        return "holds what looks like an e-mail address"
    if not ascii_only and text.str.contains(_PLATE).any():
        return "holds what looks like a number plate"
    if text.str.contains(_IMAGE).any():
        return "holds what looks like a picture"
    if not search_weak_shapes:
        return None
    step = -(-len(text) // SAMPLE_CELLS)
    return _reason_by_share(text.gather_every(step).unique()) or _reason_by_phone_numbers(text.unique())


def _are_short_numbers(cells: pl.Series, digits: int) -> bool:
    """Return whether all cells are numbers of fewer digits, as readings are."""
    try:
        float(cells[0])  # most columns of text are told by their first cell
    except ValueError:
        return False
    is_long = cells.str.len_bytes() >= digits
    return not is_long.any() and cells.cast(pl.Float64, strict=False).null_count() == 0


def _has_identity_number(cells: pl.Series) -> bool:
    """Return whether any cell holds a resident identity number of 18 characters.

    It has a known province, a real birth date and the right check character (GB 11643-1999).
    """
    long = cells.filter(cells.str.len_bytes() >= IDENTITY_DIGITS)
    candidates = long.filter(long.str.contains(_IDENTITY)).rename("cell").to_frame()
    if candidates.is_empty():
        return False
    number = pl.col("cell").str.extract(_IDENTITY, 1).str.replace_all(" ", "").str.to_uppercase()
    weighted_digits = [
        pl.col("number").str.slice(place, 1).cast(pl.Int32) * weight for place, weight in enumerate(_WEIGHTS)
    ]
    remainder = (pl.sum_horizontal(weighted_digits) % 11).cast(pl.String)
    check_of = {str(value): character for value, character in enumerate(_CHECK)}
    check = remainder.replace_strict(check_of, return_dtype=pl.String)
    birth_date = pl.col("number").str.slice(6, 8).str.to_date("%Y%m%d", strict=False)
    is_right = (check == pl.col("number").str.slice(17, 1)) & birth_date.is_not_null()
    return candidates.select(number=number).select(is_right.any()).item()


def _reason_by_phone_numbers(distinct: pl.Series) -> str | None:
    """Return why the cells look like phone numbers of one operator, or None.

    These share their first digits as ids of one site do, but ids count up in steps, and phone numbers lie
    anywhere: ids count up where two gaps in five are one and the same (flats 101, 102, 201, 202 … make it one
    in two). All cells are needed for that, not a sample: there even consecutive ids lie apart.
    """
    phones = (
        distinct.filter(distinct.str.contains(_MOBILE))
        .str.replace_all(r"\D", "")
        .str.tail(11)
        .unique()
        .cast(pl.Int64)
    )
    if not _is_common(len(phones), distinct, 0.2):
        return None
    gaps = phones.sort().diff().drop_nulls()
    commonest = gaps.value_counts(sort=True)["count"][0]
    counts_up = commonest >= 2 and commonest >= 0.4 * len(gaps)
    return None if counts_up else "holds what looks like phone numbers"


def _reason_by_share(distinct: pl.Series) -> str | None:
    """Return why many of the distinct cells look like a person's attribute, or None.

    These are the weak shapes, which other numbers and words can take too.
    """
    prefixes = distinct.str.extract(_MOBILE, 1).drop_nulls()
    # ids of one site share their first digits; the numbers of its residents' phones do not
    if _is_common(len(prefixes), distinct, 0.2) and prefixes.n_unique() >= (3 if len(prefixes) > 5 else 2):
        return "holds what looks like phone numbers"
    cards = distinct.filter(distinct.str.contains(_CARD))
    # one random number in ten passes the Luhn check, so half of a column must
    if _is_common(sum(map(_passes_luhn_check, cards.to_list())), distinct, 0.5):
        return "holds what looks like card numbers"
    names = distinct.str.contains(_HAN_NAME) & ~distinct.str.contains(_NOT_A_NAME)
    # about 85 in 100 people bear one of these surnames; words and places begin with one far less often
    if _is_common(int(names.sum()), distinct, 0.6 if len(distinct) >= 20 else 0.75):
        return "holds what looks like personal names"
    return None


def _is_common(hits: int, distinct: pl.Series, share: float) -> bool:
    return hits >= 3 and hits >= share * len(distinct)


def _passes_luhn_check(number: str) -> bool:
    """Return whether the digits pass the check of ISO/IEC 7812.

    From the right every second digit is doubled; the digit sum is a multiple of ten.
    """
    digits = [int(sign) for sign in reversed(number) if sign.isdigit()]
    return sum(digits[0::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0
