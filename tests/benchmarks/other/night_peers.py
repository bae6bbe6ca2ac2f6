"""How long others take for one night of some series, run by the peers' own Python: `night_peers.py IN.npy`.

IN: (N, T) daily series, NaN where a day is missing (filled with the day before: none of them takes a gap).
Prints a JSON line a peer: its name, how many of the series it was given, and seconds. One process; making
the frames is not counted.
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd

WEEK, WEEKS = 7, 12
FEW = 30  # series for those that take a frame each


def main(source: str) -> None:
    y = pd.DataFrame(np.load(source).T).ffill().bfill().fillna(0.0)
    day = pd.date_range("2025-03-01", periods=len(y))
    told("statsforecast SeasonalWindowAverage", y.shape[1], _seasonal_window_average(y, day))
    from adtk.detector import LevelShiftAD, SeasonalAD

    few = [pd.Series(y[column].to_numpy(), index=day) for column in y.columns[:FEW]]
    for detector in (SeasonalAD(freq=WEEK), LevelShiftAD(window=(WEEK * WEEKS, 10))):
        begun, failed = time.perf_counter(), 0
        for one in few:
            try:
                detector.fit_detect(one)
            except (
                RuntimeError,
                ValueError,
            ):  # "no significant seasonality": it has been looked for, and that took as long
                failed += 1
        told(f"ADTK {type(detector).__name__}", len(few), time.perf_counter() - begun, failed)


def _seasonal_window_average(y: pd.DataFrame, day: pd.DatetimeIndex) -> float:
    from statsforecast import StatsForecast
    from statsforecast.models import SeasonalWindowAverage

    past = y.iloc[-WEEK * WEEKS :]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(y.columns, len(past)),
            "ds": np.tile(day[-WEEK * WEEKS :], y.shape[1]),
            "y": past.to_numpy().T.ravel(),
        }
    )
    model = StatsForecast(
        models=[SeasonalWindowAverage(season_length=WEEK, window_size=WEEKS)], freq="D", n_jobs=1
    )
    begun = time.perf_counter()
    model.forecast(df=frame, h=1)
    return time.perf_counter() - begun


def told(name: str, series: int, seconds: float, refused: int = 0) -> None:
    print(json.dumps({"peer": name, "series": series, "seconds": seconds, "refused": refused}), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
