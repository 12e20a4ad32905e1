//! The message of an identity column.

use crate::storage::schema::Identity;

/// An identity column.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IdentityRecord {
    /// The id of the column.
    #[prost(uint32, tag = "1")]
    pub column: u32,
    /// Whether INSERT may not bring values.
    #[prost(bool, tag = "2")]
    pub always: bool,
    /// The first number.
    #[prost(int64, tag = "3")]
    pub start: i64,
    /// From one number to the next.
    #[prost(int64, tag = "4")]
    pub increment: i64,
}

impl From<Identity> for IdentityRecord {
    fn from(identity: Identity) -> Self {
        let Identity { column, is_always, start, increment } = identity;
        Self { column, always: is_always, start, increment }
    }
}

impl From<IdentityRecord> for Identity {
    fn from(record: IdentityRecord) -> Self {
        let IdentityRecord { column, always, start, increment } = record;
        Self { column, is_always: always, start, increment }
    }
}
