"""Every table of the tool: its grain, its key, and the type and meaning of each column in English and
Chinese.

The checks on frames, the DDL with its comments and the data dictionary are all made from these classes;
nothing here computes. The docstring of a table is its grain and is published with it. In order: the words
that columns may hold, the views of schema `v1`, the tables of schema `meta`.
"""

from collections.abc import Callable
from typing import Any

import dataframely as dy
import polars as pl

QUALITIES = ("read", "interpolated", "partial", "doubtful", "missing", "estimated")
"""Qualities of a daily reading. In stored cells a quality is its place here: only add at the end."""
JUDGED_QUALITIES = ("read", "interpolated")
"""The qualities of days that are judged; a day of any other is not."""
JUDGED_QUALITY_CODES = tuple(map(QUALITIES.index, JUDGED_QUALITIES))
"""Their places among QUALITIES, by which the state knows them."""
MAX_LAG = 32_000
"""Days until a reading was known; larger lags are cut to it, so that they fit into int16."""
UNKNOWN = -1
"""Stands for an unknown value in arrays of whole numbers, of which none is below zero."""
STATUSES = ("new", "ongoing", "fading", "closed")
"""Statuses of a case."""
CHANGES = ("new", "gone", "changed")
"""How a case came out otherwise when its night was judged again."""
SOURCE_STATUSES = ("ok", "late", "thin", "dead", "unreadable")
"""How a source may be on a night; all but the first degrade it."""
OUTCOMES = ("confirmed", "benign", "no_access", "not_visited", "contested")
"""Outcomes of a decision or visit."""

UNIT_NAMES_ZH = {
    "base units": "基本单位",
    "cases": "项",
    "days": "天",
    "deviations": "标准差",
    "doors": "户",
    "homes": "户",
    "household-nights": "户日",
    "minutes": "分钟",
    "people": "人",
    "place": "序号",
    "probability": "概率",
    "ratio": "比值",
    "row": "行",
    "rows": "行",
    "score": "得分",
    "share": "比例",
    "signals": "项指标",
    "times": "次",
    "weekday": "星期",
}
"""What numbers of a column may be counted in, and its name in Chinese."""


def _column(
    kind: Callable[..., dy.Column],
    en: str,
    zh: str,
    *,
    key: bool = False,
    null: bool = False,
    unit: str | None = None,
    **checks: Any,
) -> Any:
    """Return a column with its meaning in both languages.

    key: it belongs to the primary key, and is never null. unit: one of UNIT_NAMES_ZH.
    """
    texts = {"en": en, "zh": zh}
    if unit:
        texts |= {"unit_en": unit, "unit_zh": UNIT_NAMES_ZH[unit]}
    return kind(primary_key=key, nullable=null and not key, metadata=texts, **checks)


class Runs(dy.Schema):
    """One run of the nightly job or of one night of a backfill."""

    run = _column(dy.String, "identifier of the run", "运行编号", key=True)
    night = _column(dy.Date, "the local day that was judged", "被评估的当地日期")
    started_utc = _column(dy.Datetime, "start, UTC", "开始时间（UTC）")
    finished_utc = _column(dy.Datetime, "end, UTC", "结束时间（UTC）")
    version = _column(dy.String, "version of the tool", "工具版本")
    settings_sha256 = _column(dy.String, "SHA-256 of the settings in force", "所用设置的 SHA-256")
    judged = _column(dy.Int64, "households judged", "已评估的住户数", unit="homes")
    not_judged = _column(
        dy.Int64, "signals of households that could not be judged", "无法评估的住户指标数", unit="signals"
    )
    cases_open = _column(
        dy.Int64, "cases not closed at the end of the night", "当日结束时未办结的事项数", unit="cases"
    )
    cases_new = _column(dy.Int64, "cases opened this night", "当日新增的事项数", unit="cases")
    expected_wrong_doors = _column(
        dy.Float64,
        "sum of chance_wrong over the doors listed for the first time this night",
        "当日首次列入的住户中预计误报的户数",
        unit="doors",
    )
    notes = _column(dy.String, "what was degraded, or empty", "降级说明，无则为空")
    revised = _column(
        dy.Int64,
        "how many times the night had been judged before; v1.revisions has what changed",
        "此前该日已被评估的次数；v1.revisions 载其变化",
        unit="times",
    )


