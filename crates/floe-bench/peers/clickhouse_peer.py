"""ClickHouse as a server over HTTP, from the library in the chdb wheel: `clickhouse_peer.py FOLDER GLOB`.

The library holds all of clickhouse-local, which serves HTTP when it is told to. Only the private module `_chdb` goes that
way, so the wheel is pinned; one server a process.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import protocol

CONFIG = """<clickhouse>
  <logger><level>error</level></logger>
  <http_port>{port}</http_port>
  <listen_host>127.0.0.1</listen_host>
</clickhouse>
"""

SERVER = """
from chdb import _chdb
_chdb.query("SYSTEM START LISTEN HTTP; SELECT sleepEachRow(1) FROM numbers(100000000) SETTINGS max_block_size = 1, "
            "function_sleep_max_microseconds_per_block = 0, max_execution_time = 0 FORMAT Null", "TSV", path="data")
"""

# As a user would lay it out: the customer before the time, metadata in typed columns.
TABLE = """
CREATE TABLE events (
  sequence Int64, timestamp DateTime64(6, 'UTC'), ingested_at DateTime64(6, 'UTC'),
  name LowCardinality(String), source LowCardinality(String),
  external_customer_id LowCardinality(String), external_id String,
  tokens Int64, model LowCardinality(String), region LowCardinality(String), latency Float64
) ENGINE = MergeTree ORDER BY (name, external_customer_id, timestamp)
"""

LOAD = """
INSERT INTO events SELECT sequence, timestamp, ingested_at, name, source, external_customer_id, external_id,
  "metadata.tokens:int", "metadata.model:string", "metadata.region:string", "metadata.latency:float"
FROM file('{files}', Parquet)
"""

folder, files = sys.argv[1], sys.argv[2]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
with open(os.path.join(folder, "config.xml"), "w") as config:
    config.write(CONFIG.format(port=port))
server = subprocess.Popen([sys.executable, "-c", SERVER], cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def execute(sql):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=sql.encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()[:500]) from None


def wait_for_server():
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping").read()
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
    sys.exit("the ClickHouse server does not answer")


def query(sql, seconds):
    sql += " FORMAT JSONCompact"
    answer, times, elapsed = protocol.repeat(lambda: execute(sql), seconds)
    rows = [[protocol.cell(value) for value in row] for row in json.loads(answer)["data"]]
    return {"rows": rows, "times": times, "seconds": elapsed}


try:
    wait_for_server()
    execute(TABLE)
    execute(LOAD.format(files=files))
    execute("OPTIMIZE TABLE events FINAL")
    protocol.serve({"process": lambda: {"process": server.pid}, "query": query})
finally:
    server.kill()
    server.wait()
