//! Errors across the boundary: the engine's into DataFusion's, and back.
//!
//! An engine error that travels through a plan (a duplicate key met by INSERT, a damaged page met
//! by a scan) comes out of the other conversion as the same engine error.

use std::error::Error as StdError;
use std::sync::Arc;

use datafusion::error::DataFusionError;

use crate::error::Error;

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::DataFusion(inner) => Self::Shared(inner),
            other => Self::External(Box::new(other)),
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        engine_error(&error).unwrap_or_else(|| Self::DataFusion(Arc::new(error)))
    }
}

/// The engine's own error among the causes of `error`.
fn engine_error(error: &DataFusionError) -> Option<Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(own) = current.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        cause = current.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_errors_survive_the_way_through_a_plan() {
        let own = Error::Corruption { path: "p".into(), offset: 7, reason: "r".into() };
        let carried = parquet::errors::ParquetError::External(Box::new(own));
        let shown = DataFusionError::from(carried).context("reading");
        let back = Error::from(DataFusionError::Shared(Arc::new(shown)));
        assert!(matches!(back, Error::Corruption { offset: 7, .. }), "{back:?}");

        let foreign = Error::from(DataFusionError::Plan("no such function".into()));
        assert!(matches!(foreign, Error::DataFusion(_)));
        assert!(DataFusionError::from(foreign).to_string().contains("no such function"));
    }
}
