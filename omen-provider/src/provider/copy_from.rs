//! COPY … FROM: the rows of files into a table, as one INSERT.
//!
//! The files are looked into when the statement is planned: which columns they have says what is
//! read, and what takes its DEFAULT. They are read on a thread of their own while the statement
//! runs. Called by [`super::session`].

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{
    DmlStatement, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, WriteOp, when,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use tokio::sync::mpsc;

use super::copy_to::refuse_remote;
use super::edit_statements::{normalizer, target};
use super::own_files::refuse_own_path;
use super::session::Session;
use super::statement::{Copy, CopySource};
use super::table_provider::OmenTable;
use crate::error::Error;
use crate::interchange::{
    DataFile, FileColumns, FileOptions, Place, columns_of, list, present_name, read,
};

/// Batches that wait for the statement.
const WAITING_MAX: usize = 2;

/// The files as a table of a plan.
const SOURCE: &str = "copy";

/// Plans a COPY … FROM.
pub(super) async fn plan_copy_from(session: &Session, copy: Copy) -> Result<DataFrame> {
    let Copy { source, place, options, .. } = copy;
    let CopySource::Table { name, columns } = source else {
        return Err(Error::invalid("COPY … FROM brings rows into a table").into());
    };
    let names = normalizer(session);
    let columns: Vec<String> = columns.into_iter().map(|name| names.normalize(name)).collect();
    let (reference, table) = target(session, &name).await?;
    let taken = taken(&table, &columns)?;
    let options = FileOptions::new(&options, &place)?;
    let location = session.handle().engine().location().to_string();
    if let Place::Path(path) = &place {
        refuse_remote(path)?;
        refuse_own_path(&location, path)?;
    }
    let (looked, asked) = (Arc::clone(&taken), options.clone());
    let looking = tokio::task::spawn_blocking(move || look(&place, &asked, &looked, &location));
    let (files, found) = looking.await.map_err(joined)??;
    let read = Arc::new(taken.project(&found.places)?);
    let flags: Vec<usize> = (0..read.fields().len())
        .filter(|at| found.may_lack && table.get_column_default(read.field(*at).name()).is_some())
        .collect();
    let rows = Files::new(files, options, Arc::clone(&read), flags);
    let schema = Arc::clone(rows.schema());
    let rows = StreamingTable::try_new(schema, vec![Arc::new(rows)])?;
    let rows = LogicalPlanBuilder::scan(SOURCE, provider_as_source(Arc::new(rows)), None)?;
    let values = values(&table, &read, found.may_lack)?;
    let input = Arc::new(rows.project(values)?.build()?);
    let target = provider_as_source(Arc::new(table.taking_identity()));
    let operation = WriteOp::Insert(InsertOp::Append);
    let plan = LogicalPlan::Dml(DmlStatement::new(reference, target, operation, input));
    Ok(DataFrame::new(session.context().state(), plan))
}

fn joined(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn look(
    place: &Place,
    options: &FileOptions,
    taken: &Schema,
    location: &str,
) -> crate::Result<(Vec<DataFile>, FileColumns)> {
    let files = list(place, options.format)?;
    if let Place::Path(_) = place {
        files.iter().try_for_each(|file| refuse_own_path(location, &file.shown))?;
    }
    let found = columns_of(&files, options, taken)?;
    Ok((files, found))
}

/// The columns that a statement names, or all.
fn taken(table: &OmenTable, columns: &[String]) -> Result<SchemaRef> {
    let visible = table.table_schema().visible();
    if columns.is_empty() {
        let fields = visible.fields().iter().map(|field| plain(field));
        return Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
    }
    let mut fields: Vec<Field> = Vec::with_capacity(columns.len());
    for name in columns {
        let Some((_, field)) = visible.column_with_name(name) else {
            let have: Vec<&str> = visible.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::invalid(format!(
                "table \"{}\" has no column \"{name}\"; columns are {}",
                table.table_schema().name,
                have.join(", ")
            ))
            .into());
        };
        if fields.iter().any(|field| field.name() == name) {
            return Err(Error::invalid(format!("column \"{name}\" is named twice")).into());
        }
        fields.push(plain(field));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Whether a column takes NULL says the engine, which names it.
fn plain(field: &Field) -> Field {
    Field::new(field.name(), field.data_type().clone(), true)
}

/// What each column of the table gets.
fn values(table: &OmenTable, read: &Schema, may_lack: bool) -> Result<Vec<Expr>> {
    let column = |name: &str| Expr::Column(Column::new(Some(SOURCE), name));
    let mut values = Vec::new();
    for field in table.table_schema().visible().fields() {
        let name = field.name();
        let default = table.get_column_default(name).cloned();
        let is_read = read.column_with_name(name).is_some();
        let typed = |value: Expr| value.cast_to(field.data_type(), &DFSchema::empty());
        let value = match (is_read, default) {
            (true, Some(default)) if may_lack => {
                when(column(&present_name(name)), column(name)).otherwise(typed(default)?)?
            }
            (true, _) => column(name),
            (false, default) => typed(default.unwrap_or(Expr::Literal(ScalarValue::Null, None)))?,
        };
        values.push(value.alias(name));
    }
    Ok(values)
}

/// Files that are read when the statement runs.
#[derive(Debug)]
struct Files {
    files: Vec<DataFile>,
    options: FileOptions,
    read: SchemaRef,
    flags: Vec<usize>,
    schema: SchemaRef,
}

impl Files {
    fn new(files: Vec<DataFile>, options: FileOptions, read: SchemaRef, flags: Vec<usize>) -> Self {
        let told = flags.iter().map(|flag| {
            Arc::new(Field::new(present_name(read.field(*flag).name()), DataType::Boolean, false))
        });
        let fields: Vec<_> = read.fields().iter().cloned().chain(told).collect();
        Self { files, options, read, flags, schema: Arc::new(Schema::new(fields)) }
    }
}

impl PartitionStream for Files {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (sender, receiver) = mpsc::channel::<crate::Result<RecordBatch>>(WAITING_MAX);
        let (files, options) = (self.files.clone(), self.options.clone());
        let mut reading = read(files, options, Arc::clone(&self.read), self.flags.clone());
        let schema = Arc::clone(&self.schema);
        tokio::task::spawn_blocking(move || {
            while let Some(batch) = reading.next_batch().transpose() {
                let batch = batch.and_then(|batch| {
                    let columns = batch.columns().to_vec();
                    let options = arrow::array::RecordBatchOptions::new()
                        .with_row_count(Some(batch.num_rows()));
                    let schema = Arc::clone(&schema);
                    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
                });
                let is_error = batch.is_err();
                // Nobody waits for what a statement leaves unread.
                if sender.blocking_send(batch).is_err() || is_error {
                    break;
                }
            }
        });
        let rows = futures::stream::unfold(receiver, |mut receiver| async move {
            let batch = receiver.recv().await?;
            Some((batch.map_err(DataFusionError::from), receiver))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
