//! Inputs from the files of a database: what the fuzz targets begin with.

use prost::Message;

use super::{deletions, entries, log, manifest, segment};
use crate::storage::manifest::{DeletionsRecord, Manifest};
use crate::storage::record::SegmentRecord;
use crate::storage::wal::Op;

/// An input and the target that it is for.
pub type Input = (&'static str, Vec<u8>);

/// The inputs that the files of a database make, given by name (`log/…`, with `/`) and contents, in
/// order of their names. Segments that no manifest among them names make none.
pub fn inputs(files: &[(String, Vec<u8>)]) -> Vec<Input> {
    let mut found = vec![("deletion_vector", deletions::of_chunks())];
    let newest = files.iter().rfind(|(name, _)| name.starts_with("manifest/"));
    let newest = newest.and_then(|(_, bytes)| manifest::input(bytes)).unwrap_or_default();
    let newest = Manifest::decode(newest.as_slice()).unwrap_or_default();
    let Manifest { tables, views, .. } = newest;
    let tables = tables.into_iter().filter_map(|entry| entry.table).map(Op::CreateTable);
    let before: Vec<Op> = tables.chain(views.into_iter().map(Op::CreateView)).collect();
    for (name, bytes) in files {
        if name.starts_with("log/") {
            found.extend(log::inputs(bytes, &before).into_iter().map(|input| ("log", input)));
        }
        if let Some(input) = Some(bytes).filter(|_| name.starts_with("manifest/")) {
            let Some(input) = manifest::input(input) else { continue };
            found.extend(named_by(&input, files));
            found.push(("manifest", input));
        }
    }
    found
}

/// The inputs that the files named by a manifest make.
fn named_by(message: &[u8], files: &[(String, Vec<u8>)]) -> Vec<Input> {
    let file = |name: String| files.iter().find(|file| file.0 == name).map(|file| &file.1);
    let manifest = Manifest::decode(message).unwrap_or_default();
    let mut found = Vec::new();
    for table in &manifest.tables {
        let Some(schema) = &table.table else { continue };
        for entry in &table.segments {
            let Some(record) = &entry.segment else { continue };
            if let Some(bytes) = file(SegmentRecord::file_name(record)) {
                let input = segment::input(schema, record, bytes);
                found.extend(input.map(|input| ("segment", input)));
                found.extend(segment::index(record, bytes).map(|input| ("index", input)));
                for named in &record.entries {
                    let Some(own) = &named.segment else { continue };
                    let Some(entries) = file(own.file_name()) else { continue };
                    let input = entries::input(schema, record, named, [bytes, entries]);
                    found.extend(input.map(|input| ("entries", input)));
                    found.extend(segment::index(own, entries).map(|input| ("index", input)));
                }
            }
            if let Some(deletions) = &entry.deletions
                && let Some(bytes) = file(DeletionsRecord::file_name(deletions))
            {
                let place = (deletions.offset, deletions.length);
                let input = deletions::input(bytes, place, record.rows);
                found.extend(input.map(|input| ("deletion_vector", input)));
            }
        }
    }
    found
}