class Households(dy.Schema):
    """One household."""

    household = _column(dy.String, "household id, always text", "住户编号（文本）", key=True)
    building = _column(dy.String, "building, where the register gives it", "楼栋", null=True)
    district = _column(dy.String, "district, where the register gives it", "片区", null=True)


class Readings(dy.Schema):
    """One signal of one household on one local day."""

    household = _column(dy.String, "household id", "住户编号", key=True)
    signal = _column(dy.String, "name of the signal in the settings", "指标名称", key=True)
    day = _column(dy.Date, "local day", "当地日期", key=True)
    value = _column(
        dy.Int64,
        "the day's count or use in base units; empty where unknown",
        "当日计数或用量（基本单位），未知则为空",
        null=True,
        unit="base units",
    )
    unit = _column(dy.String, "base unit of value: count, litre, Wh, cent …", "基本单位")
    quality = _column(
        dy.String,
        "read, interpolated (to midnight), partial (part of the day), doubtful (not believed), missing or "
        "estimated (no reading of the meter); only read and interpolated days are judged",
        "质量：read 实读，interpolated 插值到零点，partial 不足一日，doubtful 存疑，missing 缺失，"
        "estimated 估算；"
        "仅前两种参与评估",
    )


class ExpectedDays(dy.Schema):
    """One signal of one household on one day, as the run of `night` saw it."""

    night = _column(dy.Date, "the night whose run saw it so", "评估日期", key=True)
    household = _column(dy.String, "household id", "住户编号", key=True)
    signal = _column(dy.String, "name of the signal", "指标名称", key=True)
    day = _column(dy.Date, "local day", "当地日期", key=True)
    value = _column(
        dy.Int64,
        "what was observed, base units; empty where the day is not judged",
        "实测值（基本单位），未评估则为空",
        null=True,
        unit="base units",
    )
    expected = _column(
        dy.Float64, "what was to be expected, base units", "预期值（基本单位）", unit="base units"
    )
    low = _column(
        dy.Float64,
        "lower end of the expected range (about 5 %), base units",
        "预期范围下限（约 5 %）",
        unit="base units",
    )
    high = _column(
        dy.Float64,
        "upper end of the expected range (about 95 %), base units",
        "预期范围上限（约 95 %）",
        unit="base units",
    )
    surprise = _column(
        dy.Float64,
        "distance from expected in robust standard deviations of the log value",
        "与预期的距离（对数值的稳健标准差倍数）",
        null=True,
        unit="deviations",
    )
    unit = _column(
        dy.String,
        "base unit of value, expected, low and high; empty for a signal that is no longer in the settings",
        "数值的基本单位；指标已不在设置中则为空",
        null=True,
    )


class Evidence(dy.Schema):
    """One reason to look at one household on one night."""

    night = _column(dy.Date, "the night judged", "评估日期", key=True)
    household = _column(dy.String, "household id", "住户编号", key=True)
    detector = _column(dy.String, "the detector that saw it", "检测方法", key=True)
    signal = _column(
        dy.String,
        "the signal concerned, or `all` where several rise together",
        "相关指标；多项指标同时上升为 all",
        key=True,
    )
    window_days = _column(
        dy.Int32, "length of the window that ends at the night, days", "截至当日的窗口长度（天）", unit="days"
    )
    ratio = _column(dy.Float64, "observed over expected in the window", "窗口内实测与预期之比", unit="ratio")
    score = _column(dy.Float64, "the detector's own score", "检测方法的得分", unit="score")
    rarity = _column(
        dy.Float64,
        "one new episode of such a score by chance in about so many household-nights of this site",
        "罕见度：约每多少户日偶然出现一次",
        unit="household-nights",
    )
    because = _column(dy.String, "the reason in words", "判断依据（文字）")


