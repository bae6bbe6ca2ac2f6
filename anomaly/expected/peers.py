"""What a home's peers used on the same days, for a person to compare with."""

import numpy as np
import polars as pl

from anomaly.expected.grid import Grid


def peer_medians_frame(grid: Grid, night: int, homes: np.ndarray, days: int, least: int) -> pl.DataFrame:
    """household, signal, day, peers: the median of the homes in the same district over the last `days` days, base units.

    A district of fewer than `least` homes is told by the whole site. Only what the night index `night` knew counts; a day
    on which fewer than `least` of the homes are known has no row.
    """
    at = np.arange(max(0, night - days + 1), night + 1)
    day = (at + grid.ordinal).astype("datetime64[D]")
    value = np.where(grid.lag[:, :, at] + at <= night, grid.value[:, :, at], np.nan)
    group = np.where(np.bincount(grid.group)[grid.group] >= least, grid.group, 0)
    frames = [
        pl.DataFrame(
            schema={"household": pl.String, "signal": pl.String, "day": pl.Date, "peers": pl.Float64}
        )
    ]
    for g in np.unique(group[homes]):
        members = value if g == 0 else value[:, group == g]
        own = [grid.households[h] for h in homes if group[h] == g]
        for s, signal in enumerate(grid.signals):
            told = (~np.isnan(members[s])).sum(axis=0) >= least
            median = np.nanmedian(members[s][:, told], axis=0)
            frame = pl.DataFrame(
                {"signal": [signal] * int(told.sum()), "day": day[told], "peers": median},
                schema=frames[0].drop("household").schema,
            )
            frames.append(
                pl.DataFrame({"household": own}, schema={"household": pl.String}).join(frame, how="cross")
            )
    return pl.concat(frames)
