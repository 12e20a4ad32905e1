//! The command line: options, subcommands, and the help that teaches them.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use omen_provider::Options;

use crate::failure::Failure;
use crate::output::Format;
use crate::plot::PlotFile;

const EXAMPLES: &str = "\
Examples:
  omen demo                                   see it work on real data, in a new directory
  omen import weather.db weather weather.csv --key origin,time_hour --null NA
                                              make a table from a CSV file
  omen weather.db                             SQL shell on a database (created if missing)
  omen weather.db -c 'SELECT count(*) FROM weather' --format csv
  omen weather.db -f report.sql > report.csv  run a script; stops at the first error
  generate-sql | omen weather.db              statements run as they arrive
  omen inspect weather.db                     tables, parts, key ranges, index, log
  omen inspect weather.db weather --plot weather.svg
                                              a picture of the table's learned index
  omen verify weather.db                      check every byte; exit code 1 if any is wrong
  omen backup weather.db /mnt/weather.db      copy it, or what is new since the last backup

A database is a directory. A path named like a subcommand is written with a leading ./
(omen ./import). Without a path the database is in memory and gone at the end.

Rows go to standard output, everything else to standard error. Results are a table on a
terminal and CSV when piped, unless --format says otherwise.

A statement is acknowledged when it would survive a power cut, which takes a few milliseconds each.
With --may-lose-last-ms 50 it is acknowledged when it would survive the end of this command, however
it ends, and the disk is waited for in the background, within 50 ms: many small statements are many
times as fast. A power cut or a crash of the system may then take the last 50 ms of statements: the
last ones in their order, each whole. Imports and all that is closed properly are as safe as ever.

Exit codes: 0 success, 1 error, 2 wrong usage, 130 interrupted by Ctrl-C.";

/// Keyed, durable Parquet tables: SQL shell and tools.
#[derive(Debug, Parser)]
#[command(
    name = "omen",
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) shell: ShellArguments,
}

/// `omen [OPTIONS] [PATH]`.
#[derive(Debug, Args)]
pub(crate) struct ShellArguments {
    /// Directory of the database; created if missing
    pub(crate) path: Option<PathBuf>,
    /// Run these statements and exit; may be repeated
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    commands: Vec<String>,
    /// Run the statements of a file and exit (- is standard input); may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How rows are printed [default: table on a terminal, csv when piped]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Open without writing anything, also beside a process that writes
    #[arg(long)]
    pub(crate) readonly: bool,
    /// Fail if the database does not exist
    #[arg(long)]
    pub(crate) no_create: bool,
    /// Print the time of each statement to standard error
    #[arg(long)]
    pub(crate) timing: bool,
    /// Do not wait for the disk with each statement: a power cut may take those of the last N
    /// milliseconds, kill -9 takes none (see below)
    #[arg(long, value_name = "N", value_parser = milliseconds)]
    pub(crate) may_lose_last_ms: Option<u32>,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
    /// -c and -f in the order in which they were given
    #[arg(skip)]
    pub(crate) inputs: Vec<Input>,
}

/// How much memory may be used.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct MemoryArguments {
    /// Memory for queries, caches and writing together, as 512M or 2G; queries that need more than
    /// half of it use files in the database's directory, or end [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    memory_limit: Option<usize>,
}

impl MemoryArguments {
    /// Options with limits that add up to it.
    pub(crate) fn options(self) -> Options {
        self.memory_limit.map_or_else(Options::default, Options::within_memory)
    }
}

