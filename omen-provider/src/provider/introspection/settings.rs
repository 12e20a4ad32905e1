//! The settings of a database: how it was opened, and what SET changes while it is open.
//!
//! To DataFusion they are an extension of its own settings, so SHOW finds them; SET and RESET of a
//! name that begins with `omen.` are carried out here, for all sessions of the database, until it
//! is closed. Most settings are fixed when the database is opened. Called by the session, and by
//! `omen_settings`.

use std::any::Any;
use std::sync::{Arc, Weak};

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::error::Result;
use datafusion::logical_expr::{LogicalPlan, Statement};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use super::information_schema::{self, INFORMATION_SCHEMA, InformationSchema};
use super::rows::{Cell, Column, Type};
use crate::error::Error;
use crate::options::{Durability, Options};
use crate::provider::runtime::QueryRuntime;
use crate::storage::handle::Handle;

pub(super) const COLUMNS: &[Column] = &[
    ("name", Type::Text, false),
    ("value", Type::Text, false),
    ("unit", Type::Text, true),
    ("source", Type::Text, false),
    ("can_set", Type::Truth, false),
    ("description", Type::Text, false),
];

/// How the names begin.
const PREFIX: &str = "omen";

/// A setting that can change while the database is open.
#[derive(Debug, Clone, Copy)]
enum Live {
    Memtable,
    Queries,
    Spill,
}

struct Setting {
    name: &'static str,
    unit: Option<&'static str>,
    live: Option<Live>,
    /// As the options have it.
    of: fn(&Options) -> String,
    /// What sets it when the database is opened.
    option: &'static str,
    description: &'static str,
}

const BYTES: Option<&str> = Some("bytes");
const ROWS: Option<&str> = Some("rows");

const SETTINGS: [Setting; 11] = [
    Setting {
        name: "cache_bytes_max",
        unit: BYTES,
        live: None,
        of: |options| options.cache_bytes_max.to_string(),
        option: "Options::cache_bytes_max, or omen --memory-limit",
        description: "Verified pages, and what segments keep in memory",
    },
    Setting {
        name: "durability",
        unit: None,
        live: None,
        of: |options| match options.durability {
            Durability::Sync => "sync".to_string(),
            Durability::MayLoseLastMs(ms) => format!("may_lose_last_ms({ms})"),
        },
        option: "Options::may_lose_last_ms, or omen --may-lose-last-ms",
        description: "What an acknowledged statement has survived: anything, or, for the last \
                      milliseconds, no power cut",
    },
    Setting {
        name: "load_bytes_max",
        unit: BYTES,
        live: None,
        of: |options| options.load_bytes_max.to_string(),
        option: "Options::load_bytes_max, or omen --memory-limit",
        description: "What all statements of many rows hold while they are prepared",
    },
    Setting {
        name: "memtable_bytes_max",
        unit: BYTES,
        live: Some(Live::Memtable),
        of: |options| options.memtable_bytes_max.to_string(),
        option: "Options::memtable_bytes_max, or omen --memory-limit",
        description: "Rows in memory that start a flush; at twice as much writers wait",
    },
    Setting {
        name: "query_bytes_max",
        unit: BYTES,
        live: Some(Live::Queries),
        of: |options| options.query_bytes_max.to_string(),
        option: "Options::query_bytes_max, or omen --memory-limit",
        description: "What sorts, joins and aggregates of all sessions hold in memory",
    },
    Setting {
        name: "read_only",
        unit: None,
        live: None,
        of: |options| options.read_only.to_string(),
        option: "Options::read_only, or omen --readonly",
        description: "Whether every write is refused",
    },
    Setting {
        name: "reserve_bytes",
        unit: BYTES,
        live: None,
        of: |options| options.reserve_bytes.to_string(),
        option: "Options::reserve_bytes",
        description: "Kept back on the disk for when it is full",
    },
    Setting {
        name: "row_group_rows",
        unit: ROWS,
        live: None,
        of: |options| options.row_group_rows.to_string(),
        option: "Options::row_group_rows",
        description: "Rows of a Parquet row group",
    },
    Setting {
        name: "segment_bytes_max",
        unit: BYTES,
        live: None,
        of: |options| options.segment_bytes_max.to_string(),
        option: "Options::segment_bytes_max",
        description: "A segment is cut when it has about so many",
    },
    Setting {
        name: "segment_rows_max",
        unit: ROWS,
        live: None,
        of: |options| options.segment_rows_max.to_string(),
        option: "Options::segment_rows_max",
        description: "A segment is cut when it has so many",
    },
    Setting {
        name: "spill_bytes_max",
        unit: BYTES,
        live: Some(Live::Spill),
        of: |options| options.spill_bytes_max.to_string(),
        option: "Options::spill_bytes_max",
        description: "Files that queries write when memory does not do",
    },
];

