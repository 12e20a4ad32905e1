//! What `\\dt`, `\\d` and `\\di` show: tables, what one is made of, indexes.
//!
//! Asked of the database in SQL, as anybody may: PRAGMA, `information_schema` and system tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array, new_null_array,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use crate::execute::Executor;
use crate::failure::{Failure, Result};
use crate::notes;
use crate::sql_type::sql_type;

/// All tables.
pub(crate) fn tables(executor: &mut Executor) -> Result<()> {
    let names = executor.database.table_names();
    let mut keys = Vec::with_capacity(names.len());
    let mut rows = Vec::with_capacity(names.len());
    for name in &names {
        let table = executor.database.table(name)?;
        let key = table.key_names()?;
        keys.push((!key.is_empty()).then(|| key.join(", ")));
        rows.push(table.row_count()?);
    }
    let schema = Arc::new(Schema::new(vec![
        Field::new("table", DataType::Utf8, false),
        Field::new("primary key", DataType::Utf8, true),
        Field::new("rows", DataType::UInt64, false),
    ]));
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(StringArray::from(names)),
            Arc::new(StringArray::from(keys)),
            Arc::new(UInt64Array::from(rows)),
        ],
    )?;
    executor.print(&schema, &[batch])
}

/// The columns of a table or view, then the constraints and indexes of a table.
pub(crate) async fn table(executor: &mut Executor, name: &str) -> Result<()> {
    let name = Name::find(executor, name)?;
    let columns = columns(executor, &name).await?;
    executor.print(&columns.schema(), &[columns])?;
    let declared = executor.rows(&declarations(&name)).await?;
    match declared.num_rows() {
        0 => Ok(()),
        _ => executor.print(&declared.schema(), &[declared]),
    }
}

/// A table or view.
struct Name {
    schema: String,
    own: String,
}

