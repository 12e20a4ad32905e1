//! The schemas of a database inside a DataFusion catalog.
//!
//! The tables of `public` lie in the default schema of the catalog, whatever that is called; the
//! database's other schemas are beside it, as they are at the moment, before those of the catalog
//! below. What a context registers under their names ends with it. Made by
//! [`super::catalog_provider`], asked by DataFusion.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::{CatalogProvider, MemorySchemaProvider, SchemaProvider, Session};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;

use super::catalog_provider::OmenSchema;
use crate::error::Error;
use crate::storage::schema_names::PUBLIC;

/// The schemas of a database in front of those of another catalog.
#[derive(Debug)]
pub(super) struct OmenCatalog {
    inner: Arc<dyn CatalogProvider>,
    /// The tables of `public`.
    public: Arc<OmenSchema>,
    /// What else is registered in the database's other schemas, where the catalog below has none of
    /// their names.
    passing: Mutex<HashMap<String, Arc<MemorySchemaProvider>>>,
}

impl OmenCatalog {
    pub(super) fn new(inner: Arc<dyn CatalogProvider>, public: Arc<OmenSchema>) -> Self {
        Self { inner, public, passing: Mutex::default() }
    }

    /// What else is registered under the name of one of the database's schemas.
    fn below(&self, name: &str) -> Arc<dyn SchemaProvider> {
        self.inner.schema(name).unwrap_or_else(|| {
            let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
            let schema = passing.entry(name.to_string()).or_default();
            Arc::clone(schema) as Arc<dyn SchemaProvider>
        })
    }

    /// What `public` is called in this catalog.
    pub(super) fn public_name(&self) -> &str {
        self.public.public_name()
    }

    /// Whether the database has a schema of that name, which DROP SCHEMA may drop or not.
    fn has(&self, name: &str) -> bool {
        name == self.public_name() || self.public.snapshot().has_schema(name)
    }
}

/// What `public` is called in the default catalog of a session.
pub(super) fn public_name(state: &dyn Session) -> String {
    let names = &state.config_options().catalog;
    let state = state.as_any().downcast_ref::<SessionState>();
    let catalog = state.and_then(|state| state.catalog_list().catalog(&names.default_catalog));
    let own = catalog.as_ref().and_then(|catalog| catalog.downcast_ref::<OmenCatalog>());
    own.map_or_else(|| names.default_schema.clone(), |own| own.public_name().to_string())
}

impl CatalogProvider for OmenCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names = self.inner.schema_names();
        names.push(self.public_name().to_string());
        names.extend(self.public.snapshot().schema_names());
        names.sort_unstable();
        names.dedup();
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == self.public_name() {
            return Some(Arc::clone(&self.public) as Arc<dyn SchemaProvider>);
        }
        if self.public.snapshot().has_schema(name) {
            return Some(Arc::new(self.public.beside(name, self.below(name))));
        }
        match self.inner.schema(name) {
            // As the text of a view may call it.
            None if name == PUBLIC => Some(Arc::clone(&self.public) as Arc<dyn SchemaProvider>),
            inner => inner,
        }
    }

    fn register_schema(
        &self,
        name: &str,
        schema: Arc<dyn SchemaProvider>,
    ) -> Result<Option<Arc<dyn SchemaProvider>>> {
        match self.has(name) {
            true => Err(Error::AlreadyExists(format!("schema \"{name}\" in the database")).into()),
            false => self.inner.register_schema(name, schema),
        }
    }

    fn deregister_schema(
        &self,
        name: &str,
        cascade: bool,
    ) -> Result<Option<Arc<dyn SchemaProvider>>> {
        match self.has(name) {
            true => Err(Error::invalid(format!(
                "schema \"{name}\" belongs to the database; drop it there (Database::drop_schema, \
                 or DROP SCHEMA in Database::session)"
            ))
            .into()),
            false => self.inner.deregister_schema(name, cascade),
        }
    }
}
