"""statsforecast's SeasonalWindowAverage, run by the peers' own Python: `seasonal_window_average.py IN.npy
OUT.npy`.

IN: (N, T) daily series without inner gaps, NaN before the first day. OUT: (N, T) forecasts, each week from
all days before it.
"""

import sys
import warnings

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import SeasonalWindowAverage

WEEK, WEEKS = 7, 8


def main(source: str, target: str) -> None:
    y = np.load(source)
    out = np.full_like(y, np.nan)
    model = StatsForecast(
        models=[SeasonalWindowAverage(season_length=WEEK, window_size=WEEKS)], freq=1, n_jobs=1
    )
    for start in range(WEEK * WEEKS, y.shape[1], WEEK):
        past = y[:, start - WEEK * WEEKS : start]
        whole = np.flatnonzero(~np.isnan(past).any(axis=1))
        if whole.size == 0:
            continue
        day = np.arange(start - WEEK * WEEKS, start)
        frame = pd.DataFrame(
            {
                "unique_id": np.repeat(whole, day.size),
                "ds": np.tile(day, whole.size),
                "y": past[whole].ravel(),
            }
        )
        week = model.forecast(df=frame, h=WEEK)["SeasWA"].to_numpy().reshape(whole.size, WEEK)
        out[whole, start : start + WEEK] = week[:, : y.shape[1] - start]
    np.save(target, out)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