impl Name {
    /// What a name means that is written as the database has it, `t` or `a.t`; one without a schema
    /// first in the schema that was chosen by USE.
    ///
    /// # Errors
    /// If no table and no view has it.
    fn find(executor: &Executor, name: &str) -> Result<Self> {
        let snapshot = executor.database.snapshot();
        let mut names = snapshot.table_names();
        names.extend(snapshot.view_names());
        let chosen = format!("{}.{name}", executor.default_schema());
        let found = names.iter().find(|known| **known == chosen);
        let Some(full) = found.or_else(|| names.iter().find(|known| *known == name)) else {
            let near = notes::nearest(name, names.iter().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            return Err(Failure::Error(format!("there is no table \"{name}\"{hint}")));
        };
        Ok(match snapshot.schema_of(full) {
            Some(schema) => {
                Self { schema: schema.to_string(), own: full[schema.len() + 1..].to_string() }
            }
            None => Self { schema: "public".to_string(), own: full.clone() },
        })
    }

    /// As SQL has it.
    fn quoted(&self) -> String {
        let quoted = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
        format!("{}.{}", quoted(&self.schema), quoted(&self.own))
    }

    /// The condition on rows of `information_schema` that they are about it, whose columns
    /// `schema` and `name` name it.
    fn is_meant(&self, schema: &str, name: &str) -> String {
        let (of, own) = (literal(&self.schema), literal(&self.own));
        format!("{schema} = {of} AND {name} = {own}")
    }
}

async fn columns(executor: &Executor, table: &Name) -> Result<RecordBatch> {
    let name = table.quoted();
    let types = executor.columns(&format!("SELECT * FROM {name}")).await?;
    let info = executor.rows(&format!("PRAGMA table_info({name})")).await?;
    let numbers = |column: &str| {
        let column = info.column_by_name(column)?.as_primitive_opt::<Int64Type>()?;
        Some(column.values().to_vec())
    };
    let required = numbers("notnull").unwrap_or_default();
    let key = numbers("pk").unwrap_or_default();
    let texts = |column: &str| -> ArrayRef {
        let column = info.column_by_name(column).map(Arc::clone);
        column.unwrap_or_else(|| new_null_array(&DataType::Utf8, info.num_rows()))
    };
    let types = types.fields().iter().map(|field| Some(sql_type(field.data_type())));
    let nullable = required.iter().map(|required| Some(*required == 0));
    let key = key.iter().map(|place| u64::try_from(*place).ok().filter(|place| *place > 0));
    let mut shown = vec![
        ("column", texts("name"), false),
        ("type", Arc::new(types.collect::<StringArray>()) as ArrayRef, false),
        ("nullable", Arc::new(nullable.collect::<BooleanArray>()), false),
        ("key", Arc::new(key.collect::<UInt64Array>()), true),
        ("default", texts("dflt_value"), true),
    ];
    let comments = executor.rows(&comments(table)).await?;
    if comments.num_rows() > 0 {
        let of = |column: &str| -> Option<StringArray> {
            Some(comments.column_by_name(column)?.as_string_opt::<i32>()?.clone())
        };
        let names = of("object_name").zip(of("comment"));
        let said = |name: Option<&str>| -> Option<String> {
            let (names, texts) = names.as_ref()?;
            let place = names.iter().position(|known| known == name)?;
            Some(texts.value(place).to_string())
        };
        let named = texts("name");
        let named = named.as_string_opt::<i32>().into_iter().flatten();
        let said = named.map(said).collect::<StringArray>();
        shown.push(("comment", Arc::new(said), true));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(shown)?)
}

/// The query for what is said of the columns of a table.
fn comments(table: &Name) -> String {
    format!(
        "SELECT object_name, comment FROM information_schema.omen_comments WHERE object_type = \
         'COLUMN' AND {}",
        table.is_meant("object_schema", "table_name")
    )
}

/// How PostgreSQL words what a table declares, and its indexes.
const KIND: &str = "CASE WHEN is_primary THEN 'PRIMARY KEY' WHEN is_constraint THEN 'UNIQUE' \
                    WHEN is_unique THEN 'UNIQUE INDEX' ELSE 'INDEX' END";

/// The query for the constraints and indexes of a table.
fn declarations(table: &Name) -> String {
    let is_meant = table.is_meant("table_schema", "table_name");
    let is_check = table.is_meant("constraint_schema", "table_name");
    let is_said = table.is_meant("object_schema", "coalesce(table_name, object_name)");
    format!(
        "SELECT name, definition FROM (SELECT DISTINCT CASE WHEN is_primary THEN 0 WHEN \
         is_constraint THEN 1 ELSE 2 END AS place, index_name AS name, {KIND} || ' (' || columns \
         || ')' AS definition FROM information_schema.omen_indexes WHERE {is_meant} AND \
         index_name IS NOT NULL UNION ALL SELECT 3, constraint_name, 'CHECK (' || check_clause || \
         ')' FROM information_schema.check_constraints WHERE {is_check} UNION ALL SELECT 4, \
         object_name, 'COMMENT: ' || comment FROM information_schema.omen_comments WHERE \
         object_type NOT IN ('COLUMN', 'SCHEMA') AND {is_said}) AS d ORDER BY place, name"
    )
}

/// Indexes, of all tables or of one.
pub(crate) async fn indexes(executor: &mut Executor, table: Option<&str>) -> Result<()> {
    let mut of_table = String::new();
    if let Some(table) = table {
        of_table =
            format!("AND {}", Name::find(executor, table)?.is_meant("table_schema", "table_name"));
    }
    let query = format!(
        "SELECT CASE table_schema WHEN 'public' THEN table_name ELSE table_schema || '.' || \
         table_name END AS \"table\", index_name AS \"index\", {KIND} AS kind, columns, \
         count(part) AS parts, coalesce(sum(keys), 0) AS entries, coalesce(sum(bytes), 0) AS bytes \
         FROM information_schema.omen_indexes WHERE index_name IS NOT NULL {of_table} GROUP BY 1, \
         2, 3, 4 ORDER BY 1, 2"
    );
    let rows = executor.rows(&query).await?;
    executor.print(&rows.schema(), &[rows])
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
