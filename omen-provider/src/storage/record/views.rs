//! The messages of what has a name and no rows: schemas and views.

/// A schema other than `public`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SchemaRecord {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What is said of it.
    #[prost(string, optional, tag = "2")]
    pub comment: Option<String>,
}

/// A view.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ViewRecord {
    /// Its name; `a.v` for the view v of schema a.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The statement that creates it, as SQL text.
    #[prost(string, tag = "2")]
    pub sql: String,
    /// What is said of it.
    #[prost(string, optional, tag = "3")]
    pub comment: Option<String>,
}
