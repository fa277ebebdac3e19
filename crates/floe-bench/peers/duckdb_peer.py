"""DuckDB in this process, over the Parquet files of segments: `duckdb_peer.py GLOB [--table]`.

Answers `query` for its time, and `quantities` as the oracle of the cross-check: SQL groups events, and what follows from
the groups is computed with exact fractions.
"""

import sys
from decimal import Decimal
from fractions import Fraction

import duckdb

import protocol

connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
connection.execute("SET parquet_metadata_cache = true")
files = f"read_parquet('{sys.argv[1]}', union_by_name = true)"
if "--table" in sys.argv:
    connection.execute(f"CREATE TABLE events AS FROM {files} ORDER BY sequence")
else:
    connection.execute(f"CREATE VIEW events AS FROM {files}")


def columns():
    return {"columns": [name for name, *_ in connection.execute("DESCRIBE events").fetchall()]}


def query(sql, seconds):
    rows, times, elapsed = protocol.repeat(lambda: connection.execute(sql).fetchall(), seconds)
    rows = [[protocol.cell(value) for value in row] for row in rows]
    return {"rows": rows, "times": times, "seconds": elapsed}


def rounded(exact):
    """The nearest double, read as the shortest decimal that shows it."""
    return Fraction(Decimal(repr(float(exact))))


def finish(function, group):
    """The exact value of a group of events: its number, sum, least and greatest number, distinct values."""
    count, total, least, greatest, distinct = group
    match function:
        case "count":
            return Fraction(count)
        case "sum":
            return Fraction(total)
        case "avg":
            return rounded(Fraction(total) / count)
        case "min":
            return Fraction(least)
        case "max":
            return Fraction(greatest)
        case "unique":
            return Fraction(distinct)


def over_customers(function, values):
    match function:
        case "count":
            return Fraction(len(values))
        case "sum":
            return sum(values, Fraction(0))
        case "avg":
            return rounded(sum(values, Fraction(0)) / len(values))
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "unique":
            return Fraction(len(set(values)))


def quantities(points, groups, distinct, function, customer_function):
    """`points`: SQL of the bucket of each point, in order. `groups`: SQL of bucket, customer (or nothing), and what
    `finish` wants. `distinct`: SQL of the number of distinct values in all buckets."""
    buckets = [bucket for (bucket,) in connection.execute(points).fetchall()]
    of_bucket = {}
    for bucket, _, *group in connection.execute(groups).fetchall():
        of_bucket.setdefault(bucket, []).append(group)
    of_bucket = {bucket: of_bucket[bucket] for bucket in set(buckets) & set(of_bucket)}
    values = {}
    for bucket, found in of_bucket.items():
        found = [finish(function, group) for group in found]
        values[bucket] = over_customers(customer_function, found) if customer_function else found[0]
    points = [values.get(bucket) for bucket in buckets]
    filled = [value for value in points if value is not None]
    match function:
        case "count" | "sum":
            total = sum(filled, Fraction(0))
        case "min":
            total = min(filled, default=Fraction(0))
        case "max":
            total = max(filled, default=Fraction(0))
        case "avg":
            count = sum(group[0] for found in of_bucket.values() for group in found)
            exact = sum((Fraction(group[1]) for found in of_bucket.values() for group in found), Fraction(0))
            total = rounded(exact / count) if count else Fraction(0)
        case "unique":
            total = Fraction(connection.execute(distinct).fetchone()[0])
    return {"quantities": [float(value or 0) for value in points], "total": float(total)}


protocol.serve({"columns": columns, "query": query, "quantities": quantities})