class Cases(dy.Schema):
    """One episode of one household."""

    case_id = _column(
        dy.String, "code of the case, from household, signature and opening night", "事项编号", key=True
    )
    household = _column(dy.String, "household id", "住户编号")
    district = _column(dy.String, "district, where known", "片区", null=True)
    signature = _column(
        dy.String, "kind of case: people, door, water, power or a further signal's name", "事项类型"
    )
    onset = _column(dy.Date, "first day of the rise, estimated", "估计的开始日期")
    opened = _column(dy.Date, "the night the case was opened", "事项登记日期")
    last_seen = _column(dy.Date, "the last night with evidence", "最后一次有依据的日期")
    status = _column(
        dy.String,
        "new, ongoing, fading or closed",
        "状态：new 新增，ongoing 持续，fading 减弱，closed 已办结",
    )
    rarity = _column(
        dy.Float64,
        "the largest rarity the case has reached",
        "该事项达到的最大罕见度",
        unit="household-nights",
    )
    ratios = _column(
        lambda **k: dy.List(
            dy.Struct({"key": dy.String(nullable=False), "value": dy.Float64(nullable=False)}), **k
        ),
        "signal → observed over expected over the episode",
        "指标 → 整段实测与预期之比",
        unit="ratio",
    )
    extra_people = _column(
        dy.Float64,
        "further people a people case is like, an estimate; empty for other kinds",
        "人数类事项约相当于增加多少人（估计），其他类型为空",
        null=True,
        unit="people",
    )
    extra_people_low = _column(
        dy.Float64,
        "lower end of extra_people (about 5 %)",
        "增加人数的下限（约 5 %）",
        null=True,
        unit="people",
    )
    extra_people_high = _column(
        dy.Float64,
        "upper end of extra_people (about 95 %)",
        "增加人数的上限（约 95 %）",
        null=True,
        unit="people",
    )
    because_en = _column(dy.String, "the reason in one English sentence", "英文判断依据")
    because_zh = _column(dy.String, "the reason in one Chinese sentence", "中文判断依据")
    decision = _column(
        dy.String,
        "the decision in force: confirmed, benign or contested; empty where none is",
        "现行决定：confirmed 属实，benign 正常原因，contested 有异议；无则为空",
        null=True,
    )
    reopened = _column(
        dy.Date,
        "the night on which new evidence brought an answered case back",
        "已有结果的事项因新依据重新列入的日期",
        null=True,
    )


class Worklist(dy.Schema):
    """One door proposed for one night."""

    night = _column(dy.Date, "the night", "日期", key=True)
    rank = _column(dy.Int32, "order on the list, 1 first", "顺序", unit="place")
    case_id = _column(dy.String, "code of the case", "事项编号", key=True)
    household = _column(dy.String, "household id", "住户编号")
    district = _column(dy.String, "district, where known", "片区", null=True)
    signature = _column(dy.String, "kind of case", "事项类型")
    desk = _column(dy.String, "who looks at this kind of case", "负责岗位")
    rarity = _column(dy.Float64, "rarity of the case on that night", "当日罕见度", unit="household-nights")
    chance_wrong = _column(
        dy.Float64,
        "estimated chance of no sustained rise beyond ordinary causes",
        "误报的估计概率",
        unit="probability",
        min=0.0,
        max=1.0,
    )
    chance_before = _column(
        dy.Float64,
        "the same before outcomes corrected it",
        "依结果校正前的同一概率",
        unit="probability",
        min=0.0,
        max=1.0,
    )
    first_listed = _column(
        dy.Bool,
        "whether the door is listed for the first time, or again, on this night",
        "是否当日首次（或重新）列入",
    )
    assigned = _column(
        dy.String, "to whom the case is assigned now, or empty", "现指派给谁，无则为空", null=True
    )


