//! The message of a secondary index, as it was declared.

use crate::storage::schema::SecondaryIndex;

/// A secondary index of a table.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IndexRecord {
    /// Its id.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The ids of its columns.
    #[prost(uint32, repeated, tag = "3")]
    pub columns: Vec<u32>,
    /// Whether no two rows have the same values.
    #[prost(bool, tag = "4")]
    pub unique: bool,
    /// Whether it is a constraint of the table.
    #[prost(bool, tag = "5")]
    pub constraint: bool,
    /// What is said of it.
    #[prost(string, optional, tag = "6")]
    pub comment: Option<String>,
}

impl From<&SecondaryIndex> for IndexRecord {
    fn from(index: &SecondaryIndex) -> Self {
        Self {
            id: index.id,
            name: index.name.clone(),
            columns: index.columns.clone(),
            unique: index.is_unique,
            constraint: index.is_constraint,
            comment: index.comment.clone(),
        }
    }
}

impl From<IndexRecord> for SecondaryIndex {
    fn from(record: IndexRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            columns: record.columns,
            is_unique: record.unique,
            is_constraint: record.constraint,
            comment: record.comment,
        }
    }
}
