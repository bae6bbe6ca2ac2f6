"""Every table of the tool: grain, key, types and what each column means.

The checks on frames, the DDL with its comments and the data dictionary are all made from these classes;
nothing here computes. A column's meaning is given in English and Chinese.
"""

import dataframely as dy
import polars as pl

QUALITIES = ("read", "interpolated", "partial", "doubtful", "missing")
UNKNOWN = -1  # in arrays of whole numbers, of which none is below zero
STATUSES = ("new", "ongoing", "fading", "closed")
OUTCOMES = ("confirmed", "benign", "no_access", "not_visited", "contested")


def _column(kind, en: str, zh: str, *, key: bool = False, null: bool = False, **checks):
    return kind(primary_key=key, nullable=null and not key, metadata={"en": en, "zh": zh}, **checks)


class Runs(dy.Schema):
    """One run of the nightly job or of one night of a backfill."""

    run = _column(dy.String, "identifier of the run", "运行编号", key=True)
    night = _column(dy.Date, "the local day that was judged", "被评判的当地日期")
    started_utc = _column(dy.Datetime, "start, UTC", "开始时间（UTC）")
    finished_utc = _column(dy.Datetime, "end, UTC", "结束时间（UTC）")
    version = _column(dy.String, "version of the tool", "工具版本")
    settings_sha256 = _column(dy.String, "SHA-256 of the settings in force", "所用设置的 SHA-256")
    judged = _column(dy.Int64, "households judged", "已评判的住户数")
    not_judged = _column(dy.Int64, "signals of households that could not be judged", "无法评判的住户信号数")
    cases_open = _column(dy.Int64, "cases not closed at the end of the night", "当晚结束时未关闭的案例数")
    cases_new = _column(dy.Int64, "cases opened this night", "当晚新开的案例数")
    expected_wrong_doors = _column(
        dy.Float64, "sum of chance_wrong over the doors listed for the first time this night", "当晚首次列出的门户中预计判断错误的数目"
    )
    notes = _column(dy.String, "what was degraded, or empty", "降级说明，无则为空")


class Households(dy.Schema):
    """One household."""

    household = _column(dy.String, "household id, always text", "住户编号（文本）", key=True)
    building = _column(dy.String, "building, where the register gives it", "楼栋", null=True)
    district = _column(dy.String, "district, where the register gives it", "片区", null=True)


class Readings(dy.Schema):
    """One signal of one household on one local day."""

    household = _column(dy.String, "household id", "住户编号", key=True)
    signal = _column(dy.String, "name of the signal in the settings", "信号名称", key=True)
    day = _column(dy.Date, "local day", "当地日期", key=True)
    value = _column(dy.Int64, "the day's count or use in base units; empty where unknown", "当日计数或用量（基本单位），未知则为空", null=True)
    unit = _column(dy.String, "base unit of value: count, litre, Wh, cent …", "基本单位")
    quality = _column(
        dy.String,
        "read, interpolated (to midnight), partial (part of the day), doubtful (not believed) or missing; only read and interpolated days are judged",
        "质量：read 实读，interpolated 插值到零点，partial 不足一日，doubtful 存疑，missing 缺失；仅前两种参与评判",
    )


class Expected(dy.Schema):
    """One signal of one household on one day, as the run of `night` saw it."""

    night = _column(dy.Date, "the night whose run saw it so", "评判日期", key=True)
    household = _column(dy.String, "household id", "住户编号", key=True)
    signal = _column(dy.String, "name of the signal", "信号名称", key=True)
    day = _column(dy.Date, "local day", "当地日期", key=True)
    value = _column(dy.Int64, "what was observed, base units; empty where the day is not judged", "实测值（基本单位），未评判则为空", null=True)
    expected = _column(dy.Float64, "what was to be expected, base units", "预期值（基本单位）")
    low = _column(dy.Float64, "lower end of the expected range (about 5 %), base units", "预期范围下限（约 5 %）")
    high = _column(dy.Float64, "upper end of the expected range (about 95 %), base units", "预期范围上限（约 95 %）")
    surprise = _column(
        dy.Float64, "distance from expected in robust standard deviations of the log value", "与预期的距离（对数值的稳健标准差倍数）", null=True
    )


