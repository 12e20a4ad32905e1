//! A version: the live parts of every table at one log position, immutable.
//!
//! A commit builds the next version from the newest accepted one, copying only the entries it
//! touches; readers keep the one they took. Flush, merge and compaction replace parts of a version
//! by other parts with the same live rows.
//!
//! Invariant: live rows of one table never share a key, whatever part they are in.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use super::deletion_vector::DeletionVector;
use super::key::Keys;
use super::keyed_batch::KeyedBatch;
use super::record::{SchemaRecord, ViewRecord};
use super::run::Runs;
use super::schema::{TableId, TableSchema};
use super::segment::{ReadStats, Segment};
use super::store::Pin;
use crate::error::{Error, Result};

mod entries;
mod names;

/// All tables at one log position.
#[derive(Debug, Clone, Default)]
pub struct Version {
    /// The log position: sequence number of the newest commit in it.
    pub lsn: u64,
    /// The id that the next table gets.
    pub next_table_id: TableId,
    tables: Vec<Arc<TableVersion>>,
    names: Arc<HashMap<String, TableId>>,
    /// By name.
    views: Arc<HashMap<String, ViewRecord>>,
    /// Those other than `public`, by name.
    schemas: Arc<HashMap<String, SchemaRecord>>,
}

/// One table at one log position.
#[derive(Debug, Clone)]
pub struct TableVersion {
    /// Columns and key.
    pub schema: Arc<TableSchema>,
    /// Parts in memory.
    pub runs: Runs,
    /// Parts on disk.
    pub segments: Vec<SegmentView>,
    /// Rows that are not deleted.
    pub live_rows: u64,
    /// The next hidden row id; one counter for all versions of the table.
    pub row_ids: Arc<AtomicI64>,
    /// The next number of the identity column; one counter for all versions of the table.
    pub numbers: Arc<AtomicI64>,
    /// No key of any part is above this one.
    pub max_key: Option<Arc<[u8]>>,
}

/// A segment and its deleted positions.
#[derive(Debug, Clone)]
pub struct SegmentView {
    /// The rows.
    pub segment: Arc<Segment>,
    /// The deleted ones.
    pub dead: DeletionVector,
}

/// Where a live row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which part.
    pub part: PartId,
    /// Which row of it.
    pub position: u32,
}

/// Names a part within its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartId {
    /// A part in memory, by its id.
    Run(u64),
    /// A segment, by its file number.
    Segment(u64),
}

impl Version {
    /// All tables, in order of their ids.
    pub fn tables(&self) -> &[Arc<TableVersion>] {
        &self.tables
    }

    /// The table of that name.
    pub fn table_named(&self, name: &str) -> Option<&Arc<TableVersion>> {
        self.table(*self.names.get(name)?)
    }

    /// The table of that id.
    pub fn table(&self, id: TableId) -> Option<&Arc<TableVersion>> {
        let index = self.tables.binary_search_by_key(&id, |t| t.schema.id).ok()?;
        Some(&self.tables[index])
    }

    /// The table of a schema (`None`: of `public`) that has an index of that name; if none has, one
    /// with such a constraint.
    pub fn table_of_index(&self, of: Option<&str>, name: &str) -> Option<&Arc<TableSchema>> {
        let has = |schema: &TableSchema, is_constraint: bool| {
            let mut named = schema.indexes.iter().filter(|index| index.index.name == name);
            named.any(|index| index.index.is_constraint == is_constraint)
        };
        let find = |is_constraint| {
            let mut schemas = self.tables.iter().map(|table| &table.schema);
            schemas.find(|schema| schema.schema_name() == of && has(schema, is_constraint))
        };
        find(false).or_else(|| find(true))
    }

    /// Like [`Version::table`]; a missing one is an error.
    pub fn require(&self, id: TableId) -> Result<&Arc<TableVersion>> {
        self.table(id).ok_or_else(|| Error::NotFound(format!("table with id {id}")))
    }

