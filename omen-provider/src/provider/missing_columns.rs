//! Columns that a file does not have, since they were added after it was written.
//!
//! DataFusion's Parquet reader matches columns by name and takes NULL for those that are not there;
//! the rows of files that were written before ADD COLUMN … DEFAULT have its value. Called by
//! [`super::scan`].

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
    replace_columns_with_literals,
};
use datafusion::physical_plan::PhysicalExpr;

use crate::storage::schema::TableSchema;

/// The values of columns in files that lack them.
#[derive(Debug, Clone)]
pub(super) struct MissingColumns(HashMap<String, ScalarValue>);

impl MissingColumns {
    /// Those of a table; `None` if there are none but NULL.
    pub(super) fn of(schema: &TableSchema) -> Result<Option<Self>> {
        let mut values = HashMap::new();
        for column in &schema.columns {
            if let Some(value) = &column.missing {
                let value = ScalarValue::try_from_array(value, 0)?;
                values.insert(column.field.name().clone(), value);
            }
        }
        Ok((!values.is_empty()).then_some(Self(values)))
    }
}

impl PhysicalExprAdapterFactory for MissingColumns {
    fn create(
        &self,
        logical_file_schema: SchemaRef,
        physical_file_schema: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let mut values = self.0.clone();
        values.retain(|name, _| physical_file_schema.column_with_name(name).is_none());
        let rest =
            DefaultPhysicalExprAdapterFactory.create(logical_file_schema, physical_file_schema)?;
        Ok(Arc::new(OfFile { values, rest }))
    }
}

/// What expressions become for one file.
#[derive(Debug)]
struct OfFile {
    values: HashMap<String, ScalarValue>,
    rest: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for OfFile {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        self.rest.rewrite(replace_columns_with_literals(expr, &self.values)?)
    }
}
