//! What alterations make of a schema.

use DataType::*;

use super::*;

fn table() -> TableSchema {
    let fields = [("a", Int64), ("b", Int32), ("c", Utf8)];
    let columns = (1..)
        .zip(fields)
        .map(|(id, (name, kind))| Column::new(id, Arc::new(Field::new(name, kind, true))));
    TableSchema::new(7, "t", columns.collect(), Vec::new()).unwrap()
}

fn names(table: &TableSchema) -> Vec<&str> {
    table.columns.iter().map(|column| column.field.name().as_str()).collect()
}

#[test]
fn ids_are_never_used_again_and_the_key_stays() {
    let first = table();
    let add = |name| Alteration::AddColumn {
        field: Field::new(name, Int64, true),
        default: None,
        missing: None,
    };
    let added = add("d").apply(&first).unwrap();
    assert_eq!(names(&added), ["a", "b", "c", "d", ROW_ID_COLUMN]);
    assert_eq!((added.columns[3].id, added.next_column_id), (5, 6));
    let dropped = Alteration::DropColumn("d".to_string()).apply(&added).unwrap();
    let again = add("d").apply(&dropped).unwrap();
    assert_eq!(again.columns[3].id, 6);
    let renamed = Alteration::RenameColumn { from: "a".to_string(), to: "x".to_string() };
    let renamed = renamed.apply(&again).unwrap();
    assert_eq!(names(&renamed), ["x", "b", "c", "d", ROW_ID_COLUMN]);
    for schema in [&added, &dropped, &again, &renamed] {
        assert!(schema.has_key_of(&first));
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let keyed = TableSchema::new(7, "t", table().columns[..2].to_vec(), vec![0]).unwrap();
    let column = "a".to_string();
    let refused = [
        Alteration::DropColumn(column.clone()),
        Alteration::DropNotNull(column.clone()),
        Alteration::Widen { column: column.clone(), to: Decimal128(38, 0) },
        Alteration::Widen { column: "b".to_string(), to: Int16 },
        Alteration::RenameColumn { from: column.clone(), to: "b".to_string() },
        Alteration::RenameColumn { from: column, to: ROW_ID_COLUMN.to_string() },
        Alteration::RenameTable(String::new()),
        Alteration::DropColumn("x".to_string()),
    ];
    for alteration in refused {
        assert!(alteration.apply(&keyed).is_err(), "{alteration:?}");
    }
}

#[test]
fn wider_types_have_all_values() {
    let wider = [
        (Int8, Int16),
        (UInt8, Int16),
        (Int32, Int64),
        (UInt32, UInt64),
        (Int32, Float64),
        (Int16, Float32),
        (Float32, Float64),
        (Int64, Decimal128(20, 0)),
        (Decimal128(10, 2), Decimal128(12, 4)),
        (Utf8, LargeUtf8),
        (Utf8, Utf8View),
        (Binary, LargeBinary),
    ];
    for (from, to) in wider {
        assert!(is_wider(&to, &from), "{from} to {to}");
        assert!(!is_wider(&from, &to) || from.is_string() || from.is_binary(), "{to} to {from}");
    }
    let narrower = [
        (Int8, UInt8),
        (UInt8, Int8),
        (UInt64, Int64),
        (Int64, Float64),
        (Int32, Float32),
        (Int64, Decimal128(19, 0)),
        (Decimal128(10, 2), Decimal128(12, 5)),
        (Decimal128(10, 2), Float64),
        (Int64, Utf8),
        (Utf8, Int64),
        (Utf8, Binary),
    ];
    for (from, to) in narrower {
        assert!(!is_wider(&to, &from), "{from} to {to}");
    }
}
