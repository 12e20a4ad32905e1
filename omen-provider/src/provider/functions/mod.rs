//! Functions that SQL has besides DataFusion's, in sessions and in contexts of the application:
//! those for time series. A function that a context has by that name already stays.

mod extreme;
mod sliding_extreme;
mod time_bucket;

use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use extreme::Extreme;
use time_bucket::TimeBucket;

/// Adds the functions that `state` lacks.
pub(super) fn add_functions(state: &mut SessionState) {
    let bucket = ScalarUDF::new_from_impl(TimeBucket::new());
    if !state.scalar_functions().contains_key(bucket.name()) {
        let _ = state.register_udf(bucket.into());
    }
    for extreme in Extreme::all() {
        let extreme = AggregateUDF::new_from_impl(extreme);
        if !state.aggregate_functions().contains_key(extreme.name()) {
            let _ = state.register_udaf(extreme.into());
        }
    }
}