class Revisions(dy.Schema):
    """One case of one night that came out otherwise when the night was judged again."""

    night = _column(dy.Date, "the night judged again", "被重新评估的日期", key=True)
    revised = _column(
        dy.Int64,
        "which judging again it was, counted as in v1.runs: 1 the first",
        "第几次重新评估（与 v1.runs 同计，1 为首次）",
        key=True,
        unit="times",
    )
    household = _column(dy.String, "household id", "住户编号", key=True)
    signature = _column(dy.String, "kind of case", "事项类型", key=True)
    change = _column(
        dy.String,
        "new, gone or changed",
        "变化：new 新出现，gone 消失，changed 改变",
        check=lambda c: c.is_in(CHANGES),
    )
    case_id_before = _column(
        dy.String,
        "code of the case before, empty where there was none",
        "此前的事项编号，无则为空",
        null=True,
    )
    case_id_after = _column(
        dy.String, "code of the case after, empty where there is none", "此后的事项编号，无则为空", null=True
    )
    rarity_before = _column(
        dy.Float64,
        "largest rarity the case had reached by that night, before",
        "此前该事项截至当日的最大罕见度",
        null=True,
        unit="household-nights",
    )
    rarity_after = _column(dy.Float64, "the same after", "此后的同一数值", null=True, unit="household-nights")
    rank_before = _column(
        dy.Int32,
        "place on the night's list before, empty where it was not listed",
        "此前在当日清单中的序号，未列入则为空",
        null=True,
        unit="place",
    )
    rank_after = _column(dy.Int32, "the same after", "此后的同一序号", null=True, unit="place")


class Assignments(dy.Schema):
    """One assignment of a case to a person or team."""

    case_id = _column(dy.String, "code of the case", "事项编号")
    day = _column(dy.Date, "the day it was assigned", "指派日期")
    to = _column(dy.String, "who is to look at it", "被指派人")
    by = _column(dy.String, "who assigned it, or empty", "指派人", null=True)


class Account(dy.Schema):
    """Promised against realised wrong doors of one group of doors."""

    grouped_by = _column(
        dy.String,
        "all, signature, district or month (of first listing)",
        "分组方式：all 全部，signature 类型，district 片区，month 首次列入的月份",
        key=True,
    )
    name = _column(dy.String, "the group", "组", key=True)
    listed = _column(dy.Int64, "doors listed so far", "已列入的户数", unit="doors")
    answered = _column(
        dy.Int64,
        "of these, doors found confirmed or benign",
        "其中已有结果（属实或正常原因）的户数",
        unit="doors",
    )
    confirmed = _column(dy.Int64, "of these, confirmed", "其中属实", unit="doors")
    wrong = _column(
        dy.Int64, "of these, wrong: the answer was benign", "其中误报（核实为正常原因）", unit="doors"
    )
    promised = _column(
        dy.Float64,
        "wrong doors promised among the answered ones: the sum of their chance_wrong",
        "已有结果住户的预计误报数：chance_wrong 之和",
        unit="doors",
    )
    wrong_share = _column(dy.Float64, "wrong over answered", "误报占已有结果的比例", null=True, unit="share")
    low = _column(
        dy.Float64,
        "lower end of wrong_share (95 %, Wilson)",
        "误报比例下限（95 %，Wilson）",
        null=True,
        unit="share",
    )
    high = _column(
        dy.Float64,
        "upper end of wrong_share (95 %, Wilson)",
        "误报比例上限（95 %，Wilson）",
        null=True,
        unit="share",
    )
    chance_before = _column(
        dy.Float64,
        "mean chance of the answered doors before outcomes corrected it",
        "已有结果住户校正前的平均概率",
        null=True,
        unit="probability",
    )
    chance_after = _column(
        dy.Float64,
        "the same with the correction now in force",
        "同上，按现行校正",
        null=True,
        unit="probability",
    )
    stopped = _column(
        dy.Bool,
        "whether the group stopped listing itself, its doors being wrong too often",
        "该组是否因误报过多而停止列入",
    )


