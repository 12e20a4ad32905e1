//! Plans that nest deep are optimised on a stack with room for them, whichever thread asks.
//!
//! DataFusion optimises where the rows of a frame are asked for: on a thread of the application,
//! whose stack may do to carry out a plan but not to make it. So the state of such a frame leaves
//! everything to its planner, which enlarges the stack once and does the work of the session's own
//! state. Called by `session`. Invariant: the plan is what the session's state makes of it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use crate::expression::guard::{planned, polled_with_stack, with_stack};

/// Nodes of an expression, and of a plan, that are optimised on any stack.
const NODES_MAX: usize = 24;

/// The frame with a state that optimises on a larger stack, if its plan is deep.
pub(super) fn with_room(frame: DataFrame) -> Result<DataFrame> {
    if !is_deep(frame.logical_plan())? {
        return Ok(frame);
    }
    let (state, plan) = frame.into_parts();
    let roomy = SessionStateBuilder::new_from_existing(state.clone())
        .with_session_id(state.session_id().to_string())
        .with_analyzer_rules(Vec::new())
        .with_optimizer_rules(Vec::new())
        .with_query_planner(Arc::new(Roomy { state }))
        .build();
    Ok(DataFrame::new(roomy, plan))
}

/// Whether the plan, or one of its expressions, may nest deep: it has many nodes.
fn is_deep(plan: &LogicalPlan) -> Result<bool> {
    let (mut nodes, mut deep) = (0, false);
    plan.apply_with_subqueries(|node| {
        nodes += 1;
        node.apply_expressions(|expression| {
            let mut parts = 0;
            expression.apply(|_| {
                parts += 1;
                Ok(goes_on(parts <= NODES_MAX))
            })?;
            deep |= parts > NODES_MAX;
            Ok(goes_on(!deep))
        })?;
        deep |= nodes > NODES_MAX;
        Ok(goes_on(!deep))
    })?;
    Ok(deep)
}

fn goes_on(yes: bool) -> TreeNodeRecursion {
    match yes {
        true => TreeNodeRecursion::Continue,
        false => TreeNodeRecursion::Stop,
    }
}

/// Optimises and plans as `state` does.
#[derive(Debug)]
struct Roomy {
    state: SessionState,
}

#[async_trait]
impl QueryPlanner for Roomy {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        _session: &dyn datafusion::catalog::Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let optimized = with_stack(|| self.state.optimize(plan))?;
        let planner = self.state.query_planner();
        polled_with_stack(planned(planner.create_physical_plan(&optimized, &self.state))).await
    }
}
