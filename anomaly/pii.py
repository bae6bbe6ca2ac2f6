"""Columns that describe a person: told by their header (Chinese and English) and by what their cells look like.

The tool counts passages and use per dwelling; who lives there must not even be read. A wrong refusal stops a source,
so shapes that meter numbers and household ids can take by chance count only where a good share of a column has them;
shapes that nothing else has (an identity number with a right check digit, an address with @, a picture) count once.
"""

import re
import unicodedata
from collections.abc import Collection

import polars as pl

SAMPLE = 50_000
"""Distinct cells of a long column that are looked at for the weaker shapes; identity numbers are looked for in every cell."""

_PEOPLE = (
    "person|people|resident|owner|tenant|landlord|customer|client|consumer|contact|householder|occupant|occupier|user|visitor|guest"
    "|family|member|head|holder|subscriber|employee|driver|lodger|keeper|full|first|last|given|middle|nick|maiden|real|legal"
    "|emergency|account"
)
_NUMBER = "(?:no|nos|num|number|numbers|id|ids|code|uid)"

_HEADERS_EN = {
    "a name": rf"^names?$|\b(?:{_PEOPLE}) ?names?$|\b(?:sur|fore)names?\b|^xing ?ming$",
    "an identity number": rf"\bid ?cards?\b|\bidentity(?: ?(?:cards?|document|{_NUMBER}))?$|\bnational ?id|\bid ?(?:no|num|number)$|\bidentification\b"
    r"|\bpassports?\b|\bssn\b|\bsocial ?security\b|\bdriv(?:er|ing)s? ?licen[cs]e\b|\bsfzh?m?\b|\bshen ?fen ?zheng",
    "a phone number": r"(?:\b|tele|cell|mobile)phones?\b|\bphone ?(?:no|num|number)\b|\bmobiles?\b|\bmobile ?(?:no|num|number)\b|\btel\b|\bmsisdn\b"
    r"|\bwe ?chat\b|\bshou ?ji|\bdian ?hua",
    "a number plate": r"\b(?:number|licen[cs]e|car|vehicle) ?plates?\b|^plates? ?(?:no|num|number|id)?$|\bche ?pai",
    "a face or photo": r"\bfaces?\b|\bface ?id|\bfacial\b|\bphotos?(?:graph)?\b|\bavatars?\b|\bportraits?\b|\bselfies?\b|\bheadshots?\b"
    r"|\bfinger ?prints?\b|\bbiometrics?\b|\biris\b",
    "a card number": rf"\bcards? ?{_NUMBER}\b|\b(?:bank|access|credit|debit|key|entry|resident|swipe|sim|door) ?cards?\b|^cards?$|\biban\b|\bbank ?account",
    "an e-mail address": r"\be ?mails?\b|^mail$",
    "an attribute of a person": r"\bbirth|\bbirth ?(?:day|date|year)\b|\bdob\b|\bgender\b|\bsex\b|\bethnic|\brace$|\breligio|\bnationality\b|^age$"
    r"|\bmarital\b|\bxing ?bie$|\bmin ?zu$",
}
_HEADERS_ZH = {
    "a name": "姓名|名字|^户名$|户主$|用户名|客户名|业主名|住户名$|租客名|联系人|曾用名|昵称|^姓$|^名$",
    "an identity number": "身份证|身份号|证件号|身分證|护照|社保|医保|驾驶证|驾照|居住证",
    "a phone number": "手机|电话|電話|手機|联系方式|微信",
    "a number plate": "车牌|車牌|车号",
    "a face or photo": "人脸|人臉|面部|脸部|照片|相片|头像|指纹|虹膜|抓拍",
    "a card number": "卡号|卡號|银行卡|信用卡|门禁卡|银行账[号户]",
    "an e-mail address": "邮箱|郵箱|电子邮件",
    "an attribute of a person": "性别|性別|民族|出生|生日|年龄|籍贯|户籍|国籍|宗教|婚姻|政治面貌",
}
IDENTITY_DIGITS = 18
_REGION = "(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])"
_IDENTITY = rf"(?:^|[^0-9A-Za-z.])({_REGION}\d{{4}} ?(?:19\d\d|20[0-4]\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]) ?\d{{3}}[\dXx])(?:$|[^0-9A-Za-z])"
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
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付"
    "方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤张陳劉楊黃趙吳孫馬"
)
_COMPOUND = "欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|慕容|令狐|司徒|夏侯|端木"
_HAN_NAME = rf"^(?:[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}|(?:{_COMPOUND})[\u4e00-\u9fff]{{1,2}}|[{_SURNAMES}][*＊某×]{{1,2}}|[{_SURNAMES}](?:先生|女士|小姐))$"
_NOT_A_NAME = (
    "(?:区|县|市|省|州|镇|乡|村|街|道|路|巷|弄|里|坊|组|社|楼|栋|幢|座|号|室|层|苑|园|城|府|庭|轩|阁|居|湾|庄|寨|堡|屯|岛|山|湖|河|江|桥|门|口|站|场"
    "|广场|花园|小区|新村|公寓|家园|大厦|单元|段|峰|色|表|电|水|气|户|房)$|^周[一二三四五六日天末]$"
)


