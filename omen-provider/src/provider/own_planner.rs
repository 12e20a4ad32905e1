//! Physical plans of the nodes that are ours; all others are DataFusion's.
//!
//! Every session has it as its planner.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::edit_target::keeping_rows;
use super::key_lookup::KeyLookup;
use super::returned_rows::{ReturnedRows, Returning};
use crate::error::Error;

/// Plans as DataFusion does, and our own nodes.
#[derive(Debug)]
pub(super) struct OwnPlanner;

#[async_trait]
impl QueryPlanner for OwnPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Self)]);
        planner.create_physical_plan(plan, session).await
    }
}

#[async_trait]
impl ExtensionPlanner for OwnPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let [input] = physical_inputs else { return Ok(None) };
        if let Some(lookup) = node.as_any().downcast_ref::<KeyLookup>() {
            return Ok(Some(lookup.exec(Arc::clone(input))));
        }
        let Some(returning) = node.as_any().downcast_ref::<Returning>() else { return Ok(None) };
        // Of this plan alone: a statement may be planned more than once.
        let returned = ReturnedRows::default();
        let sink = input.downcast_ref::<DataSinkExec>();
        match sink.and_then(|sink| keeping_rows(sink, returned.clone())) {
            Some(statement) => Ok(Some(returning.exec(statement, returned))),
            None => Err(Error::invalid("only statements that edit a table return rows").into()),
        }
    }
}