impl Setting {
    fn named(name: &str) -> Result<&'static Self> {
        let found = SETTINGS.iter().find(|setting| setting.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = SETTINGS.iter().map(Self::full_name).collect();
            let what = format!("setting \"{PREFIX}.{name}\"; there are {}", names.join(", "));
            Error::NotFound(what).into()
        })
    }

    fn full_name(&self) -> String {
        format!("{PREFIX}.{}", self.name)
    }

    /// As it is now.
    fn value(&self, handle: &Arc<Handle>) -> String {
        match self.live {
            Some(Live::Memtable) => handle.engine().memtable_bytes_max().to_string(),
            Some(Live::Queries) => QueryRuntime::of(handle).memory_limit().to_string(),
            Some(Live::Spill) => QueryRuntime::of(handle).space_limit().to_string(),
            None => (self.of)(handle.engine().options()),
        }
    }

    fn source(&self, handle: &Arc<Handle>) -> &'static str {
        let opened = (self.of)(handle.engine().options());
        match opened {
            opened if opened != self.value(handle) => "set",
            opened if opened != (self.of)(&Options::default()) => "options",
            _ => "default",
        }
    }

    /// Changes it; `None`: to what the database was opened with.
    fn set(&self, handle: &Arc<Handle>, value: Option<&str>) -> Result<()> {
        let Some(live) = self.live else {
            let live = SETTINGS.iter().filter(|setting| setting.live.is_some());
            let live: Vec<_> = live.map(Self::full_name).collect();
            return Err(Error::invalid(format!(
                "\"{}\" is fixed when the database is opened ({}); what SET can change is {}",
                self.full_name(),
                self.option,
                live.join(", ")
            ))
            .into());
        };
        let bytes = value.map(|text| self.bytes(text)).transpose()?;
        let (engine, runtime) = (handle.engine(), QueryRuntime::of(handle));
        let opened = engine.options();
        match live {
            Live::Memtable => {
                engine.set_memtable_bytes_max(bytes.unwrap_or(opened.memtable_bytes_max));
            }
            Live::Queries => runtime.set_memory_limit(bytes.unwrap_or(opened.query_bytes_max)),
            Live::Spill => {
                let limit = bytes.map_or(opened.spill_bytes_max, |bytes| bytes as u64);
                runtime.set_space_limit(limit)?;
            }
        }
        Ok(())
    }

    /// A number of bytes, with or without a unit.
    fn bytes(&self, text: &str) -> Result<usize> {
        let name = self.full_name();
        let given = match text.trim().parse() {
            Ok(bytes) => Some(bytes),
            Err(_) => SessionContext::parse_capacity_limit(&name, text.trim()).ok(),
        };
        // Files of queries may be forbidden; nothing works without memory.
        let least = usize::from(!matches!(self.live, Some(Live::Spill)));
        given.filter(|bytes| *bytes >= least).ok_or_else(|| {
            Error::invalid(format!(
                "\"{name}\" is a number of bytes, at least {least}, or one with K, M or G \
                 ('64M'), found '{text}'"
            ))
            .into()
        })
    }
}

