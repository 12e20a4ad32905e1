//! Keyed, durable Parquet tables for DataFusion.
