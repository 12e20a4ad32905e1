//! Filters that go down a plan, past columns of the same name.
//!
//! DataFusion 55.2 pushes filters from operator to operator, and finds their columns in the
//! operator below by name: of two columns of one name it takes the first, or the last. A filter
//! then reads another column than it means, and the scan that takes it leaves rows out (apache's
//! issues 21246, 25244, 25262, 25263, 25264, 25296; mended there after 55.2 by pull request 25259).
//! Joins of tables that share a name make such columns.
//!
//! So this physical optimizer rule stands around DataFusion's: no filter passes an operator in
//! which a name does not tell a column. It then is applied above, as the plan says; filters that
//! begin below go on.
//!
//! Installed by `register` and by every session. Invariant: the plan gives the same rows.

use std::any::Any;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr,
    PlanProperties, ReplaceChildrenOptions,
};

/// The rules of a session.
type Rules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

/// The names of DataFusion's rules.
const FILTER_PUSHDOWN: [&str; 2] = ["FilterPushdown", "FilterPushdown(Post)"];

/// `rules` with DataFusion's rules wrapped, unless they are.
pub(super) fn with_filters_in_place(mut rules: Rules) -> Rules {
    for rule in &mut rules {
        let is_wrapped = (rule.as_ref() as &dyn Any).is::<FiltersInPlace>();
        if FILTER_PUSHDOWN.contains(&rule.name()) && !is_wrapped {
            *rule = Arc::new(FiltersInPlace { inner: Arc::clone(rule) });
        }
    }
    rules
}

/// DataFusion's rule, for what names tell.
#[derive(Debug)]
struct FiltersInPlace {
    inner: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
}

impl PhysicalOptimizerRule for FiltersInPlace {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let barred = plan.transform_up(|node| {
            Ok(match names_tell_columns(node.as_ref()) {
                true => Transformed::no(node),
                false => Transformed::yes(Arc::new(Barrier { inner: node }) as _),
            })
        })?;
        let optimized = self.inner.optimize(barred.data, config)?;
        if !barred.transformed {
            return Ok(optimized);
        }
        let freed = optimized.transform_up(|node| {
            Ok(match node.downcast_ref::<Barrier>() {
                Some(barrier) => Transformed::yes(Arc::clone(&barrier.inner)),
                None => Transformed::no(node),
            })
        });
        freed.data()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_check(&self) -> bool {
        self.inner.schema_check()
    }
}

/// Whether a column of `node` is found by its name where `node` looks for it, to hand on filters.
fn names_tell_columns(node: &dyn ExecutionPlan) -> bool {
    let below = node.children();
    if node.is::<ProjectionExec>() {
        return are_unique(&node.schema());
    }
    if below.iter().any(|child| !are_unique(&child.schema())) {
        return false;
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        return groups_are_columns(aggregate);
    }
    !node.is::<UnionExec>() || below.iter().all(|child| is_named_alike(node, child.as_ref()))
}

fn are_unique(schema: &Schema) -> bool {
    let fields = schema.fields();
    (1..fields.len()).all(|at| fields[..at].iter().all(|field| field.name() != fields[at].name()))
}

/// Whether a group that has the name of a column of the input is that column.
fn groups_are_columns(aggregate: &AggregateExec) -> bool {
    let input = aggregate.input().schema();
    aggregate.group_expr().expr().iter().all(|(group, name)| match input.index_of(name) {
        Ok(place) => group.downcast_ref::<Column>().is_some_and(|column| column.index() == place),
        Err(_) => true,
    })
}

fn is_named_alike(node: &dyn ExecutionPlan, child: &dyn ExecutionPlan) -> bool {
    let (own, other) = (node.schema(), child.schema());
    let names = other.fields().iter().map(|field| field.name());
    own.fields().iter().map(|field| field.name()).eq(names)
}

/// Lets everything pass but filters; while the rule runs.
#[derive(Debug)]
struct Barrier {
    inner: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Barrier {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Barrier")
    }
}

impl ExecutionPlan for Barrier {
    fn name(&self) -> &'static str {
        "Barrier"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.inner]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(children.into_iter().next().map_or(self, |inner| Arc::new(Self { inner })))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
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
        self.inner.execute(partition, context)
    }
}
