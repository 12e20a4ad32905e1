//! Inputs whose order nobody may rely on.
//!
//! DataFusion 55.2 takes the rows of a join to be ordered by the one side and then, among equals,
//! by the other (apache's issue 25052); they are not, where the one side has equals or the other is
//! met in the order of a hash table. It takes those of GROUPING SETS to be ordered as their input,
//! of which they hold every row several times (issue 24421). Whoever believes that sorts too
//! little, and groups and ranks twice; tables that declare the order of their key make it common.
//!
//! So these inputs declare no order: a hash table does without, and the order of a join is that of
//! the side that it goes along. Rows of joins by merging, which declare both, are declared to have
//! none. Installed by `register` and by every session, right behind DataFusion's choice of sides,
//! when no order is arranged yet; afterwards what hides none is taken out again.
//!
//! The same rule has joins by trying all pairs go along one partition, if they must tell which rows
//! of the left side met none: with several, DataFusion tells it for each, as soon as the left side
//! does not fit into memory (issue 22641).

use std::fmt::{self, Formatter};
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Statistics};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    PhysicalExpr, PlanProperties, ReplaceChildrenOptions,
};

/// The rules of a session.
type Rules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

/// The rules of DataFusion behind which ours stand.
const JOIN_SELECTION: &str = "join_selection";
const ENSURE_REQUIREMENTS: &str = "EnsureRequirements";

/// The names of our rules.
const HIDE: &str = "hide_orders";
const SETTLE: &str = "settle_orders";

/// `rules` with these, unless they have them.
pub(super) fn with_hidden_orders(mut rules: Rules) -> Rules {
    let place = |rules: &Rules, name| rules.iter().position(|rule| rule.name() == name);
    if place(&rules, HIDE).is_none()
        && let Some(index) = place(&rules, JOIN_SELECTION)
    {
        rules.insert(index + 1, Arc::new(HideOrders));
        if let Some(index) = place(&rules, ENSURE_REQUIREMENTS) {
            rules.insert(index + 1, Arc::new(SettleOrders));
        }
    }
    rules
}

/// Hides orders, before any is asked for.
#[derive(Debug)]
struct HideOrders;

impl PhysicalOptimizerRule for HideOrders {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if node.is::<SortMergeJoinExec>() {
                return Ok(Transformed::yes(Unordered::hide(node)));
            }
            let hides = match node.downcast_ref::<AggregateExec>() {
                Some(aggregate) => aggregate.group_expr().groups().len() > 1,
                None => node.is::<HashJoinExec>(),
            };
            match hides {
                true => hide_first(node).map(Transformed::yes),
                false => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        HIDE
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Hides the order of the first input: of a join, the side that is kept in a hash table.
fn hide_first(node: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut children: Vec<Arc<dyn ExecutionPlan>> = node.children().into_iter().cloned().collect();
    if let Some(first) = children.first_mut() {
        *first = Unordered::hide(Arc::clone(first));
    }
    node.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// Takes out what hides nothing, once all orders are arranged.
#[derive(Debug)]
struct SettleOrders;

impl PhysicalOptimizerRule for SettleOrders {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.downcast_ref::<Unordered>() {
            Some(unordered) if unordered.input.output_ordering().is_none() => {
                Ok(Transformed::yes(Arc::clone(&unordered.input)))
            }
            _ => one_partition_of_pairs(node),
        })
        .data()
    }

    fn name(&self) -> &'static str {
        SETTLE
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A join by trying all pairs that tells which rows of the left side met none, along one partition.
fn one_partition_of_pairs(
    node: Arc<dyn ExecutionPlan>,
) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else {
        return Ok(Transformed::no(node));
    };
    let tells = matches!(
        join.join_type(),
        JoinType::Left
            | JoinType::Full
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
    );
    if !tells || join.right().output_partitioning().partition_count() == 1 {
        return Ok(Transformed::no(node));
    }
    let right = Arc::new(CoalescePartitionsExec::new(Arc::clone(join.right())));
    let children = vec![Arc::clone(join.left()), right as _];
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    node.replace_children(children, options).map(Transformed::yes)
}

/// Rows as they come, of which no order is known.
#[derive(Debug)]
struct Unordered {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Unordered {
    fn hide(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let known = input.properties();
        let mut equivalences = known.equivalence_properties().clone();
        equivalences.clear_orderings();
        let properties = PlanProperties::clone(known).with_eq_properties(equivalences);
        Arc::new(Self { input, properties: Arc::new(properties) })
    }
}

impl DisplayAs for Unordered {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "UnorderedExec")
    }
}

impl ExecutionPlan for Unordered {
    fn name(&self) -> &'static str {
        "UnorderedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(children.into_iter().next().map_or(self, Self::hide))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let unknown = || Arc::new(Statistics::new_unknown(&self.schema()));
        Ok(inputs.first().map_or_else(unknown, Arc::clone))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        Ok(self.input.try_swapping_with_projection(projection)?.map(Self::hide))
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}
