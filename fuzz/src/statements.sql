-- Statements that the target `sql` begins with, one a line; sql.rs makes the tables.
SELECT * FROM n
SELECT id, v, s FROM n WHERE id = 7
SELECT * FROM n WHERE id BETWEEN 3 AND 9 OR id > 35
SELECT s, id FROM n WHERE id IN (1, 5, 900) AND v IS NOT NULL
SELECT * FROM t WHERE k >= 'a' AND k < 'b'
SELECT * FROM t WHERE k LIKE 'a%'
SELECT * FROM c WHERE a = 1 AND b = 'y'
SELECT * FROM c WHERE (a, b) = (1, 'x')
SELECT a, b FROM c WHERE a > -5 AND a <= 1 AND b <> ''
SELECT COUNT(*), COUNT(v), MIN(id), MAX(id), SUM(v) FROM n
SELECT COUNT(*) FROM n WHERE id < 10
SELECT v, COUNT(*) AS many FROM n GROUP BY v HAVING COUNT(*) > 2 ORDER BY v NULLS FIRST
SELECT DISTINCT v FROM n WHERE NOT (v = 2)
SELECT n.id, c.x FROM n JOIN c ON n.v = c.a WHERE c.b = 'x'
SELECT n.id, t.k FROM n LEFT JOIN t ON n.s = t.k ORDER BY n.id DESC
SELECT a.id FROM n AS a, n AS b WHERE a.id = b.v + 1
SELECT id FROM n WHERE id IN (SELECT v FROM n WHERE v IS NOT NULL)
SELECT id FROM n WHERE EXISTS (SELECT 1 FROM c WHERE c.a = n.v)
SELECT (SELECT MAX(id) FROM n) + 1 AS next
WITH small AS (SELECT id FROM n WHERE id < 5) SELECT * FROM small UNION ALL SELECT a FROM c
WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 9) SELECT i FROM r
SELECT id FROM n EXCEPT SELECT v FROM n
SELECT id FROM n INTERSECT SELECT a FROM c
SELECT CASE WHEN v > 2 THEN 'big' WHEN v IS NULL THEN 'none' ELSE s END FROM n
SELECT CAST(id AS TEXT) || s, upper(s), substr(s, 2, 3), char_length(s) FROM n
SELECT id % 3, -id, id * 2 - 1, abs(v), COALESCE(v, 0) FROM n WHERE id / 2 > 3
SELECT day, day + INTERVAL '1 day', date_trunc('month', at), extract(year FROM day) FROM d
SELECT * FROM d WHERE at > TIMESTAMP '2020-01-01T00:00:00' AND day < DATE '2030-01-01'
SELECT x * 2, x + 1.5, round(x) FROM c
SELECT id, SUM(v) OVER (PARTITION BY v ORDER BY id) FROM n
SELECT ROW_NUMBER() OVER (ORDER BY id) AS r, id FROM n
SELECT * FROM n ORDER BY id LIMIT 5 OFFSET 2
SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS x(i, j) WHERE j IS NULL
SELECT value FROM generate_series(1, 5) AS g(value)
SELECT [1, 2, 3][2], make_array(1, 2), {'a': 1}['a'], true AND NULL, 1 IS DISTINCT FROM NULL
SELECT l, l[1] FROM h
SELECT 'x' || E'\n' || $$y$$, X'00ff', 1e10, 0.1 + 0.2, NULL
SELECT s ~ '^row [0-9]+$', regexp_replace(s, 'r', 'R') FROM n
EXPLAIN SELECT * FROM n WHERE id = 7
EXPLAIN ANALYZE SELECT COUNT(*) FROM c WHERE a = 1
SHOW TABLES
SHOW COLUMNS FROM n
DESCRIBE n
SELECT table_name, column_name FROM information_schema.columns
INSERT INTO n VALUES (1000, 1, 'one'), (1001, NULL, NULL)
INSERT OR REPLACE INTO n VALUES (3, 9, 'again')
INSERT INTO n (id) SELECT value FROM generate_series(2000, 2010) AS g(value)
INSERT INTO c (a, b) VALUES (77, 'default')
CREATE TABLE z (a BIGINT PRIMARY KEY, b TEXT DEFAULT 'x' || 'y', c TIMESTAMP, d DECIMAL(20, 3))
CREATE TABLE IF NOT EXISTS z (a INT, b SMALLINT, c TEXT, PRIMARY KEY (b, a))
CREATE TABLE z AS SELECT id, s FROM n WHERE v = 1
CREATE OR REPLACE VIEW y AS SELECT id FROM n WHERE v = 1
DROP TABLE c
DROP TABLE IF EXISTS nothing
SET datafusion.execution.batch_size = 7
