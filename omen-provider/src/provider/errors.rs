//! Errors across the boundary: the engine's into DataFusion's, and back.
//!
//! An engine error that travels through a plan (a duplicate key met by INSERT, a damaged page met
//! by a scan) comes out of the other conversion as the same engine error. A query that met the
//! limit of memory comes out as [`Error::Exhausted`].

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
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
        if let Some(own) = causes(&error).find_map(|cause| cause.downcast_ref::<Self>()) {
            return own.clone();
        }
        let exhausted = matches!(error.find_root(), DataFusionError::ResourcesExhausted(_));
        let source = Self::DataFusion(Arc::new(error));
        match exhausted {
            true => Self::Exhausted {
                what: "a query needs more memory than it may hold".to_string(),
                source: Arc::new(source),
            },
            false => source,
        }
    }
}

/// Whether the cause of an error is that the disk, or the owner's share of it, is full.
pub(super) fn is_out_of_space(error: &(dyn StdError + 'static)) -> bool {
    let kinds = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds
        .map(io::Error::kind)
        .any(|kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// An error, its cause, the cause of that, and so on.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&current: &&'a (dyn StdError + 'static)| {
        // Errors of the system leave out what they are made of.
        let within = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match within {
            Some(within) => Some(within as &(dyn StdError + 'static)),
            None => current.source(),
        }
    })
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

    #[test]
    fn limits_that_were_reached_are_told_from_other_failures() {
        let memory = DataFusionError::ResourcesExhausted("too much".into()).context("sorting");
        assert!(matches!(Error::from(memory), Error::Exhausted { .. }));

        let own = Error::Exhausted {
            what: "space".into(),
            source: Arc::new(Error::Unavailable("closed")),
        };
        let written = arrow::error::ArrowError::from(io::Error::other(own));
        let back = Error::from(DataFusionError::from(written));
        assert!(matches!(back, Error::Exhausted { .. }), "{back:?}");

        let full = io::Error::from(ErrorKind::StorageFull);
        let wrapped = io::Error::other(DataFusionError::IoError(full));
        assert!(is_out_of_space(&wrapped));
        assert!(!is_out_of_space(&io::Error::other("refused")));
    }
}
