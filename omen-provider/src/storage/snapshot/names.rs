//! What a snapshot has besides tables: schemas, views, the names of indexes, and comments.

use super::Snapshot;
use crate::error::Error;

impl Snapshot {
    /// The statement that creates the view of that name.
    pub fn view(&self, name: &str) -> Option<&str> {
        self.version.view(name).map(|view| view.sql.as_str())
    }

    /// The names of all views, sorted.
    pub fn view_names(&self) -> Vec<String> {
        self.version.views().map(|view| view.name.clone()).collect()
    }

    /// The names of all schemas but `public`, sorted.
    pub fn schema_names(&self) -> Vec<String> {
        self.version.schemas().map(|schema| schema.name.clone()).collect()
    }

    /// Whether there is a schema of that name, `public` aside.
    pub(crate) fn has_schema(&self, name: &str) -> bool {
        self.version.schema(name).is_some()
    }

    /// The schema that a table or view of that name is in, if that is another one than `public`:
    /// `a` for `a.t`, where there is a schema a.
    pub fn schema_of(&self, name: &str) -> Option<&str> {
        self.version.schema_of(name)
    }

    /// The own names of the tables and views of a schema; `None`: of `public`.
    pub(crate) fn names_in(&self, schema: Option<&str>) -> Vec<String> {
        let names = self.table_names().into_iter().chain(self.view_names());
        let of_schema = names.filter(|name| self.schema_of(name) == schema);
        let own = |name: String| match schema {
            Some(schema) => name[schema.len() + 1..].to_string(),
            None => name,
        };
        of_schema.map(own).collect()
    }

    /// What is said of schemas, and of views, each with the name.
    pub(crate) fn comments(&self) -> [Vec<(&str, &str)>; 2] {
        let schemas = self.version.schemas();
        let schemas = schemas.filter_map(|it| Some((it.name.as_str(), it.comment.as_deref()?)));
        let views = self.version.views();
        let views = views.filter_map(|it| Some((it.name.as_str(), it.comment.as_deref()?)));
        [schemas.collect(), views.collect()]
    }

    /// The error for a schema that is not there.
    pub(crate) fn no_schema(&self, name: &str) -> Error {
        self.version.no_schema(name)
    }

    /// The name of the table of a schema that has an index of that name.
    pub(crate) fn table_of_index(&self, schema: Option<&str>, index: &str) -> Option<&str> {
        self.version.table_of_index(schema, index).map(|schema| schema.name.as_str())
    }

    /// The names of all secondary indexes of a schema, sorted.
    pub(crate) fn index_names(&self, schema: Option<&str>) -> Vec<&str> {
        let tables = self.version.tables().iter().map(|table| &table.schema);
        let of_schema = tables.filter(|table| table.schema_name() == schema);
        let indexes = of_schema.flat_map(|table| &table.indexes);
        let mut names: Vec<_> = indexes.map(|index| index.index.name.as_str()).collect();
        names.sort_unstable();
        names
    }
}