    /// Adds a table or replaces the one of the same id.
    pub fn put_table(&mut self, table: TableVersion) {
        let table = Arc::new(table);
        let (id, name) = (table.schema.id, table.schema.name.clone());
        self.next_table_id = self.next_table_id.max(id + 1);
        match self.tables.binary_search_by_key(&id, |t| t.schema.id) {
            Ok(index) => {
                let old = std::mem::replace(&mut self.tables[index], table);
                if old.schema.name != name {
                    let names = Arc::make_mut(&mut self.names);
                    names.remove(&old.schema.name);
                    names.insert(name, id);
                }
            }
            Err(index) => {
                self.tables.insert(index, table);
                Arc::make_mut(&mut self.names).insert(name, id);
            }
        }
    }

    /// Removes a table.
    pub fn remove_table(&mut self, id: TableId) {
        if let Ok(index) = self.tables.binary_search_by_key(&id, |t| t.schema.id) {
            let table = self.tables.remove(index);
            Arc::make_mut(&mut self.names).remove(&table.schema.name);
        }
    }

    /// Holds all segments by the pin on a manifest that names them, or the log that goes on from
    /// it; so is whoever reads them from this version.
    pub fn pin_segments(&mut self, pin: Option<&Arc<Pin>>) {
        for table in self.tables.iter_mut().filter(|table| !table.segments.is_empty()) {
            for view in &mut Arc::make_mut(table).segments {
                view.segment = view.segment.pinned(pin);
            }
        }
    }

    /// Bytes of all runs.
    pub fn run_bytes(&self) -> usize {
        self.tables.iter().map(|t| t.runs.byte_size()).sum()
    }
}

impl TableVersion {
    /// An empty table.
    pub fn new(schema: Arc<TableSchema>) -> Self {
        let first = schema.identity.map_or(1, |identity| identity.start);
        Self {
            schema,
            runs: Runs::default(),
            segments: Vec::new(),
            live_rows: 0,
            row_ids: Arc::new(AtomicI64::new(1)),
            numbers: Arc::new(AtomicI64::new(first)),
            max_key: None,
        }
    }

    /// How many parts.
    pub fn part_count(&self) -> usize {
        self.runs.len() + self.segments.len()
    }

    /// Whether `key` is above every key of every part: it is certainly new.
    pub fn is_above_all(&self, key: &[u8]) -> bool {
        self.max_key.as_ref().is_none_or(|max| key > &**max)
    }

    /// Where the live row of `key` is.
    pub async fn find(&self, key: &[u8], stats: &ReadStats) -> Result<Option<Place>> {
        if self.is_above_all(key) {
            return Ok(None);
        }
        if let Some((id, position)) = self.runs.find(key) {
            return Ok(Some(Place { part: PartId::Run(id), position }));
        }
        for view in &self.segments {
            if !view.segment.may_contain(key) {
                continue;
            }
            if let Some(position) = view.segment.find(key, stats).await?
                && !view.dead.contains(position)
            {
                let part = PartId::Segment(view.segment.record().file);
                return Ok(Some(Place { part, position }));
            }
        }
        Ok(None)
    }

    /// Where the live rows of many keys are; `keys` ascend. Gives back index in `keys` and place,
    /// in no particular order.
    pub async fn find_many(&self, keys: &Keys, stats: &ReadStats) -> Result<Vec<(u32, Place)>> {
        let mut found = Vec::new();
        if keys.is_empty() || self.is_above_all(&keys.get(0)) {
            return Ok(found);
        }
        self.runs.find_many(keys, |index, id, position| {
            found.push((index, Place { part: PartId::Run(id), position }));
        });
        let mut candidates = Vec::new();
        for view in &self.segments {
            candidates.clear();
            candidates.extend(
                (0..keys.len() as u32).filter(|&i| view.segment.may_contain(&keys.get(i as usize))),
            );
            if candidates.is_empty() {
                continue;
            }
            let part = PartId::Segment(view.segment.record().file);
            for (index, position) in view.segment.find_many(keys, &candidates, stats).await? {
                if !view.dead.contains(position) {
                    found.push((index, Place { part, position }));
                }
            }
        }
        Ok(found)
    }

