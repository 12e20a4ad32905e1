//! A statement as it is parsed: DataFusion's, or one of those that it does not know.

use datafusion::sql::parser::Statement as PlainStatement;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, Query};

use super::introspection::pragma::Pragma;
use crate::interchange::{Place, is_option};

/// A parsed statement; see [`Session::parse`](super::Session::parse).
#[derive(Debug, Clone)]
pub struct Statement(pub(super) Parsed);

#[derive(Debug, Clone)]
pub(super) enum Parsed {
    /// What DataFusion parses.
    Plain(Box<PlainStatement>),
    Copy(Box<Copy>),
    /// EXPORT DATABASE, with the folder.
    Export(String, Vec<CopyOption>),
    /// IMPORT DATABASE, with the folder.
    Import(String),
    Pragma(Pragma),
}

/// An option and its values.
pub(super) type CopyOption = (String, Vec<String>);

/// COPY, in whatever spelling.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) source: CopySource,
    pub(super) is_from: bool,
    pub(super) place: Place,
    pub(super) options: Vec<CopyOption>,
    pub(super) partition_by: Vec<Ident>,
    /// Whether these are given by DataFusion's PARTITIONED BY.
    pub(super) is_partitioned: bool,
    /// For EXPLAIN: whether it is ANALYZE, and VERBOSE.
    pub(super) explain: Option<(bool, bool)>,
}

#[derive(Debug, Clone)]
pub(super) enum CopySource {
    Table { name: ObjectName, columns: Vec<Ident> },
    Query(Box<Query>),
}

impl Copy {
    /// Whether it is left to DataFusion if it is in DataFusion's words: options of its own, a
    /// folder of files, more files for one, an object store that the application has registered.
    pub(super) fn is_left_to_datafusion(&self) -> bool {
        let Place::Path(path) = &self.place else { return false };
        let is_folder = self.is_partitioned || path.ends_with('/') && self.partition_by.is_empty();
        let mut names = self.options.iter().map(|(name, _)| name.as_str());
        !self.is_from && (is_folder || path.contains("://") || !names.all(is_option))
    }
}

impl Statement {
    /// DataFusion's statement, if it is one.
    pub fn as_datafusion(&self) -> Option<&PlainStatement> {
        match &self.0 {
            Parsed::Plain(statement) => Some(statement),
            Parsed::Copy(_) | Parsed::Export(..) | Parsed::Import(_) | Parsed::Pragma(_) => None,
        }
    }

    /// Whether it is a COPY that is carried out, not only explained: its result is a count.
    pub fn is_copy(&self) -> bool {
        match &self.0 {
            Parsed::Copy(copy) => copy.explain.is_none(),
            Parsed::Plain(statement) => matches!(**statement, PlainStatement::CopyTo(_)),
            Parsed::Export(..) | Parsed::Import(_) | Parsed::Pragma(_) => false,
        }
    }

    pub(super) fn is_left_to_datafusion(&self) -> bool {
        matches!(&self.0, Parsed::Copy(copy) if copy.is_left_to_datafusion())
    }

    /// Whether it reads standard input.
    pub fn reads_standard_input(&self) -> bool {
        matches!(&self.0, Parsed::Copy(copy) if copy.is_from && copy.place == Place::Standard)
    }

    /// Whether it is IMPORT DATABASE.
    pub fn is_import(&self) -> bool {
        matches!(&self.0, Parsed::Import(_))
    }
}

impl From<PlainStatement> for Statement {
    fn from(statement: PlainStatement) -> Self {
        Self(Parsed::Plain(Box::new(statement)))
    }
}