/// One `-c` or `-f`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// Statements on the command line.
    Command(String),
    /// A script; `-` is standard input.
    File(PathBuf),
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load a CSV, JSON lines or Parquet file into a table, as one atomic statement
    Import(ImportArguments),
    /// Show tables, parts, key ranges, index sizes and errors, and the state of the log
    Inspect(InspectArguments),
    /// Read every file and check every checksum; exit code 1 if something is wrong
    Verify {
        /// Directory of the database
        path: PathBuf,
    },
    /// Say what can be kept of a database whose log is damaged; with --cut-log keep that alone
    #[command(after_help = REPAIR_NOTES)]
    Repair {
        /// Directory of the database
        path: PathBuf,
        /// Give up every statement from the damage on; the log files are kept in PATH/lost
        #[arg(long)]
        cut_log: bool,
    },
    /// Rewrite every table as Parquet files that any other tool reads as the table
    Compact {
        /// Directory of the database
        path: PathBuf,
        #[command(flatten)]
        memory: MemoryArguments,
    },
    /// Copy a database to another directory, or bring the copy there up to date
    #[command(after_help = BACKUP_NOTES)]
    Backup {
        /// Directory of the database
        path: PathBuf,
        /// Directory of the backup; made if missing
        directory: PathBuf,
    },
    /// Make a database of a backup, in a new directory
    #[command(after_help = RESTORE_NOTES)]
    Restore {
        /// Directory of the backup
        backup: PathBuf,
        /// Directory to restore into; missing or empty
        path: PathBuf,
    },
    /// Make a database of real data in a new directory and show what it can do
    Demo {
        /// Directory to create; must not exist [default: omen-demo, omen-demo-2, …]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

const REPAIR_NOTES: &str = "\
A database whose log is damaged does not open: statements that were acknowledged may be lost, and
what follows them would be wrong without them. (A log that merely ends too early, as after a power
cut, is no damage.) A backup is the better answer. Without one, this gives up the end of the log.

Examples:
  omen repair my.db             what is damaged, and what would be kept; writes nothing
  omen repair my.db --cut-log   keep the statements before the damage";

const BACKUP_NOTES: &str = "\
The backup holds the database as of one statement, also while another process writes to it. Files
that the backup has already are skipped: the second backup into a directory copies what is new. It
replaces the first one all at once: a crash leaves the one or the other.

A backup is itself a database: omen DIRECTORY --readonly queries it, omen verify DIRECTORY checks
every byte of it. One that was opened for writing goes its own way, and takes no further backup. To
go on working from a backup, restore it.

Examples:
  omen backup my.db /mnt/backup/my.db             make a backup, or bring it up to date
  omen verify /mnt/backup/my.db                   check all of it
  omen restore /mnt/backup/my.db restored.db      make a database of it";

const RESTORE_NOTES: &str = "\
Every file is checked as it is copied; a damaged backup is refused, naming the file, and nothing is
restored. The new database has an id of its own: later backups of it go into another directory than
those of the database it was once.

Example:
  omen restore /mnt/backup/my.db restored.db";

const IMPORT_NOTES: &str = "\
Types are inferred from the whole file: whole numbers become BIGINT, other numbers DOUBLE, true and
false BOOLEAN, 2013-07-04 DATE, ISO 8601 times TIMESTAMP (with an offset or Z: in UTC), all else
text. Numbers with leading zeros (00123) stay text. An empty field is NULL; a quoted one (\"\") is
the empty text.

If the table exists, columns are matched by name and the rows are inserted into it. Either all rows
are stored or none: a bad row is named with its line and leaves the database as it was.

Examples:
  omen import my.db flights flights.csv --key time_hour,carrier,flight --null NA
  omen import my.db events events.jsonl --key id
  omen import my.db planes planes.parquet --key tailnum";

/// `omen import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = IMPORT_NOTES)]
pub(crate) struct ImportArguments {
    /// Directory of the database; created if missing
    pub(crate) path: PathBuf,
    /// Table to create, or to insert into if it exists
    pub(crate) table: String,
    /// File to load
    pub(crate) file: PathBuf,
    /// Columns of the primary key, in order; without it rows get a hidden row id
    #[arg(long, value_delimiter = ',', value_name = "COLUMN")]
    pub(crate) key: Vec<String>,
    /// Text of a CSV field that means NULL, besides the empty field; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Vec<String>,
    /// Format of the file [default: by its extension]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<ImportFormat>,
    /// Separator of CSV fields: one character, or "tab" [default: a comma; tab for .tsv]
    #[arg(long, value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
}

/// Formats that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ImportFormat {
    /// Separated values with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Parquet.
    Parquet,
}

const INSPECT_NOTES: &str = "\
A table lies in parts: segments (files), and in memory the rows that are not in segments yet. Each
large enough part has a learned index, which calculates from a key where it should be and gives a
range of positions that holds it for sure. \"rows to search\" is the length of that range.

--plot draws, for the largest parts, where the keys lie and where the index expects them, how far
it is off along the keys, and how many keys are how far off, with a verdict in words: why lookups
are fast or slow. It reads a sample of about 20,000 keys of a part, so it is quick on tables of any
size. An existing FILE is replaced. What is printed stays the same.

Examples:
  omen inspect my.db                              all tables and parts, and the log
  omen inspect my.db flights --format json        the parts of one table, for programs
  omen inspect my.db flights --plot flights.svg   a picture, for documents
  omen inspect my.db flights --plot flights.html  the same as a page, for the browser";

/// `omen inspect`.
#[derive(Debug, Args)]
#[command(after_help = INSPECT_NOTES)]
pub(crate) struct InspectArguments {
    /// Directory of the database
    pub(crate) path: PathBuf,
    /// Only this table
    pub(crate) table: Option<String>,
    /// Print the parts alone, in this format
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Draw the table's learned index into a file that ends in .svg or .html
    #[arg(
        long,
        value_name = "FILE",
        requires = "table",
        value_parser = OsStringValueParser::new().try_map(PlotFile::new)
    )]
    pub(crate) plot: Option<PlotFile>,
}

