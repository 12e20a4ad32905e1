//! What a version has besides tables: schemas and views, and which schema a name lies in.

use std::sync::Arc;

use super::Version;
use crate::error::{Error, Result};
use crate::storage::record::{SchemaRecord, ViewRecord};

/// Names that an error lists at most.
const LISTED_MAX: usize = 5;

impl Version {
    /// All views, by name.
    pub fn views(&self) -> impl Iterator<Item = &ViewRecord> {
        let mut views: Vec<_> = self.views.values().collect();
        views.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        views.into_iter()
    }

    /// The view of that name.
    pub fn view(&self, name: &str) -> Option<&ViewRecord> {
        self.views.get(name)
    }

    /// Adds a view or replaces the one of the same name.
    pub fn put_view(&mut self, view: ViewRecord) {
        Arc::make_mut(&mut self.views).insert(view.name.clone(), view);
    }

    /// Removes a view; false if there is none.
    pub fn remove_view(&mut self, name: &str) -> bool {
        Arc::make_mut(&mut self.views).remove(name).is_some()
    }

    /// All schemas but `public`, by name.
    pub fn schemas(&self) -> impl Iterator<Item = &SchemaRecord> {
        let mut schemas: Vec<_> = self.schemas.values().collect();
        schemas.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        schemas.into_iter()
    }

    /// The schema of that name.
    pub fn schema(&self, name: &str) -> Option<&SchemaRecord> {
        self.schemas.get(name)
    }

    /// Adds a schema or replaces the one of the same name.
    pub fn put_schema(&mut self, schema: SchemaRecord) {
        Arc::make_mut(&mut self.schemas).insert(schema.name.clone(), schema);
    }

    /// Removes a schema, and nothing that is in it; false if there is none.
    pub fn remove_schema(&mut self, name: &str) -> bool {
        Arc::make_mut(&mut self.schemas).remove(name).is_some()
    }

    /// The schema that a table or view of that name is in, if that is another one than `public`.
    pub fn schema_of(&self, name: &str) -> Option<&str> {
        let (schema, _) = name.split_once('.')?;
        self.schemas.get(schema).map(|schema| schema.name.as_str())
    }

    /// The tables and views whose names begin with that of a schema, as an error lists them; `None`
    /// if there are none.
    pub fn listed_in(&self, schema: &str) -> Option<String> {
        let is_in = |name: &str| name.split_once('.').is_some_and(|(its, _)| its == schema);
        let tables = self.tables.iter().map(|table| ("table", table.schema.name.as_str()));
        let views = self.views.keys().map(|name| ("view", name.as_str()));
        let mut found: Vec<_> = tables.chain(views).filter(|(_, name)| is_in(name)).collect();
        found.sort_unstable();
        let first = found.iter().take(LISTED_MAX).map(|(kind, name)| format!("{kind} \"{name}\""));
        let first = first.collect::<Vec<_>>().join(", ");
        match found.len() {
            0 => None,
            1..=LISTED_MAX => Some(first),
            more => Some(format!("{first} and {} more", more - LISTED_MAX)),
        }
    }

    /// Refuses a name for a new table or view that would mean another one. `in_schema`: whether it
    /// is to be in a schema other than `public`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such schema, [`Error::InvalidInput`] for a dot.
    pub fn check_place(&self, name: &str, in_schema: bool) -> Result<()> {
        let (schema, own) = name.split_once('.').unwrap_or(("", name));
        match (in_schema, self.schema_of(name)) {
            (false, None) => Ok(()),
            (true, None) => Err(self.no_schema(schema)),
            (true, Some(_)) if !own.is_empty() && !own.contains('.') => Ok(()),
            (true, Some(_)) => Err(Error::invalid(format!(
                "\"{own}\" can be no name in schema \"{schema}\": such a name has at least one \
                 letter, and no dot"
            ))),
            (false, Some(_)) => Err(Error::invalid(format!(
                "\"{name}\" in schema public could be taken for \"{own}\" in schema \"{schema}\"; \
                 choose a name that does not begin with that of a schema and a dot"
            ))),
        }
    }

    /// The error for a view that is not there.
    pub fn no_view(&self, name: &str) -> Error {
        let names = self.views().map(|view| view.name.as_str()).collect::<Vec<_>>().join(", ");
        let have = if names.is_empty() { "none".to_string() } else { names };
        Error::NotFound(format!("view \"{name}\"; views there are: {have}"))
    }

    /// The error for a schema that is not there.
    pub fn no_schema(&self, name: &str) -> Error {
        let names = self.schemas().map(|schema| schema.name.as_str());
        let have: Vec<_> = std::iter::once("public").chain(names).collect();
        Error::NotFound(format!(
            "schema \"{name}\"; schemas there are: {}; CREATE SCHEMA makes one",
            have.join(", ")
        ))
    }
}
