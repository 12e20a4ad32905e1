//! The four questions of the demo.

/// One question.
pub(super) struct Query {
    /// What it shows.
    pub(super) title: &'static str,
    /// One statement.
    pub(super) sql: &'static str,
}

/// Key lookup, key range, aggregate, join.
pub(super) const QUERIES: [Query; 4] = [
    Query {
        title: "Key lookup: the weather at one airport in one hour",
        sql: "SELECT origin, time_hour, temp, humid, pressure, visib FROM weather\n\
              WHERE origin = 'JFK' AND time_hour = '2013-07-04T10:00:00Z'",
    },
    Query {
        title: "Key range: six hours of a snowstorm",
        sql: "SELECT time_hour, temp, round(wind_speed, 1) AS wind, precip, visib FROM weather\n\
              WHERE origin = 'LGA' AND time_hour >= '2013-02-08T18:00:00Z' \
              AND time_hour < '2013-02-09T00:00:00Z'\nORDER BY time_hour",
    },
    Query {
        title: "Aggregate: each airport over the year, from all rows",
        sql: "SELECT origin, count(*) AS hours, round(avg(temp), 1) AS temp_mean, \
              max(wind_gust) AS gust_max, round(sum(precip), 2) AS rain\n\
              FROM weather GROUP BY origin ORDER BY origin",
    },
    Query {
        title: "Join: the windiest hours with their airports (a faulty 1,048 mph left out)",
        sql: "SELECT a.name, w.time_hour, round(w.wind_speed, 1) AS wind\n\
              FROM weather w JOIN airports a ON a.faa = w.origin\n\
              WHERE w.wind_speed < 100 ORDER BY w.wind_speed DESC, w.time_hour LIMIT 5",
    },
];