impl Arguments {
    /// Reads the command line; prints help or a usage error and exits where that is due.
    pub(crate) fn read() -> Result<Self, Failure> {
        let version = format!(
            "{} (DataFusion {})",
            env!("CARGO_PKG_VERSION"),
            datafusion::DATAFUSION_VERSION
        );
        let command = Self::command().version(version.leak() as &'static str);
        Self::from_matches(&command.get_matches())
    }

    fn from_matches(matches: &ArgMatches) -> Result<Self, Failure> {
        let mut arguments =
            Self::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
        arguments.shell.inputs = arguments.shell.inputs_in_order(matches);
        Ok(arguments)
    }
}

impl ShellArguments {
    fn inputs_in_order(&self, matches: &ArgMatches) -> Vec<Input> {
        let commands = self.commands.iter().cloned().map(Input::Command);
        let files = self.files.iter().cloned().map(Input::File);
        let mut inputs: Vec<(usize, Input)> =
            matches.indices_of("commands").into_iter().flatten().zip(commands).collect();
        inputs.extend(matches.indices_of("files").into_iter().flatten().zip(files));
        inputs.sort_by_key(|(index, _)| *index);
        inputs.into_iter().map(|(_, input)| input).collect()
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
        b"tab" | b"\\t" => Ok(b'\t'),
        _ => Err("expected one character other than a quote, or \"tab\"".to_string()),
    }
}

fn milliseconds(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(0) => Err("0 ms would lose nothing: leave the option out for that".to_string()),
        Ok(number) => Ok(number),
        Err(_) => Err("expected a number of milliseconds, such as 50".to_string()),
    }
}

/// Less memory than this is no use to anybody.
const MEMORY_MIN: usize = 16 << 20;

/// A number of bytes, perhaps with K, M, G or T behind it.
fn memory_size(text: &str) -> Result<usize, String> {
    let upper = text.trim().to_ascii_uppercase();
    let number = upper.trim_end_matches('B').trim_end_matches('I');
    let (digits, shift) = match number.char_indices().next_back() {
        Some((at, 'K')) => (&number[..at], 10),
        Some((at, 'M')) => (&number[..at], 20),
        Some((at, 'G')) => (&number[..at], 30),
        Some((at, 'T')) => (&number[..at], 40),
        _ => (number, 0),
    };
    let wrong = || "expected a size such as 512M, 1.5G or 2147483648".to_string();
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    let bytes = number * (1_u64 << shift) as f64;
    if !bytes.is_finite() || bytes < 0.0 {
        return Err(wrong());
    }
    match bytes as usize {
        bytes if bytes >= MEMORY_MIN => Ok(bytes),
        _ => Err("expected 16M at least".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Arguments {
        let matches = Arguments::command().get_matches_from(words);
        Arguments::from_matches(&matches).unwrap()
    }

    #[test]
    fn definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn inputs_keep_their_order() {
        let shell = parse(&["omen", "-c", "A", "my.db", "-f", "b.sql", "-c", "C"]).shell;
        let expected =
            [Input::Command("A".into()), Input::File("b.sql".into()), Input::Command("C".into())];
        assert_eq!(shell.inputs, expected);
        assert_eq!(shell.path, Some("my.db".into()));
    }

    #[test]
    fn path_named_like_a_subcommand_is_reachable() {
        assert!(parse(&["omen", "demo"]).command.is_some());
        let arguments = parse(&["omen", "./demo"]);
        assert!(arguments.command.is_none());
        assert_eq!(arguments.shell.path, Some("./demo".into()));
    }

    #[test]
    fn import_reads_keys_and_delimiters() {
        let arguments =
            parse(&["omen", "import", "d", "t", "f.csv", "--key", "a,b", "--delimiter", "tab"]);
        let Some(Command::Import(import)) = arguments.command else { panic!("not an import") };
        assert_eq!(import.key, ["a", "b"]);
        assert_eq!(import.delimiter, Some(b'\t'));
        assert!(delimiter("ab").is_err() && delimiter("\"").is_err());
    }

    #[test]
    fn milliseconds_are_a_number_above_zero() {
        assert_eq!(milliseconds("50"), Ok(50));
        for wrong in ["0", "-1", "soon", "1.5", "4294967296", ""] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse(&["omen", "d"]).shell.may_lose_last_ms, None);
        let shell = parse(&["omen", "d", "--may-lose-last-ms", "7"]).shell;
        assert_eq!(shell.may_lose_last_ms, Some(7));
    }

    #[test]
    fn memory_is_read_with_and_without_units() {
        for (text, bytes) in
            [("512M", 512 << 20), ("1.5g", 3 << 29), ("64 MiB", 64 << 20), ("20000000", 20_000_000)]
        {
            assert_eq!(memory_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "M", "-2G", "many", "1K", "NaN", "1e400", "2GG"] {
            assert!(memory_size(wrong).is_err(), "{wrong}");
        }
        let words = ["omen", "import", "d", "t", "f.csv", "--memory-limit", "2G"];
        let Some(Command::Import(import)) = parse(&words).command else { panic!("no import") };
        assert_eq!(import.memory.options().query_bytes_max, 1 << 30);
        let shell = parse(&["omen"]).shell;
        assert_eq!(shell.memory.options().query_bytes_max, Options::default().query_bytes_max);
    }
}
