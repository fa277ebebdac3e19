"""A year of hourly temperatures, metered by Floe and checked against pandas, number by number.

Needs FLOE_URL and FLOE_ROOT_TOKEN; see README.md, or let `run` do everything.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from fractions import Fraction

import pandas
from polar.v2026_10 import Polar
from vega_datasets import local_data

ZONE = "America/Los_Angeles"
SHIFT = pandas.Timedelta(weeks=782)
ORGANIZATION = "real-data-sf-temps"
BATCH = 1000


def read_temperatures():
    """The data set with real instants: a row per reading with the columns `time` and `temp`."""
    rows = local_data.sf_temps()
    # The file has local times. The shift keeps the days of the week and puts both changes of the clock where they
    # were: the hour missing in the file is the hour missing on 9 March 2025, and its 02:00 was read at 03:00.
    local = rows["date"] + SHIFT
    time = local.dt.tz_localize(ZONE, nonexistent="shift_forward", ambiguous=True)
    if time.duplicated().any() or time.max() > pandas.Timestamp.now(tz="UTC"):
        sys.exit("the readings are not distinct instants of the past")
    return pandas.DataFrame({"time": time, "temp": rows["temp"]})


def operator(method, path, body=None):
    """One request with the root token, for what the SDK does not do: organizations and their tokens."""
    request = urllib.request.Request(
        os.environ["FLOE_URL"].rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {os.environ['FLOE_ROOT_TOKEN']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def open_organization():
    """The organization of this example, made at the first run; returns a client for it."""
    try:
        organization_id = operator("POST", "/v1/organizations/", {"name": ORGANIZATION, "slug": ORGANIZATION})["id"]
    except urllib.error.HTTPError as error:
        if error.code != 422:
            raise
        page, organization_id = 1, None
        while organization_id is None:
            items = operator("GET", f"/v1/organizations/?limit=100&page={page}")["items"]
            if not items:
                raise
            organization_id = next((item["id"] for item in items if item["slug"] == ORGANIZATION), None)
            page += 1
    scopes = ["events:read", "events:write", "meters:read", "meters:write"]
    body = {"organization_id": organization_id, "comment": "real-data example", "scopes": scopes}
    token = operator("POST", "/v1/organization-access-tokens/", body)["token"]
    return Polar(token, base_url=os.environ["FLOE_URL"].rstrip("/"), timeout=30)


def send(polar, readings):
    """Every reading as an event; the external id makes sending twice harmless."""
    events = [
        {
            "name": "temperature",
            "external_customer_id": "san-francisco",
            "external_id": f"sf-temps-{row.time.tz_convert('UTC').isoformat()}",
            "timestamp": row.time.isoformat(),
            "metadata": {"temp": row.temp},
        }
        for row in readings.itertuples()
    ]
    inserted = duplicates = 0
    for start in range(0, len(events), BATCH):
        answer = polar.events.ingest(events=events[start : start + BATCH])
        inserted += answer.inserted
        duplicates += answer.duplicates
    print(f"{len(events)} readings sent: {inserted} new, {duplicates} already there")


def meter_for(polar, function):
    """The meter that applies this function to the temperatures, made at the first run."""
    name = f"temperature {function}"
    for meter in polar.meters.iter_list(query=name):
        if meter.name == name:
            return meter
    clauses = [{"property": "name", "operator": "eq", "value": "temperature"}]
    return polar.meters.create(
        name=name,
        filter={"conjunction": "and", "clauses": clauses},
        aggregation={"func": function, "property": "temp"},
    )


def exact_sum(temps):
    """The sum of the decimals that the file shows, before any rounding."""
    return sum((Fraction(str(temp)) for temp in temps), Fraction(0))


# What pandas makes of the temperatures of a period. Sums are exact and rounded to a float once, as Floe's are.
FUNCTIONS = {
    "sum": lambda temps: float(exact_sum(temps)),
    "avg": lambda temps: float(exact_sum(temps) / len(temps)) if len(temps) else 0.0,
    "max": lambda temps: temps.max() if len(temps) else 0.0,
    "min": lambda temps: temps.min() if len(temps) else 0.0,
    "unique": lambda temps: float(temps.nunique()),
}
# The frequency in pandas, and the first and last day to ask about: whole periods that hold all readings.
INTERVALS = {
    "day": ("D", "2024-12-27", "2025-12-26"),
    "week": ("W-SUN", "2024-12-23", "2025-12-28"),
    "month": ("M", "2024-12-01", "2025-12-31"),
    "year": ("Y", "2024-01-01", "2025-12-31"),
}


def bounds(interval):
    """The first and the last second of the range, in Los Angeles."""
    _, first, last = INTERVALS[interval]
    end = pandas.Timestamp(last, tz=ZONE) + pandas.DateOffset(days=1) - pandas.Timedelta(seconds=1)
    return pandas.Timestamp(first, tz=ZONE), end


def by_floe(polar, interval, function):
    """What Floe answers: (instant, quantity) of every period, and the total."""
    start, end = bounds(interval)
    answer = polar.meters.quantities(
        meter_for(polar, function).id,
        start_timestamp=start.isoformat(),
        end_timestamp=end.isoformat(),
        interval=interval,
        timezone=ZONE,
    )
    return [(pandas.Timestamp(point.timestamp), point.quantity) for point in answer.quantities], answer.total


def by_pandas(readings, interval, function):
    """The same worked out here. All readings lie inside the range, so the total is the function over all of them."""
    start, end = bounds(interval)
    frequency, apply = INTERVALS[interval][0], FUNCTIONS[function]
    periods = readings["time"].dt.tz_localize(None).dt.to_period(frequency)
    groups = dict(list(readings["temp"].groupby(periods)))
    nothing = readings["temp"].iloc[:0]
    points = []
    for period in pandas.period_range(start.tz_localize(None), end.tz_localize(None), freq=frequency):
        begins = period.start_time.tz_localize(ZONE).tz_convert("UTC")
        points.append((begins, float(apply(groups.get(period, nothing)))))
    return points, float(apply(readings["temp"]))


def compare(polar, readings, interval, function):
    """Compares every point and the total, without tolerance; returns whether all are equal."""
    (points, total), (expected, expected_total) = (
        by_floe(polar, interval, function),
        by_pandas(readings, interval, function),
    )
    differ = abs(len(points) - len(expected))
    for ours, theirs in zip(points, expected):
        if ours != theirs:
            differ += 1
            print(f"{function} by {interval}: Floe {ours}, pandas {theirs}")
    if total != expected_total:
        differ += 1
        print(f"{function} by {interval}, total: Floe {total!r}, pandas {expected_total!r}")
    print(f"{function}: {len(expected)} {interval}s compared, {differ} differ")
    return differ == 0


def show(polar, readings):
    """A few days as a table, among them the two on which the clock changes."""
    readings_of = readings["time"].dt.strftime("%Y-%m-%d").value_counts()
    floe, expected = by_floe(polar, "day", "sum")[0], by_pandas(readings, "day", "sum")[0]
    print(f"{'day':12}{'readings':>9}{'Floe':>10}{'pandas':>10}")
    for (instant, quantity), (_, theirs) in zip(floe, expected):
        day = instant.tz_convert(ZONE).strftime("%Y-%m-%d")
        if day in ("2024-12-27", "2025-03-08", "2025-03-09", "2025-07-04", "2025-11-02", "2025-12-26"):
            print(f"{day:12}{readings_of[day]:>9}{quantity:>10}{theirs:>10}")


def main():
    readings = read_temperatures()
    polar = open_organization()
    send(polar, readings)
    show(polar, readings)
    equal = [compare(polar, readings, interval, function) for interval in INTERVALS for function in FUNCTIONS]
    sys.exit(0 if all(equal) else 1)


if __name__ == "__main__":
    main()
