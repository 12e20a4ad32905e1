//! What a name in SQL means to the engine.
//!
//! Names without a schema lie in the session's default schema, as DataFusion has it. Called by all
//! that hands a name on to the engine.

use datafusion::common::TableReference;
use datafusion::error::Result;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};

use super::catalog_provider::OmenSchema;
use super::catalog_schemas::public_name;
use super::session::Session;
use crate::error::Error;
use crate::storage::schema_names::full_name;

/// A name that lies in a schema of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EngineName {
    /// As the engine has it.
    pub(super) full: String,
    /// The schema, if it is another one than `public`.
    pub(super) schema: Option<String>,
    /// Whether something has the name that is not of the database.
    pub(super) is_taken: bool,
}

impl EngineName {
    /// Whether it is in a schema other than `public`.
    pub(super) fn in_schema(&self) -> bool {
        self.schema.is_some()
    }
}

impl Session {
    /// A name as parsed, with parts in lower case that have no quotes.
    pub(super) fn reference(&self, name: &ObjectName) -> Result<TableReference> {
        let options = self.context().copied_config();
        let normalizes = options.options().sql_parser.enable_ident_normalization;
        object_name_to_table_reference(name.clone(), normalizes)
    }

    /// What a name means to the engine; `None` if it lies in no schema of the database.
    pub(super) fn engine_name(&self, name: &TableReference) -> Option<EngineName> {
        self.engine_name_from(name, &self.default_schema())
    }

    /// As [`Session::engine_name`], where names without a schema lie in `default_schema`.
    pub(super) fn engine_name_from(
        &self,
        name: &TableReference,
        default_schema: &str,
    ) -> Option<EngineName> {
        let catalog = self.default_catalog();
        let resolved = name.clone().resolve(&catalog, default_schema);
        let schema = self.context().catalog(&resolved.catalog)?.schema(&resolved.schema)?;
        let own = schema.downcast_ref::<OmenSchema>().filter(|s| s.is_of(self.handle()))?;
        let table = resolved.table.as_ref();
        let schema = own.schema_name().map(str::to_string);
        let full = full_name(schema.as_deref(), table);
        Some(EngineName { full, schema, is_taken: own.is_taken(table) })
    }

    /// As [`Session::engine_name`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such schema, [`Error::InvalidInput`] if it is none of the
    /// database; `what` says what would lie there.
    pub(super) fn require_engine_name(
        &self,
        name: &TableReference,
        what: &str,
    ) -> Result<EngineName> {
        if let Some(found) = self.engine_name(name) {
            return Ok(found);
        }
        let resolved = name.clone().resolve(&self.default_catalog(), &self.default_schema());
        let catalog = self.context().catalog(&resolved.catalog);
        let is_default = *resolved.catalog == *self.default_catalog();
        if is_default && catalog.is_some_and(|catalog| catalog.schema(&resolved.schema).is_none()) {
            return Err(self.snapshot().no_schema(&resolved.schema).into());
        }
        Err(Error::invalid(format!(
            "{what} {name} would lie outside of the database, whose schemas are public and those \
             that CREATE SCHEMA makes"
        ))
        .into())
    }

    /// The schema of names without one.
    pub(super) fn default_schema(&self) -> String {
        self.context().copied_config().options().catalog.default_schema.clone()
    }

    pub(super) fn default_catalog(&self) -> String {
        self.context().copied_config().options().catalog.default_catalog.clone()
    }

    /// What `public` is called here.
    pub(super) fn public_name(&self) -> String {
        public_name(&self.context().state())
    }

    /// A name of SQL for what the engine calls `full`.
    pub(super) fn object_name(&self, full: &str) -> ObjectName {
        let snapshot = self.snapshot();
        let (schema, own) = match snapshot.schema_of(full) {
            Some(schema) => (schema.to_string(), &full[schema.len() + 1..]),
            None => (self.public_name(), full),
        };
        let part = |name: &str| Ident::with_quote('"', name);
        ObjectName::from(vec![part(&schema), part(own)])
    }

    /// As [`Session::object_name`].
    pub(super) fn reference_of(&self, full: &str) -> TableReference {
        let snapshot = self.snapshot();
        match snapshot.schema_of(full) {
            Some(schema) => TableReference::partial(schema, &full[schema.len() + 1..]),
            None => TableReference::partial(self.public_name(), full),
        }
    }
}
