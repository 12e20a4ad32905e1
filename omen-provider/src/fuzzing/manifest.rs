//! Made-up manifests: the message, as it lies in the frame of its file.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use prost::Message;

use super::medium;
use crate::error::Error;
use crate::storage::frame::{self, FrameResult};
use crate::storage::manifest::{self, KIND_MANIFEST, Manifest, TableEntry, manifest_name};
use crate::storage::record::TableRecord;
use crate::storage::recovery::{Access, LogDamage, Opener, recover};
use crate::storage::schema::TableSchema;

/// The payload of a manifest file.
pub fn manifest(input: &[u8]) -> bool {
    // The frame repeats two numbers of the message.
    let said = Manifest::decode(input).unwrap_or_default();
    let number = said.number;
    let mut file = Vec::new();
    if frame::encode(KIND_MANIFEST, said.epoch, number, &[input], &mut file).is_err() {
        return false;
    }
    block_on(async {
        let medium = medium();
        let name = manifest_name(number);
        let put = medium.store.blobs.put_if_absent(&name, Bytes::from(file)).await;
        assert!(put.is_ok(), "memory takes a file");
        let Ok(read) = manifest::read(&medium.store, number).await else { return false };
        assert_eq!(Manifest::decode(read.encode_to_vec().as_slice()).as_ref(), Ok(&read));
        let _ = (read.line(), read.files().count());
        for entry in read.tables.iter().flat_map(|table| &table.segments) {
            let _ = read.segment(entry).map(|segment| segment.bounded());
        }
        let tables = read.tables.iter().filter(|entry| check_table(&read, entry)).count();
        // No file that it names is there.
        match recover(&Opener::unpinned(&medium), &read, Access::Look, LogDamage::Cut).await {
            Ok(recovered) => assert!(recovered.version.tables().len() <= tables),
            Err(Error::Corruption { .. } | Error::InvalidInput(_)) => {}
            Err(other) => panic!("not a clear error: {other:?}"),
        }
        tables == read.tables.len()
    })
}

/// Whether an entry is a table; if so, its record says all of it.
fn check_table(manifest: &Manifest, entry: &TableEntry) -> bool {
    let Ok(schema) = manifest.schema(entry) else { return false };
    check_schema(&schema);
    true
}

/// What the record of a table says is the table.
pub(super) fn check_schema(schema: &TableSchema) {
    let again = TableSchema::try_from(TableRecord::from(schema));
    let again = match again {
        Ok(again) => again,
        Err(error) => panic!("{schema:?} is written and refused: {error}"),
    };
    assert_eq!(again.columns, schema.columns);
    assert_eq!((again.id, &again.name, &again.key), (schema.id, &schema.name, &schema.key));
    assert_eq!(again.hidden_key, schema.hidden_key);
    assert_eq!(again.next_column_id, schema.next_column_id);
    assert_eq!((&again.checks, again.identity), (&schema.checks, schema.identity));
    let indexes = |schema: &TableSchema| -> Vec<_> {
        schema.indexes.iter().map(|index| (index.index.clone(), index.places.clone())).collect()
    };
    assert_eq!(indexes(&again), indexes(schema));
    assert_eq!(again.next_index_id, schema.next_index_id);
    // Texts of conditions are read when rows are written.
    let _ = schema.check_conditions();
    let _ = (schema.key_names(), schema.constraint_name(), Arc::clone(schema.visible()));
}

/// The input for a manifest file.
pub(super) fn input(file: &[u8]) -> Option<Vec<u8>> {
    match frame::decode(file) {
        FrameResult::Frame(frame) => Some(frame.payload()),
        _ => None,
    }
}