/// The rows of `omen_settings`.
pub(super) fn rows(handle: &Arc<Handle>) -> Vec<Vec<Cell>> {
    let row = |setting: &Setting| {
        vec![
            setting.full_name().into(),
            setting.value(handle).into(),
            setting.unit.map(String::from).into(),
            setting.source(handle).into(),
            setting.live.is_some().into(),
            setting.description.into(),
        ]
    };
    SETTINGS.iter().map(row).collect()
}

/// Carries out a SET or RESET of a setting of the database; false if `plan` is nothing of that.
///
/// # Errors
/// For a setting that there is not, that is fixed, and for a value that it cannot have.
pub(in crate::provider) fn set(
    handle: &Arc<Handle>,
    ctx: &SessionContext,
    plan: &LogicalPlan,
) -> Result<bool> {
    let (variable, value) = match plan {
        LogicalPlan::Statement(Statement::SetVariable(set)) => {
            (&set.variable, Some(set.value.as_str()))
        }
        LogicalPlan::Statement(Statement::ResetVariable(reset)) => (&reset.variable, None),
        _ => return Ok(false),
    };
    if variable == INFORMATION_SCHEMA {
        return show_information_schema(ctx, value);
    }
    let Some(name) = own_name(variable) else { return Ok(false) };
    let value = value.filter(|value| !value.eq_ignore_ascii_case("default"));
    Setting::named(name)?.set(handle, value)?;
    Ok(true)
}

/// The name of a setting behind the prefix.
fn own_name(variable: &str) -> Option<&str> {
    match variable == PREFIX {
        true => Some(""),
        false => variable.strip_prefix(PREFIX)?.strip_prefix('.'),
    }
}

/// DataFusion's setting is off in a session, whose own schema does what it says.
fn show_information_schema(ctx: &SessionContext, value: Option<&str>) -> Result<bool> {
    // A session of ours has it unless it was made without.
    let is_shown = match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => return Ok(false),
    };
    let catalog = ctx.copied_config().options().catalog.default_catalog.clone();
    let schema = ctx.catalog(&catalog).and_then(|it| it.schema(information_schema::NAME));
    let own = schema.as_ref().and_then(|schema| schema.downcast_ref::<InformationSchema>());
    own.inspect(|own| own.show(is_shown));
    Ok(own.is_some())
}

/// Refuses SHOW of a setting of the database that there is not.
///
/// # Errors
/// [`Error::NotFound`], with those there are.
pub(in crate::provider) fn check_shown(statement: &SqlStatement) -> Result<()> {
    let SqlStatement::ShowVariable { variable } = statement else { return Ok(()) };
    let names: Vec<_> = variable.iter().map(|name| name.value.to_ascii_lowercase()).collect();
    let names = match names.split_last() {
        Some((last, before)) if last == "verbose" => before,
        _ => &names[..],
    };
    match own_name(&names.join(".")) {
        Some(name) => Setting::named(name).map(drop),
        None => Ok(()),
    }
}

/// The settings of a database among DataFusion's.
#[derive(Debug, Clone)]
pub(in crate::provider) struct Settings(Weak<Handle>);

impl Settings {
    pub(in crate::provider) fn of(handle: &Arc<Handle>) -> Self {
        Self(Arc::downgrade(handle))
    }
}

impl ConfigExtension for Settings {
    const PREFIX: &'static str = PREFIX;
}

impl ExtensionOptions for Settings {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let closed = || Error::Unavailable("closed");
        Setting::named(key)?.set(&self.0.upgrade().ok_or_else(closed)?, Some(value))
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let Some(handle) = self.0.upgrade() else { return Vec::new() };
        let entry = |setting: &Setting| ConfigEntry {
            key: setting.full_name(),
            value: Some(setting.value(&handle)),
            description: setting.description,
        };
        SETTINGS.iter().map(entry).collect()
    }
}