class Evidence(dy.Schema):
    """One reason to look at one household on one night."""

    night = _column(dy.Date, "the night judged", "评判日期", key=True)
    household = _column(dy.String, "household id", "住户编号", key=True)
    detector = _column(dy.String, "the detector that saw it", "检测器", key=True)
    signal = _column(dy.String, "the signal concerned, or `all` where several rise together", "相关信号；多个信号同升为 all", key=True)
    window_days = _column(dy.Int32, "length of the window that ends at the night, days", "截至当晚的窗口长度（天）")
    ratio = _column(dy.Float64, "observed over expected in the window", "窗口内实测与预期之比")
    score = _column(dy.Float64, "the detector's own score", "检测器得分")
    rarity = _column(
        dy.Float64, "one new episode of such a score by chance in about so many household-nights of this site", "罕见度：约每多少户·夜偶然出现一次"
    )
    because = _column(dy.String, "the reason in words", "文字理由")


class Cases(dy.Schema):
    """One episode of one household."""

    case_id = _column(dy.String, "code of the case, from household, signature and opening night", "案例编号", key=True)
    household = _column(dy.String, "household id", "住户编号")
    district = _column(dy.String, "district, where known", "片区", null=True)
    signature = _column(dy.String, "kind of case: people, door, water, power or a further signal's name", "案例类型")
    onset = _column(dy.Date, "first day of the rise, estimated", "估计的开始日期")
    opened = _column(dy.Date, "the night the case was opened", "开案日期")
    last_seen = _column(dy.Date, "the last night with evidence", "最后一次有依据的日期")
    status = _column(dy.String, "new, ongoing, fading or closed", "状态：new 新，ongoing 持续，fading 减弱，closed 关闭")
    rarity = _column(dy.Float64, "the largest rarity the case has reached", "案例达到的最大罕见度")
    ratios = _column(
        lambda **k: dy.List(dy.Struct({"key": dy.String(nullable=False), "value": dy.Float64(nullable=False)}), **k),
        "signal → observed over expected over the episode",
        "信号 → 整段实测与预期之比",
    )
    extra_people = _column(
        dy.Float64, "further people a people case is like, an estimate; empty for other kinds", "人员案例约相当于增加多少人（估计），其他类型为空", null=True
    )
    extra_people_low = _column(dy.Float64, "lower end of extra_people (about 5 %)", "增加人数的下限（约 5 %）", null=True)
    extra_people_high = _column(dy.Float64, "upper end of extra_people (about 95 %)", "增加人数的上限（约 95 %）", null=True)
    because_en = _column(dy.String, "the reason in one English sentence", "英文理由")
    because_zh = _column(dy.String, "the reason in one Chinese sentence", "中文理由")
    decision = _column(dy.String, "the decision in force: confirmed, benign or contested; empty where none is", "现行决定：confirmed 属实，benign 正常，contested 有异议；无则为空", null=True)
    reopened = _column(dy.Date, "the night on which new evidence brought an answered case back", "已答复案例因新依据重新列出的日期", null=True)


class Worklist(dy.Schema):
    """One door proposed for one night."""

    night = _column(dy.Date, "the night", "日期", key=True)
    rank = _column(dy.Int32, "order on the list, 1 first", "顺序")
    case_id = _column(dy.String, "code of the case", "案例编号", key=True)
    household = _column(dy.String, "household id", "住户编号")
    district = _column(dy.String, "district, where known", "片区", null=True)
    signature = _column(dy.String, "kind of case", "案例类型")
    desk = _column(dy.String, "who looks at this kind of case", "负责岗位")
    rarity = _column(dy.Float64, "rarity of the case on that night", "当晚罕见度")
    chance_wrong = _column(dy.Float64, "estimated chance of no sustained rise beyond ordinary causes", "判断错误的估计概率", min=0.0, max=1.0)
    chance_before = _column(dy.Float64, "the same before outcomes corrected it", "依结果校正前的同一概率", min=0.0, max=1.0)
    first_listed = _column(dy.Bool, "whether the door is listed for the first time, or again, on this night", "是否当晚首次（或重新）列出")
    assigned = _column(dy.String, "to whom the case is assigned now, or empty", "现指派给谁，无则为空", null=True)


class Assignments(dy.Schema):
    """One assignment of a case to a person or team."""

    case_id = _column(dy.String, "code of the case", "案例编号")
    day = _column(dy.Date, "the day it was assigned", "指派日期")
    to = _column(dy.String, "who is to look at it", "被指派人")
    by = _column(dy.String, "who assigned it, or empty", "指派人", null=True)


