//! `information_schema` of a session: DataFusion's, with what it does not know of our tables.
//!
//! DataFusion puts its own schema in the place of any other of that name while
//! `datafusion.catalog.information_schema` is on; a session therefore leaves that off and registers
//! this one, which asks DataFusion's for everything but:
//!
//! * `table_constraints`, `key_column_usage`, `check_constraints`, `statistics` and the system
//!   tables, which it has besides;
//! * `tables`, which lists those too;
//! * `columns`, where a column has its DEFAULT, and takes NULL only if rows may have it there;
//! * `df_settings`, where the setting that is off for the sake of this one is on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::{MemTable, SchemaProvider, Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;

use super::constraints::Names;
use super::system_table::{KINDS, SystemTable, names};
use crate::provider::catalog_provider::StateOf;
use crate::provider::current_transaction::CurrentTransaction;
use crate::storage::handle::Handle;
use crate::storage::schema_names::{self, full_name};
use crate::storage::snapshot::Snapshot;

/// DataFusion's setting for its own schema.
pub(super) const INFORMATION_SCHEMA: &str = "datafusion.catalog.information_schema";

/// The name of the schema.
pub(in crate::provider) const NAME: &str = schema_names::INFORMATION_SCHEMA;

/// The schema of a session.
#[derive(Debug)]
pub(in crate::provider) struct InformationSchema {
    handle: Arc<Handle>,
    current: CurrentTransaction,
    state: StateOf,
    is_shown: AtomicBool,
}

impl InformationSchema {
    /// Gives the session of `ctx` this schema, if there is a catalog for it.
    pub(in crate::provider) fn register(
        handle: &Arc<Handle>,
        ctx: &SessionContext,
        current: &CurrentTransaction,
        is_shown: bool,
    ) -> Result<()> {
        let schema = Self {
            handle: Arc::clone(handle),
            current: current.clone(),
            state: StateOf::new(ctx),
            is_shown: AtomicBool::new(is_shown),
        };
        let catalog = ctx.copied_config().options().catalog.default_catalog.clone();
        if let Some(catalog) = ctx.catalog(&catalog) {
            catalog.register_schema(NAME, Arc::new(schema))?;
        }
        Ok(())
    }

    /// Whether it has tables.
    pub(super) fn show(&self, is_shown: bool) {
        self.is_shown.store(is_shown, Relaxed);
    }

    fn snapshot(&self) -> Snapshot {
        self.handle.engine().snapshot_within(&self.current.get()).0
    }

    /// DataFusion's.
    fn inner(&self) -> Option<InformationSchemaProvider> {
        let state = self.state.get().filter(|_| self.is_shown.load(Relaxed))?;
        let inner = InformationSchemaProvider::new(Arc::clone(state.catalog_list()));
        Some(inner.with_table_functions(state.table_functions().clone()))
    }
}

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        let Some(inner) = self.inner() else { return Vec::new() };
        let mut names = inner.table_names();
        names.extend(KINDS.iter().map(|(name, _)| name.to_string()));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(inner) = self.inner() else { return Ok(None) };
        let name = name.to_ascii_lowercase();
        if let Some(own) = SystemTable::named(&self.handle, self.snapshot(), &name) {
            return Ok(Some(Arc::new(own)));
        }
        let Some(table) = inner.table(&name).await? else { return Ok(None) };
        let amend: Amend = match name.as_str() {
            "tables" => with_own_tables,
            "columns" => with_declarations,
            "df_settings" => with_own_setting,
            _ => return Ok(Some(table)),
        };
        let (handle, current) = (Arc::clone(&self.handle), self.current.clone());
        Ok(Some(Arc::new(Amended { inner: table, handle, current, amend })))
    }

    fn table_exist(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let is_own = || KINDS.iter().any(|(known, _)| *known == name);
        self.inner().is_some_and(|inner| inner.table_exist(&name) || is_own())
    }
}

/// What becomes of DataFusion's rows.
type Amend = fn(RecordBatch, &Snapshot, &Names) -> Result<RecordBatch>;

/// A table of DataFusion's whose rows are amended when it is scanned.
#[derive(Debug)]
struct Amended {
    inner: Arc<dyn TableProvider>,
    handle: Arc<Handle>,
    current: CurrentTransaction,
    amend: Amend,
}