class Misses(dy.Schema):
    """One estimate of the surges that no list has shown, from random control doors."""

    drawn = _column(dy.Int64, "control doors drawn so far", "已随机抽取的对照户数", unit="doors")
    answered = _column(dy.Int64, "of these, checked at the desk", "其中已作资料核实", unit="doors")
    found = _column(
        dy.Int64, "of these, with a surge that was not listed", "其中发现未列入的明显上升", unit="doors"
    )
    share = _column(dy.Float64, "found over answered", "发现比例", null=True, unit="share")
    low = _column(
        dy.Float64, "lower end of share (95 %, Wilson)", "比例下限（95 %，Wilson）", null=True, unit="share"
    )
    high = _column(
        dy.Float64, "upper end of share (95 %, Wilson)", "比例上限（95 %，Wilson）", null=True, unit="share"
    )
    unlisted = _column(
        dy.Int64,
        "homes judged on the latest night and not listed",
        "最近一日已评估而未列入的住户数",
        unit="homes",
    )
    missed = _column(
        dy.Float64,
        "of these, homes that a list may have missed: share × unlisted",
        "按比例估计的漏报住户数",
        null=True,
        unit="homes",
    )
    missed_low = _column(dy.Float64, "lower end of missed", "漏报数下限", null=True, unit="homes")
    missed_high = _column(dy.Float64, "upper end of missed", "漏报数上限", null=True, unit="homes")


class Control(dy.Schema):
    """One unlisted home drawn at random for a check at the desk."""

    night = _column(dy.Date, "the night", "日期", key=True)
    case_id = _column(
        dy.String,
        "code to record the answer under: confirmed where there is a surge, benign where there is none",
        "登记核查结果用的编号",
        key=True,
    )
    household = _column(dy.String, "household id", "住户编号")
    district = _column(dy.String, "district, where known", "片区", null=True)


class Outcomes(dy.Schema):
    """One decision or visit."""

    case_id = _column(dy.String, "code of the case", "事项编号")
    day = _column(dy.Date, "the day it was decided or visited", "日期")
    outcome = _column(dy.String, "confirmed, benign, no_access, not_visited or contested", "结果")
    reason = _column(dy.String, "the reason given", "理由")
    by = _column(dy.String, "who recorded it, or empty", "记录人", null=True)
    minutes = _column(dy.Int32, "minutes it took, or empty", "用时（分钟）", null=True, unit="minutes")


class NotJudged(dy.Schema):
    """One signal of one household that could not be judged on one night."""

    night = _column(dy.Date, "the night", "日期", key=True)
    household = _column(dy.String, "household id", "住户编号", key=True)
    signal = _column(dy.String, "name of the signal", "指标名称", key=True)
    reason = _column(dy.String, "why it could not be judged", "原因")


class Rejects(dy.Schema):
    """One input row that was refused."""

    source = _column(dy.String, "section of the settings: a signal's name or `households`", "来源")
    file = _column(dy.String, "file, relative to the settings", "文件")
    row = _column(
        dy.Int64, "row number in the file, the first data row is 1", "行号（数据首行为 1）", unit="row"
    )
    reason = _column(dy.String, "why it was refused", "原因")


class Sources(dy.Schema):
    """One source on one night."""

    night = _column(dy.Date, "the night", "日期", key=True)
    source = _column(dy.String, "section of the settings: a signal's name or `households`", "来源", key=True)
    newest_day = _column(
        dy.Date,
        "newest day fit to be judged for at least half of the usual homes, or for any where none is; "
        "empty for the register and where there is none",
        "至少半数常有住户可评估的最近日期，若无则为任一住户可评估的最近日期；登记册及无此日期时为空",
        null=True,
    )
    age_days = _column(
        dy.Int32, "days from newest_day to the night", "该日期距评估日期的天数", null=True, unit="days"
    )
    usual_age_days = _column(
        dy.Int32,
        "median of age_days over the last 28 nights on which the source was not dead; "
        "empty before there are 5",
        "此前28个未中断日期的 age_days 中位数；不足5个时为空",
        null=True,
        unit="days",
    )
    homes_usual = _column(
        dy.Int64,
        "homes it usually has: the most of any of the 28 days up to its newest, or read on a night of the "
        "last 90 days; for the register its homes",
        "常有住户数：截至最近日期的28天内或近90天内评估时的最大值；登记册为其住户数",
        unit="homes",
    )
    homes_read = _column(
        dy.Int64,
        "of these, homes whose newest_day is fit to be judged",
        "其中最近日期可评估的住户数",
        unit="homes",
    )
    share_judged = _column(
        dy.Float64,
        "share of homes_usual of which the night itself is fit to be judged; 0 for a source that ends before",
        "常有住户中评估当日可评估的比例；数据止于此前的来源为 0",
        unit="share",
    )
    estimated = _column(
        dy.Int64, "homes whose newest_day is an estimate", "最近日期为估计值的住户数", unit="homes"
    )
    refused = _column(dy.Int64, "rows refused so far", "至今被拒绝的行数", unit="rows")
    status = _column(
        dy.String,
        "ok; late: further behind than usual; thin: fewer than half of the usual homes; dead: nothing for "
        "more than a week beyond that; unreadable: stopped by a file",
        "ok 正常，late 比通常更迟，thin 不足常有住户的一半，dead 超出通常一周以上仍无数据，"
        "unreadable 文件无法读取",
        check=lambda c: c.is_in(SOURCE_STATUSES),
    )
    note = _column(dy.String, "what there is to know, in English, or empty", "说明（英文），无则为空")