    /// Marks live rows as deleted.
    pub fn mark(&mut self, places: impl IntoIterator<Item = Place>) {
        for place in places {
            let marked = match place.part {
                PartId::Run(id) => self.runs.mark(id, place.position),
                PartId::Segment(file) => {
                    let mut segments = self.segments.iter_mut();
                    let view = segments.find(|v| v.segment.record().file == file);
                    view.is_some_and(|view| view.dead.insert(place.position))
                }
            };
            self.live_rows -= u64::from(marked);
        }
    }

    /// Puts entries in indexes beside a segment, if it is still here and the indexes are.
    pub fn put_entries(&mut self, with_entries: &Arc<Segment>) -> Result<()> {
        let file = with_entries.record().file;
        let mut views = self.segments.iter_mut();
        if let Some(view) = views.find(|view| view.segment.record().file == file) {
            view.segment = with_entries.of_schema(&self.schema)?;
        }
        Ok(())
    }

    /// Marks all rows as deleted; returns how many were live. The parts stay, for they may be being
    /// replaced by others, which take these marks over like any.
    pub fn mark_all(&mut self) -> u64 {
        self.runs.mark_all();
        for view in &mut self.segments {
            view.dead.fill(view.segment.rows());
        }
        std::mem::take(&mut self.live_rows)
    }

    /// Adds live rows, none of whose keys has a live row here, to no run with an id below `frozen`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if one has too long an entry in an index; nothing is added then.
    pub fn add_rows(&mut self, batch: &KeyedBatch, frozen: u64) -> Result<()> {
        let Some(last) = batch.len().checked_sub(1) else { return Ok(()) };
        self.runs.add(&self.schema, batch, frozen)?;
        self.live_rows += batch.len() as u64;
        self.raise_max(&batch.keys().get(last));
        Ok(())
    }

    /// Adds a segment, all of whose rows but the `dead` ones are live.
    pub fn add_segment(&mut self, segment: Arc<Segment>, dead: DeletionVector) {
        self.live_rows += u64::from(segment.rows()) - dead.count();
        self.raise_max(&segment.record().max_key);
        self.segments.push(SegmentView { segment, dead });
    }

    /// Whether `part` is one of the table's.
    pub fn holds(&self, part: PartId) -> bool {
        match part {
            PartId::Run(id) => self.runs.get(id).is_some(),
            PartId::Segment(file) => self.segments.iter().any(|v| v.segment.record().file == file),
        }
    }

    /// The same rows in columns of another schema, whose key is what it was.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is not.
    pub fn altered(&self, schema: &Arc<TableSchema>) -> Result<Self> {
        if !schema.has_key_of(&self.schema) {
            return Err(Error::invalid(format!(
                "table \"{}\" is to have another key; no ALTER TABLE does that",
                self.schema.name
            )));
        }
        let mut altered = Self { schema: Arc::clone(schema), ..self.clone() };
        altered.runs.convert(schema, |rows| schema.converted(&self.schema, rows))?;
        for view in &mut altered.segments {
            view.segment = view.segment.of_schema(schema)?;
        }
        Ok(altered)
    }

    /// Puts segments in the place of other parts; the live rows stay the same.
    ///
    /// # Errors
    /// [`Error::Corruption`] if a segment does not have the table's key.
    pub fn replace_parts(&mut self, removed: &[PartId], added: Vec<SegmentView>) -> Result<()> {
        let run_id = |part: &PartId| match part {
            PartId::Run(id) => Some(*id),
            PartId::Segment(_) => None,
        };
        self.runs.remove(&removed.iter().filter_map(run_id).collect::<Vec<_>>());
        self.segments
            .retain(|view| !removed.contains(&PartId::Segment(view.segment.record().file)));
        for view in added {
            // The table may have been altered since it was written.
            let segment = view.segment.of_schema(&self.schema)?;
            self.segments.push(SegmentView { segment, dead: view.dead });
        }
        Ok(())
    }

    fn raise_max(&mut self, key: &[u8]) {
        if self.is_above_all(key) {
            self.max_key = Some(key.into());
        }
    }
}
