//! Each format against its expected text, on a batch that holds what tends to go wrong.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, TimeUnit};

use super::*;

fn sample() -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]);
    let names = StringArray::from(vec![Some("a,\"b\""), Some(""), None, Some("two\nlines|x")]);
    let times = TimestampMicrosecondArray::from(vec![Some(0), None, Some(1_500_000), Some(0)]);
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(Int64Array::from(vec![1, 2, 300, 4])),
            Arc::new(names),
            Arc::new(times.with_timezone("UTC")),
        ],
    )
    .unwrap()
}

fn print(format: Format, limits: Limits, batches: &[RecordBatch]) -> String {
    let mut out = Vec::new();
    let schema = batches[0].schema();
    print_all(format, limits, &schema, batches, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn all(format: Format) -> String {
    print(format, Limits::default(), &[sample()])
}

#[test]
fn csv_keeps_null_and_empty_text_apart() {
    assert_eq!(
        all(Format::Csv),
        "id,name,at\n1,\"a,\"\"b\"\"\",1970-01-01T00:00:00Z\n2,\"\",\n\
         300,,1970-01-01T00:00:01.500Z\n4,\"two\nlines|x\",1970-01-01T00:00:00Z\n"
    );
}

#[test]
fn tsv_escapes_and_marks_null() {
    assert_eq!(
        all(Format::Tsv),
        "id\tname\tat\n1\ta,\"b\"\t1970-01-01T00:00:00Z\n2\t\t\\N\n\
         300\t\\N\t1970-01-01T00:00:01.500Z\n4\ttwo\\nlines|x\t1970-01-01T00:00:00Z\n"
    );
}

#[test]
fn json_writes_nulls() {
    let rows = [
        r#"{"id":1,"name":"a,\"b\"","at":"1970-01-01T00:00:00Z"}"#,
        r#"{"id":2,"name":"","at":null}"#,
        r#"{"id":300,"name":null,"at":"1970-01-01T00:00:01.500Z"}"#,
        r#"{"id":4,"name":"two\nlines|x","at":"1970-01-01T00:00:00Z"}"#,
    ];
    assert_eq!(all(Format::Jsonl), rows.join("\n") + "\n");
    assert_eq!(all(Format::Json), format!("[{}]\n", rows.join(",")));
}

#[test]
fn markdown_is_one_line_a_row() {
    assert_eq!(
        all(Format::Markdown),
        "| id | name | at |\n| ---: | --- | --- |\n| 1 | a,\"b\" | 1970-01-01T00:00:00Z |\n\
         | 2 |  | NULL |\n| 300 | NULL | 1970-01-01T00:00:01.500Z |\n\
         | 4 | two<br>lines\\|x | 1970-01-01T00:00:00Z |\n"
    );
}

#[test]
fn line_puts_an_empty_line_between_rows() {
    let text = all(Format::Line);
    assert!(
        text.starts_with("  id = 1\nname = a,\"b\"\n  at = 1970-01-01T00:00:00Z\n\n  id = 2\n")
    );
    assert!(text.contains("name = NULL\n"));
}

#[test]
fn table_lines_columns_up() {
    assert_eq!(
        all(Format::Table),
        "\
+-----+---------+--------------------------+
|  id | name    | at                       |
+-----+---------+--------------------------+
|   1 | a,\"b\"   | 1970-01-01T00:00:00Z     |
|   2 |         | NULL                     |
| 300 | NULL    | 1970-01-01T00:00:01.500Z |
|   4 | two     | 1970-01-01T00:00:00Z     |
|     | lines|x |                          |
+-----+---------+--------------------------+
"
    );
    assert!(all(Format::Box).starts_with("┌─────┬─────────┬"));
}

#[test]
fn empty_results_have_their_frame() {
    let empty = sample().slice(0, 0);
    let print = |format| print(format, Limits::default(), std::slice::from_ref(&empty));
    assert_eq!(print(Format::Csv), "id,name,at\n");
    assert_eq!(print(Format::Json), "[]\n");
    assert_eq!(print(Format::Jsonl), "");
    assert_eq!(print(Format::Line), "");
    assert_eq!(print(Format::Table).lines().count(), 4);
    assert_eq!(print(Format::Markdown).lines().count(), 2);
}

#[test]
fn limits_cut_rows_and_text() {
    let mut out = Vec::new();
    let batch = sample();
    let limits = Limits { rows_max: Some(3), width_max: Some(30) };
    let mut printer = printer(Format::Table, &batch.schema(), limits);
    printer.batch(&batch, &mut out).unwrap();
    printer.batch(&batch, &mut out).unwrap();
    assert_eq!(printer.finish(&mut out).unwrap(), 5);
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 3 + 3 + 1);

    let long = StringArray::from(vec!["x".repeat(100)]);
    let batch = RecordBatch::try_from_iter([("text", Arc::new(long) as ArrayRef)]).unwrap();
    let limits = Limits { rows_max: None, width_max: Some(30) };
    let text = print(Format::Table, limits, std::slice::from_ref(&batch));
    assert!(text.lines().all(|line| console::measure_text_width(line) <= 30), "{text}");
    assert!(text.contains('…'));
    assert!(!print(Format::Table, Limits::default(), &[batch]).contains('…'));
}

#[test]
fn every_batch_is_printed_in_every_format() {
    for format in Format::value_variants() {
        let text = print(*format, Limits::default(), &[sample(), sample()]);
        assert_eq!(text.matches("300").count(), 2, "{format:?}: {text}");
        assert_eq!(text.matches("name").count(), header_count(*format), "{format:?}");
    }
}

fn header_count(format: Format) -> usize {
    match format {
        Format::Json | Format::Jsonl | Format::Line => 8,
        _ => 1,
    }
}

#[test]
fn terminal_controls_are_shown_and_not_sent() {
    let text = StringArray::from(vec!["\u{1b}[31mred\u{7}"]);
    let batch = RecordBatch::try_from_iter([("text", Arc::new(text) as ArrayRef)]).unwrap();
    for format in [Format::Table, Format::Box, Format::Line] {
        let text = print(format, Limits::default(), std::slice::from_ref(&batch));
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}[31m"), "{text}");
    }
}

#[test]
fn nested_and_rare_types_print_in_every_format() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("x"), None].into_iter().collect();
    let decimal = Decimal128Array::from(vec![Some(12345), None]).with_precision_and_scale(9, 2);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("list", Arc::new(list)),
        ("dictionary", Arc::new(dictionary)),
        ("decimal", Arc::new(decimal.unwrap())),
        ("float", Arc::new(Float64Array::from(vec![f64::NAN, 1.5]))),
        ("date", Arc::new(Date32Array::from(vec![Some(0), None]))),
        ("duration", Arc::new(DurationSecondArray::from(vec![Some(61), None]))),
        ("interval", Arc::new(IntervalYearMonthArray::from(vec![Some(14), None]))),
        ("binary", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x01\xff"), None]))),
        ("null", Arc::new(NullArray::new(2))),
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    for format in Format::value_variants() {
        print(*format, Limits::default(), std::slice::from_ref(&batch));
    }
    let text = print(Format::Jsonl, Limits::default(), std::slice::from_ref(&batch));
    let row: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(row["list"], serde_json::json!([1, null]));
    assert_eq!(row["dictionary"], "x");
    assert_eq!(row["decimal"], 123.45);
    assert_eq!(row["float"], serde_json::Value::Null);
    assert_eq!(row["binary"], "01ff");
    let csv = print(Format::Csv, Limits::default(), std::slice::from_ref(&batch));
    assert_eq!(csv.lines().nth(2).unwrap(), ",,,1.5,,,,,,");
}

#[test]
fn columns_of_one_name_stay_apart_in_json() {
    let one = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let fields =
        vec![Field::new("id", DataType::Int64, true), Field::new("id", DataType::Int64, true)];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![one(), one()]).unwrap();
    assert_eq!(print(Format::Jsonl, Limits::default(), &[batch]), "{\"id\":1,\"id_1\":1}\n");
}