def find_personal_columns(frame: pl.DataFrame, *, trusted: Collection[str] = ()) -> dict[str, str]:
    """Columns that describe a person: column → reason in words, in the order of the frame.

    `frame` holds text columns only. Columns named in `trusted` are known to hold times or readings: there the
    weaker shapes (phones, cards, names) are not looked for; headers, identity numbers, plates, e-mail addresses and
    pictures are. A header without a person's attribute and a column of nulls pass.
    """
    found = {}
    for column in frame.columns:
        reason = _by_header(column) or _by_content(frame[column], weak=column not in trusted)
        if reason:
            found[column] = reason
    return found


def _by_header(header: str) -> str | None:
    """fullName, FULL_NAME, full-name and "Full name 1" are one header; Chinese headers are read without spaces."""
    text = unicodedata.normalize("NFKC", header)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W\d_]+", " ", text).lower().strip()
    squeezed = re.sub(r"[\W\d_]+", "", text)
    for table, header_text in ((_HEADERS_EN, words), (_HEADERS_ZH, squeezed)):
        for reason, pattern in table.items():
            if re.search(pattern, header_text):
                return f"is named like {reason}"
    return None


def _by_content(cells: pl.Series, *, weak: bool) -> str | None:
    cells = cells.drop_nulls()
    if cells.is_empty() or not weak and _are_short_numbers(cells):
        return None
    if len(cells) > SAMPLE:
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
    if not weak:
        return None
    step = -(-len(text) // SAMPLE)
    return _by_share(text.gather_every(step).unique()) or _by_phones_of_one_prefix(text.unique())


def _are_short_numbers(cells: pl.Series) -> bool:
    """Plain numbers with fewer digits than an identity number: as readings they are nothing else."""
    return (
        cells.str.len_bytes().max() < IDENTITY_DIGITS
        and cells.cast(pl.Float64, strict=False).null_count() == 0
    )


def _has_identity_number(cells: pl.Series) -> bool:
    """Any 18-character resident identity number: a known province, a real birth date, the right check character."""
    long = cells.filter(cells.str.len_bytes() >= IDENTITY_DIGITS)
    candidates = long.filter(long.str.contains(_IDENTITY)).rename("cell").to_frame()
    if candidates.is_empty():
        return False
    number = pl.col("cell").str.extract(_IDENTITY, 1).str.replace_all(" ", "").str.to_uppercase()
    total = sum(
        pl.col("number").str.slice(place, 1).cast(pl.Int32) * weight for place, weight in enumerate(_WEIGHTS)
    )
    remainder = (total % 11).cast(pl.String)
    check = remainder.replace_strict(
        {str(at): sign for at, sign in enumerate(_CHECK)}, return_dtype=pl.String
    )
    born = pl.col("number").str.slice(6, 8).str.to_date("%Y%m%d", strict=False)
    right = (check == pl.col("number").str.slice(17, 1)) & born.is_not_null()
    return candidates.select(number=number).select(right.any()).item()


def _by_phones_of_one_prefix(distinct: pl.Series) -> str | None:
    """Phones of one operator share their first digits as ids of one site do, but ids count up in steps; phones lie anywhere.

    Looked for in every cell, not in a sample: there even consecutive ids lie apart. Ids count up where two gaps in five
    are one and the same (flats 101, 102, 201, 202 … make it a gap in two).
    """
    phones = (
        distinct.filter(distinct.str.contains(_MOBILE))
        .str.replace_all(r"\D", "")
        .str.tail(11)
        .unique()
        .cast(pl.Int64)
    )
    if not _enough(len(phones), distinct, 0.2):
        return None
    commonest = phones.sort().diff().drop_nulls().value_counts()["count"].max()
    steps = len(phones) - 1
    return None if commonest >= 2 and commonest >= 0.4 * steps else "holds what looks like phone numbers"


def _by_share(distinct: pl.Series) -> str | None:
    """The shapes that other numbers and words can take too: judged by their share of the distinct cells."""
    prefixes = distinct.str.extract(_MOBILE, 1).drop_nulls()
    # ids of one site share their first digits; the numbers of its residents' phones do not
    if _enough(len(prefixes), distinct, 0.2) and prefixes.n_unique() >= (3 if len(prefixes) > 5 else 2):
        return "holds what looks like phone numbers"
    cards = distinct.filter(distinct.str.contains(_CARD))
    # one random number in ten passes the Luhn check, so half of a column must
    if _enough(sum(map(_luhn, cards.to_list())), distinct, 0.5):
        return "holds what looks like card numbers"
    names = distinct.str.contains(_HAN_NAME) & ~distinct.str.contains(_NOT_A_NAME)
    # about 85 in 100 people bear one of these surnames; words and places begin with one far less often
    if _enough(names.sum(), distinct, 0.6 if len(distinct) >= 20 else 0.75):
        return "holds what looks like personal names"
    return None


def _enough(hits: int, distinct: pl.Series, share: float) -> bool:
    return hits >= 3 and hits >= share * len(distinct)


def _luhn(number: str) -> bool:
    """The check of ISO/IEC 7812: from the right every second digit is doubled, the digit sum is a multiple of ten."""
    digits = [int(sign) for sign in reversed(number) if sign.isdigit()]
    return sum(digits[0::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0
