//! The nodes of a plan that are ours, and their physical plans; all others are DataFusion's.
//!
//! A node has one input: rows whose keys are looked up ([`super::key_lookup`]), a statement that
//! returns its rows ([`super::returned_rows`]), or rows that go to files
//! ([`super::copy_sink`]). Made by [`super::upserts`] and
//! [`super::edit_statements`]; [`super::pin`] says of which moment their tables are. Every session
//! has [`OwnPlanner`] as its planner.

use std::cmp::Ordering;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::DFSchemaRef;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::copy_sink::CopyTarget;
use super::edit_target::keeping_rows;
use super::key_lookup::{KeyLookup, KeyLookupExec};
use super::panics::GuardedExec;
use super::returned_rows::{ReturnedRows, ReturningExec};
use crate::error::Error;
use crate::expression::guard;

/// A node and its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OwnNode {
    input: LogicalPlan,
    kind: Kind,
    schema: DFSchemaRef,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    KeyLookup(KeyLookup),
    Returning,
    CopyTo(CopyTarget),
}

impl OwnNode {
    /// The rows of `input`, qualified as `given`, beside those that `lookup` finds, qualified as
    /// `found`.
    ///
    /// # Errors
    /// If two columns have one name.
    pub(super) fn key_lookup(
        input: LogicalPlan,
        given: &str,
        lookup: KeyLookup,
        found: &str,
    ) -> Result<LogicalPlan> {
        let schema = Arc::new(lookup.schema(input.schema(), given, found)?);
        Ok(Self { input, kind: Kind::KeyLookup(lookup), schema }.into_plan())
    }

    /// What `statement` does, and the rows that it takes or leaves in its table: all that is
    /// visible of them.
    pub(super) fn returning(statement: LogicalPlan, schema: DFSchemaRef) -> LogicalPlan {
        Self { input: statement, kind: Kind::Returning, schema }.into_plan()
    }

    /// Writes the rows of `input` to files.
    pub(super) fn copy_to(input: LogicalPlan, target: CopyTarget) -> Result<LogicalPlan> {
        let schema = CopyTarget::count_schema()?;
        Ok(Self { input, kind: Kind::CopyTo(target), schema }.into_plan())
    }

    pub(super) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// What is looked up, if it is a lookup.
    pub(super) fn lookup(&self) -> Option<&KeyLookup> {
        match &self.kind {
            Kind::KeyLookup(lookup) => Some(lookup),
            Kind::Returning | Kind::CopyTo(_) => None,
        }
    }

    /// The same with another lookup.
    pub(super) fn with_lookup(&self, lookup: KeyLookup) -> Self {
        Self { kind: Kind::KeyLookup(lookup), ..self.clone() }
    }

    fn exec(&self, input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let (input, schema) = (Arc::clone(input), Arc::clone(self.schema.inner()));
        match &self.kind {
            Kind::KeyLookup(lookup) => {
                return Ok(Arc::new(KeyLookupExec::new(input, lookup.clone(), schema)));
            }
            Kind::CopyTo(target) => return Ok(target.exec(&input)),
            Kind::Returning => {}
        }
        // Of this plan alone: a statement may be planned more than once.
        let returned = ReturnedRows::default();
        let sink = input.downcast_ref::<DataSinkExec>();
        match sink.and_then(|sink| keeping_rows(sink, returned.clone())) {
            Some(statement) => Ok(Arc::new(ReturningExec::new(statement, returned, schema))),
            None => Err(Error::invalid("only statements that edit a table return rows").into()),
        }
    }
}

/// No node is before another.
impl PartialOrd for OwnNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for OwnNode {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::KeyLookup(_) => "KeyLookup",
            Kind::Returning => "Returning",
            Kind::CopyTo(_) => "CopyTo",
        }
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::KeyLookup(lookup) => {
                write!(f, "KeyLookup: {}", lookup.table().table_schema().name)
            }
            Kind::Returning => write!(f, "Returning"),
            Kind::CopyTo(target) => write!(f, "CopyTo: {}", target.shown()),
        }
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => Ok(Self { input, ..self.clone() }),
            Err(inputs) => {
                let found = inputs.len();
                Err(Error::invalid(format!(
                    "{} has one input, not {found}",
                    UserDefinedLogicalNodeCore::name(self)
                ))
                .into())
            }
        }
    }
}

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
        let plan = guard::planned(planner.create_physical_plan(plan, session)).await?;
        Ok(GuardedExec::guard(plan))
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
        match (node.as_any().downcast_ref::<OwnNode>(), physical_inputs) {
            (Some(node), [input]) => node.exec(input).map(Some),
            _ => Ok(None),
        }
    }
}
