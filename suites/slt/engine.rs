//! A script's connection: DataFusion as it is, or a session of OmenDB.

use std::fmt;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use omen_provider::{Database, Session};
use sqllogictest::{AsyncDB, DBOutput};

use super::values::{self, Kind};

/// Plans of the scripts are made for so many.
const PARTITIONS: usize = 4;

/// Who answers.
#[derive(Clone)]
pub enum Engine {
    Stock(SessionContext),
    Omen(Box<Session>),
}

/// DataFusion's error, as it says it.
#[derive(Debug)]
pub struct Failure(DataFusionError);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strip_backtrace())
    }
}

impl std::error::Error for Failure {}

impl<E: Into<DataFusionError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl Engine {
    pub fn stock() -> Self {
        Self::Stock(SessionContext::new_with_config(
            SessionConfig::new().with_target_partitions(PARTITIONS),
        ))
    }

    pub async fn omen(database: &Database) -> Result<Self, DataFusionError> {
        let session = database.session();
        let partitions = format!("SET datafusion.execution.target_partitions = {PARTITIONS}");
        session.sql(&partitions).await?;
        Ok(Self::Omen(Box::new(session)))
    }

    async fn frame(&self, sql: &str) -> Result<DataFrame, DataFusionError> {
        match self {
            Self::Stock(context) => context.sql(sql).await,
            Self::Omen(session) => session.sql(sql).await,
        }
    }
}

#[async_trait]
impl AsyncDB for Engine {
    type Error = Failure;
    type ColumnType = Kind;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Kind>, Failure> {
        let frame = self.frame(sql).await?;
        let context = std::sync::Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await?;
        let schema = ExecutionPlan::schema(plan.as_ref());
        let batches: Vec<RecordBatch> = collect(plan, context).await?;
        let types: Vec<Kind> = schema.fields().iter().map(|f| Kind::of(f.data_type())).collect();
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(values::rows(batch)?);
        }
        Ok(match types.is_empty() && rows.is_empty() {
            true => DBOutput::StatementComplete(0),
            false => DBOutput::Rows { types, rows },
        })
    }

    fn engine_name(&self) -> &str {
        "DataFusion"
    }

    async fn shutdown(&mut self) {}
}
