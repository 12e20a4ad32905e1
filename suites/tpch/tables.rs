//! The tables of TPC-H: their keys, their rows, and what is changed in them.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

/// A table of the benchmark.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static str,
    pub key: &'static str,
    /// What numbers its rows, for choosing a share of them.
    pub number: &'static str,
    /// A column that is changed, and what becomes of it.
    pub changed: (&'static str, &'static str),
}

pub const TABLES: [Table; 8] = [
    Table {
        name: "region",
        columns: "r_regionkey BIGINT, r_name TEXT NOT NULL, r_comment TEXT",
        key: "r_regionkey",
        number: "r_regionkey",
        changed: ("r_comment", "upper(r_comment)"),
    },
    Table {
        name: "nation",
        columns: "n_nationkey BIGINT, n_name TEXT NOT NULL, n_regionkey BIGINT, n_comment TEXT",
        key: "n_nationkey",
        number: "n_nationkey",
        changed: ("n_comment", "upper(n_comment)"),
    },
    Table {
        name: "supplier",
        columns: "s_suppkey BIGINT, s_name TEXT NOT NULL, s_address TEXT, s_nationkey BIGINT, \
                  s_phone TEXT, s_acctbal DECIMAL(15, 2), s_comment TEXT",
        key: "s_suppkey",
        number: "s_suppkey",
        changed: ("s_acctbal", "CAST(s_acctbal + 100 AS DECIMAL(15, 2))"),
    },
    Table {
        name: "customer",
        columns: "c_custkey BIGINT, c_name TEXT NOT NULL, c_address TEXT, c_nationkey BIGINT, \
                  c_phone TEXT, c_acctbal DECIMAL(15, 2), c_mktsegment TEXT, c_comment TEXT",
        key: "c_custkey",
        number: "c_custkey",
        changed: ("c_acctbal", "CAST(c_acctbal - 77 AS DECIMAL(15, 2))"),
    },
    Table {
        name: "part",
        columns: "p_partkey BIGINT, p_name TEXT NOT NULL, p_mfgr TEXT, p_brand TEXT, \
                  p_type TEXT, p_size INT, p_container TEXT, p_retailprice DECIMAL(15, 2), \
                  p_comment TEXT",
        key: "p_partkey",
        number: "p_partkey",
        changed: ("p_size", "51 - p_size"),
    },
    Table {
        name: "partsupp",
        columns: "ps_partkey BIGINT, ps_suppkey BIGINT, ps_availqty INT, \
                  ps_supplycost DECIMAL(15, 2), ps_comment TEXT",
        key: "ps_partkey, ps_suppkey",
        number: "ps_partkey",
        changed: ("ps_availqty", "ps_availqty + 7"),
    },
    Table {
        name: "orders",
        columns: "o_orderkey BIGINT, o_custkey BIGINT, o_orderstatus TEXT, \
                  o_totalprice DECIMAL(15, 2), o_orderdate DATE, o_orderpriority TEXT, \
                  o_clerk TEXT, o_shippriority INT, o_comment TEXT",
        key: "o_orderkey",
        number: "o_orderkey",
        changed: ("o_totalprice", "CAST(o_totalprice + 1000 AS DECIMAL(15, 2))"),
    },
    Table {
        name: "lineitem",
        columns: "l_orderkey BIGINT, l_partkey BIGINT, l_suppkey BIGINT, l_linenumber INT, \
                  l_quantity DECIMAL(15, 2), l_extendedprice DECIMAL(15, 2), \
                  l_discount DECIMAL(15, 2), l_tax DECIMAL(15, 2), l_returnflag TEXT, \
                  l_linestatus TEXT, l_shipdate DATE, l_commitdate DATE, l_receiptdate DATE, \
                  l_shipinstruct TEXT, l_shipmode TEXT, l_comment TEXT",
        key: "l_orderkey, l_linenumber",
        number: "l_partkey",
        changed: ("l_quantity", "CAST(51 - l_quantity AS DECIMAL(15, 2))"),
    },
];

impl Table {
    pub fn definition(&self) -> String {
        format!("CREATE TABLE {} ({}, PRIMARY KEY ({}))", self.name, self.columns, self.key)
    }

    /// The rows that are changed: a tenth.
    pub fn is_changed(&self) -> String {
        format!("{} % 10 = 3", self.number)
    }

    /// The rows that are deleted and come back: a twentieth.
    pub fn comes_back(&self) -> String {
        format!("{} % 20 = 7", self.number)
    }

    /// Its rows at this scale, as the benchmark's generator makes them.
    pub fn rows(&self, scale: f64) -> Vec<RecordBatch> {
        let rows = match self.name {
            "region" => RegionArrow::new(RegionGenerator::new(scale, 1, 1)).collect(),
            "nation" => NationArrow::new(NationGenerator::new(scale, 1, 1)).collect(),
            "supplier" => SupplierArrow::new(SupplierGenerator::new(scale, 1, 1)).collect(),
            "customer" => CustomerArrow::new(CustomerGenerator::new(scale, 1, 1)).collect(),
            "part" => PartArrow::new(PartGenerator::new(scale, 1, 1)).collect(),
            "partsupp" => PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1)).collect(),
            "orders" => OrderArrow::new(OrderGenerator::new(scale, 1, 1)).collect(),
            "lineitem" => LineItemArrow::new(LineItemGenerator::new(scale, 1, 1)).collect(),
            name => panic!("no table {name}"),
        };
        let rows: Result<Vec<RecordBatch>, ArrowError> = rows;
        rows.expect("rows of the generator")
    }
}