class Account(dy.Schema):
    """Promised against realised wrong doors of one group of doors."""

    grouped_by = _column(dy.String, "all, signature, district or month (of first listing)", "分组方式：all 全部，signature 类型，district 片区，month 首次列出的月份", key=True)
    name = _column(dy.String, "the group", "组", key=True)
    listed = _column(dy.Int64, "doors listed so far", "已列出的门户数")
    answered = _column(dy.Int64, "of these, doors found confirmed or benign", "其中已有结论（属实或正常）的门户数")
    confirmed = _column(dy.Int64, "of these, confirmed", "其中属实")
    wrong = _column(dy.Int64, "of these, wrong: the answer was benign", "其中判断错误（结论为正常）")
    promised = _column(dy.Float64, "wrong doors promised among the answered ones: the sum of their chance_wrong", "有结论门户中承诺的错误数：chance_wrong 之和")
    wrong_share = _column(dy.Float64, "wrong over answered", "错误占有结论的比例", null=True)
    low = _column(dy.Float64, "lower end of wrong_share (95 %, Wilson)", "错误比例下限（95 %，Wilson）", null=True)
    high = _column(dy.Float64, "upper end of wrong_share (95 %, Wilson)", "错误比例上限（95 %，Wilson）", null=True)
    chance_before = _column(dy.Float64, "mean chance of the answered doors before outcomes corrected it", "有结论门户校正前的平均概率", null=True)
    chance_after = _column(dy.Float64, "the same with the correction now in force", "同上，按现行校正", null=True)
    stopped = _column(dy.Bool, "whether the group stopped listing itself, its doors being wrong too often", "该组是否因错误过多而停止列出")


class Misses(dy.Schema):
    """One estimate of the surges that no list has shown, from random control doors."""

    drawn = _column(dy.Int64, "control doors drawn so far", "已抽取的对照门户数")
    answered = _column(dy.Int64, "of these, checked at the desk", "其中已作案头核查")
    found = _column(dy.Int64, "of these, with a surge that was not listed", "其中发现未列出的激增")
    share = _column(dy.Float64, "found over answered", "发现比例", null=True)
    low = _column(dy.Float64, "lower end of share (95 %, Wilson)", "比例下限（95 %，Wilson）", null=True)
    high = _column(dy.Float64, "upper end of share (95 %, Wilson)", "比例上限（95 %，Wilson）", null=True)
    unlisted = _column(dy.Int64, "homes judged on the latest night and not listed", "最近一晚已评判而未列出的住户数")
    missed = _column(dy.Float64, "share of these homes", "按比例估计的漏报住户数", null=True)
    missed_low = _column(dy.Float64, "lower end of missed", "漏报数下限", null=True)
    missed_high = _column(dy.Float64, "upper end of missed", "漏报数上限", null=True)


class Control(dy.Schema):
    """One unlisted home drawn at random for a check at the desk."""

    night = _column(dy.Date, "the night", "日期", key=True)
    case_id = _column(dy.String, "code to record the answer under: confirmed where there is a surge, benign where there is none", "登记核查结果用的编号", key=True)
    household = _column(dy.String, "household id", "住户编号")
    district = _column(dy.String, "district, where known", "片区", null=True)


class Outcomes(dy.Schema):
    """One decision or visit."""

    case_id = _column(dy.String, "code of the case", "案例编号")
    day = _column(dy.Date, "the day it was decided or visited", "日期")
    outcome = _column(dy.String, "confirmed, benign, no_access, not_visited or contested", "结果")
    reason = _column(dy.String, "the reason given", "理由")
    by = _column(dy.String, "who recorded it, or empty", "记录人", null=True)
    minutes = _column(dy.Int32, "minutes it took, or empty", "用时（分钟）", null=True)


class NotJudged(dy.Schema):
    """One signal of one household that could not be judged on one night."""

    night = _column(dy.Date, "the night", "日期", key=True)
    household = _column(dy.String, "household id", "住户编号", key=True)
    signal = _column(dy.String, "name of the signal", "信号名称", key=True)
    reason = _column(dy.String, "why it could not be judged", "原因")


class Rejects(dy.Schema):
    """One input row that was refused."""

    source = _column(dy.String, "section of the settings: a signal's name or `households`", "来源")
    file = _column(dy.String, "file, relative to the settings", "文件")
    row = _column(dy.Int64, "row number in the file, the first data row is 1", "行号（数据首行为 1）")
    reason = _column(dy.String, "why it was refused", "原因")


PUBLISHED: dict[str, type[dy.Schema]] = {
    "runs": Runs,
    "households": Households,
    "readings": Readings,
    "expected": Expected,
    "evidence": Evidence,
    "cases": Cases,
    "worklist": Worklist,
    "assignments": Assignments,
    "outcomes": Outcomes,
    "account": Account,
    "control": Control,
    "misses": Misses,
    "not_judged": NotJudged,
    "rejects": Rejects,
}


def empty(table: type[dy.Schema]) -> pl.DataFrame:
    """An empty frame of the table's columns and types."""
    return table.create_empty()
