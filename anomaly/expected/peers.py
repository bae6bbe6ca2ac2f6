"""What a home's peers used on the same days, for a person to compare with."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from anomaly.expected.grid import Grid


def peer_medians_frame(
    peers: Grid, night: int, district_of: Mapping[str, int], days: int, least: int
) -> pl.DataFrame:
    """Return household, signal, day, peers: the median of the peers in a home's district over the last `days`
    days, base units.

    district_of: household → number of its district, as in `peers.group`. A district of fewer than `least`
    peers is told by all of them. Only what the night, a day index of `peers`, knew counts; a day on which
    fewer than `least` of the peers are known has no row.
    """
    at = np.arange(max(0, night - days + 1), night + 1)
    day = (at + peers.ordinal).astype("datetime64[D]")
    value = np.where(peers.lag[:, :, at] + at <= night, peers.value[:, :, at], np.nan)
    large = {int(g) for g in np.flatnonzero(np.bincount(peers.group, minlength=1) >= least)}
    asked = {home: district if district in large else 0 for home, district in district_of.items()}
    frames = [
        pl.DataFrame(
            schema={"household": pl.String, "signal": pl.String, "day": pl.Date, "peers": pl.Float64}
        )
    ]
    for g in sorted(set(asked.values())):
        members = value if g == 0 else value[:, peers.group == g]
        own = [home for home, district in asked.items() if district == g]
        for s, signal in enumerate(peers.signals):
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