PUBLISHED: dict[str, type[dy.Schema]] = {
    "runs": Runs,
    "households": Households,
    "readings": Readings,
    "expected": ExpectedDays,
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
    "revisions": Revisions,
    "sources": Sources,
}
"""The views of schema v1."""


class SchemaVersion(dy.Schema):
    """Version of the v1 interface and of the tool that wrote the file."""

    schema_version = _column(
        dy.String,
        "semantic version of v1 and meta: a reader of 1.x can read every later 1.x",
        "v1 与 meta 的语义版本，1.x 的读者可读此后所有 1.x",
    )
    tool_version = _column(dy.String, "version of the tool that wrote the file", "写出此文件的工具版本")


class SettingsInForce(dy.Schema):
    """The settings in force, without secrets and without places on a disk."""

    settings = _column(dy.String, "sections and their values as JSON", "各节设置及其值（JSON）")


class Dictionary(dy.Schema):
    """One column of v1 or meta."""

    view = _column(dy.String, "view of v1, or table of meta", "v1 的视图或 meta 的表")
    column = _column(dy.String, "column", "列")
    type = _column(dy.String, "type in DuckDB", "DuckDB 类型")
    meaning_en = _column(dy.String, "meaning in English", "英文含义")
    meaning_zh = _column(dy.String, "meaning in Chinese", "中文含义")
    schema = _column(dy.String, "v1 or meta", "v1 或 meta")
    unit_en = _column(
        dy.String,
        "what a number is counted in, in English; empty for what is no number",
        "数值的单位（英文），非数值则为空",
        null=True,
    )
    unit_zh = _column(dy.String, "the same in Chinese", "数值的单位（中文），非数值则为空", null=True)


class Calendar(dy.Schema):
    """One day of the calendar in force."""

    day = _column(dy.Date, "local day", "当地日期", key=True)
    weekday = _column(
        dy.Int8,
        "the week's shape as lived, 0 = Monday: a public holiday counts as the weekend's last day",
        "按实际作息的星期，0 为星期一；公共假日按周末最后一天计",
        unit="weekday",
    )
    kind = _column(
        dy.String,
        "holiday, workday (made up), window (around a feast) or empty",
        "holiday 假日，workday 调休上班，window 节期，平日为空",
    )
    name_en = _column(dy.String, "name in English, empty on an ordinary day", "英文名称，平日为空")
    name_zh = _column(dy.String, "name in Chinese, empty on an ordinary day", "中文名称，平日为空")
    provisional = _column(
        dy.Bool, "whether that year's days off are not settled yet", "该年放假安排是否尚未确定"
    )
    window = _column(
        dy.String, "name of the moving window around the day, or empty", "所在节期名称，无则为空", null=True
    )


META: dict[str, type[dy.Schema]] = {
    "schema_version": SchemaVersion,
    "settings": SettingsInForce,
    "dictionary": Dictionary,
    "calendar": Calendar,
}
"""The tables of schema meta."""


def empty(table: type[dy.Schema]) -> pl.DataFrame:
    """Return an empty frame of the table's columns and types."""
    return table.create_empty()
