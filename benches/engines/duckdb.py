# DuckDB, told what to do line by line: a command and a number of rows, then the rows, id and value.
import sys
import time

import duckdb

con = duckdb.connect(sys.argv[1])
columns = "id BIGINT{}, ts TIMESTAMP_MS, device BIGINT, value DOUBLE, note VARCHAR"
reading = (
    "id, make_timestamp_ms(1700000000000 + id * 250)::TIMESTAMP_MS AS ts, id % 97 AS device, "
    "{} AS value, 'note-' || lpad(CAST((id * 7919) % 9999991 AS VARCHAR), 10, '0') AS note"
)
single = {
    "update": "UPDATE readings SET value = $value WHERE id = $id",
    "delete": "DELETE FROM readings WHERE id = $id",
    "upsert": "INSERT INTO readings SELECT " + reading.format("$value")
    + " FROM (SELECT $id AS id) ON CONFLICT (id) DO UPDATE SET value = excluded.value",
}


def say(text):
    print("ok", text, flush=True)


say("ready")
for line in sys.stdin:
    command, count = line.split()
    rows = [sys.stdin.readline().split() for _ in range(int(count))]
    rows = [(int(id), float(value)) for id, value in rows]
    kind, _, rest = command.partition("-")
    if kind == "load":
        con.execute(f"CREATE TABLE readings ({columns.format(' PRIMARY KEY')})")
        value = "((id * 2654435761) % 10007) / 7.0::DOUBLE"
        con.execute(
            f"INSERT INTO readings SELECT {reading.format(value)} FROM range({rest}) AS r(id)"
        )
        con.execute("CHECKPOINT")
        say("loaded")
    elif kind == "one":
        sql = single[rest]
        started = time.perf_counter()
        for id, value in rows:
            given = {"id": id} if rest == "delete" else {"id": id, "value": value}
            changed = con.execute(sql, given).fetchone()[0]
            if changed != 1:
                raise SystemExit(f"{changed} rows changed by {sql}")
        say(time.perf_counter() - started)
    elif kind == "all":
        con.execute("CREATE TEMP TABLE given (id BIGINT, value DOUBLE)")
        step = 10_000
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            text = ", ".join(f"({id}, {value!r})" for id, value in part)
            con.execute(f"INSERT INTO given VALUES {text}")
        con.execute(f"CREATE TABLE chosen ({columns.format('')})")
        con.execute(f"INSERT INTO chosen SELECT {reading.format('value')} FROM given")
        con.execute("DROP TABLE given")
        con.execute("CHECKPOINT")
        sql = rest.replace("\x01", " ")
        started = time.perf_counter()
        changed = con.execute(sql).fetchone()[0]
        elapsed = time.perf_counter() - started
        con.execute("DROP TABLE chosen")
        if changed != len(rows):
            raise SystemExit(f"{changed} rows changed by {sql}")
        say(elapsed)
    elif kind == "rows":
        found = con.execute("SELECT id, value FROM readings ORDER BY id").fetchall()
        say(len(found))
        sys.stdout.write("".join(f"{id} {value!r}\n" for id, value in found))
        sys.stdout.flush()
    else:
        con.close()
        break