#[async_trait]
impl TableProvider for Amended {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.inner.scan(state, None, &[], None).await?;
        let batches = collect(plan, state.task_ctx()).await?;
        let rows = concat_batches(&self.schema(), &batches)?;
        // DataFusion's rows are of this moment too.
        let snapshot = self.handle.engine().snapshot_within(&self.current.get()).0;
        let rows = (self.amend)(rows, &snapshot, &names(state))?;
        let rows = MemTable::try_new(self.schema(), vec![vec![rows]])?;
        rows.scan(state, projection, filters, limit).await
    }
}

/// The text columns of those names.
fn texts<'a, const N: usize>(
    rows: &'a RecordBatch,
    columns: [&str; N],
) -> Option<[&'a StringArray; N]> {
    let found = columns.map(|name| rows.column_by_name(name)?.as_string_opt::<i32>());
    match found.iter().all(Option::is_some) {
        true => found.into_iter().flatten().collect::<Vec<_>>().try_into().ok(),
        false => None,
    }
}

/// `tables`, with what this schema has besides.
fn with_own_tables(rows: RecordBatch, _: &Snapshot, names: &Names) -> Result<RecordBatch> {
    let own = |text: fn(&'static str, &Names) -> String| -> ArrayRef {
        Arc::new(KINDS.iter().map(|(name, _)| Some(text(name, names))).collect::<StringArray>())
    };
    let schema = rows.schema();
    let own: Vec<ArrayRef> = vec![
        own(|_, names| names.catalog.clone()),
        own(|_, _| NAME.to_string()),
        own(|name, _| name.to_string()),
        own(|_, _| "VIEW".to_string()),
    ];
    let own = RecordBatch::try_new(Arc::clone(&schema), own)?;
    Ok(concat_batches(&schema, [&rows, &own])?)
}

/// `df_settings`, where there is an `information_schema`, for it was asked.
fn with_own_setting(rows: RecordBatch, _: &Snapshot, _: &Names) -> Result<RecordBatch> {
    let Some([names, values]) = texts(&rows, ["name", "value"]) else { return Ok(rows) };
    let values = names.iter().zip(values).map(|(name, value)| match name {
        Some(INFORMATION_SCHEMA) => Some("true"),
        _ => value,
    });
    with_columns(&rows, &[("value", Arc::new(values.collect::<StringArray>()))])
}

/// `columns`, with what tables of the database declare.
fn with_declarations(rows: RecordBatch, snapshot: &Snapshot, names: &Names) -> Result<RecordBatch> {
    let columns = ["table_catalog", "table_schema", "table_name", "column_name", "is_nullable"];
    let Some([catalogs, schemas, tables, columns, nullable]) = texts(&rows, columns) else {
        return Ok(rows);
    };
    let declared = |row: usize| {
        let schema = Some(schemas.value(row)).filter(|schema| *schema != names.public);
        let full = full_name(schema, tables.value(row));
        let is_own = catalogs.value(row) == names.catalog && snapshot.schema_of(&full) == schema;
        let table = snapshot.table(&full).filter(|_| is_own)?;
        let mut columns_of = table.schema().columns.iter();
        columns_of.find(|column| column.field.name() == columns.value(row)).cloned()
    };
    let (mut defaults, mut takes_null) = (Vec::new(), Vec::new());
    for row in 0..rows.num_rows() {
        let column = declared(row);
        takes_null.push(match &column {
            Some(column) if column.takes_null() => "YES",
            Some(_) => "NO",
            None => nullable.value(row),
        });
        defaults.push(column.and_then(|column| column.default));
    }
    with_columns(
        &rows,
        &[
            ("column_default", Arc::new(StringArray::from(defaults))),
            ("is_nullable", Arc::new(StringArray::from(takes_null))),
        ],
    )
}

/// The rows with others in some columns, where DataFusion has such columns.
fn with_columns(rows: &RecordBatch, new: &[(&str, ArrayRef)]) -> Result<RecordBatch> {
    let (schema, mut arrays) = (rows.schema(), rows.columns().to_vec());
    for (name, array) in new {
        if let Ok(place) = schema.index_of(name)
            && schema.field(place).data_type() == array.data_type()
        {
            arrays[place] = Arc::clone(array);
        }
    }
    Ok(RecordBatch::try_new(schema, arrays)?)
}
