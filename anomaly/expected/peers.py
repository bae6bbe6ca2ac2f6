"""Show what a home's peers used on the same days, for a person to compare with."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from anomaly.expected.grid import Grid

PEER_MEDIANS_SCHEMA = {"household": pl.String, "signal": pl.String, "day": pl.Date, "peers": pl.Float64}


def peer_medians_frame(
    peers: Grid, night: int, district_of: Mapping[str, int], days: int, least: int
) -> pl.DataFrame:
    """Return the median of the peers in each home's district over the last days (PEER_MEDIANS_SCHEMA), base
    units.

    night: day index of `peers`; only what that night knew counts. district_of: household → number of its
    district, as in `peers.group`. days: how many last days. A district of fewer than `least` peers is
    compared with all of them; a day on which fewer than `least` of the peers are known has no row.
    """
    at = np.arange(max(0, night - days + 1), night + 1)
    day = (at + peers.ordinal).astype("datetime64[D]")
    value = np.where(peers.lag[:, :, at] + at <= night, peers.value[:, :, at], np.nan)
    large = {int(g) for g in np.flatnonzero(np.bincount(peers.group, minlength=1) >= least)}
    asked = {home: district if district in large else 0 for home, district in district_of.items()}
    frames = [pl.DataFrame(schema=PEER_MEDIANS_SCHEMA)]
    for g in sorted(set(asked.values())):
        members = value if g == 0 else value[:, peers.group == g]
        own = [home for home, district in asked.items() if district == g]
        households = pl.DataFrame({"household": own}, schema={"household": pl.String})
        for s, signal in enumerate(peers.signals):
            enough = (~np.isnan(members[s])).sum(axis=0) >= least
            medians = pl.DataFrame(
                {
                    "signal": [signal] * int(enough.sum()),
                    "day": day[enough],
                    "peers": np.nanmedian(members[s][:, enough], axis=0),
                },
                schema=frames[0].drop("household").schema,
            )
            frames.append(households.join(medians, how="cross"))
    return pl.concat(frames)
