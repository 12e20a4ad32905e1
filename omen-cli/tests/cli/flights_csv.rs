//! Writes the Parquet files of `data/` back as the CSV files they were read from.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The tables of `data/`, each with its primary key.
pub(crate) const TABLES: [(&str, &str); 5] = [
    ("flights", "time_hour,carrier,flight"),
    ("weather", "origin,time_hour"),
    ("planes", "tailnum"),
    ("airports", "faa"),
    ("airlines", "carrier"),
];

/// A table of `data/` as Arrow, in its original order.
pub(crate) fn read(table: &str) -> (SchemaRef, Vec<RecordBatch>) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    let file = File::open(data.join(format!("{table}.parquet"))).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = builder.schema().clone();
    (schema, builder.build().unwrap().collect::<Result<_, _>>().unwrap())
}

/// Writes `table` as CSV into `folder`; returns its path.
pub(crate) fn write(table: &str, folder: &Path) -> PathBuf {
    let path = folder.join(format!("{table}.csv"));
    let (schema, batches) = read(table);
    let mut out = BufWriter::new(File::create(&path).unwrap());
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    writeln!(out, "{}", names.join(",")).unwrap();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            for (i, column) in batch.columns().iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                write!(out, "{comma}{}", value(column, row)).unwrap();
            }
            out.write_all(b"\n").unwrap();
        }
    }
    out.into_inner().unwrap().sync_all().unwrap();
    path
}

fn value(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "NA".to_string();
    }
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Timestamp(_, _) => {
            let time = column.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row);
            time.unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
        _ => column.as_string::<i32>().value(row).to_string(),
    }
}

#[test]
fn the_flights_csv_is_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let written = std::fs::read_to_string(write("flights", folder.path())).unwrap();
    let mut lines = written.lines();
    assert_eq!(written.len(), 31_053_850);
    assert_eq!(
        lines.next().unwrap(),
        "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,\
         carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
    );
    assert_eq!(
        lines.next().unwrap(),
        "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"
    );
    assert_eq!(
        lines.next_back().unwrap(),
        "2013,9,30,NA,840,NA,NA,1020,NA,MQ,3531,N839MQ,LGA,RDU,NA,431,8,40,2013-09-30T12:00:00Z"
    );
}
