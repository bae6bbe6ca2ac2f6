"""Slow, obvious twins of the compiled kernels: same rules, plain Python, written to be read."""

import math
from collections import Counter
from statistics import median

DAY = 86_400_000_000
HALF_DAY = DAY // 2


class Register:
    """Twin of readings.register_cleaning.clean for one home: looks ahead from each reading that does not fit,
    instead of keeping a queue."""

    def __init__(self, times, values, jitter, per_day, floor, unit=1, smallest=10_000):
        self.times, self.values = times, values
        self.limits, self.dial = (jitter, per_day, floor), (unit, smallest)
        self.base, self.time, self.offset, self.segment = values[0], times[0], 0, 0
        self.rises, self.step = 0, 0
        self.largest, self.seen, self.anchor = 0, 0, None
        self.out = [(0, -2, 0, None)] * len(times)

    def jitter(self):
        return max(self.limits[0], 2 * self.known_step())

    def known_step(self):
        return self.step if self.rises >= 10 else 0

    def usual(self, days):
        floor = self.limits[2]
        if math.isinf(floor):
            return 3 * self.largest * max(days, 1) if self.seen >= 14 else math.inf
        return max(floor, 3 * self.largest) * max(days, 1)

    def kind(self, i):
        rise, days = self.values[i] - self.base, (self.times[i] - self.time) / DAY
        if rise < -self.jitter():
            return "drop"
        if rise > self.limits[1] * max(days, 0.25):
            return "beyond"
        return "high" if rise > self.usual(days) else "fits"

    def follows(self, j):
        rise, days = self.values[j] - self.values[j - 1], (self.times[j] - self.times[j - 1]) / DAY
        return -self.jitter() <= rise <= self.limits[1] * max(days, 0.25)

    def take(self, i, decided, note=None):
        rise = int(self.values[i] - self.base)
        if rise < 0:
            note = "rollback"
        if rise > 0:
            self.step, self.rises = math.gcd(self.step, rise), self.rises + 1
        self.base, self.time = max(self.base, self.values[i]), self.times[i]
        level, day = self.base + self.offset, (self.times[i] - 1) // DAY
        self.out[i] = (level, self.segment, decided, note)
        if self.anchor is None:
            self.anchor = day, level
        elif day > self.anchor[0]:
            days = day - self.anchor[0]
            self.largest = max(self.largest, (level - self.anchor[1]) // days)
            self.seen += days
            self.anchor = day, level

    def change_base(self, i):
        unit, smallest = self.dial
        digits = 0
        while (top := unit * 10**digits) < max(smallest, 10_000 * self.known_step()) or round(
            top
        ) <= self.base:
            digits += 1
        top = round(top)
        new, days = self.values[i], (self.times[i] - self.time) / DAY
        use = top - self.base + new
        likely = min(self.usual(days), self.limits[1] * max(days, 0.25))
        self.time = self.times[i]
        if new < self.base and top - self.base <= top // 10 and new <= top // 10 and use <= likely:
            self.offset, self.base = self.offset + top, 0
            return "rollover"
        self.segment, self.base, self.offset, self.anchor = self.segment + 1, new, 0, None
        return "reset"

    def clean(self):
        i = 0
        while i < len(self.times):
            kind = self.kind(i)
            if kind == "fits":
                self.take(i, i)
                i += 1
            else:
                i = self.wait(i, kind)
        return self.out

    def wait(self, i, kind):
        for j in range(i + 1, len(self.times)):
            if kind == "high" and self.follows(j):
                self.take(i, j)
                return i + 1
            if self.follows(j) and (kind == "beyond" or self.kind(j) != "fits"):
                if j - i >= 2 and self.times[j] - self.times[i] >= HALF_DAY and self.values[j] > 0:
                    note = self.change_base(i)
                    for k in range(i, j + 1):
                        self.take(k, j, note if k == i else None)
                    return j + 1
                continue
            for k in range(i, j):
                self.out[k] = (0, -1, j, "glitch")
            return j
        return len(self.times)


HOUR = DAY // 24


def midnights_stood_for(times):
    """The midnight that each reading of a register read about once a day stands for; None after a reading
    less than 11 hours before."""
    out = []
    for i, t in enumerate(times):
        if i and t - times[i - 1] < 11 * HOUR:
            out.append(None)
            continue
        nearest = round_half_down(t - HOUR // 4)
        if i and out[-1] is not None and 22 * HOUR <= t - times[i - 1] <= 26 * HOUR:
            following = out[-1] + 1
            out.append(following if abs(t - following * DAY) <= 15 * HOUR else nearest)
        else:
            out.append(nearest)
    return out


def round_half_down(time):
    """The day whose midnight is nearest to a time; at noon the earlier."""
    day, rest = divmod(time, DAY)
    return day + (rest > HALF_DAY)


def metering_day(times, settled, day):
    """The use between two readings in a row that stand for the midnights of a day, or None."""
    stood_for = midnights_stood_for(times)
    for i in range(1, len(times)):
        apart = times[i] - times[i - 1]
        if stood_for[i - 1 : i + 1] == [day, day + 1] and 22 * HOUR <= apart <= 26 * HOUR:
            (low, before, *_), (level, segment, *_) = settled[i - 1 : i + 1]
            return level - low if before == segment >= 0 else None
    return None


def midnight_level(times, settled, at, within):
    """("level", level, segment, decided) of a register at midnight `at`, or ("no reading" | "undecided" |
    "not believed",)."""
    before = [i for i, t in enumerate(times) if t < at]
    after = [i for i, t in enumerate(times) if t >= at]
    exact = any(times[i] == at for i in after)
    if not exact and not (
        before and after and at - times[before[-1]] <= within and times[after[0]] - at <= within
    ):
        near = [i for i in [*before[-1:], *after[:1]] if abs(times[i] - at) <= HOUR // 4][:1]
        if not near or midnights_stood_for(times)[near[0]] is None:
            return ("no reading",)
        level, segment, decided, _ = settled[near[0]]
        return {-2: ("undecided",), -1: ("not believed", decided)}.get(
            segment, ("level", level, segment, decided)
        )
    left = [i for i in before if settled[i][1] >= 0]
    right = [i for i in after if settled[i][1] >= 0]
    if not right:
        return ("undecided",)
    level, segment, decided, _ = settled[right[0]]
    if times[right[0]] == at:
        return ("level", level, segment, decided)
    if not left or at - times[left[-1]] > within or times[right[0]] - at > within:
        return ("not believed", decided)
    if settled[left[-1]][1] != segment:
        return ("level", None, None, decided)
    low, share = settled[left[-1]][0], (at - times[left[-1]]) / (times[right[0]] - times[left[-1]])
    return ("level", low + math.floor((level - low) * share + 0.5), segment, decided)


def cadence_seconds(times, days):
    """Twin of readings.period_days.cadence_seconds for one home with few different steps."""
    out, counts = [0] * len(times), Counter()
    for i in range(len(times)):
        step = (times[i] - times[i - 1]) // 1_000_000 if i else 0
        if step > 0:
            counts[step] += 1
        if counts.total() >= 512:
            counts = Counter({step: n // 2 for step, n in counts.items()})
        if (i + 1 == len(times) or days[i + 1] != days[i]) and counts:
            usual, n = counts.most_common(1)[0]
            out[i] = usual if n and n >= 0.8 * counts.total() else 0
    return out


def quantile(values, q):
    """Linear between the two nearest of the sorted values."""
    values, place = sorted(values), q * (len(values) - 1)
    below = math.floor(place)
    return values[below] + (values[min(below + 1, len(values) - 1)] - values[below]) * (place - below)


def trailing_quantile(value, days, q, least, first_ordinal):
    """Quantile of the days before each day's anchor: asks for the anchor's window every day anew."""
    out = []
    for t in range(len(value)):
        anchor = t - (first_ordinal + t) % 7
        known = [v for v in value[max(0, anchor - days) : max(0, anchor)] if not math.isnan(v)]
        out.append(quantile(known, q) if len(known) >= least else math.nan)
    return out


def vacant_days(signals, lags, share, days, least, first_ordinal):
    """Twin of expected.kernels.vacant_days for one home: signals and lags are lists of series."""
    low, seen = [True] * len(signals[0]), [False] * len(signals[0])
    for value, lag in zip(signals, lags, strict=True):
        timely = [math.nan if late else v for v, late in zip(value, lag, strict=True)]
        usual = trailing_quantile(timely, days, 0.6, least, first_ordinal)
        for t, (v, u) in enumerate(zip(timely, usual, strict=True)):
            if not math.isnan(v) and not math.isnan(u):
                seen[t] = True
                low[t] = low[t] and v <= share * u
    return [a and b for a, b in zip(low, seen, strict=True)]


def latest(usable, t, guard, days):
    """The last `days` usable days at least `guard` old, searched three times as far back."""
    reach = [u for u in range(max(0, t - guard - 3 * days + 1), t - guard + 1) if usable[u]]
    return reach[-days:]


def trailing_level(x, usable, guard, days, least):
    """Twin of expected.kernels.trailing_level for one home."""
    found = [latest(usable, t, guard, days) for t in range(len(x))]
    return [median(x[u] for u in at) if len(at) >= least else math.nan for at in found]


def shared_shock(departure, group, peers_min):
    """Twin of expected.kernels.shared_shock for one day."""
    out = []
    for h in range(len(departure)):
        others = [
            (d, g)
            for i, (d, g) in enumerate(zip(departure, group, strict=True))
            if i != h and not math.isnan(d)
        ]
        near = [d for d, g in others if g == group[h] and g > 0]
        peers = near if len(near) >= peers_min else [d for d, _ in others]
        out.append(median(peers) if len(peers) >= peers_min else 0.0)
    return out


def resolution(value, lag):
    """Twin of expected.resolution for one series: asks for all the days before anew."""
    return [
        max(
            1,
            math.gcd(
                *(
                    int(v)
                    for v, late in zip(value[: max(0, t - 6)], lag, strict=False)
                    if late < 7 and not math.isnan(v)
                )
            ),
        )
        for t in range(len(value))
    ]


def average_coarse_days(value, lag, resolution, guard, share, n):
    """Twin of expected.kernels.average_coarse_days for one home: (series, span)."""
    series, span = list(value), [1] * len(value)
    in_time = [v if late < guard else math.nan for v, late in zip(value, lag, strict=True)]
    that_day = [v if late == 0 else math.nan for v, late in zip(value, lag, strict=True)]
    for t in range(guard, len(value)):
        known = [v for v in in_time[: t - guard + 1] if not math.isnan(v)]
        if known and resolution[t] > share * max(sum(known) / len(known), 1):
            last = that_day[max(0, t - n + 1) : t + 1]
            series[t], span[t] = sum(last) / n if len(last) == n else math.nan, n
    return series, span


def usual_and_spread(y, usable, weekday, ordinal, baselines, days):
    """Twin of expected.kernels.usual_and_spread for one home: (usual, spread, count) of each day."""
    out = []
    for t in range(len(y)):
        renewed = [
            (latest(usable, t - (ordinal + t - guard) % step, guard, days), least)
            for guard, least, step in baselines
        ]
        rungs = [at for at, least in renewed if len(at) >= least]
        if not rungs:
            out.append((math.nan, math.nan, 0))
            continue
        at = rungs[0]
        level = median(y[u] for u in at)
        effect = []
        for d in range(7):
            same = [y[u] for u in at if weekday[u] == d]
            effect.append((median(same) - level) * len(same) / (len(same) + 3) if same else 0.0)
        left = median(abs(y[u] - level - effect[weekday[u]]) for u in at)
        out.append((level + effect[weekday[t]], 1.4826 * left, len(at)))
    return out


def past_level(y, guard, first_ordinal):
    """The second-highest 28-day median of the past year for each day of one home; NaN without two blocks.

    Lays out the year's blocks for every day anew.
    """
    out = []
    for t in range(len(y)):
        end = t - guard - (first_ordinal + t - guard) % 7
        levels = []
        for k in range(12):
            days = range(end - 28 * k - 27, end - 28 * k + 1)
            block = [y[u] for u in days if u >= 0 and not math.isnan(y[u])]
            if end - 28 * k >= 0 and len(block) >= 14:
                levels.append(median(block))
        out.append(sorted(levels)[-2] if len(levels) >= 2 else math.nan)
    return out


def mix_spread_and_past(y, usual, spread, count, peers_spread, rules, first_ordinal):
    """Twin of expected.kernels.mix_spread_and_past for one home: (usual, spread) of the last days."""
    levels = past_level(y, rules.guard_days, first_ordinal)[-len(usual) :]
    out = []
    for own, s, n, others, past in zip(usual, spread, count, peers_spread, levels, strict=True):
        if not n:
            out.append((math.nan, math.nan))
            continue
        share = rules.own_spread_share * min(1, n / (2 * rules.least_days))
        if not math.isnan(others):
            s = math.sqrt(share * s**2 + (1 - share) * others**2)
        s = max(s, rules.least_spread)
        if rules.past_level and not math.isnan(past):
            own = max(own, past - 0.35 * s)
        out.append((own, s))
    return out


def window_sums(z, lag, block, days):
    """Twin of detectors.windows.window_sums for one home."""
    out = []
    for t in range(len(z)):
        known = [z[u] for u in range(max(0, t - days + 1), t + 1) if not math.isnan(z[u]) and u + lag[u] <= t]
        out.append(sum(known) / math.sqrt(len(known) * block[t]) if len(known) >= days / 2 else math.nan)
    return out


def max_of_nights_before(score, nights):
    """Twin of evidence.max_of_nights_before for one home."""
    before = [[s for s in score[max(0, t - nights) : t] if not math.isnan(s)] for t in range(len(score))]
    return [max(known, default=-math.inf) for known in before]


def episodes(score, nights, level):
    """Crossings of a level by one home's known scores after `nights` nights below it (the first night counts
    as one)."""
    before = max_of_nights_before(score, nights)
    return sum(s >= level and not b >= level for s, b in zip(score, before, strict=True) if not math.isnan(s))


def mark_contradictions(meter, doors):
    """Twin of readings.doors_and_meters.mark_contradictions for one home: the marks alone, each known day
    asked afresh; None is unknown."""
    marks, run, odd = [None] * len(meter), [], False

    def before(days, t):
        return [v for v in days[max(0, t - 60) : t] if v is not None]

    for t, value in enumerate(meter):
        if value is None:
            continue
        usual = median(before(doors, t)) if doors[t] is not None and len(before(doors, t)) >= 14 else None
        if value == 0:
            if not run:
                known = before(meter, t)
                odd = len(known) >= 14 and known.count(0) <= len(known) / 10
            run.append(odd and usual is not None and doors[t] >= max(2, usual / 2))
            marks[t] = "zero" if run[-1] else None
            continue
        used = sorted(v for v in before(meter, t) if v)
        if run and usual is not None:
            marks[t] = "catch_up" if any(run) else None
        elif run and odd and len(used) >= 14:
            at = 0.98 * (len(used) - 1)
            high = used[int(at)] + (used[math.ceil(at)] - used[int(at)]) * (at - int(at))
            marks[t] = "catch_up" if value > high else None
        run = []
    return marks
